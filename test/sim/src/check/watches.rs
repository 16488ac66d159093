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
}

impl Checker {
    /// The first txn behind `since` that a watch must tell of.
    fn trigger(&self, path: &str, since: Zxid) -> Option<(Zxid, EventKind)> {
        let changes = self.order.changes(path);
        let from = changes.partition_point(|change| change.zxid <= since);
        let change = changes.get(from)?;
        let kind = match (change.was_there, change.now) {
            (_, None) => EventKind::NodeDeleted,
            (false, Some(_)) => EventKind::NodeCreated,
            (true, Some(_)) => EventKind::NodeDataChanged,
        };
        Some((change.zxid, kind))
    }

    /// A client gets a reply while it watches: what changed up to there, it must have been told before (I-33, I-35).
    pub fn watched(&mut self, session: SessionId, path: &str, since: Zxid, up_to: Zxid) {
        self.count("I-33 event before data");
        if let Some((zxid, kind)) = self.trigger(path, since)
            && zxid <= up_to
        {
            let text = format!(
                "{session} watches {path} since {}, hears of {} and not of the {kind:?} of {}",
                Z(since),
                Z(up_to),
                Z(zxid)
            );
            let verdict = fails("I-33 event before data", text);
            self.judge(verdict);
        }
    }

    /// A client is told of an event on a path that it watches since then, or does not watch (I-32, I-36).
    pub fn event(&mut self, session: SessionId, path: &str, kind: EventKind, since: Option<Zxid>) {
        self.count("I-32 at most one event");
        let due = since.and_then(|since| self.trigger(path, since));
        if due.is_none_or(|(_, due)| due != kind) {
            let text = format!("{session} is told {kind:?} of {path}, due is {due:?}");
            let verdict = fails("I-32 at most one event", text);
            self.judge(verdict);
        }
    }
}
