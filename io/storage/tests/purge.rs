//! What purging removes, and what it never removes (P44, P46).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{Server, Twin, dirs, try_recover};
use zabra_proto::Zxid;
use zabra_storage::{
    Compression, PAYLOAD_MAX_DEFAULT, PurgeOptions, RecoverOptions, Vfs, purge, recover, truncate,
};
use zabra_testkit::disk::FaultyDisk;

/// Snapshots 0, 2, 4, 6, 8; logs 1, 3, 5, 7, 9.
fn five_rounds() -> (FaultyDisk, Server) {
    let disk = FaultyDisk::new();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let mut server = Server::start(&vfs).unwrap();
    for round in 0..5 {
        server.append(&[10, 20]);
        server.log.roll().unwrap();
        if round < 4 {
            server.snapshot(Compression::None).unwrap();
        }
    }
    (disk, server)
}

fn left(disk: &FaultyDisk) -> Vec<String> {
    let files = disk.files();
    let mut names: Vec<String> = files
        .keys()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| !name.starts_with("zabra-"))
        .collect();
    names.sort();
    names
}

fn run(disk: &FaultyDisk, server: &Server, keep: usize, leased: Option<Zxid>) -> Vec<String> {
    let options = PurgeOptions {
        keep,
        leased,
        ..PurgeOptions::default()
    };
    let purged = purge(&server.vfs, &dirs(), &options, Some(server.log.mark())).unwrap();
    let (twin, _) = try_recover(&(Arc::new(disk.copy()) as Arc<dyn Vfs>)).unwrap();
    assert_eq!(twin.txns, server.twin.txns);
    purged
        .removed
        .into_iter()
        .map(|(_, entry)| entry.name)
        .collect()
}

#[test]
fn the_newest_snapshots_stay_with_the_logs_behind_the_oldest_of_them() {
    let (disk, server) = five_rounds();
    assert_eq!(
        run(&disk, &server, 3, None),
        ["snapshot.0", "snapshot.2", "log.1"]
    );
    assert_eq!(
        left(&disk),
        [
            "log.3",
            "log.5",
            "log.7",
            "log.9",
            "snapshot.4",
            "snapshot.6",
            "snapshot.8"
        ]
    );
}

#[test]
fn a_bad_snapshot_does_not_count_as_kept() {
    let (disk, server) = five_rounds();
    let path = dirs().snap().join("snapshot.6");
    let mut bytes = disk.files()[&path].clone();
    bytes[100] ^= 1;
    disk.put(&path, bytes);
    assert_eq!(run(&disk, &server, 3, None), ["snapshot.0"]);
}

#[test]
fn with_too_few_good_snapshots_nothing_is_removed() {
    let (disk, server) = five_rounds();
    assert_eq!(run(&disk, &server, 6, None), Vec::<String>::new());
}

#[test]
fn logs_that_a_learner_is_being_served_from_stay() {
    let (disk, server) = five_rounds();
    assert_eq!(
        run(&disk, &server, 1, Some(Zxid(5))),
        [
            "snapshot.0",
            "snapshot.2",
            "snapshot.4",
            "snapshot.6",
            "log.1",
            "log.3"
        ]
    );
}

#[test]
fn a_log_that_begins_later_than_its_name_says_keeps_the_one_before_it() {
    let (disk, server) = five_rounds();
    // Somebody renamed log.9: by name it would reach back to 8.
    disk.rename(&dirs().log().join("log.9"), &dirs().log().join("log.8"))
        .unwrap();
    let options = PurgeOptions {
        keep: 1,
        dry_run: true,
        ..PurgeOptions::default()
    };
    let before = disk.files();
    let purged = purge(&server.vfs, &dirs(), &options, None).unwrap();
    let logs: Vec<String> = purged
        .removed
        .into_iter()
        .map(|(_, e)| e.name)
        .filter(|n| n.starts_with("log"))
        .collect();
    assert_eq!(logs, ["log.1", "log.3", "log.5", "log.7"]);
    // Its first record is 9, which follows 8. Against a snapshot at 7 it would not do.
    let options = PurgeOptions {
        leased: Some(Zxid(7)),
        ..options
    };
    let purged = purge(&server.vfs, &dirs(), &options, None).unwrap();
    assert!(!purged.removed.iter().any(|(_, e)| e.name == "log.7"));
    assert_eq!(disk.files(), before, "a dry run removes nothing");
}

/// `jute.maxbuffer` may allow more than a reader believes that knows no configuration.
#[test]
fn logs_with_records_of_any_length_can_be_purged_and_truncated() {
    let disk = FaultyDisk::new();
    let vfs: Arc<dyn Vfs> = Arc::new(disk);
    let mut server = Server::start(&vfs).unwrap();
    server.append(&[10]);
    server.log.roll().unwrap();
    server.append(&[PAYLOAD_MAX_DEFAULT + 1, 20]);
    server.log.roll().unwrap();
    server.snapshot(Compression::None).unwrap();
    server.append(&[PAYLOAD_MAX_DEFAULT + 1, 30]);
    server.log.flush().unwrap();
    truncate(&vfs, &dirs(), server.log.mark(), Zxid(4)).unwrap();
    let options = PurgeOptions {
        keep: 1,
        ..PurgeOptions::default()
    };
    let purged = purge(&vfs, &dirs(), &options, Some(server.log.mark())).unwrap();
    assert_eq!(
        purged.removed.len(),
        2,
        "the first log and the first snapshot"
    );
    let roomy = RecoverOptions {
        payload_max: 2 * PAYLOAD_MAX_DEFAULT,
        ..RecoverOptions::default()
    };
    let recovered = recover(&vfs, &dirs(), &roomy, &mut Twin::default()).unwrap();
    assert_eq!(recovered.last_zxid, Zxid(4));
}
