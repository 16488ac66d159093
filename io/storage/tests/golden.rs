//! Files written by Apache's server 3.8.0: read, and written again byte for byte.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zabra_jute::Encode;
use zabra_proto::{Acl, SessionId, StatPersisted, TxnHeader, Zxid};
use zabra_storage::{
    Compression, DataDirs, LogReader, PAYLOAD_MAX_DEFAULT, RealVfs, RecoverOptions, RecoverySink,
    Refusal, SegmentReader, SnapshotDigest, SnapshotSink, SnapshotTail, SnapshotWriter, Start, Vfs,
    list_snapshots, read_snapshot, record, recover,
};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// Keeps everything in the order of the file, encoded again.
#[derive(Default)]
struct Copy {
    sessions: Vec<u8>,
    session_count: i32,
    acls: Vec<u8>,
    acl_count: i32,
    nodes: Vec<u8>,
    paths: Vec<String>,
    txns: Vec<Zxid>,
}

impl SnapshotSink for Copy {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn session(&mut self, id: SessionId, timeout_ms: i32) -> Result<(), Refusal> {
        self.session_count += 1;
        id.encode(&mut self.sessions);
        timeout_ms.encode(&mut self.sessions);
        Ok(())
    }

    fn acl(&mut self, key: i64, acl: Vec<Acl<'static>>) -> Result<(), Refusal> {
        self.acl_count += 1;
        key.encode(&mut self.acls);
        acl.encode(&mut self.acls);
        Ok(())
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_key: i64,
        stat: &StatPersisted,
    ) -> Result<(), Refusal> {
        self.paths.push(path.to_owned());
        path.encode(&mut self.nodes);
        data.encode(&mut self.nodes);
        acl_key.encode(&mut self.nodes);
        stat.encode(&mut self.nodes);
        Ok(())
    }
}

impl RecoverySink for Copy {
    fn txn(&mut self, header: &TxnHeader, _: &[u8]) -> Result<(), Refusal> {
        self.txns.push(header.zxid);
        Ok(())
    }
}

fn write_again(
    copy: &Copy,
    zxid: Zxid,
    tail: &SnapshotTail,
    compression: Compression,
) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer =
        SnapshotWriter::begin(Arc::new(RealVfs), dir.path(), zxid, compression).unwrap();
    for (count, bytes) in [
        (copy.session_count, &copy.sessions),
        (copy.acl_count, &copy.acls),
    ] {
        writer.chunk(&count.to_be_bytes()).unwrap();
        writer.chunk(bytes).unwrap();
    }
    writer.chunk(&copy.nodes).unwrap();
    let written = writer.finish(tail, None).unwrap();
    let path = dir.path().join(written.file.name);
    (dir, path)
}

#[test]
fn every_snapshot_is_read_and_written_again_byte_for_byte() {
    let mut seen = 0;
    for set in ["standalone", "compressed", "no-digest", "ensemble"] {
        let dir = vectors().join(set);
        for file in list_snapshots(&RealVfs, &dir).unwrap() {
            let mut copy = Copy::default();
            let tail = read_snapshot(&RealVfs, &dir, &file, &mut copy).unwrap();
            let (_keep, again) = write_again(&copy, file.zxid, &tail, Compression::None);
            let original = match file.compression {
                Compression::None => fs::read(dir.join(&file.name)).unwrap(),
                _ => fs::read(vectors().join("standalone/snapshot.11")).unwrap(),
            };
            assert_eq!(fs::read(again).unwrap(), original, "{set}/{}", file.name);
            seen += 1;
        }
    }
    assert_eq!(seen, 8);
}

#[test]
fn what_we_compress_reads_as_what_apache_compressed() {
    let dir = vectors().join("compressed");
    for file in list_snapshots(&RealVfs, &dir).unwrap() {
        let mut copy = Copy::default();
        let tail = read_snapshot(&RealVfs, &dir, &file, &mut copy).unwrap();
        let (keep, path) = write_again(&copy, file.zxid, &tail, file.compression);
        let ours = list_snapshots(&RealVfs, keep.path()).unwrap().remove(0);
        assert_eq!(ours.name, file.name);
        let mut again = Copy::default();
        assert_eq!(
            read_snapshot(&RealVfs, keep.path(), &ours, &mut again).unwrap(),
            tail
        );
        assert_eq!(again.nodes, copy.nodes);
        if file.compression == Compression::Snappy {
            // One block: the frame around it is the same to the byte, whatever the compressor found inside.
            let (a, b) = (
                fs::read(path).unwrap(),
                fs::read(dir.join(&file.name)).unwrap(),
            );
            assert_eq!(a[..16], b[..16]);
        }
    }
}

#[test]
fn a_snapshot_larger_than_a_block_survives_every_compression() {
    for compression in [Compression::None, Compression::Gzip, Compression::Snappy] {
        let mut copy = Copy::default();
        for i in 0..5000 {
            let data = vec![i as u8; i % 300];
            let stat = StatPersisted {
                czxid: i as i64,
                ..StatPersisted::default()
            };
            let path = if i == 0 {
                String::new()
            } else {
                format!("/node-{i}")
            };
            copy.node(&path, (i % 7 > 0).then_some(&data), 3, &stat)
                .unwrap();
        }
        let tail = SnapshotTail {
            digest: None,
            last_processed: Some(Zxid(77)),
        };
        let (dir, _) = write_again(&copy, Zxid(77), &tail, compression);
        let file = list_snapshots(&RealVfs, dir.path()).unwrap().remove(0);
        let mut back = Copy::default();
        assert_eq!(
            read_snapshot(&RealVfs, dir.path(), &file, &mut back).unwrap(),
            tail
        );
        assert_eq!(back.nodes, copy.nodes, "{compression}");
    }
}

#[test]
fn the_sections_behind_the_tree_are_those_of_the_specification() {
    let dir = vectors().join("standalone");
    let files = list_snapshots(&RealVfs, &dir).unwrap();
    let tail = read_snapshot(&RealVfs, &dir, &files[0], &mut Copy::default()).unwrap();
    let digest = SnapshotDigest {
        zxid: Zxid(0x11),
        version: 2,
        value: 0x2_6b72_5d37,
    };
    assert_eq!(
        tail,
        SnapshotTail {
            digest: Some(digest),
            last_processed: None
        }
    );
}

#[test]
fn every_log_is_read_and_framed_again_byte_for_byte() {
    for (set, name, used, count) in [
        ("standalone", "log.1", 1838, 17),
        ("no-digest", "log.1", 342, 5),
        ("ensemble", "log.100000001", 894, 8),
    ] {
        let path = vectors().join(set).join(name);
        let original = fs::read(&path).unwrap();
        let mut reader = SegmentReader::open(&RealVfs, &path, PAYLOAD_MAX_DEFAULT).unwrap();
        let mut again = record::LOG_HEADER.to_vec();
        let mut records = 0;
        while reader.advance().unwrap() {
            record::encode_record(reader.record().unwrap().payload, &mut again);
            records += 1;
        }
        assert_eq!((again.len(), records), (used, count), "{set}");
        assert_eq!(again, original[..used], "{set}");
        let end = reader.end().unwrap();
        assert_eq!((end.offset, &end.defect), (used as u64, &None), "{set}");
    }
}

/// A copy of a vector directory as a server's data directory.
fn data_dir(set: &str) -> (tempfile::TempDir, DataDirs) {
    let temp = tempfile::tempdir().unwrap();
    let dirs = DataDirs::new(temp.path(), None);
    fs::create_dir(dirs.snap()).unwrap();
    for entry in fs::read_dir(vectors().join(set)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dirs.snap().join(entry.file_name())).unwrap();
    }
    (temp, dirs)
}

fn start(dirs: &DataDirs) -> Result<(Zxid, Start, Copy, Vec<String>), String> {
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
    let mut copy = Copy::default();
    let done =
        recover(&vfs, dirs, &RecoverOptions::default(), &mut copy).map_err(|e| e.to_string())?;
    Ok((done.last_zxid, done.start, copy, done.notes))
}

#[test]
fn a_directory_of_an_ensemble_member_starts_from_its_newest_snapshot() {
    let (_temp, dirs) = data_dir("ensemble");
    let (last, start, copy, notes) = start(&dirs).unwrap();
    assert_eq!(last, Zxid::new(2, 3));
    assert!(matches!(start, Start::Snapshot(s) if s.zxid == Zxid::new(1, 5)));
    assert_eq!(
        copy.txns,
        [Zxid::new(2, 1), Zxid::new(2, 2), Zxid::new(2, 3)]
    );
    assert_eq!(notes, Vec::<String>::new());
}

/// Damages a copy of `standalone` without its newer snapshot and starts from it.
fn damaged(change: impl FnOnce(&Path)) -> Result<Zxid, String> {
    let (_temp, dirs) = data_dir("standalone");
    fs::remove_file(dirs.snap().join("snapshot.11")).unwrap();
    change(dirs.snap());
    let (last, ..) = start(&dirs)?;
    // Whatever the first start did to the files, the next one finds the same.
    assert_eq!(start(&dirs).map(|(last, ..)| last), Ok(last));
    Ok(last)
}

fn patch(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn damaged_files_are_judged_as_by_the_reference_or_better() {
    let log = |change: fn(&mut Vec<u8>)| damaged(|dir| patch(&dir.join("log.1"), change));
    // Protocol 20.6, line by line.
    assert_eq!(damaged(|_| {}), Ok(Zxid(0x11)));
    assert_eq!(log(|b| b.truncate(0x710)), Ok(Zxid(0x10)));
    assert_eq!(log(|b| b.truncate(1838 + 3)), Ok(Zxid(0x11)));
    assert_eq!(log(|b| b[0x72d] = 0), Ok(Zxid(0x10)));
    assert!(
        log(|b| b[0x700] ^= 1)
            .unwrap_err()
            .contains("wrong checksum")
    );
    assert!(log(|b| b[0x6e3..0x6e7].copy_from_slice(&0x7fff_fff0u32.to_be_bytes())).is_err());
    assert!(log(|b| b[0x6e3..0x6e7].copy_from_slice(&[0xff; 4])).is_err());
    assert!(
        damaged(|dir| fs::remove_file(dir.join("snapshot.0")).unwrap())
            .unwrap_err()
            .contains("no snapshot")
    );
    // Better than 3.8.0, as 3.9.3: a segment that never got a record is nobody's loss.
    assert_eq!(
        damaged(|dir| fs::write(dir.join("log.12"), b"").unwrap()),
        Ok(Zxid(0x11))
    );
    assert_eq!(
        damaged(|dir| fs::write(dir.join("log.12"), b"ZKLG\0\0").unwrap()),
        Ok(Zxid(0x11))
    );

    let newer = |change: fn(&mut Vec<u8>)| {
        damaged(|dir| {
            fs::copy(
                vectors().join("standalone/snapshot.11"),
                dir.join("snapshot.11"),
            )
            .unwrap();
            patch(&dir.join("snapshot.11"), change);
        })
    };
    assert_eq!(newer(|b| b.truncate(b.len() - 1)), Ok(Zxid(0x11)));
    assert_eq!(newer(|b| b[0x240] ^= 1), Ok(Zxid(0x11)));
    let only = |change: fn(&mut Vec<u8>)| {
        damaged(|dir| {
            fs::copy(
                vectors().join("standalone/snapshot.11"),
                dir.join("snapshot.11"),
            )
            .unwrap();
            fs::remove_file(dir.join("snapshot.0")).unwrap();
            patch(&dir.join("snapshot.11"), change);
        })
    };
    assert_eq!(only(|b| b.truncate(0x438)), Ok(Zxid(0x11)));
    assert_eq!(
        only(|b| {
            b.extend_from_slice(&0x11u64.to_be_bytes());
            let sum = record::adler32(b);
            b.extend_from_slice(&u64::from(sum).to_be_bytes());
            b.extend_from_slice(b"\0\0\0\x01/");
        }),
        Ok(Zxid(0x11))
    );
    assert!(
        only(|b| b[0x240] ^= 1)
            .unwrap_err()
            .contains("no usable snapshot")
    );
}

#[test]
fn a_reader_begins_behind_any_txn() {
    for from in 0..=0x11 {
        let mut reader = LogReader::open(
            Arc::new(RealVfs),
            &vectors().join("standalone"),
            Zxid(from),
            PAYLOAD_MAX_DEFAULT,
        )
        .unwrap();
        let mut found = Vec::new();
        while reader.advance().unwrap() {
            found.push(reader.record().unwrap().zxid.0);
        }
        assert_eq!(found, (from + 1..=0x11).collect::<Vec<_>>());
    }
}
