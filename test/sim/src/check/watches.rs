//! What watches must tell, by what was decided (I-32 to I-35).

use zabra_proto::{EventKind, Zxid};

use super::Checker;

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
    pub(super) fn trigger(
        &self,
        (path, kind): (&str, WatchKind),
        since: Zxid,
    ) -> Option<(Zxid, EventKind)> {
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
}
