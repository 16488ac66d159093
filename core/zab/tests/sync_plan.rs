//! How learners get into step: each row of the table, then every small history against a learner that does as it is told.

use zabra_proto::Zxid;
use zabra_zab::{Entry, NO_HISTORY, Position, Step, SyncPlan, Verdict, Walk, Window, plan_sync};

fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(epoch, counter)
}

fn window(behind: Zxid, history: &[Zxid]) -> Window {
    let mut window = Window::new(behind, 500);
    for zxid in history {
        window.push(Entry {
            zxid: *zxid,
            payload: zxid.0.to_be_bytes().into(),
        });
    }
    window
}

fn plan(learner: Zxid, window: &Window) -> SyncPlan {
    let position = Position {
        window,
        processed: window.last(),
        disk: true,
        always_snapshot: false,
    };
    plan_sync(learner, &position)
}

/// 1:3, then 1:4 1:5 3:1 3:2 in memory.
fn usual() -> Window {
    window(z(1, 3), &[z(1, 4), z(1, 5), z(3, 1), z(3, 2)])
}

fn diff(announce: Zxid, after: Zxid) -> SyncPlan {
    SyncPlan::Diff { announce, after }
}

#[test]
fn a_learner_that_is_where_the_leader_is_gets_nothing() {
    assert_eq!(plan(z(3, 2), &usual()), diff(z(3, 2), z(3, 2)));
    let empty = window(z(3, 2), &[]);
    assert_eq!(plan(z(3, 2), &empty), diff(z(3, 2), z(3, 2)));
}

#[test]
fn a_learner_beyond_the_newest_committed_goes_back_to_it() {
    let back = SyncPlan::Trunc {
        to: z(3, 2),
        after: z(3, 2),
    };
    assert_eq!(plan(z(3, 3), &usual()), back);
    assert_eq!(plan(z(4, 1), &usual()), back);
    assert_eq!(plan(z(3, 3), &window(z(3, 2), &[])), back);
}

#[test]
fn a_learner_in_the_window_gets_what_comes_next() {
    assert_eq!(plan(z(1, 4), &usual()), diff(z(3, 2), z(1, 4)));
    assert_eq!(plan(z(3, 1), &usual()), diff(z(3, 2), z(3, 1)));
}

#[test]
fn a_learner_just_before_the_window_gets_all_of_it() {
    assert_eq!(plan(z(1, 3), &usual()), diff(z(3, 2), z(1, 3)));
}

/// The window cannot have a hole within an epoch, so that the txn before is the newest: the row of the table and the one
/// before it are the same case.
#[test]
fn a_learner_that_is_not_found_in_the_last_epoch_goes_back_to_the_transaction_before() {
    let one = window(z(3, 1), &[z(3, 2)]);
    let back = SyncPlan::Trunc {
        to: z(3, 2),
        after: z(3, 2),
    };
    assert_eq!(plan(z(3, 9), &one), back);
}

#[test]
fn no_truncation_crosses_the_border_of_an_epoch() {
    assert_eq!(plan(z(1, 6), &usual()), SyncPlan::Snapshot);
    assert_eq!(plan(z(2, 1), &usual()), SyncPlan::Snapshot);
    let late = window(z(1, 3), &[z(2, 5)]);
    assert_eq!(plan(z(2, 4), &late), SyncPlan::Snapshot);
}

#[test]
fn a_bare_zxid_within_reach_gets_what_comes_behind_it() {
    assert_eq!(plan(z(3, 0), &usual()), diff(z(3, 2), z(3, 0)));
    assert_eq!(plan(z(2, 0), &usual()), diff(z(3, 2), z(2, 0)));
}

#[test]
fn a_bare_zxid_beyond_the_newest_gets_a_snapshot_and_never_a_truncation() {
    assert_eq!(plan(z(4, 0), &usual()), SyncPlan::Snapshot);
}

#[test]
fn a_bare_zxid_of_an_epoch_without_transactions_gets_nothing() {
    let window = usual();
    let position = Position {
        window: &window,
        processed: z(6, 0),
        disk: true,
        always_snapshot: false,
    };
    assert_eq!(plan_sync(z(6, 0), &position), diff(z(6, 0), z(3, 2)));
    assert_eq!(plan_sync(z(5, 0), &position), diff(z(3, 2), z(3, 2)));
    assert_eq!(plan_sync(z(3, 2), &position), diff(z(3, 2), z(3, 2)));
    assert_eq!(plan_sync(z(7, 0), &position), SyncPlan::Snapshot);
    let back = SyncPlan::Trunc {
        to: z(3, 2),
        after: z(3, 2),
    };
    assert_eq!(plan_sync(z(5, 1), &position), back);
}

#[test]
fn a_learner_before_the_window_is_served_from_disk_if_that_may_be() {
    for learner in [z(1, 2), z(1, 0), z(0, 5)] {
        assert_eq!(plan(learner, &usual()), SyncPlan::FromDisk);
        let window = usual();
        let position = Position {
            window: &window,
            processed: z(3, 2),
            disk: false,
            always_snapshot: false,
        };
        assert_eq!(plan_sync(learner, &position), SyncPlan::Snapshot);
    }
}

#[test]
fn an_empty_server_gets_a_snapshot_unless_the_leader_is_empty_too() {
    assert_eq!(plan(Zxid::ZERO, &usual()), SyncPlan::Snapshot);
    let whole = window(Zxid::ZERO, &[z(1, 1)]);
    assert_eq!(plan(Zxid::ZERO, &whole), SyncPlan::Snapshot);
    let empty = window(Zxid::ZERO, &[]);
    assert_eq!(plan(Zxid::ZERO, &empty), diff(Zxid::ZERO, Zxid::ZERO));
    assert_eq!(plan(NO_HISTORY, &empty), SyncPlan::Snapshot);
    assert_eq!(plan(NO_HISTORY, &usual()), SyncPlan::Snapshot);
}

/// Zero, and the zxid that an epoch begins with, are no transactions: a learner would look for them in vain and keep what
/// it finds next.
#[test]
fn nobody_goes_back_to_a_zxid_that_is_no_transaction() {
    assert_eq!(plan(z(1, 1), &window(Zxid::ZERO, &[])), SyncPlan::Snapshot);
    assert_eq!(plan(z(2, 1), &window(z(2, 0), &[])), SyncPlan::Snapshot);
}

#[test]
fn every_learner_gets_a_snapshot_where_that_is_set() {
    let window = usual();
    for learner in [z(3, 2), z(1, 4), z(4, 1), z(1, 1)] {
        let position = Position {
            window: &window,
            processed: z(3, 2),
            disk: true,
            always_snapshot: true,
        };
        assert_eq!(plan_sync(learner, &position), SyncPlan::Snapshot);
    }
}

/// Calls `check` with every history of up to this many transactions in epochs 1 to 3. An epoch begins with counter 1, or
/// 2 to show that nothing depends on that.
fn every_history(len: usize, check: &mut impl FnMut(&[Zxid])) {
    fn grow(history: &mut Vec<Zxid>, len: usize, check: &mut impl FnMut(&[Zxid])) {
        check(history);
        if history.len() == len {
            return;
        }
        let last = history.last().copied().unwrap_or_default();
        let later = (last.epoch() + 1..=3).flat_map(|epoch| [z(epoch, 1), z(epoch, 2)]);
        let next = (last != Zxid::ZERO).then(|| last.next());
        for zxid in later.chain(next) {
            history.push(zxid);
            grow(history, len, check);
            history.pop();
        }
    }
    grow(&mut Vec::new(), len, check);
}

/// A learner's log, and the zxid by which it goes: its last transaction, or the bare one of an epoch that it has seen
/// begin.
#[derive(Debug, Clone)]
struct Learner {
    log: Vec<Zxid>,
    zxid: Zxid,
}

/// Whether both histories can come about by ZAB, with the leader elected after every epoch that the learner knows: what
/// was before the first transaction of an epoch is the same for all, and a later leader has it all.
fn can_meet(leader: &[Zxid], learner: &Learner) -> bool {
    let until = |log: &[Zxid], epoch: u32| -> Vec<Zxid> {
        let before = log.iter().copied();
        before.filter(|zxid| zxid.epoch() < epoch).collect()
    };
    let begins = |log: &[Zxid], epoch: u32| log.iter().find(|x| x.epoch() == epoch).copied();
    // An epoch is established for all if a transaction of it was proposed, or if the learner goes by its bare zxid.
    let established = |epoch: u32| {
        let proposed = learner.log.iter().any(|zxid| zxid.epoch() == epoch);
        proposed || learner.zxid == z(epoch, 0)
    };
    let lives_on = (1..=3)
        .all(|epoch| !established(epoch) || until(leader, epoch) == until(&learner.log, epoch));
    let same_epochs = (1..=3).all(|epoch| {
        let (ours, its) = (begins(leader, epoch), begins(&learner.log, epoch));
        ours.is_none() || its.is_none() || ours == its
    });
    lives_on && same_epochs
}

/// Does what a plan says, as a learner of Apache's would, and checks each step.
fn follow(plan: SyncPlan, learner: &mut Learner, leader: &[Zxid], window: &Window, floor: usize) {
    let shared = learner.log.iter().zip(leader).take_while(|(a, b)| a == b);
    let shared = shared.count();
    let receive = |log: &mut Vec<Zxid>, zxid: Zxid| {
        let last = log.last().copied().unwrap_or_default();
        assert!(zxid > last, "{zxid} behind {last}");
        log.push(zxid);
    };
    let truncate = |log: &mut Vec<Zxid>, to: Zxid| {
        assert!(log.contains(&to), "it has no {to}");
        log.retain(|zxid| *zxid <= to);
        assert!(log.len() >= shared, "what both have was cut");
    };
    match plan {
        SyncPlan::Diff { announce, after } => {
            assert!(announce == window.last() || announce == learner.zxid);
            for entry in window.after(after) {
                receive(&mut learner.log, entry.zxid);
            }
        }
        SyncPlan::Trunc { to, after } => {
            truncate(&mut learner.log, to);
            for entry in window.after(after) {
                receive(&mut learner.log, entry.zxid);
            }
        }
        SyncPlan::FromDisk => {
            let mut walk = Walk::new(learner.zxid);
            let mut sent = Vec::new();
            for zxid in &leader[floor..] {
                if walk.on(*zxid) == Step::Send {
                    sent.push(*zxid);
                }
            }
            match walk.end() {
                Verdict::Snap => learner.log = leader.to_vec(),
                Verdict::Diff => {}
                Verdict::TruncTo(to) => truncate(&mut learner.log, to),
            }
            if walk.end() != Verdict::Snap {
                for zxid in sent {
                    receive(&mut learner.log, zxid);
                }
            }
        }
        SyncPlan::Snapshot => learner.log = leader.to_vec(),
    }
}

#[test]
fn whoever_comes_has_the_leaders_history_in_the_end() {
    let mut histories = Vec::new();
    every_history(5, &mut |history| histories.push(history.to_vec()));
    let mut learners = Vec::new();
    every_history(4, &mut |log| {
        let last = log.last().copied().unwrap_or_default();
        let bare = (last.epoch() + 1..=3).map(|epoch| z(epoch, 0));
        learners.extend(std::iter::once(last).chain(bare).map(|zxid| Learner {
            log: log.to_vec(),
            zxid,
        }));
    });
    let mut met = 0_u32;
    let mut plans = [0_u32; 4];
    for leader in &histories {
        for learner in learners.iter().filter(|l| can_meet(leader, l)) {
            for (begin, floor) in begins(leader.len()) {
                let behind = begin.checked_sub(1).map_or(Zxid::ZERO, |at| leader[at]);
                let window = window(behind, &leader[begin..]);
                for processed in [window.last(), z(4, 0)] {
                    let position = Position {
                        window: &window,
                        processed,
                        disk: true,
                        always_snapshot: false,
                    };
                    let plan = plan_sync(learner.zxid, &position);
                    let mut told = learner.clone();
                    follow(plan, &mut told, leader, &window, floor);
                    assert_eq!(
                        &told.log, leader,
                        "{learner:?} of {leader:?} from {begin}: {plan:?}"
                    );
                    met += 1;
                    plans[match plan {
                        SyncPlan::Diff { .. } => 0,
                        SyncPlan::Trunc { .. } => 1,
                        SyncPlan::FromDisk => 2,
                        SyncPlan::Snapshot => 3,
                    }] += 1;
                }
            }
        }
    }
    assert!(met > 10_000, "{met}");
    assert!(plans.iter().all(|count| *count > 500), "{plans:?}");
}

/// Where the window begins and, at or before that, the log on disk.
fn begins(len: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..=len).flat_map(|begin| (0..=begin).map(move |floor| (begin, floor)))
}

#[test]
fn whatever_zxid_a_learner_names_it_is_only_sent_back_to_what_the_leader_has() {
    let all: Vec<Zxid> = (0..=5)
        .flat_map(|epoch| (0..=6).map(move |counter| z(epoch, counter)))
        .chain([NO_HISTORY])
        .collect();
    every_history(5, &mut |leader| {
        for begin in 0..=leader.len() {
            let behind = begin.checked_sub(1).map_or(Zxid::ZERO, |at| leader[at]);
            let window = window(behind, &leader[begin..]);
            for learner in &all {
                match plan(*learner, &window) {
                    SyncPlan::Trunc { to, after } => {
                        assert!(to < *learner && leader.contains(&to) && after == to);
                        assert_ne!(learner.counter(), 0);
                    }
                    SyncPlan::Diff { after, .. } => {
                        let is_known = *learner == behind || leader.contains(learner);
                        assert!(is_known || learner.counter() == 0, "{learner} {leader:?}");
                        assert_eq!(*learner, after);
                    }
                    SyncPlan::FromDisk => assert!(*learner < behind),
                    SyncPlan::Snapshot => {}
                }
            }
        }
    });
}
