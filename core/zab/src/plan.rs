//! How a learner gets into step.

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::Zxid;

use crate::{Verdict, Walk, Window};

/// What a server that never had a history says to have logged.
pub const NO_HISTORY: Zxid = Zxid(u64::MAX);

/// Where a leader stands when a learner asks to be brought into step.
#[derive(Debug, Clone, Copy)]
pub struct Position<'a> {
    /// The end of its committed history.
    pub window: &'a Window,
    /// What it has done: its last transaction, or the bare zxid of its epoch if none came since that began. Learners of
    /// Apache's repeat the latter as their own.
    pub processed: Zxid,
    /// Whether the log may be read for a learner that is behind the window (`snapshotSizeFactor`).
    pub disk: bool,
    /// Whether every learner gets a snapshot (`forceSnapshotSync`).
    pub always_snapshot: bool,
}

/// How a learner gets into step. What was proposed since and is not yet decided comes behind it in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPlan {
    /// DIFF, then what the window has behind a zxid.
    Diff {
        /// What DIFF names.
        announce: Zxid,
        /// Behind which.
        after: Zxid,
    },
    /// TRUNC, then what the window has behind a zxid.
    Trunc {
        /// The last transaction that the learner keeps.
        to: Zxid,
        /// Behind which.
        after: Zxid,
    },
    /// The learner is behind the window: [`Backlog::Behind`](crate::Backlog::Behind).
    FromDisk,
    /// SNAP: [`Backlog::Snapshot`](crate::Backlog::Snapshot).
    Snapshot,
}

/// Decides how a learner whose log ends with a zxid gets into step (quorum 9.3, with what pitfalls P15 and P16 ask).
///
/// Total. A learner is only ever told to go back to a transaction that it has, if its history came about by ZAB; in doubt
/// it gets a snapshot.
#[must_use]
pub fn plan_sync(learner: Zxid, position: &Position<'_>) -> SyncPlan {
    let Position {
        window, processed, ..
    } = *position;
    let last = window.last();
    if position.always_snapshot || learner == NO_HISTORY {
        return SyncPlan::Snapshot;
    }
    if learner == processed || learner == last {
        return SyncPlan::Diff {
            announce: learner,
            after: last,
        };
    }
    // An empty server. Its tree may lack more than transactions, if this one began with a snapshot.
    if learner == Zxid::ZERO {
        return SyncPlan::Snapshot;
    }
    if learner < window.behind() {
        return if position.disk {
            SyncPlan::FromDisk
        } else {
            SyncPlan::Snapshot
        };
    }
    // Epochs that brought no transaction to anyone: this history ends where the learner's does.
    if learner.counter() == 0 && last < learner && learner < processed {
        return SyncPlan::Diff {
            announce: last,
            after: last,
        };
    }
    match verdict(learner, window) {
        Verdict::Diff => SyncPlan::Diff {
            announce: last,
            after: learner,
        },
        Verdict::TruncTo(_) if mutant::on(Mutant::TruncateToWindow) => SyncPlan::Trunc {
            to: window.behind(),
            after: window.behind(),
        },
        Verdict::TruncTo(to) => SyncPlan::Trunc { to, after: to },
        Verdict::Snap => SyncPlan::Snapshot,
    }
}

fn verdict(learner: Zxid, window: &Window) -> Verdict {
    let mut walk = Walk::new(learner);
    walk.on(window.behind());
    for entry in window.iter() {
        walk.on(entry.zxid);
        if walk.verdict().is_some() {
            break;
        }
    }
    walk.end()
}
