//! Starts from directories of every kind: new, foreign, mixed, exchanged, incomplete.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Server, Twin, data_of, dirs, payload, try_recover};
use zabra_proto::{TxnKind, Zxid};
use zabra_storage::{
    Compression, DataDirs, LogReader, MarkFile, PAYLOAD_MAX_DEFAULT, RealVfs, RecoverOptions,
    Recovered, Start, StorageError, Trust, Vfs, adopt_history, names, record, recover, truncate,
};
use zabra_testkit::disk::{Fault, FaultHow, FaultOn, FaultyDisk};

fn vfs(disk: &FaultyDisk) -> Arc<dyn Vfs> {
    Arc::new(disk.clone())
}

fn start_with(
    disk: &FaultyDisk,
    dirs: &DataDirs,
    options: &RecoverOptions,
) -> Result<(Twin, Recovered), StorageError> {
    let mut twin = Twin::default();
    let recovered = recover(&vfs(disk), dirs, options, &mut twin)?;
    Ok((twin, recovered))
}

/// A segment as Apache's server writes it: no mark, padded.
fn apaches_log(txns: &[(Zxid, Vec<u8>)], tail: &[u8]) -> Vec<u8> {
    let mut bytes = record::LOG_HEADER.to_vec();
    for (_, payload) in txns {
        record::encode_record(payload, &mut bytes);
    }
    bytes.extend_from_slice(tail);
    bytes.resize(bytes.len() + 10_000, 0);
    bytes
}

fn txns(zxids: impl IntoIterator<Item = Zxid>) -> Vec<(Zxid, Vec<u8>)> {
    zxids
        .into_iter()
        .map(|zxid| (zxid, payload(zxid, &data_of(zxid, 50))))
        .collect()
}

fn zxids(epoch: u32, counters: std::ops::RangeInclusive<u32>) -> Vec<Zxid> {
    counters.map(|counter| Zxid::new(epoch, counter)).collect()
}

/// A disk with these segments and an empty snapshot at 0, as Apache's server left it.
fn apaches_disk(segments: &[(Zxid, Vec<u8>)]) -> FaultyDisk {
    let disk = FaultyDisk::new();
    Server::start(&vfs(&disk)).unwrap();
    disk.remove(&dirs().log().join(names::MARK)).unwrap();
    for (first, bytes) in segments {
        disk.put(&dirs().log().join(names::log_name(*first)), bytes.clone());
    }
    disk
}

fn last_of(disk: &FaultyDisk) -> Result<Zxid, String> {
    let (twin, recovered) = try_recover(&vfs(disk)).map_err(|e| e.to_string())?;
    assert_eq!(
        twin.txns.keys().next_back().copied().unwrap_or(0),
        recovered.last_zxid.0
    );
    // Whatever recovery did to the files, the next one finds the same.
    assert_eq!(try_recover(&vfs(disk)).unwrap().0, twin);
    Ok(recovered.last_zxid)
}

#[test]
fn an_empty_directory_is_new_or_empty_as_configured() {
    let none = RecoverOptions {
        autocreate: false,
        ..RecoverOptions::default()
    };
    let disk = FaultyDisk::new();
    assert_eq!(
        start_with(&disk, &dirs(), &none).unwrap().1.start,
        Start::Empty
    );
    assert_eq!(disk.files().len(), 0, "an empty member leaves no trace");
    assert_eq!(
        start_with(&disk, &dirs(), &RecoverOptions::default())
            .unwrap()
            .1
            .start,
        Start::New
    );

    let disk = FaultyDisk::new();
    disk.put(Path::new("/data/initialize"), Vec::new());
    assert_eq!(
        start_with(&disk, &dirs(), &none).unwrap().1.start,
        Start::New
    );
    dirs().remove_initialize(&disk).unwrap();
    assert!(!disk.exists(Path::new("/data/initialize")).unwrap());
}

#[test]
fn logs_without_a_snapshot_start_only_on_demand_and_only_from_the_first_txn() {
    let trust = RecoverOptions {
        trust_empty: true,
        ..RecoverOptions::default()
    };
    let with = |first: u32| {
        let disk = apaches_disk(&[(
            Zxid(first.into()),
            apaches_log(&txns(zxids(0, first..=9)), &[]),
        )]);
        disk.remove(&dirs().snap().join("snapshot.0")).unwrap();
        disk
    };
    assert!(last_of(&with(1)).unwrap_err().contains("trust.empty"));
    let (twin, recovered) = start_with(&with(1), &dirs(), &trust).unwrap();
    assert_eq!((recovered.start, twin.txns.len()), (Start::LogsOnly, 9));
    assert!(matches!(
        start_with(&with(3), &dirs(), &trust),
        Err(StorageError::Gap { .. })
    ));
}

#[test]
fn a_hole_between_or_inside_segments_is_found() {
    let disk = |first: std::ops::RangeInclusive<u32>, second: Vec<Zxid>| {
        let begin = second[0];
        apaches_disk(&[
            (Zxid(1), apaches_log(&txns(zxids(0, first)), &[])),
            (begin, apaches_log(&txns(second), &[])),
        ])
    };
    assert_eq!(last_of(&disk(1..=4, zxids(0, 5..=6))), Ok(Zxid(6)));
    assert_eq!(last_of(&disk(1..=4, zxids(2, 1..=6))), Ok(Zxid::new(2, 6)));
    assert!(
        last_of(&disk(1..=4, zxids(0, 6..=7)))
            .unwrap_err()
            .contains("between zxid 0x4 and 0x6")
    );
    assert!(
        last_of(&disk(1..=4, zxids(1, 2..=3)))
            .unwrap_err()
            .contains("missing")
    );
    assert!(
        last_of(&disk(2..=4, zxids(0, 5..=6)))
            .unwrap_err()
            .contains("between zxid 0x0 and 0x2")
    );
}

/// Apache's server never cuts a torn record; it begins another segment, with the same zxid again.
#[test]
fn a_torn_record_that_apache_left_behind_is_passed_over() {
    let mut torn = Vec::new();
    record::encode_record(&payload(Zxid(5), &data_of(Zxid(5), 900)), &mut torn);
    let cut = torn.len() - 200;
    torn[cut..].fill(0);
    let first = apaches_log(&txns(zxids(0, 1..=4)), &torn);
    let disk = apaches_disk(&[
        (Zxid(1), first.clone()),
        (Zxid(5), apaches_log(&txns(zxids(0, 5..=8)), &[])),
    ]);
    assert_eq!(last_of(&disk), Ok(Zxid(8)));
    // As the last segment it is cut, and the next segment begins where it ended.
    let disk = apaches_disk(&[(Zxid(1), first.clone())]);
    assert_eq!(last_of(&disk), Ok(Zxid(4)));
    let mut server = Server::start(&vfs(&disk)).unwrap();
    server.append(&[10]);
    server.log.flush().unwrap();
    assert_eq!(last_of(&disk), Ok(Zxid(5)));
    // A good record behind it: that was no torn end.
    let mut damaged = first;
    let end = damaged.len() - 10_000;
    damaged.truncate(end);
    record::encode_record(&payload(Zxid(6), &data_of(Zxid(6), 20)), &mut damaged);
    assert!(
        last_of(&apaches_disk(&[(Zxid(1), damaged)]))
            .unwrap_err()
            .contains("good records follow")
    );
}

#[test]
fn segments_without_records_are_removed_so_that_their_name_is_free() {
    for empty in [
        Vec::new(),
        vec![0; 4096],
        record::LOG_HEADER.to_vec(),
        apaches_log(&[], &[]),
    ] {
        let disk = apaches_disk(&[
            (Zxid(1), apaches_log(&txns(zxids(0, 1..=4)), &[])),
            (Zxid(5), empty),
        ]);
        let mut server = Server::start(&vfs(&disk)).unwrap();
        assert_eq!(server.recovered.last_zxid, Zxid(4));
        server.append(&[10]);
        server.log.flush().unwrap();
        assert_eq!(last_of(&disk), Ok(Zxid(5)));
    }
}

/// 3.9 logs an error txn with the zxid before it when a request cannot be decoded (protocol 19 no. 7).
#[test]
fn a_repeated_zxid_is_harmless_only_where_apache_writes_one() {
    let error = |zxid: Zxid| {
        let mut bytes = payload(zxid, &[0xff, 0xff, 0xff, 0xfb]);
        bytes[28..32].copy_from_slice(&TxnKind::Error.code().to_be_bytes());
        (zxid, bytes)
    };
    let with = |extra: (Zxid, Vec<u8>)| {
        let mut all = txns(zxids(0, 1..=4));
        all.push(extra);
        all.extend(txns([Zxid(5)]));
        last_of(&apaches_disk(&[(Zxid(1), apaches_log(&all, &[]))]))
    };
    assert_eq!(with(error(Zxid(4))), Ok(Zxid(5)));
    assert_eq!(with(txns([Zxid(4)]).remove(0)), Ok(Zxid(5)));
    assert_eq!(with(txns([Zxid(2)]).remove(0)), Ok(Zxid(5)));
    assert!(with(error(Zxid(2))).unwrap_err().contains("once more"));
    assert!(
        with((Zxid(4), payload(Zxid(4), b"other")))
            .unwrap_err()
            .contains("once more")
    );
}

#[test]
fn apaches_server_may_truncate_and_go_on_in_between() {
    let disk = FaultyDisk::new();
    let mut server = Server::start(&vfs(&disk)).unwrap();
    server.append(&[10, 20, 30]);
    server.log.flush().unwrap();
    server.log.mark().save().unwrap();
    let log = dirs().log().join("log.1");
    let whole = disk.files()[&log].clone();
    let without_last = record::FILE_HEADER_LEN + 2 * (record::RECORD_OVERHEAD + 32) + 10 + 20;
    disk.put(&log, whole[..without_last].to_vec());
    // Nobody else was here: the txn is lost.
    assert!(
        last_of(&disk.copy())
            .unwrap_err()
            .contains("known to be good")
    );
    // Apache's server was: it truncated the txn, and wrote a snapshot when it began to serve.
    let snapshot = disk.files()[&dirs().snap().join("snapshot.0")].clone();
    disk.put(&dirs().snap().join("snapshot.2.gz"), b"half".to_vec());
    assert_eq!(last_of(&disk.copy()), Ok(Zxid(2)));
    disk.remove(&dirs().snap().join("snapshot.2.gz")).unwrap();
    disk.put(&dirs().snap().join("snapshot.0"), snapshot);
    disk.put(
        &dirs().log().join("log.100000001"),
        apaches_log(&txns(zxids(1, 1..=2)), &[]),
    );
    assert_eq!(last_of(&disk), Ok(Zxid::new(1, 2)));
}

#[test]
fn a_segment_of_our_own_without_a_txn_is_no_sign_of_apaches_server() {
    let disk = FaultyDisk::new();
    let mut server = Server::start(&vfs(&disk)).unwrap();
    server.append(&[10, 20, 30]);
    server.log.flush().unwrap();
    server.log.mark().save().unwrap();
    let log = dirs().log().join("log.1");
    let whole = disk.files()[&log].clone();
    let header = whole[..record::FILE_HEADER_LEN].to_vec();
    // A sector was never written, and the server was killed when it had begun the next segment, which no mark names yet.
    disk.put(&log, vec![0; whole.len()]);
    for begun in [header, Vec::new()] {
        disk.put(&dirs().log().join("log.4"), begun);
        let refused = last_of(&disk.copy()).unwrap_err();
        assert!(refused.contains("known to be good"), "{refused}");
    }
}

#[test]
fn an_unfinished_truncation_is_void_once_apaches_server_wrote_more() {
    let interrupted = || {
        let disk = FaultyDisk::new();
        let mut server = Server::start(&vfs(&disk)).unwrap();
        server.append(&[10, 20, 30, 40]);
        server.log.roll().unwrap();
        disk.inject(Fault {
            on: FaultOn::Write,
            name: "log.",
            after: 0,
            times: usize::MAX,
            how: FaultHow::Io,
        });
        truncate(&vfs(&disk), &dirs(), server.log.mark(), Zxid(2)).unwrap_err();
        disk.heal();
        disk
    };
    assert_eq!(
        last_of(&interrupted()),
        Ok(Zxid(2)),
        "the next start finishes it"
    );
    let disk = interrupted();
    disk.put(
        &dirs().log().join("log.200000001"),
        apaches_log(&txns(zxids(2, 1..=2)), &[]),
    );
    assert_eq!(
        last_of(&disk),
        Ok(Zxid::new(2, 2)),
        "txns of a later epoch are not taken back"
    );
}

#[test]
fn a_lost_end_of_an_epoch_is_found_by_the_mark() {
    let disk = FaultyDisk::new();
    let mut server = Server::start(&vfs(&disk)).unwrap();
    server.append(&[10, 20]);
    server.log.roll().unwrap();
    server.append(&[30]);
    server.log.roll().unwrap();
    server.append_as(Zxid::new(1, 1), 40);
    server.log.flush().unwrap();
    disk.remove(&dirs().log().join("log.3")).unwrap();
    // Counters alone allow 1, 2, 1:1.
    assert!(last_of(&disk).unwrap_err().contains("log.3"));
}

#[test]
fn a_member_with_damaged_logs_can_take_its_leaders_snapshot() {
    let disk = FaultyDisk::new();
    let mut server = Server::start(&vfs(&disk)).unwrap();
    server.append(&[10, 20, 30]);
    server.log.flush().unwrap();
    server.log.mark().save().unwrap();
    let log = dirs().log().join("log.1");
    let mut bytes = disk.files()[&log].clone();
    bytes[40] ^= 1;
    disk.put(&log, bytes);
    assert!(last_of(&disk).is_err());

    let mark = MarkFile::open(vfs(&disk), dirs().log()).unwrap();
    let last = Zxid::new(2, 1);
    server.twin.txns.insert(last.0, data_of(last, 5));
    let snapshot = common::pending_snapshot(&vfs(&disk), &server.twin, last).unwrap();
    adopt_history(&vfs(&disk), &dirs(), &mark, snapshot.into()).unwrap();
    let (twin, recovered) = try_recover(&vfs(&disk)).unwrap();
    assert_eq!((recovered.last_zxid, twin.txns), (last, server.twin.txns));
    // Were that snapshot lost, the older one must not stand in for it.
    disk.put(&dirs().snap().join("snapshot.200000001"), Vec::new());
    assert!(try_recover(&vfs(&disk)).is_err());
}

#[test]
fn a_learner_can_be_served_from_the_log_while_it_is_written() {
    let disk = FaultyDisk::new();
    let mut server = Server::start(&vfs(&disk)).unwrap();
    for _ in 0..3 {
        server.append(&[10, 3000]);
        server.log.flush().unwrap();
        server.log.roll().unwrap();
    }
    server.append(&[40, 50]);
    let upto = server.log.flush().unwrap().last;
    let mut reader =
        LogReader::open(vfs(&disk), dirs().log(), Zxid(3), PAYLOAD_MAX_DEFAULT).unwrap();
    let mut found = Vec::new();
    while reader.last() < upto && reader.advance().unwrap() {
        // The log goes on under the reader's feet.
        server.append(&[70]);
        server.log.flush().unwrap();
        found.push(reader.record().unwrap().zxid.0);
    }
    assert_eq!(found, (4..=upto.0).collect::<Vec<_>>());
}

#[test]
fn exchanged_directories_are_refused() {
    let apart = DataDirs::new(Path::new("/data"), Some(Path::new("/logs")));
    let options = RecoverOptions::default();
    let disk = FaultyDisk::new();
    disk.put(&apart.log().join("snapshot.0"), Vec::new());
    assert!(matches!(
        start_with(&disk, &apart, &options),
        Err(StorageError::SnapshotsInLogDir { .. })
    ));
    let disk = FaultyDisk::new();
    disk.put(&apart.snap().join("log.1"), Vec::new());
    assert!(matches!(
        start_with(&disk, &apart, &options),
        Err(StorageError::LogsInSnapshotDir { .. })
    ));
    let disk = FaultyDisk::new();
    let marked = RecoverOptions {
        autocreate: false,
        ..options
    };
    disk.put(Path::new("/logs/initialize"), Vec::new());
    assert_eq!(
        start_with(&disk, &apart, &marked).unwrap().1.start,
        Start::New
    );
}

#[test]
fn a_read_only_recovery_changes_nothing() {
    let disk = FaultyDisk::new();
    let mut server = Server::start(&vfs(&disk)).unwrap();
    server.append(&[10, 2000]);
    server.log.flush().unwrap();
    let log = dirs().log().join("log.1");
    let mut bytes = disk.files()[&log].clone();
    bytes.extend_from_slice(b"torn");
    disk.put(&log, bytes);
    let before = disk.files();
    let options = RecoverOptions {
        read_only: true,
        ..RecoverOptions::default()
    };
    let (twin, _) = start_with(&disk, &dirs(), &options).unwrap();
    assert_eq!(twin.txns, server.twin.txns);
    assert_eq!(disk.files(), before);
}

#[test]
fn every_error_is_one_line_and_names_the_file() {
    let disk = apaches_disk(&[(Zxid(1), apaches_log(&txns(zxids(0, 2..=4)), &[]))]);
    let error = last_of(&disk).unwrap_err();
    assert!(
        error.contains("/data/version-2/log.1") && !error.contains('\n'),
        "{error}"
    );
    disk.put(&dirs().snap().join("snapshot.0"), b"ZKSN".to_vec());
    let error = last_of(&disk).unwrap_err();
    assert!(
        error.contains("/data/version-2/snapshot.0") && !error.contains('\n'),
        "{error}"
    );
}

#[test]
fn a_directory_is_locked_for_one_process() {
    let temp = tempfile::tempdir().unwrap();
    let real = DataDirs::new(temp.path(), None);
    real.create(&RealVfs).unwrap();
    let held = real.lock(&RealVfs).unwrap();
    assert!(matches!(
        real.lock(&RealVfs),
        Err(StorageError::Locked { .. })
    ));
    drop(held);
    real.lock(&RealVfs).unwrap();
    assert!(real.free_space(&RealVfs).unwrap() > 0);
}

#[test]
fn the_real_file_system_keeps_what_the_simulated_one_keeps() {
    let temp = tempfile::tempdir().unwrap();
    let real = DataDirs::new(temp.path(), None);
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
    let options = RecoverOptions::default();
    let first = recover(&vfs, &real, &options, &mut Twin::default()).unwrap();
    let log_options = zabra_storage::LogOptions::default();
    let mut log = zabra_storage::TxnLog::new(
        Arc::clone(&vfs),
        real.log(),
        log_options,
        first.mark,
        Zxid(0),
    );
    for i in 1..=3u64 {
        log.append(Zxid(i), &payload(Zxid(i), &data_of(Zxid(i), 100)))
            .unwrap();
    }
    let flushed = log.flush().unwrap();
    assert_eq!((flushed.last, flushed.records), (Zxid(3), 3));
    let path = real.log().join("log.1");
    assert_eq!(
        std::fs::metadata(&path).unwrap().len(),
        16 + (64 << 20),
        "padded as by Apache"
    );
    let trust = RecoverOptions {
        trust_empty: true,
        ..options
    };
    let mut twin = Twin::default();
    assert_eq!(
        recover(&vfs, &real, &trust, &mut twin).unwrap().last_zxid,
        Zxid(3)
    );
    assert_eq!(twin.txns.len(), 3);
    let mut server = Server::start(&(Arc::new(FaultyDisk::new()) as Arc<dyn Vfs>)).unwrap();
    server.append(&[100, 100, 100]);
    assert_eq!(server.twin.txns, twin.txns);
    server.snapshot(Compression::Gzip).unwrap();
}

#[test]
fn a_reader_around_a_zxid_begins_with_its_segment() {
    let disk = FaultyDisk::new();
    let mut server = Server::start(&vfs(&disk)).unwrap();
    for _ in 0..3 {
        server.append(&[10, 20]);
        server.log.roll().unwrap();
    }
    let names = || ["log.1", "log.3", "log.5"].map(str::to_owned);
    let around = |zxid| {
        let trust = Trust {
            mark: Some(server.log.mark().current()),
            others_wrote: false,
        };
        let log = dirs().log().to_owned();
        let max = PAYLOAD_MAX_DEFAULT;
        let mut reader = LogReader::around(vfs(&disk), &log, names(), zxid, trust, max).unwrap();
        let mut found = Vec::new();
        while reader.advance().unwrap() {
            found.push(reader.last().0);
        }
        found
    };
    assert_eq!(around(Zxid::ZERO), [1, 2, 3, 4, 5, 6]);
    assert_eq!(around(Zxid(2)), [1, 2, 3, 4, 5, 6]);
    assert_eq!(around(Zxid(3)), [3, 4, 5, 6]);
    assert_eq!(around(Zxid(4)), [3, 4, 5, 6]);
    assert_eq!(around(Zxid::new(9, 9)), [5, 6]);
}
