//! Watch events, held against what was decided.

use zabra_proto::{EventKind, SessionId, Zxid};

use super::{Checker, fails};
use crate::trace::Z;

/// What a client watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchKind {
    /// A znode that was there.
    Data,
    /// A znode that was not there.
    Birth,
    /// The children of a znode.
    Child,
}

impl Checker {
    /// The first txn behind `since` that a watch must tell of.
    fn trigger(&self, (path, kind): (&str, WatchKind), since: Zxid) -> Option<(Zxid, EventKind)> {
        let changes = self.order.changes(path);
        let from = changes.partition_point(|change| change.zxid <= since);
        let of_node = changes.get(from..).unwrap_or_default();
        if kind != WatchKind::Child {
            let change = of_node.first()?;
            let event = match (change.was_there, change.now) {
                (_, None) => EventKind::NodeDeleted,
                (false, Some(_)) => EventKind::NodeCreated,
                (true, Some(_)) => EventKind::NodeDataChanged,
            };
            return Some((change.zxid, event));
        }
        let gone = of_node.iter().find(|change| change.now.is_none());
        let gone = gone.map(|change| (change.zxid, EventKind::NodeDeleted));
        let children = self.order.child_changes(path);
        let from = children.partition_point(|change| change.zxid <= since);
        let child = children.get(from);
        let child = child.map(|change| (change.zxid, EventKind::NodeChildrenChanged));
        // In a txn that takes children and then the znode itself the children go first.
        [child, gone]
            .into_iter()
            .flatten()
            .min_by_key(|(zxid, _)| *zxid)
    }

    /// A client gets a reply while it watches: what changed up to there, it must have been told before (I-33, I-35).
    pub fn watched(
        &mut self,
        session: SessionId,
        watch: (&str, WatchKind),
        since: Zxid,
        up_to: Zxid,
    ) {
        self.count("I-33 event before data");
        if let Some((zxid, kind)) = self.trigger(watch, since)
            && zxid <= up_to
        {
            let text = format!(
                "{session} watches {watch:?} since {}, hears of {} and not of the {kind:?} of {}",
                Z(since),
                Z(up_to),
                Z(zxid)
            );
            let verdict = fails("I-33 event before data", text);
            self.judge(verdict);
        }
    }

    /// A client is told of an event on a path; these of its watches it is for (I-32, I-36).
    pub fn event(
        &mut self,
        session: SessionId,
        path: &str,
        event: EventKind,
        watches: &[(WatchKind, Zxid)],
    ) {
        self.count("I-32 at most one event");
        let due = |(kind, since): &(WatchKind, Zxid)| self.trigger((path, *kind), *since);
        let is_due = watches.iter().filter_map(due).any(|(_, due)| due == event);
        if !is_due {
            let text = format!("{session} is told {event:?} of {path}, it watches {watches:?}");
            let verdict = fails("I-32 at most one event", text);
            self.judge(verdict);
        }
    }

    /// What a watch has missed when it is set again in the state behind `at`, by a client that has seen all up to `seen`
    /// (P87).
    #[must_use]
    pub fn missed(
        &self,
        (path, kind): (&str, WatchKind),
        seen: Zxid,
        at: Zxid,
    ) -> Option<EventKind> {
        let changes = self.order.changes(path);
        let behind = changes.partition_point(|change| change.zxid <= at);
        let last = behind.checked_sub(1).and_then(|last| changes.get(last));
        let is_there = last.is_some_and(|change| change.now.is_some());
        match kind {
            WatchKind::Birth => is_there.then_some(EventKind::NodeCreated),
            _ if !is_there => Some(EventKind::NodeDeleted),
            WatchKind::Data => last
                .filter(|change| change.zxid > seen)
                .map(|_| EventKind::NodeDataChanged),
            WatchKind::Child => {
                let born = changes
                    .iter()
                    .take(behind)
                    .rfind(|change| !change.was_there);
                let children = self.order.child_changes(path);
                let behind = children.partition_point(|change| change.zxid <= at);
                let child = behind.checked_sub(1).and_then(|last| children.get(last));
                let zxids = [born.map(|c| c.zxid), child.map(|c| c.zxid)];
                let pzxid = zxids.into_iter().flatten().max();
                (pzxid > Some(seen)).then_some(EventKind::NodeChildrenChanged)
            }
        }
    }

    /// A client has set its watches again, and was told of what they had missed, no more and no less.
    pub fn caught_up(
        &mut self,
        session: SessionId,
        due: &[(String, EventKind)],
        told: &[(String, EventKind)],
    ) {
        self.count("I-35 no event missed by moving");
        if due != told {
            let text = format!("{session} missed {due:?} and is told {told:?}");
            let verdict = fails("I-35 no event missed by moving", text);
            self.judge(verdict);
        }
    }
}
