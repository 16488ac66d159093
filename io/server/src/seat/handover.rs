//! How the seat changes hands (docs/decisions/0001-poller-round.md).
//!
//! Before a flush the poller *lays the seat down*. If the flush was short it *picks it up* again, and nobody was woken.
//! If it takes long a standby thread, woken by a timer, has taken it meanwhile. The seat is a value that one thread
//! owns at a time; the lock here is held only to move it.

use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use crate::sync::{Instant, Mutex, MutexGuard, Slip, Timer, slips};

/// After this long a flush is not waited for any more.
pub const PATIENCE: Duration = Duration::from_micros(500);

/// Where the seat lies while its poller flushes.
#[derive(Debug)]
pub struct Handover<S> {
    desk: Mutex<Desk<S>>,
    /// What the standby sleeps on. It is set at most once per [`PATIENCE`], not for each flush.
    timer: Timer,
}

#[derive(Debug)]
struct Desk<S> {
    laid_down: Option<LaidDown<S>>,
    timer_is_set: bool,
    closed: bool,
}

#[derive(Debug)]
struct LaidDown<S> {
    seat: S,
    since: Instant,
    at_once: bool,
}

impl<S> Handover<S> {
    /// With nothing laid down.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            desk: Mutex::new(Desk {
                laid_down: None,
                timer_is_set: false,
                closed: false,
            }),
            timer: Timer::new()?,
        })
    }

    /// Lays the seat down, to be taken by a standby at once or when patience ends.
    pub fn lay_down(&self, seat: S, at_once: bool) -> io::Result<()> {
        let mut desk = self.desk();
        desk.laid_down = Some(LaidDown {
            seat,
            since: Instant::now(),
            at_once,
        });
        let sets_timer = at_once || !desk.timer_is_set;
        desk.timer_is_set = true;
        // Whom the timer wakes wants the lock.
        drop(desk);
        match (sets_timer, at_once) {
            (true, true) => self.timer.set(Duration::ZERO),
            (true, false) => self.timer.set(PATIENCE),
            (false, _) => Ok(()),
        }
    }

    /// Picks the seat up again, unless a standby has it.
    #[must_use]
    pub fn pick_up(&self) -> Option<S> {
        self.desk().laid_down.take().map(|laid_down| laid_down.seat)
    }

    /// Lets the standby sleep on: the poller has the seat and nothing to flush. Setting a timer costs far less than the
    /// wake-up of a thread that finds nothing to do.
    pub fn rest(&self) -> io::Result<()> {
        if std::mem::take(&mut self.desk().timer_is_set) {
            self.timer.clear()?;
        }
        Ok(())
    }

    /// Waits as the standby until there is a seat to take; none when the server has stopped.
    pub fn wait(&self) -> io::Result<Option<S>> {
        loop {
            self.timer.sleep()?;
            let mut desk = self.desk();
            if desk.closed {
                return Ok(None);
            }
            desk.timer_is_set = false;
            let Some(laid_down) = &desk.laid_down else {
                continue;
            };
            let waited = laid_down.since.elapsed();
            if laid_down.at_once || waited >= PATIENCE {
                return Ok(desk.laid_down.take().map(|laid_down| laid_down.seat));
            }
            // The timer was set for an earlier flush.
            self.timer.set(PATIENCE.saturating_sub(waited))?;
            desk.timer_is_set = true;
        }
    }

    /// Ends the wait of the standby for good.
    pub fn close(&self) -> io::Result<()> {
        self.desk().closed = true;
        if slips(Slip::StandbyForgotten) {
            return Ok(());
        }
        self.timer.set(Duration::ZERO)
    }

    fn desk(&self) -> MutexGuard<'_, Desk<S>> {
        // Nothing in here panics while the lock is held, and a value that is moved is never half there.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides whether a flush will be long, from those before it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    average_us: f64,
}

/// With a mean above this, waiting for the timer each time would only keep readers waiting.
const AT_ONCE_US: f64 = 1000.0;
const WEIGHT: f64 = 0.1;

impl Patience {
    /// Takes note of how long a flush took.
    pub fn note(&mut self, took: Duration) {
        self.average_us += (took.as_secs_f64() * 1e6 - self.average_us) * WEIGHT;
    }

    /// Whether the seat should be taken without waiting.
    #[must_use]
    pub fn has_ended(self) -> bool {
        self.average_us > AT_ONCE_US
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn after_a_short_flush_the_poller_has_its_seat_again() {
        let handover = Handover::new().unwrap();
        handover.lay_down("seat", false).unwrap();
        assert_eq!(handover.pick_up(), Some("seat"));
        assert_eq!(handover.pick_up(), None);
    }

    #[test]
    fn a_poller_that_rests_leaves_the_standby_asleep_and_the_next_flush_wakes_it() {
        let handover = Arc::new(Handover::new().unwrap());
        handover.lay_down("first", false).unwrap();
        assert_eq!(handover.pick_up(), Some("first"));
        handover.rest().unwrap();
        assert!(!handover.desk().timer_is_set);
        let standby = thread::spawn({
            let handover = Arc::clone(&handover);
            move || handover.wait().unwrap()
        });
        handover.lay_down("second", false).unwrap();
        assert_eq!(standby.join().unwrap(), Some("second"));
    }

    #[test]
    fn during_a_long_flush_the_standby_takes_the_seat() {
        for at_once in [false, true] {
            let handover = Arc::new(Handover::new().unwrap());
            let standby = thread::spawn({
                let handover = Arc::clone(&handover);
                move || handover.wait().unwrap()
            });
            handover.lay_down("seat", at_once).unwrap();
            assert_eq!(standby.join().unwrap(), Some("seat"));
            assert_eq!(handover.pick_up(), None);
        }
    }

    #[test]
    fn a_timer_that_ran_out_for_an_earlier_flush_waits_on_for_this_one() {
        let handover = Arc::new(Handover::new().unwrap());
        for _ in 0..50 {
            handover.lay_down("seat", false).unwrap();
            assert!(handover.pick_up().is_some());
        }
        let standby = thread::spawn({
            let handover = Arc::clone(&handover);
            move || handover.wait().unwrap()
        });
        handover.lay_down("last", false).unwrap();
        assert_eq!(standby.join().unwrap(), Some("last"));
    }

    #[test]
    fn the_standby_goes_home_when_the_server_stops() {
        let handover = Arc::new(Handover::<()>::new().unwrap());
        let standby = thread::spawn({
            let handover = Arc::clone(&handover);
            move || handover.wait().unwrap()
        });
        handover.close().unwrap();
        assert_eq!(standby.join().unwrap(), None);
    }

    #[test]
    fn slow_flushes_end_the_patience_and_quick_ones_restore_it() {
        let mut patience = Patience::default();
        patience.note(Duration::from_millis(5));
        assert!(!patience.has_ended(), "one is no rule");
        (0..9).for_each(|_| patience.note(Duration::from_millis(5)));
        assert!(patience.has_ended());
        (0..40).for_each(|_| patience.note(Duration::from_micros(40)));
        assert!(!patience.has_ended());
    }
}
