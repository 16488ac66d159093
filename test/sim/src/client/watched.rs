//! What a client watches: told of once, and taken along to the next server (P87).

use std::collections::BTreeMap;

use zabra_proto::client::SetWatches2;
use zabra_proto::{EventKind, SessionId, Zxid};

use crate::check::{Checker, WatchKind};

/// Each watch with the zxid since which it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Watched {
    watches: BTreeMap<(String, WatchKind), Zxid>,
}

/// Watches on their way to another server, and what was told of them so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moving {
    watched: Watched,
    seen: Zxid,
    told: Vec<(String, EventKind)>,
}

impl Watched {
    /// A second watch of a kind on a path is the first one. On a path without a znode there may be one from before.
    pub(super) fn add(&mut self, path: String, kind: WatchKind, since: Zxid) {
        let other = match kind {
            WatchKind::Data => WatchKind::Birth,
            WatchKind::Birth => WatchKind::Data,
            WatchKind::Child => WatchKind::Child,
        };
        if !self.watches.contains_key(&(path.clone(), other)) || kind == WatchKind::Child {
            self.watches.entry((path, kind)).or_insert(since);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// I-33, I-35: what changed up to here must have been told of before.
    pub(super) fn check(&self, session: SessionId, up_to: Zxid, check: &mut Checker) {
        for ((path, kind), since) in &self.watches {
            check.watched(session, (path, *kind), *since, up_to);
        }
    }

    /// An event takes the watches along that it is for; those are returned.
    pub(super) fn take(&mut self, path: &str, event: EventKind) -> Vec<(WatchKind, Zxid)> {
        let kinds: &[WatchKind] = match event {
            EventKind::NodeChildrenChanged => &[WatchKind::Child],
            EventKind::NodeDeleted => &[WatchKind::Data, WatchKind::Birth, WatchKind::Child],
            _ => &[WatchKind::Data, WatchKind::Birth],
        };
        let taken = kinds.iter().filter_map(|kind| {
            let since = self.watches.remove(&(path.to_owned(), *kind))?;
            Some((*kind, since))
        });
        taken.collect()
    }

    fn paths(&self, wanted: WatchKind) -> impl Iterator<Item = &str> {
        let of_kind = self.watches.keys().filter(move |(_, kind)| *kind == wanted);
        of_kind.map(|(path, _)| path.as_str())
    }
}

impl Moving {
    /// Watches of a connection that has ended, on the next one.
    pub(super) fn new(watched: Watched, seen: Zxid) -> Self {
        Self {
            watched,
            seen,
            told: Vec::new(),
        }
    }

    pub(super) fn request(&self) -> SetWatches2<'_> {
        let paths = |kind| self.watched.paths(kind).map(Into::into).collect();
        SetWatches2 {
            relative_zxid: self.seen,
            data: paths(WatchKind::Data),
            exist: paths(WatchKind::Birth),
            child: paths(WatchKind::Child),
            persistent: Vec::new(),
            persistent_recursive: Vec::new(),
        }
    }

    pub(super) fn told(&mut self, path: &str, event: EventKind) {
        self.told.push((path.to_owned(), event));
    }

    /// The server has them, in the state behind this txn: what it told is what was missed, and the rest stands.
    pub(super) fn arrived(self, session: SessionId, at: Zxid, check: &mut Checker) -> Watched {
        let Self {
            watched,
            seen,
            mut told,
        } = self;
        let mut due = Vec::new();
        let mut stands = Watched::default();
        for (path, kind) in watched.watches.into_keys() {
            match check.missed((&path, kind), seen, at) {
                Some(event) => due.push((path, event)),
                None => stands.add(path, kind, at),
            }
        }
        due.sort();
        told.sort();
        check.caught_up(session, &due, &told);
        stands
    }
}
