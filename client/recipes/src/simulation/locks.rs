//! Locks: never two holders by their guards while sessions end by time only, never a holder overtaken by its token without
//! hearing of it, everybody's turn comes, and nothing is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex as StdMutex};

use super::tree::parent;
use super::{ABRUPT, NATURAL, Plan, Stage, a_while, each_seed};
use crate::{
    Error, FencingToken, Guard, Limit, MultiGuard, MultiLock, Mutex, ReadWriteLock, Semaphore, Side,
};

/// Who is inside, and what they write to: it refuses a token that is too small.
#[derive(Debug, Clone, Default)]
pub(super) struct Inside(Arc<StdMutex<State>>);

#[derive(Debug, Default)]
struct State {
    guards: Vec<(Side, Arc<Guard>)>,
    greatest: u64,
}

impl Inside {
    /// Works under a guard for a while. Whoever is refused was overtaken, and must hear of it.
    pub(super) async fn stay(&self, side: Side, guard: Guard) {
        let guard = Arc::new(guard);
        self.visit(side, &guard).await;
        if fastrand::bool() {
            guard.end().await.unwrap();
        }
    }

    /// The same without giving it back.
    pub(super) async fn visit(&self, side: Side, guard: &Arc<Guard>) {
        let token = guard.token();
        self.0
            .lock()
            .unwrap()
            .guards
            .push((side, Arc::clone(guard)));
        for _ in 0..2 {
            if side == Side::Write && !self.accepts(token) {
                guard.lost().await;
            }
            let _ = guard.run(a_while()).await;
        }
        let is_this = |other: &Arc<Guard>| Arc::ptr_eq(other, guard);
        self.0
            .lock()
            .unwrap()
            .guards
            .retain(|(_, other)| !is_this(other));
    }

    fn accepts(&self, token: FencingToken) -> bool {
        let mut state = self.0.lock().unwrap();
        state.greatest = token.0.max(state.greatest);
        token.0 == state.greatest
    }

    /// How many believe that they hold it, and how many of these to write.
    fn holders(&self) -> (usize, usize) {
        let state = self.0.lock().unwrap();
        let held = || state.guards.iter().filter(|(_, guard)| guard.is_held());
        let writers = held().filter(|(side, _)| *side == Side::Write);
        (held().count(), writers.count())
    }

    /// A writer is alone, as far as guards can know: sessions that end at any time end unknown to them.
    pub(super) fn check(&self, plan: Plan) {
        let (all, writers) = self.holders();
        let is_exact = !plan.abrupt && !plan.vandal;
        assert!(!is_exact || writers == 0 || all == 1, "two hold it");
    }
}

/// So many members take a mutex so many times each: waiting, trying, and giving up.
pub(super) async fn contend(stage: &mut Stage, members: usize, rounds: usize) {
    let inside = Inside::default();
    let mut work = Vec::new();
    for _ in 0..members {
        let mutex = Mutex::new(stage.member(), "/lock");
        let inside = inside.clone();
        work.push(tokio::spawn(async move {
            let mut left = rounds;
            while left > 0 {
                let acquired = match fastrand::u8(0..6) {
                    0 => mutex.try_acquire().await,
                    1 => tokio::select! {
                        biased;
                        guard = mutex.acquire() => guard.map(Some),
                        () = a_while() => Ok(None),
                    },
                    _ => mutex.acquire().await.map(Some),
                };
                match acquired {
                    Ok(Some(guard)) => {
                        inside.stay(Side::Write, guard).await;
                        left -= 1;
                    }
                    Ok(None) => {}
                    Err(Error::Exhausted { .. }) => return,
                    Err(error) => panic!("{error}"),
                }
            }
        }));
    }
    let plan = stage.plan;
    stage.play(work, || inside.check(plan)).await;
    assert_eq!(stage.left("/lock").await, [""; 0]);
}

#[test]
fn one_holds_a_mutex_at_a_time_and_everybody_gets_it() {
    each_seed(NATURAL, async |stage| contend(stage, 4, 2).await);
}

#[test]
fn no_session_that_ends_at_any_time_lets_a_smaller_token_in() {
    each_seed(ABRUPT, async |stage| contend(stage, 4, 2).await);
}

#[test]
fn a_counter_that_sticks_at_its_end_never_lets_two_in() {
    each_seed(NATURAL, async |stage| {
        stage.lock().plant("/lock", b"", NEARLY_LAST);
        contend(stage, 4, 2).await;
    });
}

#[test]
fn a_counter_that_wraps_lets_everybody_in_in_turn() {
    let plan = Plan {
        sticks: false,
        ..NATURAL
    };
    each_seed(plan, async |stage| {
        stage.lock().plant("/lock", b"", NEARLY_LAST);
        contend(stage, 4, 2).await;
    });
}

/// A few numbers before the counter is used up.
pub(super) const NEARLY_LAST: i64 = i32::MAX as i64 - 3;

async fn read_and_write(stage: &mut Stage) {
    let inside = Inside::default();
    let mut work = Vec::new();
    for _ in 0..4 {
        let lock = ReadWriteLock::new(stage.member(), "/lock");
        let inside = inside.clone();
        work.push(tokio::spawn(async move {
            for _ in 0..2 {
                if fastrand::bool() {
                    inside.stay(Side::Read, lock.read().await.unwrap()).await;
                    continue;
                }
                let writer = lock.write().await.unwrap();
                if fastrand::bool() {
                    inside.stay(Side::Write, writer).await;
                } else if let Ok(reader) = lock.downgrade(writer).await {
                    inside.stay(Side::Read, reader).await;
                }
            }
        }));
    }
    let plan = stage.plan;
    stage.play(work, || inside.check(plan)).await;
    assert_eq!(stage.left("/lock").await, [""; 0]);
}

#[test]
fn a_writer_is_alone_and_readers_are_not() {
    each_seed(NATURAL, read_and_write);
}

#[test]
fn no_writer_is_overtaken_unheard() {
    each_seed(ABRUPT, read_and_write);
}

async fn lease(stage: &mut Stage) {
    let inside = Inside::default();
    let mut work = Vec::new();
    for _ in 0..5 {
        let semaphore = Semaphore::new(stage.member(), "/semaphore", Limit::Fixed(2));
        let inside = inside.clone();
        work.push(tokio::spawn(async move {
            for _ in 0..2 {
                let lease = match fastrand::u8(0..4) {
                    0 => semaphore.try_acquire().await,
                    _ => semaphore.acquire().await.map(Some),
                };
                if let Some(lease) = lease.unwrap() {
                    inside.stay(Side::Read, lease).await;
                }
            }
        }));
    }
    let is_strict = !stage.plan.abrupt;
    let check = || assert!(!is_strict || inside.holders().0 <= 2, "three leases of two");
    stage.play(work, check).await;
    assert_eq!(stage.left("/semaphore/leases").await, [""; 0]);
    assert_eq!(stage.left("/semaphore/locks").await, [""; 0]);
}

#[test]
fn there_are_never_more_leases_than_the_limit() {
    each_seed(NATURAL, lease);
}

#[test]
fn everybody_gets_a_lease_whenever_sessions_end() {
    each_seed(ABRUPT, lease);
}

/// Whether nobody has come with greater tokens to what these locks guard.
fn are_accepted(held: &MultiGuard, greatest: &mut BTreeMap<String, u64>) -> bool {
    let mut is_accepted = |(path, token): (&str, FencingToken)| {
        let known = greatest.entry(parent(path).to_owned()).or_default();
        *known = token.0.max(*known);
        token.0 == *known
    };
    // Each is remembered, also behind one that was surpassed.
    held.tokens().filter(|token| !is_accepted(*token)).count() == 0
}

#[test]
fn several_locks_are_held_by_one_and_taken_together_without_a_deadlock() {
    each_seed(NATURAL, async |stage| {
        let greatest = Arc::new(StdMutex::new(BTreeMap::new()));
        let mut work = Vec::new();
        for member in 0..3 {
            let sessions = stage.member();
            let greatest = Arc::clone(&greatest);
            let mut paths = ["/a", "/b", "/c"];
            paths.rotate_left(member);
            let lock = MultiLock::new(paths[..2].iter().map(|path| Mutex::new(&sessions, path)));
            work.push(tokio::spawn(async move {
                for _ in 0..2 {
                    // A lock that is lost while others are waited for ends the attempt.
                    let Ok(held) = lock.acquire().await else {
                        continue;
                    };
                    for _ in 0..2 {
                        // Whoever comes with a token that was surpassed must hear that it was.
                        if !are_accepted(&held, &mut greatest.lock().unwrap()) {
                            held.lost().await;
                        }
                        let _ = held.run(a_while()).await;
                    }
                    drop(held.release().await);
                }
            }));
        }
        stage.play(work, || ()).await;
        for path in ["/a", "/b", "/c"] {
            assert_eq!(stage.left(path).await, [""; 0]);
        }
    });
}

/// Waits until the holder hears that it is asked to give up, or loses what it holds.
pub(super) type Hear = for<'a> fn(&'a Guard) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// Each holds a mutex until it is asked to give up, and is asked once.
pub(super) async fn give_up(stage: &mut Stage, hear: Hear) {
    let inside = Inside::default();
    let asked = Arc::new(StdMutex::new(BTreeSet::new()));
    let mut work = Vec::new();
    for _ in 0..3 {
        let mutex = Mutex::new(stage.member(), "/lock");
        let (inside, asked) = (inside.clone(), Arc::clone(&asked));
        work.push(tokio::spawn(async move {
            for _ in 0..2 {
                let guard = Arc::new(mutex.acquire().await.unwrap());
                inside.visit(Side::Write, &guard).await;
                if hear(&guard).await {
                    assert!(asked.lock().unwrap().contains(guard.path()), "nobody asked");
                }
                guard.end().await.unwrap();
            }
        }));
    }
    let mutex = Mutex::new(stage.member(), "/lock");
    let asker = tokio::spawn(async move {
        loop {
            a_while().await;
            for path in mutex.participants().await.unwrap_or_default() {
                if asked.lock().unwrap().insert(path.clone()) {
                    while mutex.revoke(&path).await.is_err() {}
                }
            }
        }
    });
    stage.play(work, || inside.check(NATURAL)).await;
    asker.abort();
    assert_eq!(stage.left("/lock").await, [""; 0]);
}

#[test]
fn whoever_is_asked_to_give_up_hears_it_and_nobody_else_does() {
    let hear: Hear = |guard| Box::pin(async { guard.revoked().await.is_ok() });
    each_seed(NATURAL, async |stage| give_up(stage, hear).await);
}
