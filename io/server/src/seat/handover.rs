//! How the seat, or a batch to flush, changes hands (docs/decisions/0001-poller-round.md).
//!
//! Before a flush of its own the poller *lays the seat down*. If the flush was short it *picks it up* again, and nobody was
//! woken. If it takes long a standby thread, woken by a timer, has taken it meanwhile. A batch that is worth a wake-up is
//! *handed on*: the standby flushes it, and the poller keeps the seat, with all that its processor's caches hold of it. The
//! seat is a value that one thread owns at a time; the lock here is held only to move it.

use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use crate::sync::{Instant, Mutex, MutexGuard, Slip, Timer, slips};

/// After this long a flush is not waited for any more.
pub const PATIENCE: Duration = Duration::from_micros(500);
/// So many transactions are worth waking the standby, which flushes them while the poller goes on. Fewer are flushed
/// sooner than another thread gets a processor on a busy machine.
pub const WORTH_A_WAKE: usize = 128;

/// Where the seat lies while its poller flushes, and a batch until the standby takes it.
#[derive(Debug)]
pub struct Handover<S, B> {
    desk: Mutex<Desk<S, B>>,
    /// What the standby sleeps on. For seats it is set at most once per [`PATIENCE`], not for each flush.
    timer: Timer,
}

/// What the standby has been waiting for.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<S, B> {
    /// Poll, with this seat.
    Poll(S),
    /// Flush this.
    Flush(B),
}

#[derive(Debug)]
struct Desk<S, B> {
    laid_down: Option<LaidDown<S>>,
    handed_on: Option<B>,
    timer_is_set: bool,
    closed: bool,
}

#[derive(Debug)]
struct LaidDown<S> {
    seat: S,
    since: Instant,
}

impl<S, B> Handover<S, B> {
    /// With nothing laid down.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            desk: Mutex::new(Desk {
                laid_down: None,
                handed_on: None,
                timer_is_set: false,
                closed: false,
            }),
            timer: Timer::new()?,
        })
    }

    /// Lays the seat down, to be taken by a standby when patience ends.
    pub fn lay_down(&self, seat: S) -> io::Result<()> {
        let mut desk = self.desk();
        desk.laid_down = Some(LaidDown {
            seat,
            since: Instant::now(),
        });
        let sets_timer = !std::mem::replace(&mut desk.timer_is_set, true);
        // Whom the timer wakes wants the lock.
        drop(desk);
        match sets_timer {
            true => self.timer.set(PATIENCE),
            false => Ok(()),
        }
    }

    /// Gives the standby a batch, which it takes at once. There must be none before it that it has not taken.
    pub fn hand_on(&self, batch: B) -> io::Result<()> {
        let mut desk = self.desk();
        debug_assert!(desk.handed_on.is_none(), "one flusher at a time");
        desk.handed_on = Some(batch);
        desk.timer_is_set = true;
        drop(desk);
        self.timer.set(Duration::ZERO)
    }

    /// Picks the seat up again, unless a standby has it.
    #[must_use]
    pub fn pick_up(&self) -> Option<S> {
        self.desk().laid_down.take().map(|laid_down| laid_down.seat)
    }

    /// Lets the standby sleep on: the poller has the seat and nothing to flush. Setting a timer costs far less than the
    /// wake-up of a thread that finds nothing to do. A batch that it has been given it does find.
    pub fn rest(&self) -> io::Result<()> {
        let mut desk = self.desk();
        let is_given = desk.handed_on.is_some() && !slips(Slip::BatchSleptOver);
        if !is_given && std::mem::take(&mut desk.timer_is_set) {
            self.timer.clear()?;
        }
        Ok(())
    }

    /// Waits as the standby until there is something to do; nothing when the server has stopped.
    pub fn wait(&self) -> io::Result<Option<Turn<S, B>>> {
        loop {
            self.timer.sleep()?;
            let mut desk = self.desk();
            if desk.closed {
                return Ok(None);
            }
            desk.timer_is_set = false;
            if let Some(batch) = desk.handed_on.take() {
                return Ok(Some(Turn::Flush(batch)));
            }
            let Some(laid_down) = &desk.laid_down else {
                continue;
            };
            let waited = laid_down.since.elapsed();
            if waited >= PATIENCE {
                let seat = desk.laid_down.take().map(|laid_down| laid_down.seat);
                return Ok(seat.map(Turn::Poll));
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

    fn desk(&self) -> MutexGuard<'_, Desk<S, B>> {
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

    /// Whether a flush is worth a wake-up whatever its length.
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

    type Desk = Handover<&'static str, &'static str>;

    fn standby(
        handover: &Arc<Desk>,
    ) -> thread::JoinHandle<Option<Turn<&'static str, &'static str>>> {
        let handover = Arc::clone(handover);
        thread::spawn(move || handover.wait().unwrap())
    }

    #[test]
    fn after_a_short_flush_the_poller_has_its_seat_again() {
        let handover = Desk::new().unwrap();
        handover.lay_down("seat").unwrap();
        assert_eq!(handover.pick_up(), Some("seat"));
        assert_eq!(handover.pick_up(), None);
    }

    #[test]
    fn a_poller_that_rests_leaves_the_standby_asleep_and_the_next_flush_wakes_it() {
        let handover = Arc::new(Desk::new().unwrap());
        handover.lay_down("first").unwrap();
        assert_eq!(handover.pick_up(), Some("first"));
        handover.rest().unwrap();
        assert!(!handover.desk().timer_is_set);
        let standby = standby(&handover);
        handover.lay_down("second").unwrap();
        assert_eq!(standby.join().unwrap(), Some(Turn::Poll("second")));
    }

    #[test]
    fn during_a_long_flush_the_standby_takes_the_seat() {
        let handover = Arc::new(Desk::new().unwrap());
        let standby = standby(&handover);
        handover.lay_down("seat").unwrap();
        assert_eq!(standby.join().unwrap(), Some(Turn::Poll("seat")));
        assert_eq!(handover.pick_up(), None);
    }

    #[test]
    fn a_batch_that_is_handed_on_reaches_the_standby_though_the_poller_rests() {
        let handover = Arc::new(Desk::new().unwrap());
        handover.hand_on("batch").unwrap();
        handover.rest().unwrap();
        let standby = standby(&handover);
        assert_eq!(standby.join().unwrap(), Some(Turn::Flush("batch")));
    }

    #[test]
    fn a_timer_that_ran_out_for_an_earlier_flush_waits_on_for_this_one() {
        let handover = Arc::new(Desk::new().unwrap());
        for _ in 0..50 {
            handover.lay_down("seat").unwrap();
            assert!(handover.pick_up().is_some());
        }
        let standby = standby(&handover);
        handover.lay_down("last").unwrap();
        assert_eq!(standby.join().unwrap(), Some(Turn::Poll("last")));
    }

    #[test]
    fn the_standby_goes_home_when_the_server_stops() {
        let handover = Arc::new(Desk::new().unwrap());
        let standby = standby(&handover);
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
