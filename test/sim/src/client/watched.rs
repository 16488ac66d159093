//! Watches on their way to another server, and what was told of them so far (P87).

use zabra_proto::client::{SetWatches, SetWatches2};
use zabra_proto::{EventKind, SessionId, Zxid};

use crate::check::{Checker, Users, WatchKind, Watching};

/// What a client watched where it was before.
#[derive(Debug, Clone)]
pub(super) struct Moving {
    watched: Watching,
    seen: Zxid,
    told: Vec<(String, EventKind)>,
}

impl Moving {
    /// Watches of a connection that has ended, on the next one.
    pub(super) fn new(watched: Watching, seen: Zxid) -> Self {
        Self {
            watched,
            seen,
            told: Vec::new(),
        }
    }

    /// As clients say it that have watches which stay.
    pub(super) fn request(&self) -> SetWatches2<'_> {
        let paths = |wanted| {
            let of_kind = self.watched.all().filter(move |(_, kind)| *kind == wanted);
            of_kind.map(|(path, _)| path.into()).collect()
        };
        SetWatches2 {
            relative_zxid: self.seen,
            data: paths(WatchKind::Data),
            exist: paths(WatchKind::Birth),
            child: paths(WatchKind::Child),
            persistent: paths(WatchKind::Persistent),
            persistent_recursive: paths(WatchKind::Recursive),
        }
    }

    /// As all clients can say it; none if that is not all.
    pub(super) fn old_request(&self) -> Option<SetWatches<'_>> {
        let SetWatches2 {
            relative_zxid,
            data,
            exist,
            child,
            ..
        } = self.request();
        (!self.watched.is_lasting()).then_some(SetWatches {
            relative_zxid,
            data,
            exist,
            child,
        })
    }

    pub(super) fn told(&mut self, path: &str, event: EventKind) {
        self.told.push((path.to_owned(), event));
    }

    /// The server has them, in the state behind this txn: what it told is what was missed, and the rest stands.
    pub(super) fn arrived(
        self,
        session: SessionId,
        users: Users,
        at: Zxid,
        check: &mut Checker,
    ) -> Watching {
        let moments = (self.seen, at);
        check.moved(session, (&self.watched, users), moments, self.told)
    }
}
