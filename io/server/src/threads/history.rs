//! Jobs on the history beside snapshots of it.

use std::sync::Arc;

use shuttle::thread;
use zabra_proto::Zxid;

use super::in_many_orders;
use super::snapshots::each_chunk;
use super::stool::record;
use super::world::World;
use crate::history::Job;
use crate::sync::Mutex;

/// The log's tail is cut while the tree is written down.
pub(super) fn a_history_that_is_cut() {
    let world = Arc::new(World::new(100));
    world.commit(1..8);
    let tail = [8, 9].map(|n| record(Zxid::new(0, n)));
    world.shared.flusher.flush(&tail).unwrap();
    let work = world.work();
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let worker = thread::spawn({
        let (world, outcomes) = (Arc::clone(&world), Arc::clone(&outcomes));
        move || {
            let report = |outcome| outcomes.lock().unwrap().push(format!("{outcome:?}"));
            let jobs = &world.history.jobs;
            jobs.work(&world.history.files, &world.shared.flusher, &report);
        }
    });
    world.history.jobs.ask(Job::Truncate(Zxid::new(0, 7)));
    world.history.jobs.stop();
    let files = &world.history.files;
    let mut seen = Vec::new();
    let written = each_chunk(&work, || seen.push(files.generation()));
    worker.join().unwrap();
    assert_eq!(*outcomes.lock().unwrap(), ["Truncated(0x7)"]);
    if seen.windows(2).any(|pair| pair[0] != pair[1]) {
        assert_eq!(written, None, "it is of a history that was cut meanwhile");
    }
    let (found, tail) = world.found();
    assert_eq!(found.last_zxid().counter() as usize + tail.len(), 7);
}

#[test]
fn a_snapshot_and_a_cut_end_both_and_the_history_is_the_one_that_was_cut() {
    in_many_orders(a_history_that_is_cut);
}
