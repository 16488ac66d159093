//! Mistakes that the simulation must see: each is planted, and some seed must fail.

use std::panic::{AssertUnwindSafe, catch_unwind};

use zabra_client::CreateMode;

use super::barriers::stand;
use super::locks::{Hear, Inside, NEARLY_LAST, contend, give_up};
use super::nodes::{TTL, gather, outlive};
use super::{
    LOCAL, NATURAL, Plan, Stage, a_while, caches, discovery, one_seed, partitions, values,
};
use crate::claim::{Claim, Names};
use crate::decide::lock::{Decision, decide};
use crate::decide::sequence::sequence;
use crate::discovery::ServiceType;
use crate::mutex::REVOKE;
use crate::sessions::Sessions;
use crate::{AtomicLong, Cache, CacheOptions, Depth, GroupMember, Guard, PersistentNode, Side};

const MARKS: &[&str] = &["lock-"];

/// Whether one of many seeds fails.
fn is_seen(plan: Plan, play: impl AsyncFn(&mut Stage)) -> bool {
    let fails = |seed| {
        let run = AssertUnwindSafe(|| one_seed(seed, plan, &play));
        catch_unwind(run).is_err()
    };
    (0..200).any(fails)
}

/// Members of a mutex whose turn is decided by this.
async fn contend_by<D>(stage: &mut Stage, decide: D)
where
    D: for<'a> Fn(&'a [String], &str) -> Decision<'a> + Copy + Send + Sync + 'static,
{
    let inside = Inside::default();
    let mut work = Vec::new();
    for _ in 0..4 {
        let sessions = stage.member();
        let inside = inside.clone();
        work.push(tokio::spawn(async move {
            let mut left = 2;
            while left > 0 {
                let patient = sessions.patient().await.unwrap();
                let stand = Claim::stand(&patient, "/lock", Names::Curator, "lock-", &[]);
                let Ok(claim) = stand.await else {
                    continue;
                };
                if matches!(claim.turn(decide).await, Ok(true)) {
                    inside.stay(Side::Write, Guard::new(claim)).await;
                    left -= 1;
                }
            }
        }));
    }
    let plan = stage.plan;
    stage.play(work, || inside.check(plan)).await;
    assert_eq!(stage.left("/lock").await, [""; 0]);
}

#[test]
fn without_a_mistake_none_is_seen() {
    fn right<'a>(children: &'a [String], mine: &str) -> Decision<'a> {
        decide(children, mine, MARKS, 1)
    }
    for vandal in [false, true] {
        let plan = Plan { vandal, ..NATURAL };
        assert!(!is_seen(plan, async |stage| contend_by(stage, right).await));
    }
}

#[test]
fn that_a_vanished_znode_counts_as_held_is_seen() {
    fn wrong<'a>(children: &'a [String], mine: &str) -> Decision<'a> {
        match decide(children, mine, MARKS, 1) {
            Decision::Vanished => Decision::Holds,
            other => other,
        }
    }
    let plan = Plan {
        vandal: true,
        ..NATURAL
    };
    assert!(is_seen(plan, async |stage| contend_by(stage, wrong).await));
}

#[test]
fn that_there_is_a_place_too_many_is_seen() {
    fn wrong<'a>(children: &'a [String], mine: &str) -> Decision<'a> {
        decide(children, mine, MARKS, 2)
    }
    assert!(is_seen(NATURAL, async |stage| contend_by(stage, wrong).await));
}

#[test]
fn that_the_last_instead_of_the_one_before_is_waited_for_is_seen() {
    fn wrong<'a>(children: &'a [String], mine: &str) -> Decision<'a> {
        match decide(children, mine, MARKS, 1) {
            Decision::Waits { .. } => {
                let last = children
                    .iter()
                    .max_by_key(|name| sequence(name, "lock-").map(|n| n.0));
                Decision::Waits {
                    on: last.map_or("", String::as_str),
                }
            }
            other => other,
        }
    }
    assert!(is_seen(NATURAL, async |stage| contend_by(stage, wrong).await));
}

#[test]
fn that_names_are_compared_as_texts_is_seen() {
    // The UUID stands before the number.
    fn wrong<'a>(children: &'a [String], mine: &str) -> Decision<'a> {
        if !children.iter().any(|name| name == mine) {
            return Decision::Vanished;
        }
        let before = children.iter().filter(|name| name.as_str() < mine);
        before
            .max()
            .map_or(Decision::Holds, |on| Decision::Waits { on })
    }
    assert!(is_seen(NATURAL, async |stage| contend_by(stage, wrong).await));
}

#[test]
fn that_an_overflow_is_ignored_is_seen() {
    fn wrong<'a>(children: &'a [String], mine: &str) -> Decision<'a> {
        match decide(children, mine, MARKS, 1) {
            Decision::Exhausted => Decision::Holds,
            other => other,
        }
    }
    assert!(is_seen(NATURAL, async |stage| {
        stage.lock().plant("/lock", b"", NEARLY_LAST);
        contend_by(stage, wrong).await;
    }));
}

#[test]
fn that_negative_numbers_come_first_is_seen() {
    fn wrong<'a>(children: &'a [String], mine: &str) -> Decision<'a> {
        let number = |name: &str| sequence(name, "lock-").map(|number| number.0);
        if !children.iter().any(|name| name == mine) {
            return Decision::Vanished;
        }
        let before = children.iter().filter(|name| number(name) < number(mine));
        let nearest = before.max_by_key(|name| number(name));
        nearest.map_or(Decision::Holds, |on| Decision::Waits { on })
    }
    let plan = Plan {
        sticks: false,
        ..NATURAL
    };
    assert!(is_seen(plan, async |stage| {
        stage.lock().plant("/lock", b"", NEARLY_LAST);
        contend_by(stage, wrong).await;
    }));
}

#[test]
fn that_ghosts_are_looked_for_without_a_sync_is_seen() {
    let plan = Plan {
        syncs: false,
        ..NATURAL
    };
    assert!(is_seen(plan, async |stage| contend(stage, 4, 2).await));
}

#[test]
fn that_a_sum_is_read_without_a_sync_is_seen() {
    let plan = Plan {
        syncs: false,
        cuts_only: true,
        ..NATURAL
    };
    assert!(is_seen(plan, async |stage| {
        let number = AtomicLong::new(stage.member(), "/sum");
        let add = tokio::spawn(async move {
            for after in 1..=4 {
                assert_eq!(number.add(1).await.unwrap().after, after);
            }
        });
        stage.play(vec![add], || ()).await;
    }));
}

#[test]
fn that_a_barrier_is_believed_to_be_lifted_without_a_sync_is_seen() {
    let plan = Plan {
        syncs: false,
        ..NATURAL
    };
    assert!(is_seen(plan, stand));
}

#[test]
fn that_a_guard_is_believed_longer_than_its_session_lives_is_seen() {
    let plan = Plan {
        knows_timeout: false,
        ..NATURAL
    };
    assert!(is_seen(plan, async |stage| contend(stage, 4, 2).await));
    assert!(is_seen(plan, partitions::spread));
}

#[test]
fn that_nobody_hears_what_happened_without_a_connection_is_seen() {
    let plan = Plan {
        tells_missed: false,
        ..NATURAL
    };
    assert!(is_seen(plan, async |stage| contend(stage, 4, 2).await));
}

#[test]
fn that_a_holder_looks_first_and_watches_later_is_seen() {
    let hear: Hear = |guard| {
        Box::pin(async {
            let patient = guard.patient();
            let heard = async {
                let data = patient.data(guard.path()).await;
                if matches!(data, Ok(Some((data, _))) if data == REVOKE) {
                    return;
                }
                if let Ok((Some(_), watch)) = patient.stat_watched(guard.path()).await {
                    watch.fired().await;
                }
            };
            guard.run(heard).await.is_ok()
        })
    };
    assert!(is_seen(NATURAL, async |stage| give_up(stage, hear).await));
}

#[test]
fn that_a_holder_gives_up_unasked_is_seen() {
    let hear: Hear = |_| {
        Box::pin(async {
            a_while().await;
            true
        })
    };
    assert!(is_seen(NATURAL, async |stage| give_up(stage, hear).await));
}

#[test]
fn that_a_member_does_not_go_with_its_session_is_seen() {
    let join = |sessions: &Sessions, id: &str| {
        let path = format!("/group/{id}");
        let persistent = CreateMode::Persistent.into();
        GroupMember {
            node: PersistentNode::with_options(sessions, &path, b"", persistent),
            cache: Cache::start(sessions, "/group", CacheOptions::default()),
        }
    };
    assert!(is_seen(NATURAL, async |stage| gather(stage, join).await));
}

#[test]
fn that_a_member_looks_at_the_group_alone_is_seen() {
    let join = |sessions: &Sessions, id: &str| {
        let options = CacheOptions {
            depth: Depth::Node,
            ..CacheOptions::default()
        };
        GroupMember {
            node: PersistentNode::ephemeral(sessions, &format!("/group/{id}"), b""),
            cache: Cache::start(sessions, "/group", options),
        }
    };
    assert!(is_seen(NATURAL, async |stage| gather(stage, join).await));
}

/// Whoever has a copy does not compare it when there is a connection again.
const DEAF: Plan = Plan {
    tells_missed: false,
    ..NATURAL
};

#[test]
fn that_a_member_does_not_look_again_after_a_lost_connection_is_seen() {
    let join = |sessions: &Sessions, id: &str| GroupMember::join(sessions, "/group", id, b"");
    assert!(is_seen(DEAF, async |stage| gather(stage, join).await));
}

#[test]
fn that_a_copy_is_not_compared_after_a_lost_connection_is_seen() {
    assert!(is_seen(DEAF, caches::subtree));
    assert!(is_seen(DEAF, caches::node));
}

#[test]
fn that_a_copy_is_compared_on_a_server_that_has_not_caught_up_is_seen() {
    let plan = Plan {
        syncs: false,
        ..caches::OLD
    };
    assert!(is_seen(plan, caches::subtree));
}

#[test]
fn that_a_value_is_followed_in_the_next_session_without_a_sync_is_seen() {
    let plan = Plan {
        syncs: false,
        ..LOCAL
    };
    assert!(is_seen(plan, values::follow));
}

#[test]
fn that_an_instance_does_not_go_with_its_session_is_seen() {
    let wrong = async |stage: &mut Stage| discovery::discover(stage, ServiceType::Static).await;
    assert!(is_seen(NATURAL, wrong));
}

#[test]
fn that_a_provider_does_not_look_again_after_a_lost_connection_is_seen() {
    let right = async |stage: &mut Stage| discovery::discover(stage, ServiceType::Dynamic).await;
    assert!(is_seen(DEAF, right));
}

#[test]
fn that_a_znode_with_a_time_to_live_is_touched_too_rarely_is_seen() {
    assert!(is_seen(NATURAL, async |stage| outlive(stage, TTL * 5 / 4).await));
}
