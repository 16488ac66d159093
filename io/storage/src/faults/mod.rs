//! A disk and a wall clock that misbehave as they are told, for tests with real processes. Built in by the feature `faults`
//! only, which no released program has; `cargo xtask tidy` and the suite `chaos` see to that.
//!
//! The process is steered from outside while it runs, over a socket ([`door`](self)): an order is in force for every
//! operation that begins after its answer, so nothing is timed and nothing races. Orders, a line each:
//!
//! ```text
//! sync log. late 200 always     each sync of a file whose name begins with `log.` takes 200 ms longer; `*` is every file
//! sync log. hang once           ... until `heal`
//! sync log. lost once           fails with EIO, and what was not synced before is not on the disk
//! write * eio always            also: full (ENOSPC), torn (half of it is written, then EIO), short (half of it is written)
//! create snapshot. eio once     also: read, rename, reserve (preallocation)
//! space 0                       what is said to be free
//! clock step -3600000           ms
//! clock drift 200000            millionths; it gains a fifth
//! clock right
//! heal                          everything but the clock
//! struck                        how often a rule met an operation since the last `heal`
//! ```
//!
//! What does not go through the [`Vfs`] (`zoo.cfg`, dynamic files, `myid`) does not misbehave, and the monotonic clock cannot.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::real::RealVfs;
use crate::vfs::Vfs;

mod disk;
mod door;
mod order;

use disk::FaultyDisk;
use order::{Order, Rule};

/// Names the directory with the socket `faults.sock` and the file `orders`, which is obeyed at the start.
pub const VARIABLE: &str = "ZABRA_FAULTS";

/// What this process does wrong.
static HERE: OnceLock<Arc<Faults>> = OnceLock::new();

/// The disk of this process, which from now on takes orders.
///
/// # Errors
/// Nobody steers it: such a build is of no other use.
pub fn begin() -> io::Result<Arc<dyn Vfs>> {
    let dir = std::env::var_os(VARIABLE).ok_or_else(|| {
        io::Error::other(format!(
            "this is a build for tests, and {VARIABLE} is not set"
        ))
    })?;
    let faults = Arc::clone(HERE.get_or_init(Arc::default));
    door::open(Path::new(&dir), &faults)?;
    abort_on_panics();
    Ok(Arc::new(FaultyDisk::new(Arc::new(RealVfs), faults)))
}

/// What the wall clock shows at this moment, ms.
#[must_use]
pub fn wall_ms(true_ms: i64) -> i64 {
    HERE.get()
        .map_or(true_ms, |faults| faults.state().clock.shows(true_ms))
}

/// As in the released program, whose profile says so.
fn abort_on_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tell(info);
        std::process::abort();
    }));
}

/// What is wrong at present.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    space: Option<u64>,
    clock: Clock,
    struck: u64,
}

/// A wall clock that is wrong.
#[derive(Debug, Default)]
struct Clock {
    step_ms: i64,
    drift_ppm: i64,
    /// When it began to drift.
    since_ms: i64,
}

impl Clock {
    fn shows(&self, true_ms: i64) -> i64 {
        let drifted = (true_ms - self.since_ms) * self.drift_ppm / 1_000_000;
        true_ms + self.step_ms + drifted
    }
}

/// An operation on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Sync,
    Write,
    Reserve,
    Read,
    Create,
    Rename,
}

/// What goes wrong with it, beyond the time that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Eio,
    Full,
    Torn,
    Short,
    Lost,
}

impl Harm {
    fn error(self) -> io::Error {
        match self {
            Self::Full => rustix::io::Errno::NOSPC.into(),
            _ => rustix::io::Errno::IO.into(),
        }
    }
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole when the lock is given back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an order; what is answered.
    fn obey(&self, line: &str, true_ms: i64) -> Result<String, String> {
        let order: Order = line.parse()?;
        let mut state = self.state();
        let mut answer = "ok".to_owned();
        match order {
            Order::Rule(rule) => state.rules.push(rule),
            Order::Space(bytes) => state.space = Some(bytes),
            Order::Step(ms) => state.clock.step_ms += ms,
            Order::Drift(ppm) => {
                state.clock.step_ms = state.clock.shows(true_ms) - true_ms;
                state.clock.drift_ppm = ppm;
                state.clock.since_ms = true_ms;
            }
            Order::RightClock => state.clock = Clock::default(),
            Order::Heal => {
                state.rules.clear();
                state.space = None;
                state.struck = 0;
            }
            Order::Struck => answer = state.struck.to_string(),
        }
        drop(state);
        self.changed.notify_all();
        Ok(answer)
    }

    /// What happens to an operation on this file, after the time that it takes. The first rule that fits counts.
    fn meet(&self, op: Op, path: &Path) -> Option<Harm> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let began = Instant::now();
        let mut is_counted = false;
        let mut state = self.state();
        loop {
            let at = state.rules.iter().position(|rule| rule.fits(op, &name))?;
            if !is_counted {
                is_counted = true;
                state.struck += 1;
            }
            match state.rules[at].how {
                How::Harm(harm) => {
                    if state.rules[at].is_once {
                        state.rules.remove(at);
                    }
                    return Some(harm);
                }
                How::Late(by) => {
                    let left = by.saturating_sub(began.elapsed());
                    if left.is_zero() {
                        if state.rules[at].is_once {
                            state.rules.remove(at);
                        }
                        return None;
                    }
                    let waited = self.changed.wait_timeout(state, left);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn check(&self, op: Op, path: &Path) -> io::Result<()> {
        self.meet(op, path).map_or(Ok(()), |harm| Err(harm.error()))
    }
}

/// How an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Late(Duration),
    Harm(Harm),
}

#[cfg(test)]
mod tests;
