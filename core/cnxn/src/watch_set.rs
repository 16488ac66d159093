//! Who watches what here, which event is for whom, and what a new connection must be told.

use std::collections::BTreeMap;

use zabra_jute::{Encode, Text};
use zabra_proto::client::{SetWatches, SetWatches2};
use zabra_proto::{EventKind, OpCode, RemoveWatchesKind, Zxid};

/// One watch of one user of the session, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatcherId(pub u64);

/// The five kinds of watches that a client keeps apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchKind {
    /// One shot: data of a znode that exists.
    Data,
    /// One shot: the creation of a znode that does not exist (features WA-18).
    Exist,
    /// One shot: the children of a znode.
    Child,
    /// Stays: all events of the exact path.
    Persistent,
    /// Stays: events of the path and all below, without those of children.
    Recursive,
}

impl WatchKind {
    /// Whether its first event is its last.
    #[must_use]
    pub const fn is_one_shot(self) -> bool {
        matches!(self, Self::Data | Self::Exist | Self::Child)
    }

    /// Whether such an event on its own path is for it (protocol 9.2).
    const fn hears(self, event: EventKind) -> bool {
        match self {
            Self::Data | Self::Exist | Self::Recursive => {
                !matches!(event, EventKind::NodeChildrenChanged)
            }
            Self::Child => {
                matches!(
                    event,
                    EventKind::NodeChildrenChanged | EventKind::NodeDeleted
                )
            }
            Self::Persistent => true,
        }
    }

    /// Whether a removal of that kind means it (features WA-11).
    const fn is_meant_by(self, kind: RemoveWatchesKind) -> bool {
        match kind {
            RemoveWatchesKind::Any => true,
            RemoveWatchesKind::Data => matches!(self, Self::Data | Self::Exist),
            RemoveWatchesKind::Children => matches!(self, Self::Child),
            RemoveWatchesKind::Persistent => matches!(self, Self::Persistent),
            RemoveWatchesKind::PersistentRecursive => matches!(self, Self::Recursive),
        }
    }
}

/// The watches of a session, by path.
#[derive(Debug, Clone, Default)]
pub struct WatchSet {
    /// Invariant: no list is empty.
    paths: BTreeMap<String, Vec<(WatchKind, WatcherId)>>,
    /// Invariant: how many of them are recursive.
    recursive: usize,
}

impl WatchSet {
    /// About how many bytes of paths are told to a server in one frame (features WA-17, P91).
    pub const CHUNK_LEN: usize = 128 * 1024;

    /// Adds a watch.
    pub fn insert(&mut self, path: &str, kind: WatchKind, watcher: WatcherId) {
        self.recursive += usize::from(kind == WatchKind::Recursive);
        match self.paths.get_mut(path) {
            Some(list) => list.push((kind, watcher)),
            None => {
                self.paths.insert(path.to_owned(), vec![(kind, watcher)]);
            }
        }
    }

    /// How many watches there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.paths.values().map(Vec::len).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether anybody watches exactly this path.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.paths.contains_key(path)
    }

    /// Whom an event is for, in the order of their registration, those at the path first; who watched for one event only is
    /// forgotten.
    pub fn on_event(&mut self, event: EventKind, path: &str) -> Vec<WatcherId> {
        let mut heard = Vec::new();
        self.take(path, |kind, watcher| {
            let hears = kind.hears(event);
            if hears {
                heard.push(watcher);
            }
            hears && kind.is_one_shot()
        });
        if self.recursive > 0 && WatchKind::Recursive.hears(event) {
            let mut at = path;
            while let Some(parent) = zabra_proto::path::parent(at) {
                let list = self.paths.get(parent).map_or(&[][..], Vec::as_slice);
                let recursive = list
                    .iter()
                    .filter(|(kind, _)| *kind == WatchKind::Recursive);
                heard.extend(recursive.map(|(_, watcher)| *watcher));
                at = parent;
            }
        }
        heard
    }

    /// Forgets one watch. `true` if it was there.
    pub fn remove(&mut self, path: &str, watcher: WatcherId) -> bool {
        let mut found = false;
        self.take(path, |_, other| {
            let is_it = other == watcher;
            found |= is_it;
            is_it
        });
        found
    }

    /// Forgets all watches of a path that are meant, and returns whose they were.
    pub fn remove_kind(&mut self, path: &str, kind: RemoveWatchesKind) -> Vec<WatcherId> {
        let mut removed = Vec::new();
        self.take(path, |own, watcher| {
            let is_meant = own.is_meant_by(kind);
            if is_meant {
                removed.push(watcher);
            }
            is_meant
        });
        removed
    }

    /// Who watches for more than one event: what happens while there is no connection they never hear (features WA-16).
    #[must_use]
    pub fn lasting(&self) -> Vec<WatcherId> {
        let all = self.paths.values().flatten();
        let mut lasting: Vec<_> = all
            .filter(|(kind, _)| !kind.is_one_shot())
            .map(|(_, watcher)| *watcher)
            .collect();
        lasting.sort_unstable();
        lasting
    }

    /// Forgets everything, and returns who watched.
    pub fn clear(&mut self) -> Vec<WatcherId> {
        self.recursive = 0;
        let paths = std::mem::take(&mut self.paths);
        paths
            .into_values()
            .flatten()
            .map(|(_, watcher)| watcher)
            .collect()
    }

    /// What a new connection must be told, as requests of bounded size: op code and body of each.
    ///
    /// The older form is used unless a persistent watch asks for the newer (features WA-17), so that servers before 3.6 are
    /// understood.
    #[must_use]
    pub fn registrations(&self, seen: Zxid, chunk_len: usize) -> Vec<(OpCode, Vec<u8>)> {
        let mut requests = Vec::new();
        let mut chunk = Chunk::default();
        for (path, list) in &self.paths {
            if chunk.len > 0 && chunk.len + path.len() > chunk_len {
                requests.push(std::mem::take(&mut chunk).encode(seen));
            }
            chunk.add(path, list);
        }
        if chunk.len > 0 {
            requests.push(chunk.encode(seen));
        }
        requests
    }

    /// Forgets those entries of a path for which `f` is true.
    fn take(&mut self, path: &str, mut f: impl FnMut(WatchKind, WatcherId) -> bool) {
        let Some(list) = self.paths.get_mut(path) else {
            return;
        };
        let recursive = &mut self.recursive;
        list.retain(|(kind, watcher)| {
            let goes = f(*kind, *watcher);
            *recursive -= usize::from(goes && *kind == WatchKind::Recursive);
            !goes
        });
        if list.is_empty() {
            self.paths.remove(path);
        }
    }
}

/// One request of a registration.
#[derive(Default)]
struct Chunk<'a> {
    len: usize,
    lists: [Vec<Text<'a>>; 5],
}

impl<'a> Chunk<'a> {
    fn add(&mut self, path: &'a str, watches: &[(WatchKind, WatcherId)]) {
        let kinds = [
            WatchKind::Data,
            WatchKind::Exist,
            WatchKind::Child,
            WatchKind::Persistent,
            WatchKind::Recursive,
        ];
        for (list, kind) in self.lists.iter_mut().zip(kinds) {
            if watches.iter().any(|(own, _)| *own == kind) {
                list.push(Text::Borrowed(path));
                self.len += path.len();
            }
        }
    }

    fn encode(self, relative_zxid: Zxid) -> (OpCode, Vec<u8>) {
        let [data, exist, child, persistent, persistent_recursive] = self.lists;
        let mut body = Vec::new();
        if persistent.is_empty() && persistent_recursive.is_empty() {
            let old = SetWatches {
                relative_zxid,
                data,
                exist,
                child,
            };
            old.encode(&mut body);
            return (OpCode::SetWatches, body);
        }
        let new = SetWatches2 {
            relative_zxid,
            data,
            exist,
            child,
            persistent,
            persistent_recursive,
        };
        new.encode(&mut body);
        (OpCode::SetWatches2, body)
    }
}

#[cfg(test)]
mod tests {
    use zabra_jute::{Decode, Reader};

    use super::*;

    const KINDS: [WatchKind; 5] = [
        WatchKind::Data,
        WatchKind::Exist,
        WatchKind::Child,
        WatchKind::Persistent,
        WatchKind::Recursive,
    ];

    fn all_kinds(path: &str) -> WatchSet {
        let mut set = WatchSet::default();
        for (id, kind) in (0..).zip(KINDS) {
            set.insert(path, kind, WatcherId(id));
        }
        set
    }

    fn ids(watchers: &[WatcherId]) -> Vec<u64> {
        watchers.iter().map(|watcher| watcher.0).collect()
    }

    #[test]
    fn each_kind_hears_what_its_table_says() {
        for (event, at_path, below) in [
            (EventKind::NodeCreated, &[0, 1, 3, 4][..], &[4][..]),
            (EventKind::NodeDeleted, &[0, 1, 2, 3, 4], &[4]),
            (EventKind::NodeDataChanged, &[0, 1, 3, 4], &[4]),
            (EventKind::NodeChildrenChanged, &[2, 3], &[]),
        ] {
            assert_eq!(ids(&all_kinds("/a").on_event(event, "/a")), at_path);
            assert_eq!(ids(&all_kinds("/a").on_event(event, "/a/b/c")), below);
            assert_eq!(ids(&all_kinds("/").on_event(event, "/b")), below);
            assert_eq!(ids(&all_kinds("/a").on_event(event, "/ab")), []);
        }
    }

    #[test]
    fn one_shots_hear_once_and_the_others_for_ever() {
        let mut set = all_kinds("/a");
        set.on_event(EventKind::NodeDeleted, "/a");
        assert_eq!(ids(&set.on_event(EventKind::NodeDeleted, "/a")), [3, 4]);
        assert_eq!(ids(&set.lasting()), [3, 4]);
    }

    #[test]
    fn removals_mean_what_their_kind_says() {
        for (kind, expected) in [
            (RemoveWatchesKind::Children, &[2][..]),
            (RemoveWatchesKind::Data, &[0, 1]),
            (RemoveWatchesKind::Any, &[0, 1, 2, 3, 4]),
            (RemoveWatchesKind::Persistent, &[3]),
            (RemoveWatchesKind::PersistentRecursive, &[4]),
        ] {
            let mut set = all_kinds("/a");
            assert_eq!(ids(&set.remove_kind("/a", kind)), expected);
            assert_eq!(set.len(), 5 - expected.len());
        }
    }

    #[test]
    fn a_path_without_watches_is_forgotten() {
        let mut set = all_kinds("/a");
        for id in 0..5 {
            assert!(set.contains("/a"));
            assert!(set.remove("/a", WatcherId(id)));
            assert!(!set.remove("/a", WatcherId(id)));
        }
        assert!(set.is_empty());
        assert_eq!(set.recursive, 0);
    }

    #[test]
    fn registrations_hold_each_path_once_per_kind() {
        let mut set = all_kinds("/a");
        set.insert("/a", WatchKind::Data, WatcherId(9));
        let requests = set.registrations(Zxid(7), WatchSet::CHUNK_LEN);
        assert_eq!(requests.len(), 1);
        let (op, body) = &requests[0];
        assert_eq!(*op, OpCode::SetWatches2);
        let list = || vec![Text::Borrowed("/a")];
        assert_eq!(
            SetWatches2::decode(&mut Reader::new(body)),
            Ok(SetWatches2 {
                relative_zxid: Zxid(7),
                data: list(),
                exist: list(),
                child: list(),
                persistent: list(),
                persistent_recursive: list(),
            })
        );
    }

    #[test]
    fn registrations_without_persistent_watches_use_the_old_form() {
        let mut set = WatchSet::default();
        set.insert("/a", WatchKind::Child, WatcherId(1));
        let requests = set.registrations(Zxid(7), WatchSet::CHUNK_LEN);
        assert_eq!(requests[0].0, OpCode::SetWatches);
        assert!(WatchSet::default().registrations(Zxid(7), 1).is_empty());
    }

    #[test]
    fn many_paths_are_told_in_bounded_requests() {
        let mut set = WatchSet::default();
        for n in 0..10_000 {
            set.insert(
                &format!("/a-path-of-some-length/{n}"),
                WatchKind::Data,
                WatcherId(n),
            );
        }
        let requests = set.registrations(Zxid(0), 4096);
        let mut told = 0;
        for (_, body) in &requests {
            let request = SetWatches::decode(&mut Reader::new(body)).unwrap();
            let len: usize = request.data.iter().map(|path| path.len()).sum();
            assert!(len <= 4096);
            told += request.data.len();
        }
        assert_eq!(told, 10_000);
    }
}
