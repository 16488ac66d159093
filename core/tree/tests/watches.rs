//! The watch table against a naive matcher, and case by case (protocol 9, pitfalls P92, P93).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use zabra_proto::{EventKind, RemoveWatchesKind};
use zabra_tree::{WatchCounts, WatchMode, WatchTable, Watcher};

const PATHS: &[&str] = &[
    "/", "/a", "/b", "/a/a", "/a/b", "/a/a/a", "/ab", "", "relative", "/a//b",
];
const TRIGGERED: &[&str] = &["/", "/a", "/b", "/a/a", "/a/b", "/a/a/a", "/ab"];
const MODES: [WatchMode; 4] = [
    WatchMode::Data,
    WatchMode::Child,
    WatchMode::Persistent,
    WatchMode::PersistentRecursive,
];
const KINDS: [EventKind; 4] = [
    EventKind::NodeCreated,
    EventKind::NodeDeleted,
    EventKind::NodeDataChanged,
    EventKind::NodeChildrenChanged,
];
const REMOVALS: [RemoveWatchesKind; 5] = [
    RemoveWatchesKind::Children,
    RemoveWatchesKind::Data,
    RemoveWatchesKind::Any,
    RemoveWatchesKind::Persistent,
    RemoveWatchesKind::PersistentRecursive,
];

/// Every watch by itself, each asked in turn.
#[derive(Default)]
struct Naive(BTreeSet<(u64, String, usize)>);

impl Naive {
    fn add(&mut self, watcher: u64, path: &str, mode: WatchMode) {
        let mode = MODES.iter().position(|m| *m == mode).unwrap();
        self.0.insert((watcher, path.to_owned(), mode));
    }

    /// What the watch kinds of protocol 9.2 fire on.
    fn matches(path: &str, mode: WatchMode, kind: EventKind, at: &str) -> bool {
        use EventKind::{NodeChildrenChanged, NodeCreated, NodeDeleted};
        let below = path == at
            || path == "/"
            || at
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'));
        match mode {
            WatchMode::Data => path == at && kind != NodeChildrenChanged,
            WatchMode::Child => path == at && matches!(kind, NodeChildrenChanged | NodeDeleted),
            WatchMode::Persistent => path == at,
            WatchMode::PersistentRecursive => {
                below
                    && !path.is_empty()
                    && kind != NodeChildrenChanged
                    && (kind != NodeCreated || at != "/")
                    || path == at && kind != NodeChildrenChanged
            }
        }
    }

    fn trigger(&mut self, kind: EventKind, at: &str) -> BTreeSet<u64> {
        let hit =
            |(_, path, mode): &&(u64, String, usize)| Self::matches(path, MODES[*mode], kind, at);
        let told = self
            .0
            .iter()
            .filter(hit)
            .map(|(watcher, ..)| *watcher)
            .collect();
        self.0.retain(|watch| {
            let spent = matches!(MODES[watch.2], WatchMode::Data | WatchMode::Child);
            !(spent && hit(&watch))
        });
        told
    }

    fn is_meant(kind: RemoveWatchesKind, mode: WatchMode) -> bool {
        match kind {
            RemoveWatchesKind::Children => mode == WatchMode::Child,
            RemoveWatchesKind::Data => mode == WatchMode::Data,
            RemoveWatchesKind::Any => true,
            RemoveWatchesKind::Persistent => mode == WatchMode::Persistent,
            RemoveWatchesKind::PersistentRecursive => mode == WatchMode::PersistentRecursive,
        }
    }

    fn remove(&mut self, watcher: u64, path: &str, kind: RemoveWatchesKind) -> bool {
        let before = self.0.len();
        self.0
            .retain(|(w, p, m)| *w != watcher || p != path || !Self::is_meant(kind, MODES[*m]));
        self.0.len() != before
    }

    /// The data table as `wchp` shows it.
    fn by_path(&self) -> Vec<(&str, Vec<Watcher>)> {
        let mut paths: BTreeMap<&str, BTreeSet<Watcher>> = BTreeMap::new();
        for (watcher, path, mode) in &self.0 {
            if MODES[*mode] != WatchMode::Child {
                paths.entry(path).or_default().insert(Watcher(*watcher));
            }
        }
        paths
            .into_iter()
            .map(|(path, watchers)| (path, watchers.into_iter().collect()))
            .collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add(u64, usize, usize),
    Trigger(usize, usize),
    Remove(u64, usize, usize),
    Drop(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let watcher = 0..6u64;
    let step = prop_oneof![
        6 => (watcher.clone(), 0..PATHS.len(), 0..4usize).prop_map(|(w, p, m)| Step::Add(w, p, m)),
        4 => (0..4usize, 0..TRIGGERED.len()).prop_map(|(k, p)| Step::Trigger(k, p)),
        2 => (watcher.clone(), 0..PATHS.len(), 0..5usize).prop_map(|(w, p, k)| Step::Remove(w, p, k)),
        1 => watcher.prop_map(Step::Drop),
    ];
    prop::collection::vec(step, 0..80)
}

fn triggered(table: &mut WatchTable, kind: EventKind, path: &str) -> BTreeSet<u64> {
    let mut told = BTreeSet::new();
    table.trigger(kind, path, |watcher| {
        assert!(told.insert(watcher.0), "a connection is told once")
    });
    told
}

proptest! {
    #![proptest_config(common::config())]

    #[test]
    fn the_table_does_what_the_naive_matcher_does(steps in steps()) {
        let mut table = WatchTable::new(5);
        let mut naive = Naive::default();
        for step in &steps {
            match *step {
                Step::Add(watcher, path, mode) => {
                    table.add(Watcher(watcher), PATHS[path], MODES[mode]);
                    naive.add(watcher, PATHS[path], MODES[mode]);
                }
                Step::Trigger(kind, path) => {
                    let told = triggered(&mut table, KINDS[kind], TRIGGERED[path]);
                    prop_assert_eq!(told, naive.trigger(KINDS[kind], TRIGGERED[path]));
                }
                Step::Remove(watcher, path, kind) => {
                    let (path, kind) = (PATHS[path], REMOVALS[kind]);
                    let there = table.check(Watcher(watcher), path, kind);
                    prop_assert_eq!(table.remove(Watcher(watcher), path, kind), there);
                    prop_assert_eq!(naive.remove(watcher, path, kind), there);
                }
                Step::Drop(watcher) => {
                    table.drop_watcher(Watcher(watcher));
                    naive.0.retain(|(w, ..)| *w != watcher);
                }
            }
            let by_path = naive.by_path();
            prop_assert_eq!(&table.by_path(), &by_path);
            let watches = by_path.iter().map(|(_, watchers)| watchers.len()).sum();
            let connections: BTreeSet<&Watcher> = by_path.iter().flat_map(|(_, watchers)| watchers).collect();
            let counts = WatchCounts { connections: connections.len(), paths: by_path.len(), watches };
            prop_assert_eq!(table.counts(), counts);
            let pairs: usize = table.by_watcher().iter().map(|(_, paths)| paths.len()).sum();
            prop_assert_eq!(pairs, watches);
        }
        for watcher in 0..6 {
            table.drop_watcher(Watcher(watcher));
        }
        prop_assert_eq!(table.counts(), WatchCounts::default());
        prop_assert_eq!(table.watch_count(), 0);
    }
}

/// One watch of each mode on `/a`, one connection each: who is told of what, and who is left.
#[test]
fn each_mode_fires_on_its_own_events() {
    use EventKind::{NodeChildrenChanged, NodeCreated, NodeDataChanged, NodeDeleted};
    let table = [
        // kind, path, who is told: data 0, child 1, persistent 2, recursive 3
        (NodeCreated, "/a", vec![0, 2, 3]),
        (NodeDeleted, "/a", vec![0, 1, 2, 3]),
        (NodeDataChanged, "/a", vec![0, 2, 3]),
        (NodeChildrenChanged, "/a", vec![1, 2]),
        (NodeCreated, "/a/b", vec![3]),
        (NodeDeleted, "/a/b/c", vec![3]),
        (NodeDataChanged, "/a/b", vec![3]),
        (NodeChildrenChanged, "/a/b", vec![]),
        (NodeCreated, "/ab", vec![]),
        (NodeChildrenChanged, "/", vec![]),
    ];
    for (kind, path, told) in table {
        let mut watches = WatchTable::new(0);
        for (watcher, mode) in MODES.into_iter().enumerate() {
            watches.add(Watcher(watcher as u64), "/a", mode);
        }
        assert_eq!(
            triggered(&mut watches, kind, path),
            told.iter().copied().collect(),
            "{kind:?} {path}"
        );
        let again: BTreeSet<u64> = told.into_iter().filter(|watcher| *watcher >= 2).collect();
        assert_eq!(
            triggered(&mut watches, kind, path),
            again,
            "{kind:?} {path}: standard watches fire once"
        );
    }
}

#[test]
fn a_deletion_seen_by_the_data_table_spends_the_child_watch_silently() {
    let mut watches = WatchTable::new(0);
    watches.add(Watcher(1), "/a", WatchMode::Data);
    watches.add(Watcher(1), "/a", WatchMode::Child);
    watches.add(Watcher(2), "/a", WatchMode::Child);
    assert_eq!(
        triggered(&mut watches, EventKind::NodeDeleted, "/a"),
        [1, 2].into()
    );
    assert_eq!(watches.watch_count(), 0);
}

#[test]
fn a_recursive_watch_above_silences_the_child_table_too() {
    let mut watches = WatchTable::new(0);
    watches.add(Watcher(1), "/", WatchMode::PersistentRecursive);
    watches.add(Watcher(1), "/a", WatchMode::Child);
    assert_eq!(
        triggered(&mut watches, EventKind::NodeDeleted, "/a"),
        [1].into()
    );
    assert!(!watches.check(Watcher(1), "/a", RemoveWatchesKind::Any));
}

#[test]
fn a_standard_watch_beside_a_persistent_one_leaves_it_alone() {
    let mut watches = WatchTable::new(0);
    watches.add(Watcher(1), "/a", WatchMode::Persistent);
    watches.add(Watcher(1), "/a", WatchMode::PersistentRecursive);
    watches.add(Watcher(1), "/a", WatchMode::Data);
    assert!(watches.remove(Watcher(1), "/a", RemoveWatchesKind::Data));
    assert!(!watches.remove(Watcher(1), "/a", RemoveWatchesKind::Data));
    assert!(watches.check(Watcher(1), "/a", RemoveWatchesKind::Persistent));
    assert!(watches.remove(Watcher(1), "/a", RemoveWatchesKind::Persistent));
    assert_eq!(
        triggered(&mut watches, EventKind::NodeDataChanged, "/a/b"),
        [1].into()
    );
    assert!(watches.remove(Watcher(1), "/a", RemoveWatchesKind::PersistentRecursive));
    assert_eq!(watches.watch_count(), 0);
}

#[test]
fn removal_is_for_the_exact_path_and_the_own_connection() {
    let mut watches = WatchTable::new(0);
    watches.add(Watcher(1), "/a", WatchMode::PersistentRecursive);
    assert!(!watches.remove(Watcher(1), "/a/b", RemoveWatchesKind::Any));
    assert!(!watches.remove(Watcher(2), "/a", RemoveWatchesKind::Any));
    assert!(watches.check(Watcher(1), "/a", RemoveWatchesKind::Any));
    assert!(!watches.check(Watcher(2), "/a", RemoveWatchesKind::Any));
}

#[test]
fn five_thousand_watchers_of_one_path_are_told_once_each() {
    let mut watches = WatchTable::new(0);
    for watcher in 0..5000 {
        watches.add(Watcher(watcher), "/hot", WatchMode::Data);
        watches.add(Watcher(watcher), "/hot", WatchMode::Data);
    }
    assert_eq!(
        watches.counts(),
        WatchCounts {
            connections: 5000,
            paths: 1,
            watches: 5000
        }
    );
    assert_eq!(
        triggered(&mut watches, EventKind::NodeDataChanged, "/hot").len(),
        5000
    );
    assert_eq!(watches.counts(), WatchCounts::default());
}
