//! Snapshots between servers: those that Apache 3.8.0 sent, our own, and what is none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io;
use std::path::Path;
use std::sync::Arc;

use common::{Server, Twin, dirs};
use zabra_proto::{Acl, SessionId, StatPersisted, Zxid};
use zabra_storage::{
    Compression, Refusal, SendError, SnapshotFile, SnapshotSink, SnapshotTail, SnapshotWriter,
    StreamError, StreamReader, Vfs, list_snapshots, send_snapshot,
};
use zabra_testkit::disk::FaultyDisk;

/// What a stream holds, as text.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lines(Vec<String>);

impl SnapshotSink for Lines {
    fn reset(&mut self) {
        self.0.clear();
    }

    fn session(&mut self, id: SessionId, timeout_ms: i32) -> Result<(), Refusal> {
        self.0.push(format!("session {:x} {timeout_ms}", id.0));
        Ok(())
    }

    fn acl(&mut self, key: i64, acl: Vec<Acl<'static>>) -> Result<(), Refusal> {
        let list: Vec<String> = acl
            .iter()
            .map(|a| format!("{}:{}:{}", a.scheme, a.id, a.perms.0))
            .collect();
        self.0.push(format!("acl {key} {}", list.join(",")));
        Ok(())
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_key: i64,
        stat: &StatPersisted,
    ) -> Result<(), Refusal> {
        let data = data.map(|d| {
            String::from_utf8_lossy(d)
                .chars()
                .take(12)
                .collect::<String>()
        });
        self.0.push(format!(
            "node {path:?} {data:?} acl {acl_key} czxid {:x} version {} owner {:x}",
            stat.czxid, stat.version, stat.ephemeral_owner
        ));
        Ok(())
    }
}

/// What the leader of a recording sent, from the first byte behind SNAP.
fn recorded(name: &str) -> Vec<u8> {
    // The recordings of the quorum port are kept with the packets.
    let folder = "../../core/proto/tests/vectors/quorum";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let bytes = std::fs::read(path.join(format!("{name}.s2c.bin"))).unwrap();
    assert_eq!(bytes[24..28], [0, 0, 0, 15], "SNAP behind LEADERINFO");
    bytes[44..].to_vec()
}

/// Reads a stream in pieces of one length; what it holds and where it ends.
fn read(bytes: &[u8], piece: usize) -> Result<(Lines, Option<usize>), StreamError> {
    let mut lines = Lines::default();
    let mut reader = StreamReader::new();
    let mut at = 0;
    for piece in bytes.chunks(piece) {
        if let Some(n) = reader.push(piece, &mut lines, None)? {
            assert_eq!(reader.offset() as usize, at + n);
            return Ok((lines, Some(at + n)));
        }
        at += piece.len();
    }
    Ok((lines, None))
}

#[test]
fn the_recorded_snapshots_are_read_in_pieces_of_any_size() {
    for (name, len) in [
        ("11-follower-snap-then-serve", 587),
        ("12-observer", 871),
        ("14-follower-snap-wiped", 1130),
    ] {
        let bytes = recorded(name);
        let whole = read(&bytes, bytes.len()).unwrap();
        assert_eq!(whole.1, Some(len), "{name}");
        // NEWLEADER follows.
        assert_eq!(bytes[len..len + 4], [0, 0, 0, 10]);
        for piece in [1, 2, 3, 7, 13, 64, 255, 586, 587, 588] {
            assert_eq!(
                read(&bytes, piece).unwrap(),
                whole,
                "{name} in pieces of {piece}"
            );
        }
        assert_eq!(read(&bytes[..len - 1], 50).unwrap().1, None);
    }
}

#[test]
fn the_recorded_snapshots_hold_what_the_recorder_saw() {
    let lines = |name| read(&recorded(name), 100).unwrap().0.0;
    let empty = lines("11-follower-snap-then-serve");
    assert_eq!(
        empty,
        [
            "acl 1 world:anyone:1",
            r#"node "" Some("") acl -1 czxid 0 version 0 owner 0"#,
            r#"node "/zookeeper" Some("") acl -1 czxid 0 version 0 owner 0"#,
            r#"node "/zookeeper/config" Some("server.1=127") acl 1 czxid 0 version -1 owner 0"#,
            r#"node "/zookeeper/quota" Some("") acl -1 czxid 0 version 0 owner 0"#,
        ]
    );
    let count = |lines: &[String], kind: &str| lines.iter().filter(|l| l.starts_with(kind)).count();
    let observer = lines("12-observer");
    let has = |line: &str| assert!(observer.contains(&line.to_owned()), "{line}");
    has("session 1000012c2550000 20000");
    has(r#"node "/a" Some("mm") acl 2 czxid 100000002 version 2 owner 0"#);
    has(r#"node "/e" Some("") acl 2 czxid 100000004 version 0 owner 1000012c2550000"#);
    let wiped = lines("14-follower-snap-wiped");
    assert_eq!(
        ["session", "acl", "node"].map(|kind| count(&wiped, kind)),
        [1, 2, 10]
    );
}

/// A snapshot file that holds exactly what a stream holds.
fn file_of(stream: &[u8], compression: Compression, disk: &FaultyDisk) -> SnapshotFile {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let snap = dirs().snap().to_owned();
    disk.create_dir_all(&snap).unwrap();
    let zxid = Zxid::new(1, 6);
    let mut writer = SnapshotWriter::begin(vfs, &snap, zxid, compression).unwrap();
    let mut reader = StreamReader::new();
    for piece in stream.chunks(99) {
        let end = reader.push(piece, &mut Lines::default(), Some(&mut writer));
        if end.unwrap().is_some() {
            break;
        }
    }
    let tail = SnapshotTail {
        last_processed: Some(zxid),
        ..SnapshotTail::default()
    };
    writer.finish(&tail, None).unwrap().file
}

#[test]
fn what_was_kept_of_a_stream_is_sent_as_the_same_stream() {
    for compression in [Compression::None, Compression::Gzip, Compression::Snappy] {
        for name in ["12-observer", "14-follower-snap-wiped"] {
            let bytes = recorded(name);
            let len = read(&bytes, 50).unwrap().1.unwrap();
            let disk = FaultyDisk::new();
            let file = file_of(&bytes, compression, &disk);
            let mut sent = Vec::new();
            let tail = send_snapshot(&disk, dirs().snap(), &file, &mut |part| {
                sent.extend_from_slice(part);
                Ok(())
            });
            assert_eq!(tail.unwrap().last_processed, Some(Zxid::new(1, 6)));
            assert_eq!(sent, bytes[..len], "{name} {compression}");
        }
    }
}

#[test]
fn a_damaged_file_never_comes_to_its_signature() {
    let disk = FaultyDisk::new();
    let file = file_of(&recorded("12-observer"), Compression::None, &disk);
    let path = dirs().snap().join(&file.name);
    let good = disk.files()[&path].clone();
    // The first bytes are not looked at: version and dbid are nobody's business.
    for at in (0..4).chain(16..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        disk.put(&path, bad);
        let mut sent = Vec::new();
        let result = send_snapshot(&disk, dirs().snap(), &file, &mut |part| {
            sent.extend_from_slice(part);
            Ok(())
        });
        assert!(matches!(result, Err(SendError::Snapshot(_))), "byte {at}");
        assert!(!sent.ends_with(b"BenWasHere"), "byte {at}");
    }
}

#[test]
fn a_link_that_breaks_is_told_from_a_file_that_is_damaged() {
    let disk = FaultyDisk::new();
    let file = file_of(&recorded("12-observer"), Compression::Gzip, &disk);
    let mut left = 3;
    let result = send_snapshot(&disk, dirs().snap(), &file, &mut |_| {
        left -= 1;
        if left == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    });
    assert!(matches!(result, Err(SendError::Link(e)) if e.kind() == io::ErrorKind::BrokenPipe));
}

fn refused(bytes: &[u8]) -> StreamError {
    let whole = read(bytes, bytes.len()).unwrap_err();
    let dripped = read(bytes, 1).unwrap_err();
    assert_eq!(whole.to_string(), dripped.to_string());
    whole
}

#[test]
fn another_signature_is_refused_at_its_first_wrong_byte() {
    let bytes = recorded("11-follower-snap-then-serve");
    for at in 573..587 {
        let mut bad = bytes[..=at].to_vec();
        bad[at] ^= 0x20;
        assert!(refused(&bad).to_string().contains("signature"), "byte {at}");
    }
}

#[test]
fn impossible_lengths_are_refused_before_what_they_measure_has_arrived() {
    let int = |value: i32| value.to_be_bytes().to_vec();
    let empty = [int(0), int(0)].concat();
    for (bytes, what) in [
        ([empty.clone(), int(-1)].concat(), "negative"),
        ([empty.clone(), int(i32::MAX)].concat(), "out of bounds"),
        ([empty.clone(), int(0), int(-2)].concat(), "negative"),
        ([empty, int(0), int(i32::MAX)].concat(), "out of bounds"),
        (
            [
                int(0),
                int(1),
                int(0),
                int(1),
                int(1),
                int(1),
                int(i32::MAX),
            ]
            .concat(),
            "out of bounds",
        ),
    ] {
        assert!(refused(&bytes).to_string().contains(what), "{bytes:?}");
    }
}

#[test]
fn what_the_sink_refuses_is_named_with_its_place() {
    let disk = FaultyDisk::new();
    let server = Server::start(&(Arc::new(disk.clone()) as Arc<dyn Vfs>)).unwrap();
    drop(server);
    let file = list_snapshots(&disk, dirs().snap()).unwrap().remove(0);
    let mut stream = Vec::new();
    send_snapshot(&disk, dirs().snap(), &file, &mut |part| {
        stream.extend_from_slice(part);
        Ok(())
    })
    .unwrap();
    // The twin knows no such znode.
    let node_at = stream.len() - 14 - 5;
    let mut with_stranger = stream[..node_at].to_vec();
    with_stranger.extend_from_slice(&[0, 0, 0, 2, b'/', b'x']);
    with_stranger.extend_from_slice(&[0; 72]);
    let mut twin = Twin::default();
    let refused = StreamReader::new().push(&with_stranger, &mut twin, None);
    assert!(matches!(
        refused,
        Err(StreamError::Refused { offset, .. }) if offset as usize == node_at
    ));
}
