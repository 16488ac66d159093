//! Running a claim under one order of its threads after the other.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};
use zabra_testkit::evidence;

use super::mistakes;
use crate::sync::Slip;

/// Each claim is run so often with either scheduler, unless `ZABRA_THREADS_ORDERS` says otherwise.
const ORDERS: usize = 400;

/// PCT finds what needs so many threads to be interrupted in one place.
const DEPTH: usize = 3;

/// A mistake is looked for so often with either scheduler.
const HUNT: usize = 1_000;

/// Runs the claim in many orders: random ones, and such as PCT chooses, which are unfair. With `ZABRA_THREADS_REPLAY` it
/// runs in this one, with `ZABRA_THREADS_MISTAKE` with this mistake.
pub(super) fn in_many_orders(claim: fn()) {
    let mistake = std::env::var("ZABRA_THREADS_MISTAKE").ok();
    Slip::plant(mistake.map(|name| mistakes::named(&name)));
    if let Ok(order) = std::env::var("ZABRA_THREADS_REPLAY") {
        let replay = ReplayScheduler::new_from_encoded(&order);
        return run(replay, FailurePersistence::None, claim);
    }
    let orders = number("ZABRA_THREADS_ORDERS").map_or(ORDERS, |orders| orders as usize);
    let print = FailurePersistence::Print;
    let random = RandomScheduler::new_from_seed(seed(), orders);
    run(random, print.clone(), claim);
    run(
        PctScheduler::new_from_seed(seed(), DEPTH, orders),
        print,
        claim,
    );
    leave(2 * orders);
}

/// Leaves the figures of all claims so far for `cargo xtask evidence`.
fn leave(orders: usize) {
    static HELD: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default().rsplit("::").next();
    let claim = name.unwrap_or_default().replace('_', " ");
    let mut held = HELD.lock().unwrap();
    held.insert(claim, orders);
    let figures = held.iter();
    let figures: Vec<_> = figures
        .map(|(name, n)| (name.as_str(), n.to_string()))
        .collect();
    evidence::leave("threads", &figures);
}

/// After how many orders the claim did not hold with this mistake planted.
pub(super) fn hunt(slip: Slip, claim: fn()) -> Option<usize> {
    let run_all = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&run_all);
    let counted = move || {
        count.fetch_add(1, Ordering::Relaxed);
        claim();
    };
    Slip::plant(Some(slip));
    let none = FailurePersistence::None;
    let seen = catch_unwind(AssertUnwindSafe(|| {
        let random = RandomScheduler::new_from_seed(seed(), HUNT);
        run(random, none.clone(), counted.clone());
        run(
            PctScheduler::new_from_seed(seed(), DEPTH, HUNT),
            none,
            counted,
        );
    }));
    Slip::plant(None);
    seen.is_err().then(|| run_all.load(Ordering::Relaxed))
}

fn run(
    scheduler: impl Scheduler + 'static,
    failures: FailurePersistence,
    claim: impl Fn() + Send + Sync + 'static,
) {
    let mut config = Config::new();
    config.stack_size = STACK_LEN;
    config.failure_persistence = failures;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(claim);
}

/// Storage writes through buffers on the stack.
const STACK_LEN: usize = 1 << 20;

fn seed() -> u64 {
    number("ZABRA_THREADS_SEED").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
