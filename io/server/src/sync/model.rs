//! The kernel as far as the threads wait for it: a timer, a counter that wakes a poller, and time.
//!
//! Time goes on when somebody has waited for it, and when a test lets it ([`pass`]). A wait that may end by itself does so
//! or not, as the schedule has it.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::sync::{Arc, LockResult, PoisonError};
use std::time::Duration;

use shuttle::rand::Rng;
use shuttle::sync::{Mutex, MutexGuard};
use shuttle::thread;

// All threads of a schedule are one thread of the system.
std::thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The time since no moment in particular.
pub(crate) fn now() -> Duration {
    NOW.get()
}

/// Lets time pass.
pub(crate) fn pass(time: Duration) {
    NOW.set(NOW.get() + time);
}

/// Something cannot go on: the schedule has failed.
pub(crate) fn exit(code: i32) -> ! {
    panic!("the process would have ended with {code}")
}

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Duration);

impl Instant {
    pub(crate) fn now() -> Self {
        Self(now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        now().saturating_sub(self.0)
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}

/// A condition variable whose timeouts happen. Shuttle's own waits for ever.
#[derive(Debug, Default)]
pub(crate) struct Condvar(shuttle::sync::Condvar);

/// Whether a wait has timed out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimedOut;

impl Condvar {
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) fn wait_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        self.0.wait_while(guard, condition)
    }

    /// Ends for a reason, by its time, or never without a reason: whoever relies on the time alone is found.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, TimedOut)> {
        if shuttle::rand::thread_rng().gen_bool(TIMED_OUT) {
            // As if nobody had come meanwhile: who comes later finds the lock as free as then.
            thread::yield_now();
            pass(time);
            return Ok((guard, TimedOut));
        }
        let guard = self.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
        Ok((guard, TimedOut))
    }
}

const TIMED_OUT: f64 = 0.5;

/// A timer that a thread sleeps on.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    due: Mutex<Option<Duration>>,
    armed: Condvar,
}

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::default())
    }

    pub(crate) fn set(&self, after: Duration) -> io::Result<()> {
        *lock(&self.due) = Some(now() + after);
        self.armed.notify_all();
        Ok(())
    }

    pub(crate) fn clear(&self) -> io::Result<()> {
        *lock(&self.due) = None;
        Ok(())
    }

    pub(crate) fn sleep(&self) -> io::Result<()> {
        let waited = self.armed.wait_while(lock(&self.due), |due| due.is_none());
        let mut due = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(due) = due.take() {
            pass(due.saturating_sub(now()));
        }
        Ok(())
    }
}

/// What a poller waits for: the counter of its [`Waker`], and sockets.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<Rung>,
    changed: Condvar,
}

/// What is ready, until it is taken note of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) waker: bool,
    pub(crate) sockets: bool,
}

impl Bell {
    /// Waits until something is ready or the time is over; none is for ever, and so is a time that nobody has.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Rung {
        let mut rung = lock(&self.rung);
        let forever = timeout.is_none_or(|timeout| timeout > FOREVER);
        if forever {
            let quiet = |rung: &mut Rung| *rung == Rung::default();
            let waited = self.changed.wait_while(rung, quiet);
            rung = waited.unwrap_or_else(PoisonError::into_inner);
        } else if *rung == Rung::default() {
            pass(timeout.unwrap_or_default());
        }
        *rung
    }

    /// Whether sockets are ready.
    pub(crate) fn set_sockets(&self, ready: bool) {
        lock(&self.rung).sockets = ready;
        self.changed.notify_all();
    }

    fn set_waker(&self, rung: bool) {
        lock(&self.rung).waker = rung;
        self.changed.notify_all();
    }
}

const FOREVER: Duration = Duration::from_secs(3600);

/// Wakes whoever waits for its [`Bell`].
#[derive(Clone, Default)]
pub(crate) struct Waker(pub(crate) Arc<Bell>);

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}

impl Waker {
    /// As the real one is made; a poller with sockets does not run here.
    pub(crate) fn new(_: &crate::net::Poller) -> io::Result<Self> {
        Ok(Self::default())
    }

    pub(crate) fn wake(&self) {
        self.0.set_waker(true);
    }

    pub(crate) fn acknowledge(&self) {
        self.0.set_waker(false);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
