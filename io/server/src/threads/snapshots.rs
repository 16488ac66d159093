//! The snapshot thread and the poller, which change the tree by turns.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;
use zabra_proto::Zxid;
use zabra_serve::Replica;
use zabra_tree::DataTree;

use super::in_many_orders;
use super::stool::record;
use super::world::{World, holds_first};
use crate::run::background::{Work, write_snapshot};

/// What came of a snapshot, with the pauses in it ended as the schedule has it.
fn write(work: &Work, background: &World) -> Option<Zxid> {
    write_snapshot(work, |pause| background.shared.background.pause(pause)).unwrap()
}

/// Three znodes are there, more come while they are written down.
pub(super) fn a_tree_that_changes() {
    let world = Arc::new(World::new(100));
    world.commit(1..4);
    let work = world.work();
    let poller = thread::spawn({
        let world = Arc::clone(&world);
        move || {
            world.commit(4..7);
            // Ends a pause that does not end by its time.
            world.shared.background.stop();
        }
    });
    let written = write(&work, &world);
    poller.join().unwrap();
    if let Some(zxid) = written {
        let name = format!("snapshot.{:x}", zxid.0);
        assert!(world.snapshots().contains(&name));
    }
    let (found, tail) = world.found();
    let applied = found.last_zxid().counter();
    assert!(holds_first(&found, applied), "a tree of one moment");
    assert!(found.alarm().is_none());
    assert_eq!(applied as usize + tail.len(), 6, "nothing is lost");
}

#[test]
fn a_snapshot_is_the_tree_of_one_moment_however_it_changes_meanwhile() {
    in_many_orders(a_tree_that_changes);
}

/// A leader's snapshot replaces the tree while it is written down.
pub(super) fn a_tree_that_is_replaced() {
    let world = Arc::new(World::new(100));
    world.commit(1..4);
    let work = world.work();
    let replaced = work.replaced.clone();
    let poller = thread::spawn({
        let world = Arc::clone(&world);
        move || {
            let options = *world.replica.read().unwrap().tree.options();
            let tree = DataTree::new(options);
            let mut other = Replica::new(tree, [].into(), Zxid::ZERO);
            let _ = other.apply(&Replica::decode(&record(Zxid::new(0, 5)).payload), &mut ());
            {
                let mut replica = world.replica.write().unwrap();
                *replica = other;
                replaced.note();
            }
            world.shared.background.stop();
        }
    });
    let written = write(&work, &world);
    poller.join().unwrap();
    if written == Some(Zxid::new(0, 3)) {
        assert!(holds_first(&world.found().0, 3), "half of two trees");
    }
}

#[test]
fn no_snapshot_is_of_two_trees() {
    in_many_orders(a_tree_that_is_replaced);
}

/// Pauses that are no pauses, between which something else is looked at.
pub(super) fn each_chunk(work: &Work, mut look: impl FnMut()) -> Option<Zxid> {
    let written = write_snapshot(work, |_: Duration| {
        thread::yield_now();
        look();
        true
    });
    written.unwrap()
}
