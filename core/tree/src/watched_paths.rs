//! One table of watches: which connections watch a path, and in which modes.

use hashbrown::HashTable;

use crate::index::PathIndex;
use crate::slab::{Slab, Slot};

/// Bits of the modes that one connection has on one path, side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Modes(u8);

impl Modes {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const STANDARD: Self = Self(1);
    pub(crate) const PERSISTENT: Self = Self(2);
    pub(crate) const RECURSIVE: Self = Self(4);
    pub(crate) const ALL: Self = Self(7);

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// The table. Connections are slots of the caller's.
pub(crate) struct WatchedPaths {
    index: PathIndex,
    paths: Slab<WatchedPath>,
    /// Pairs of path and connection.
    pairs: usize,
}

struct WatchedPath {
    path: Box<str>,
    watchers: Watchers,
}

/// Invariant: never empty while the path is in the table.
enum Watchers {
    /// Of a vacant slot: the next vacant one.
    Vacant(u32),
    One(Entry),
    Many(Box<HashTable<Entry>>),
}

#[derive(Clone, Copy)]
struct Entry {
    watcher: u32,
    modes: Modes,
}

impl Entry {
    fn place(&self) -> u64 {
        place(self.watcher)
    }
}

/// Where hashbrown puts a slot number.
pub(crate) const fn place(slot: u32) -> u64 {
    (slot as u64 ^ 0x5bd1_e995)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
}

impl WatchedPaths {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            index: PathIndex::new(seed),
            paths: Slab::new(),
            pairs: 0,
        }
    }

    /// Number of watched paths.
    pub(crate) const fn len(&self) -> usize {
        self.paths.len()
    }

    /// Number of pairs of path and connection.
    pub(crate) const fn pairs(&self) -> usize {
        self.pairs
    }

    pub(crate) fn find(&self, path: &str) -> Option<u32> {
        if self.paths.len() == 0 {
            return None;
        }
        self.index.find(self.index.hash(path.as_bytes()), |slot| {
            *self.paths[slot].path == *path
        })
    }

    pub(crate) fn path(&self, slot: u32) -> &str {
        &self.paths[slot].path
    }

    /// Adds modes. The path's slot, and whether the connection did not watch it before.
    pub(crate) fn add(&mut self, path: &str, watcher: u32, modes: Modes) -> (u32, bool) {
        let entry = Entry { watcher, modes };
        let Some(slot) = self.find(path) else {
            let slot = self.paths.insert(WatchedPath {
                path: path.into(),
                watchers: Watchers::One(entry),
            });
            self.index.insert(self.index.hash(path.as_bytes()), slot);
            self.pairs += 1;
            return (slot, true);
        };
        let is_new = self.paths[slot].watchers.add(entry);
        self.pairs += usize::from(is_new);
        (slot, is_new)
    }

    /// The modes of a connection on a path.
    pub(crate) fn modes(&self, slot: u32, watcher: u32) -> Modes {
        match &self.paths[slot].watchers {
            Watchers::Vacant(_) => Modes::NONE,
            Watchers::One(entry) if entry.watcher == watcher => entry.modes,
            Watchers::One(_) => Modes::NONE,
            Watchers::Many(table) => table
                .find(place(watcher), |entry| entry.watcher == watcher)
                .map_or(Modes::NONE, |entry| entry.modes),
        }
    }

    /// Takes modes away. What is left of them.
    pub(crate) fn remove(&mut self, slot: u32, watcher: u32, modes: Modes) -> Modes {
        let left = self.modes(slot, watcher).without(modes);
        let watchers = &mut self.paths[slot].watchers;
        let emptied = match watchers {
            Watchers::Vacant(_) => return Modes::NONE,
            Watchers::One(entry) => {
                if entry.watcher != watcher {
                    return Modes::NONE;
                }
                entry.modes = left;
                left.is_none()
            }
            Watchers::Many(table) => {
                let Ok(mut found) =
                    table.find_entry(place(watcher), |entry| entry.watcher == watcher)
                else {
                    return Modes::NONE;
                };
                found.get_mut().modes = left;
                if left.is_none() {
                    found.remove();
                }
                watchers.shrink()
            }
        };
        self.pairs -= usize::from(left.is_none());
        if emptied {
            self.forget(slot);
        }
        left
    }

    /// Shows each connection that watches the path, and takes its standard mode away. `gone` hears of those that have
    /// no mode left.
    pub(crate) fn fire(&mut self, slot: u32, mut hit: impl FnMut(u32), mut gone: impl FnMut(u32)) {
        let watchers = &mut self.paths[slot].watchers;
        let mut left = |entry: &mut Entry| {
            hit(entry.watcher);
            entry.modes = entry.modes.without(Modes::STANDARD);
            let stays = !entry.modes.is_none();
            if !stays {
                gone(entry.watcher);
            }
            stays
        };
        let emptied = match watchers {
            Watchers::Vacant(_) => return,
            Watchers::One(entry) => {
                let stays = left(entry);
                self.pairs -= usize::from(!stays);
                !stays
            }
            Watchers::Many(table) => {
                let before = table.len();
                table.retain(left);
                self.pairs -= before - table.len();
                watchers.shrink()
            }
        };
        if emptied {
            self.forget(slot);
        }
    }

    /// The connections that watch a path, in no particular order.
    pub(crate) fn watchers(&self, slot: u32) -> impl Iterator<Item = u32> {
        let (one, many) = match &self.paths[slot].watchers {
            Watchers::Vacant(_) => (None, None),
            Watchers::One(entry) => (Some(entry), None),
            Watchers::Many(table) => (None, Some(table.iter())),
        };
        one.into_iter()
            .chain(many.into_iter().flatten())
            .map(|entry| entry.watcher)
    }

    /// The slots of all watched paths.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        (0..self.paths.slots()).filter(|slot| self.paths.get(*slot).is_some())
    }

    fn forget(&mut self, slot: u32) {
        let watched = self.paths.remove(slot);
        self.index
            .remove(self.index.hash(watched.path.as_bytes()), slot);
    }
}

impl Watchers {
    /// Whether the connection was not there.
    fn add(&mut self, entry: Entry) -> bool {
        match self {
            Self::Vacant(_) => {
                *self = Self::One(entry);
                true
            }
            Self::One(one) if one.watcher == entry.watcher => {
                one.modes = one.modes.with(entry.modes);
                false
            }
            Self::One(one) => {
                let mut table = HashTable::with_capacity(2);
                for entry in [*one, entry] {
                    table.insert_unique(entry.place(), entry, Entry::place);
                }
                *self = Self::Many(Box::new(table));
                true
            }
            Self::Many(table) => {
                if let Some(known) =
                    table.find_mut(entry.place(), |known| known.watcher == entry.watcher)
                {
                    known.modes = known.modes.with(entry.modes);
                    return false;
                }
                table.insert_unique(entry.place(), entry, Entry::place);
                true
            }
        }
    }

    /// Gives memory back after connections went. Whether none is left.
    fn shrink(&mut self) -> bool {
        let Self::Many(table) = self else {
            return false;
        };
        if let (1, Some(last)) = (table.len(), table.iter().next()) {
            *self = Self::One(*last);
            return false;
        }
        if table.len() * 8 < table.capacity() {
            table.shrink_to(table.len() * 2, Entry::place);
        }
        table.is_empty()
    }
}

impl Slot for WatchedPath {
    fn vacant(next: u32) -> Self {
        Self {
            path: Box::default(),
            watchers: Watchers::Vacant(next),
        }
    }

    fn next_vacant(&self) -> Option<u32> {
        match self.watchers {
            Watchers::Vacant(next) => Some(next),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watched_path_stays_as_small_as_it_is() {
        assert_eq!(size_of::<WatchedPath>(), 32);
        assert_eq!(size_of::<Entry>(), 8);
    }

    #[test]
    fn sets_grow_and_shrink_through_all_their_forms() {
        let mut table = WatchedPaths::new(1);
        for n in [1, 2, 100] {
            for watcher in 0..n {
                let (slot, is_new) = table.add("/a", watcher, Modes::STANDARD);
                assert!(is_new);
                assert_eq!(table.add("/a", watcher, Modes::PERSISTENT), (slot, false));
            }
            assert_eq!((table.len(), table.pairs()), (1, n as usize));
            let slot = table.find("/a").unwrap();
            for watcher in 0..n {
                assert_eq!(
                    table.remove(slot, watcher, Modes::STANDARD),
                    Modes::PERSISTENT
                );
                assert_eq!(table.remove(slot, watcher, Modes::ALL), Modes::NONE);
            }
            assert_eq!((table.len(), table.pairs(), table.find("/a")), (0, 0, None));
        }
    }

    #[test]
    fn firing_spends_standard_modes_only() {
        for n in [1, 2, 50] {
            let mut table = WatchedPaths::new(1);
            let mut slot = 0;
            for watcher in 0..n {
                let modes = if watcher % 2 == 0 {
                    Modes::STANDARD
                } else {
                    Modes::RECURSIVE
                };
                slot = table.add("/a", watcher, modes).0;
            }
            let (mut hit, mut gone) = (Vec::new(), Vec::new());
            table.fire(slot, |w| hit.push(w), |w| gone.push(w));
            hit.sort_unstable();
            gone.sort_unstable();
            assert_eq!(hit, (0..n).collect::<Vec<_>>());
            assert_eq!(gone, (0..n).step_by(2).collect::<Vec<_>>());
            assert_eq!(table.pairs(), n as usize / 2);
        }
    }
}
