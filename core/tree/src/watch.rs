//! Who is told of what (protocol 9).
//!
//! Watches belong to connections and to paths, not to znodes. There are two tables, *data* and *child*; in each, the
//! standard, persistent and recursive modes of a connection on a path live side by side, as in 3.9 (P93). Recursive
//! ones are also kept apart, so that looking for them above a path costs a probe for each level and no more.
//!
//! Whether a watcher may hear of an event (READ) is not asked here: the caller filters what comes out.

use std::collections::HashMap;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use zabra_proto::{EventKind, RemoveWatchesKind, WatchAddMode};

use crate::slab::{Slab, Slot};
use crate::watched_paths::{Modes, WatchedPaths, place};

/// A connection, as the table knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watcher(pub u64);

/// How a path is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WatchMode {
    /// exists and getData: one event of the znode itself.
    Data,
    /// getChildren: one event of its children, or of its deletion.
    Child,
    /// addWatch: all events of the znode and of its children's coming and going.
    Persistent,
    /// addWatch: all events of the znode and of all below it, but never `NodeChildrenChanged`.
    PersistentRecursive,
}

impl From<WatchAddMode> for WatchMode {
    fn from(mode: WatchAddMode) -> Self {
        match mode {
            WatchAddMode::Persistent => Self::Persistent,
            WatchAddMode::PersistentRecursive => Self::PersistentRecursive,
        }
    }
}

/// What `wchs` prints: the data table only, as in Apache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchCounts {
    /// Connections that watch something.
    pub connections: usize,
    /// Paths that are watched.
    pub paths: usize,
    /// Pairs of the two.
    pub watches: usize,
}

/// All watches of a server.
pub struct WatchTable {
    data: WatchedPaths,
    child: WatchedPaths,
    /// Invariant: the pairs of `data` that have the recursive mode.
    recursive: WatchedPaths,
    slots: HashMap<Watcher, u32, FixedState>,
    connections: Slab<Connection>,
    /// Number of the trigger under way, by which a connection is told once.
    trigger: u64,
}

/// Which paths a connection watches.
struct Connection {
    watcher: Watcher,
    /// Slots in the data table.
    data: HashTable<u32>,
    /// Slots in the child table.
    child: HashTable<u32>,
    /// The last trigger that told it.
    told: u64,
    vacant: Option<u32>,
}

impl WatchTable {
    /// A table without watches.
    #[must_use]
    pub fn new(hash_seed: u64) -> Self {
        Self {
            data: WatchedPaths::new(hash_seed),
            child: WatchedPaths::new(hash_seed),
            recursive: WatchedPaths::new(hash_seed),
            slots: HashMap::with_hasher(FixedState::with_seed(hash_seed)),
            connections: Slab::new(),
            trigger: 0,
        }
    }

    /// Registers a watch. Any string is a path; doing it again changes nothing.
    pub fn add(&mut self, watcher: Watcher, path: &str, mode: WatchMode) {
        let at = self.connection(watcher);
        match mode {
            WatchMode::Data => self.add_data(at, path, Modes::STANDARD),
            WatchMode::Child => self.add_child(at, path, Modes::STANDARD),
            WatchMode::Persistent => {
                self.add_data(at, path, Modes::PERSISTENT);
                self.add_child(at, path, Modes::PERSISTENT);
            }
            WatchMode::PersistentRecursive => {
                self.add_data(at, path, Modes::RECURSIVE);
                self.recursive.add(path, at, Modes::RECURSIVE);
            }
        }
    }

    fn connection(&mut self, watcher: Watcher) -> u32 {
        let connections = &mut self.connections;
        *self.slots.entry(watcher).or_insert_with(|| {
            connections.insert(Connection {
                watcher,
                data: HashTable::new(),
                child: HashTable::new(),
                told: 0,
                vacant: None,
            })
        })
    }

    fn add_data(&mut self, at: u32, path: &str, modes: Modes) {
        if let (slot, true) = self.data.add(path, at, modes) {
            self.connections[at]
                .data
                .insert_unique(place(slot), slot, |slot| place(*slot));
        }
    }

    fn add_child(&mut self, at: u32, path: &str, modes: Modes) {
        if let (slot, true) = self.child.add(path, at, modes) {
            self.connections[at]
                .child
                .insert_unique(place(slot), slot, |slot| place(*slot));
        }
    }

    /// Something happened at a path: names each connection that is to be told, once, and spends its standard watches
    /// (protocol 9.2). Their order is free.
    pub fn trigger(&mut self, kind: EventKind, path: &str, mut tell: impl FnMut(Watcher)) {
        self.trigger += 1;
        match kind {
            EventKind::NodeCreated | EventKind::NodeDataChanged => self.fire_data(path, &mut tell),
            EventKind::NodeDeleted => {
                self.fire_data(path, &mut tell);
                // Whoever was told by the data table is not told again, and its child watch is spent all the same.
                self.fire_child(path, &mut tell);
            }
            EventKind::NodeChildrenChanged => self.fire_child(path, &mut tell),
        }
    }

    fn fire_data(&mut self, path: &str, tell: &mut impl FnMut(Watcher)) {
        let Self {
            data,
            connections,
            slots,
            trigger,
            ..
        } = self;
        if let Some(slot) = data.find(path) {
            let mut gone = Vec::new();
            data.fire(
                slot,
                |at| connections[at].tell(*trigger, tell),
                |at| gone.push(at),
            );
            for at in gone {
                unlist(&mut connections[at].data, slot);
                forget_if_idle(connections, slots, at);
            }
        }
        if self.recursive.len() == 0 {
            return;
        }
        let mut below = path;
        while let Some(slash) = below.rfind('/')
            && below.len() > 1
        {
            below = if slash == 0 { "/" } else { &below[..slash] };
            if let Some(slot) = self.recursive.find(below) {
                for at in self.recursive.watchers(slot) {
                    self.connections[at].tell(self.trigger, tell);
                }
            }
        }
    }

    fn fire_child(&mut self, path: &str, tell: &mut impl FnMut(Watcher)) {
        let Self {
            child,
            connections,
            slots,
            trigger,
            ..
        } = self;
        let Some(slot) = child.find(path) else {
            return;
        };
        let mut gone = Vec::new();
        child.fire(
            slot,
            |at| connections[at].tell(*trigger, tell),
            |at| gone.push(at),
        );
        for at in gone {
            unlist(&mut connections[at].child, slot);
            forget_if_idle(connections, slots, at);
        }
    }

    /// Takes watches away (protocol 9.6). Whether there was any.
    pub fn remove(&mut self, watcher: Watcher, path: &str, kind: RemoveWatchesKind) -> bool {
        let found = self.check(watcher, path, kind);
        let Some(at) = self.slots.get(&watcher).copied().filter(|_| found) else {
            return false;
        };
        let (data, child) = tables(kind);
        self.take_data(at, path, data);
        self.take_child(at, path, child);
        forget_if_idle(&mut self.connections, &mut self.slots, at);
        true
    }

    fn take_data(&mut self, at: u32, path: &str, modes: Modes) {
        if modes.has(Modes::RECURSIVE)
            && let Some(slot) = self.recursive.find(path)
        {
            self.recursive.remove(slot, at, Modes::ALL);
        }
        if let Some(slot) = self.data.find(path)
            && self.data.remove(slot, at, modes).is_none()
        {
            unlist(&mut self.connections[at].data, slot);
        }
    }

    fn take_child(&mut self, at: u32, path: &str, modes: Modes) {
        if let Some(slot) = self.child.find(path)
            && self.child.remove(slot, at, modes).is_none()
        {
            unlist(&mut self.connections[at].child, slot);
        }
    }

    /// Whether this connection has such a watch on exactly this path.
    #[must_use]
    pub fn check(&self, watcher: Watcher, path: &str, kind: RemoveWatchesKind) -> bool {
        let Some(at) = self.slots.get(&watcher) else {
            return false;
        };
        let (data, child) = tables(kind);
        let has = |table: &WatchedPaths, modes| {
            table
                .find(path)
                .is_some_and(|slot| table.modes(slot, *at).has(modes))
        };
        has(&self.data, data) || has(&self.child, child)
    }

    /// Takes all watches of a connection away, when it ends (P92).
    pub fn drop_watcher(&mut self, watcher: Watcher) {
        let Some(at) = self.slots.remove(&watcher) else {
            return;
        };
        let connection = self.connections.remove(at);
        for slot in connection.data {
            if self.data.modes(slot, at).has(Modes::RECURSIVE)
                && let Some(recursive) = self.recursive.find(self.data.path(slot))
            {
                self.recursive.remove(recursive, at, Modes::ALL);
            }
            self.data.remove(slot, at, Modes::ALL);
        }
        for slot in connection.child {
            self.child.remove(slot, at, Modes::ALL);
        }
    }

    /// Number of pairs of path and connection in both tables (`zk_watch_count`).
    #[must_use]
    pub const fn watch_count(&self) -> usize {
        self.data.pairs() + self.child.pairs()
    }

    /// What `wchs` prints.
    #[must_use]
    pub fn counts(&self) -> WatchCounts {
        let connections = self
            .slots
            .values()
            .filter(|at| !self.connections[**at].data.is_empty())
            .count();
        WatchCounts {
            connections,
            paths: self.data.len(),
            watches: self.data.pairs(),
        }
    }

    /// What `wchc` prints: the paths of each connection in the data table, sorted.
    #[must_use]
    pub fn by_watcher(&self) -> Vec<(Watcher, Vec<&str>)> {
        let connections = self.slots.values().map(|at| &self.connections[*at]);
        let mut dump: Vec<(Watcher, Vec<&str>)> = connections
            .filter(|connection| !connection.data.is_empty())
            .map(|connection| {
                let mut paths: Vec<&str> = connection
                    .data
                    .iter()
                    .map(|slot| self.data.path(*slot))
                    .collect();
                paths.sort_unstable();
                (connection.watcher, paths)
            })
            .collect();
        dump.sort_unstable();
        dump
    }

    /// What `wchp` prints: the connections of each path in the data table, sorted.
    #[must_use]
    pub fn by_path(&self) -> Vec<(&str, Vec<Watcher>)> {
        let mut dump: Vec<(&str, Vec<Watcher>)> = self
            .data
            .slots()
            .map(|slot| {
                let watchers = self
                    .data
                    .watchers(slot)
                    .map(|at| self.connections[at].watcher);
                let mut watchers: Vec<Watcher> = watchers.collect();
                watchers.sort_unstable();
                (self.data.path(slot), watchers)
            })
            .collect();
        dump.sort_unstable();
        dump
    }
}

/// What a type of checkWatches and removeWatches means in the data and in the child table.
const fn tables(kind: RemoveWatchesKind) -> (Modes, Modes) {
    match kind {
        RemoveWatchesKind::Children => (Modes::NONE, Modes::STANDARD),
        RemoveWatchesKind::Data => (Modes::STANDARD, Modes::NONE),
        RemoveWatchesKind::Any => (Modes::ALL, Modes::ALL),
        RemoveWatchesKind::Persistent => (Modes::PERSISTENT, Modes::PERSISTENT),
        RemoveWatchesKind::PersistentRecursive => (Modes::RECURSIVE, Modes::NONE),
    }
}

fn unlist(paths: &mut HashTable<u32>, slot: u32) {
    if let Ok(found) = paths.find_entry(place(slot), |other| *other == slot) {
        found.remove();
    }
}

fn forget_if_idle(
    connections: &mut Slab<Connection>,
    slots: &mut HashMap<Watcher, u32, FixedState>,
    at: u32,
) {
    let connection = &connections[at];
    if connection.data.is_empty() && connection.child.is_empty() {
        slots.remove(&connection.watcher);
        connections.remove(at);
    }
}

impl Connection {
    fn tell(&mut self, trigger: u64, tell: &mut impl FnMut(Watcher)) {
        if self.told != trigger {
            self.told = trigger;
            tell(self.watcher);
        }
    }
}

impl Slot for Connection {
    fn vacant(next: u32) -> Self {
        Self {
            watcher: Watcher(0),
            data: HashTable::new(),
            child: HashTable::new(),
            told: 0,
            vacant: Some(next),
        }
    }

    fn next_vacant(&self) -> Option<u32> {
        self.vacant
    }
}
