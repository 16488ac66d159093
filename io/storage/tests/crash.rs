//! Power cuts at every operation of a scripted life, with every legal loss of what was not synced (I-14, I-18).
//!
//! After each cut the server starts without a hand on the files, has every txn that was flushed, none that was
//! truncated, no hole (I-15); its epochs have not fallen and are not behind its history (I-11); it goes on logging, and
//! finds that again. So it is while a leader's history replaces its own, too.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{Server, data_of, dirs, try_recover};
use zabra_proto::Zxid;
use zabra_storage::{Compression, StorageError, Vfs, truncate};
use zabra_testkit::disk::{Fault, FaultHow, FaultOn, FaultyDisk, Subsets};
use zabra_testkit::evidence;
use zabra_testkit::life::{Script, check, drawn_life, every_cut, faulty_life};

/// So many disks that a power cut may leave are started from.
const IMAGES: usize = 20_000;

fn life(script: &mut Script) {
    script.write(&[1]);
    script.write(&[40, 2, 300]);
    script.write(&[600, 600, 600]);
    script.save_mark();
    script.write(&[5000]);
    script.write(&[3, 3, 3, 3]);
    script.roll();
    script.snapshot(Compression::None);
    script.write(&[100, 1500]);
    script.save_mark();
    script.roll();
    script.snapshot(Compression::Gzip);
    script.write(&[9]);
    script.new_epoch();
    script.write(&[400, 400]);
    script.save_mark();
    script.roll();
    script.write(&[20, 20]);
    script.roll();
    script.snapshot(Compression::Snappy);
    script.write(&[30]);
    script.purge(2);
    script.write(&[2000, 1]);
    let to = Zxid::new(1, 3);
    script.truncate(to);
    script.write(&[77, 7]);
    script.restart();
    script.write(&[500, 600]);
    script.snapshot(Compression::None);
    script.purge(1);
    script.write(&[1, 2, 3]);
    script.adopt(2);
    script.write(&[50, 800]);
    script.purge(1);
    script.write(&[6]);
}

/// What a member goes through that is brought into step again and again.
fn members_life(script: &mut Script) {
    script.write(&[1, 40, 300]);
    script.new_epoch();
    script.write(&[10, 600]);
    script.roll();
    script.snapshot(Compression::None);
    script.write(&[700, 8]);
    // SNAP with a snapshot that is older than what is here.
    script.adopt_with_txns(1, 5);
    script.write(&[90]);
    script.new_epoch_stored(false);
    script.write(&[5, 5]);
    // TRUNC behind a SNAP, to a txn of the adopted log.
    let to = Zxid(*script.server.twin.txns.keys().rev().nth(3).unwrap());
    script.truncate(to);
    script.new_epoch_stored(false);
    script.write(&[2000, 3]);
    script.save_mark();
    // SNAP behind a SNAP, with all in the snapshot; and with nothing in it.
    script.adopt_with_txns(2, 0);
    script.adopt_with_txns(1, usize::MAX);
    script.write(&[60]);
    script.restart();
    script.write(&[61]);
    script.adopt_with_txns(0, 2);
    script.snapshot(Compression::Gzip);
    script.purge(1);
    script.write(&[7]);
}

#[test]
fn after_any_power_cut_the_server_starts_and_has_what_it_acknowledged() {
    let mut images = 0;
    let subsets = Subsets {
        single: 16,
        random: 16,
        seed: 1,
    };
    let disk = FaultyDisk::new();
    let mut script = Script::begin(&disk);
    life(&mut script);
    images += every_cut(&script, &subsets);
    let disk = FaultyDisk::new();
    let mut script = Script::begin(&disk);
    members_life(&mut script);
    images += every_cut(&script, &subsets);
    let mut seed = 0;
    while images < IMAGES {
        let disk = FaultyDisk::new();
        let mut script = Script::begin(&disk);
        drawn_life(&mut script, seed);
        images += every_cut(&script, &subsets);
        seed += 1;
    }
    let figures = [
        ("crash images", images.to_string()),
        ("lives", (2 + seed).to_string()),
    ];
    evidence::leave("crash-images", &figures);
}

#[test]
fn a_power_cut_during_recovery_changes_nothing() {
    let disk = FaultyDisk::new();
    let mut script = Script::begin(&disk);
    script.write(&[1, 700, 3]);
    script.roll();
    script.write(&[100, 2]);
    script.truncate(Zxid(4));
    script.write(&[10]);
    script.write(&[900, 900]);
    let mut images = 0;
    for cut in 0..=disk.operations() {
        let promise = script.promise_at(cut).clone();
        for image in disk.crash_images(
            cut,
            &Subsets {
                single: 3,
                random: 2,
                seed: 2,
            },
        ) {
            let vfs: Arc<dyn Vfs> = Arc::new(image.clone());
            let before = try_recover(&vfs).map(|(twin, _)| twin);
            let before = before.unwrap_or_else(|e| panic!("cut {cut}: {e}"));
            // What recovery found it may have told others: a cut of the recovery itself may lose what was never
            // flushed, but not what a finished recovery had found.
            let done = image.operations();
            for inner in 0..=done {
                for second in image.crash_images(
                    inner,
                    &Subsets {
                        single: 2,
                        random: 1,
                        seed: 3,
                    },
                ) {
                    let found = check(&second, &promise, &format!("cut {cut}, then {inner}"));
                    if inner == done {
                        assert_eq!(
                            found.txns, before.txns,
                            "cut {cut}: what was found is found again"
                        );
                    }
                    images += 1;
                }
            }
        }
    }
    assert!(images >= 2000, "only {images} images");
    evidence::leave(
        "crash-images-in-recovery",
        &[("crash images of recoveries", images.to_string())],
    );
}

#[test]
fn a_failed_sync_ends_the_log_and_what_was_read_back_after_it_is_durable() {
    for forever in [false, true] {
        let disk = FaultyDisk::new();
        let mut script = Script::begin(&disk);
        script.write(&[10, 10]);
        let times = if forever { usize::MAX } else { 1 };
        disk.inject(Fault {
            on: FaultOn::Sync,
            name: "log.",
            after: 0,
            times,
            how: FaultHow::Io,
        });
        script.server.append(&[20]);
        assert!(script.server.log.flush().is_err());
        // No second try, whatever the disk would say now (P29).
        disk.heal();
        assert!(script.server.log.flush().is_err());
        assert!(script.server.log.append(Zxid(4), b"x").is_err());
        assert!(script.server.log.is_poisoned());

        // The pages still read well. Whatever a new start takes for true must survive a power cut (P30).
        let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
        let (twin, _) = try_recover(&vfs).unwrap();
        assert!(twin.txns.contains_key(&3));
        for image in disk.crash_images(
            disk.operations(),
            &Subsets {
                single: 9,
                random: 9,
                seed: 4,
            },
        ) {
            let (after, _) = try_recover(&(Arc::new(image) as Arc<dyn Vfs>)).unwrap();
            assert_eq!(after.txns, twin.txns);
        }
    }
}

#[test]
fn no_fault_of_any_operation_makes_an_acknowledged_txn_vanish() {
    let all = [
        FaultOn::Write,
        FaultOn::Sync,
        FaultOn::Create,
        FaultOn::Rename,
        FaultOn::SyncDir,
        FaultOn::Remove,
        FaultOn::Read,
    ];
    for on in all {
        for how in [FaultHow::Io, FaultHow::NoSpace, FaultHow::Short] {
            for after in 0..40 {
                let disk = FaultyDisk::new();
                let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
                let mut server = Server::start(&vfs).unwrap();
                disk.inject(Fault {
                    on,
                    name: "",
                    after,
                    times: 1,
                    how,
                });
                let acked = faulty_life(&mut server);
                disk.heal();
                let (twin, recovered) =
                    try_recover(&vfs).unwrap_or_else(|e| panic!("{on:?} {how:?} {after}: {e}"));
                assert!(recovered.last_zxid >= acked, "{on:?} {how:?} {after}");
                let held: Vec<u64> = twin.txns.keys().copied().collect();
                assert_eq!(
                    held,
                    (1..=recovered.last_zxid.0).collect::<Vec<_>>(),
                    "{on:?} {how:?} {after}"
                );
            }
        }
    }
}

#[test]
fn a_truncation_to_a_txn_that_is_not_there_changes_nothing() {
    let disk = FaultyDisk::new();
    let mut script = Script::begin(&disk);
    script.write(&[1, 2, 3]);
    script.roll();
    let before = disk.files();
    for to in [Zxid(4), Zxid::new(1, 1)] {
        let done = truncate(&script.server.vfs, &dirs(), script.server.log.mark(), to);
        assert!(matches!(done, Err(StorageError::CannotTruncate { .. })));
    }
    assert_eq!(disk.files(), before);
}

#[test]
fn a_txn_that_does_not_follow_is_refused_before_it_is_written() {
    let disk = FaultyDisk::new();
    let mut script = Script::begin(&disk);
    script.write(&[1]);
    for bad in [Zxid(1), Zxid(3), Zxid::new(1, 2)] {
        assert!(
            script
                .server
                .log
                .append(bad, &common::payload(bad, b"x"))
                .is_err()
        );
    }
    script.write(&[1]);
    assert_eq!(
        try_recover(&script.server.vfs).unwrap().0.txns[&2],
        data_of(Zxid(2), 1)
    );
}
