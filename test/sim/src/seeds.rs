//! Runs of many seeds, on several threads, and what they have shown together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::check::{Counts, Violation, i43_determinism};
use crate::client::Tally;
use crate::phase::Exposure;
use crate::plan::Plan;
use crate::trace::Keeps;
use crate::world::{Outcome, World};

/// What many runs have shown.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Runs.
    pub seeds: u64,
    /// Seeds that failed, and how.
    pub failed: Vec<(u64, Violation, u64)>,
    /// Virtual time, µs.
    pub virtual_us: u64,
    /// Events.
    pub steps: u64,
    /// The seed with the most events, and how many.
    pub longest: (u64, u64),
    /// Injected faults.
    pub faults: u64,
    /// Which of them met servers in which phase.
    pub exposure: Exposure,
    /// Decided txns.
    pub decided: u64,
    /// The longest way into step after faults, µs.
    pub recovery_us_max: u64,
    /// How often premises held.
    pub counts: Counts,
    /// What became of requests.
    pub tally: Tally,
}

/// The plan of a seed, for so many voters if that is asked.
#[must_use]
pub fn plan(seed: u64, voters: Option<usize>) -> Plan {
    voters.map_or_else(|| Plan::of(seed), |voters| Plan::for_voters(seed, voters))
}

/// Runs a plan, and gives the lines of its trace, if they are kept. A panic is a violation like any other.
#[must_use]
pub fn run_plan(plan: Plan, keeps: Keeps) -> (Outcome, Vec<String>) {
    let mut world = World::new(plan, keeps);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    let outcome = ended.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        world.around.check.violate("no panic", text);
        world.outcome()
    });
    (outcome, world.around.kernel.trace.lines().to_vec())
}

/// Which seeds, and how.
#[derive(Debug, Clone, Copy)]
pub struct Many {
    /// The first.
    pub from: u64,
    /// How many.
    pub count: u64,
    /// So many of them are run twice, and must give the same trace (I-43).
    pub twice: u64,
    /// Only worlds with so many voters.
    pub voters: Option<usize>,
    /// On so many threads.
    pub threads: usize,
    /// The run ends early after so many failures.
    pub failures_max: usize,
}

/// Runs many seeds.
#[must_use]
pub fn run_many(many: Many) -> Summary {
    let next = AtomicU64::new(0);
    let is_enough = AtomicBool::new(false);
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..many.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= many.count || is_enough.load(Ordering::Relaxed) {
                        return;
                    }
                    let seed = many.from.wrapping_add(number);
                    let plan = plan(seed, many.voters);
                    let outcome = if number < many.twice {
                        run_twice(plan)
                    } else {
                        run_plan(plan, Keeps::Nothing).0
                    };
                    let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
                    summary.add(seed, outcome);
                    if summary.failed.len() >= many.failures_max {
                        is_enough.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    summary.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a plan twice: the same seed and build give the same trace.
fn run_twice(plan: Plan) -> Outcome {
    let (first, _) = run_plan(plan.clone(), Keeps::Hash);
    let (mut second, _) = run_plan(plan, Keeps::Hash);
    let other = i43_determinism::same(first.hash, second.hash, &mut second.counts);
    second.violation = second.violation.or(other);
    second
}

impl Summary {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.virtual_us += outcome.virtual_us;
        self.steps += outcome.steps;
        if outcome.steps > self.longest.1 {
            self.longest = (seed, outcome.steps);
        }
        self.faults += outcome.faults;
        self.exposure.add(&outcome.exposure);
        self.decided += outcome.decided as u64;
        self.tally.add(outcome.tally);
        for (name, count) in outcome.counts {
            *self.counts.entry(name).or_default() += count;
        }
        let recovery = outcome.recovery_us.unwrap_or(0);
        self.recovery_us_max = self.recovery_us_max.max(recovery);
        if let Some(violation) = outcome.violation {
            // At once: who ends a long run early has it.
            println!(
                "sim: seed {seed}: FAILED: {} at step {}: {}",
                violation.invariant, outcome.steps, violation.text
            );
            self.failed.push((seed, violation, outcome.steps));
        }
    }
}

impl Tally {
    /// Adds what became of others.
    pub fn add(&mut self, other: Self) {
        self.writes += other.writes;
        self.reads += other.reads;
        self.syncs += other.syncs;
        self.events += other.events;
        self.lost_sessions += other.lost_sessions;
        self.disconnects += other.disconnects;
    }
}
