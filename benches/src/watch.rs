//! The table of watches, with one on every znode that stays.

use std::hint::black_box;

use zabra_proto::EventKind;
use zabra_tree::{WatchMode, WatchTable, Watcher};

use crate::{Work, ZNODES, path_of, scattered};

/// One connection watches a znode, and is told.
pub fn one() -> Work {
    watched_by(1)
}

/// A hundred do.
pub fn hundred() -> Work {
    watched_by(100)
}

fn watched_by(watchers: u64) -> Work {
    let mut table = WatchTable::new(1);
    let paths: Vec<String> = (0..ZNODES).map(|at| format!("{}x", path_of(at))).collect();
    for (at, path) in (0..ZNODES).zip(&paths) {
        // Not the paths that are fired: those are one shorter.
        table.add(Watcher(at % 1000), path, WatchMode::Data);
    }
    Box::new(move |number| {
        let path = paths[scattered(number) as usize].trim_end_matches('x');
        for watcher in 0..watchers {
            table.add(Watcher(watcher), path, WatchMode::Data);
        }
        let mut told = 0;
        table.trigger(EventKind::NodeDataChanged, path, |_| told += 1);
        assert_eq!(black_box(told), watchers);
    })
}
