//! Virtual time: what happens next, the one source of randomness, and the trace.
//!
//! Nothing in a simulation looks at a clock or draws a number elsewhere, so that a seed decides everything.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::event::Event;
use crate::trace::Trace;

/// Microseconds of virtual time since the world began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Micros(pub u64);

impl Micros {
    /// So much later.
    #[must_use]
    pub const fn after(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// The time from `earlier` to here; 0 if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// From milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * 1000)
    }
}

/// The events to come, the generator and the trace of one world.
#[derive(Debug)]
pub struct Kernel {
    now: Micros,
    queue: BinaryHeap<Entry>,
    pushed: u64,
    /// How many events have been taken.
    pub steps: u64,
    /// The only source of randomness.
    pub rng: fastrand::Rng,
    /// What happened.
    pub trace: Trace,
}

#[derive(Debug)]
struct Entry {
    at: Micros,
    number: u64,
    event: Event,
}

impl Kernel {
    /// An empty queue at time 0.
    #[must_use]
    pub fn new(seed: u64, trace: Trace) -> Self {
        Self {
            now: Micros(0),
            queue: BinaryHeap::new(),
            pushed: 0,
            steps: 0,
            rng: fastrand::Rng::with_seed(seed),
            trace,
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }

    /// Lets something happen at a time, at once if that has passed.
    pub fn at(&mut self, at: Micros, event: Event) {
        self.pushed += 1;
        self.queue.push(Entry {
            at: at.max(self.now),
            number: self.pushed,
            event,
        });
    }

    /// Lets something happen after so many microseconds.
    pub fn after(&mut self, micros: u64, event: Event) {
        self.at(self.now.after(micros), event);
    }

    /// Moves to the next event, unless it is later than `until`.
    pub fn next_event(&mut self, until: Micros) -> Option<Event> {
        if self.queue.peek()?.at > until {
            self.now = self.now.max(until);
            return None;
        }
        let entry = self.queue.pop()?;
        self.now = entry.at;
        self.steps += 1;
        Some(entry.event)
    }

    /// True so many times in a thousand.
    pub fn chance(&mut self, permille: u32) -> bool {
        permille > 0 && self.rng.u32(0..1000) < permille
    }

    /// A number between these two, both included.
    pub fn between(&mut self, (low, high): (u64, u64)) -> u64 {
        self.rng.u64(low..=high.max(low))
    }

    /// A waiting time with this mean, never more than eight times as long.
    pub fn spread(&mut self, mean: u64) -> u64 {
        let uniform = self.rng.f64().max(1e-4);
        let drawn = -uniform.ln() * mean as f64;
        (drawn as u64).min(mean.saturating_mul(8))
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() {
            return None;
        }
        from.get(self.rng.usize(0..from.len()))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The heap gives the greatest first, and wanted is the earliest.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// Writes a line of the trace.
#[macro_export]
macro_rules! say {
    ($kernel:expr, $($text:tt)*) => {{
        let now = $kernel.now();
        $kernel.trace.line(now, format_args!($($text)*));
    }};
}
