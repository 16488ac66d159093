//! A server's history in miniature: a state that knows nothing of znodes, only which txns are in it.
//!
//! Each txn of the scripted histories creates `/n<zxid>`; a snapshot holds one znode per txn. So the recovered state
//! names its txns one by one, and a hole, a ghost or a loss shows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use zabra_jute::{Encode, Limits};
use zabra_proto::quorum_packet::Message;
use zabra_proto::{
    Acl, Perms, SessionId, StatPersisted, TxnHeader, TxnKind, WallMillis, Xid, Zxid,
};
use zabra_storage::{
    Compression, DataDirs, Incoming, IncomingError, LogOptions, MarkFile, PendingHistory,
    PendingSnapshot, RecoverOptions, Recovered, RecoverySink, Refusal, SnapshotDigest,
    SnapshotSink, SnapshotTail, SnapshotWriter, Start, StorageError, TxnLog, Vfs, recover,
};

/// What recovery handed over.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Twin {
    /// Sessions with their timeouts.
    pub sessions: BTreeMap<i64, i32>,
    /// ACL lists with their lengths.
    pub acls: BTreeMap<i64, usize>,
    /// zxid to payload's data.
    pub txns: BTreeMap<u64, Vec<u8>>,
}

impl SnapshotSink for Twin {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn session(&mut self, id: SessionId, timeout_ms: i32) -> Result<(), Refusal> {
        self.sessions.insert(id.0, timeout_ms);
        Ok(())
    }

    fn acl(&mut self, key: i64, acl: Vec<Acl<'static>>) -> Result<(), Refusal> {
        self.acls.insert(key, acl.len());
        Ok(())
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        _: i64,
        stat: &StatPersisted,
    ) -> Result<(), Refusal> {
        if !path.is_empty() {
            let zxid = path
                .strip_prefix("/n")
                .and_then(|hex| u64::from_str_radix(hex, 16).ok())
                .ok_or_else(|| Refusal(format!("unexpected path {path}")))?;
            if zxid != stat.czxid as u64 {
                return Err(Refusal("path and czxid differ".into()));
            }
            self.txns.insert(zxid, data.unwrap_or_default().to_vec());
        }
        Ok(())
    }
}

impl RecoverySink for Twin {
    fn txn(&mut self, header: &TxnHeader, payload: &[u8]) -> Result<(), Refusal> {
        self.txns.insert(header.zxid.0, payload[32..].to_vec());
        Ok(())
    }
}

/// What the txn with this number writes.
pub fn data_of(zxid: Zxid, len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (zxid.0 as u8).wrapping_mul(31).wrapping_add(i as u8) | 1)
        .collect()
}

/// The txn with this number.
pub fn payload(zxid: Zxid, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let header = TxnHeader {
        session: SessionId(0x1234),
        cxid: Xid(zxid.counter() as i32),
        zxid,
        time: WallMillis(1_700_000_000_000),
        kind: TxnKind::Create,
    };
    header.encode(&mut out);
    out.extend_from_slice(data);
    out
}

/// A log that grows in small steps.
pub fn small_log() -> LogOptions {
    LogOptions {
        preallocate: 4096,
        ..LogOptions::default()
    }
}

/// Where everything is.
pub fn dirs() -> DataDirs {
    DataDirs::new(Path::new("/data"), None)
}

/// A start from what is there.
///
/// # Errors
/// As of recovery.
pub fn try_recover(vfs: &Arc<dyn Vfs>) -> Result<(Twin, Recovered), StorageError> {
    let mut twin = Twin::default();
    let recovered = recover(vfs, &dirs(), &RecoverOptions::default(), &mut twin)?;
    Ok((twin, recovered))
}

/// Tells the snapshots of a leader apart from the server's own.
pub const RECEIVED: &str = "received-1";

/// Writes a snapshot.
///
/// # Errors
/// Of the disk.
pub fn write_snapshot(
    vfs: &Arc<dyn Vfs>,
    twin: &Twin,
    zxid: Zxid,
    compression: Compression,
    mark: &MarkFile,
) -> Result<(), StorageError> {
    let mut writer = SnapshotWriter::begin(Arc::clone(vfs), dirs().snap(), zxid, compression)?;
    for chunk in body_of(twin).chunks(333) {
        writer.chunk(chunk)?;
    }
    writer.finish(&tail_of(zxid), Some(mark))?;
    Ok(())
}

/// A snapshot as it lies there before it counts.
///
/// # Errors
/// Of the disk.
pub fn pending_snapshot(
    vfs: &Arc<dyn Vfs>,
    twin: &Twin,
    zxid: Zxid,
) -> Result<PendingSnapshot, StorageError> {
    let snap = dirs().snap().to_owned();
    let mut writer =
        SnapshotWriter::begin_as(RECEIVED, Arc::clone(vfs), &snap, zxid, Compression::None)?;
    writer.chunk(&body_of(twin))?;
    writer.finish_pending(&SnapshotTail::default())
}

/// What a leader sends behind a SNAP: its snapshot's stream, and txns with their decisions up to NEWLEADER.
pub fn sent_behind_snap(snapshot: &Twin, txns: &[(Zxid, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = body_of(snapshot);
    bytes.extend_from_slice(b"\0\0\0\x01/\0\0\0\x0aBenWasHere");
    for (zxid, data) in txns {
        let (zxid, txn) = (*zxid, &payload(*zxid, data)[..]);
        Message::Proposal { zxid, txn }.encode(&mut bytes);
        Message::Commit { zxid }.encode(&mut bytes);
    }
    new_leader().encode(&mut bytes);
    bytes
}

/// Ends what a leader sends.
pub fn new_leader() -> Message<'static> {
    Message::NewLeader {
        zxid: Zxid::new(9, 0),
        membership: Some(b"server.1=a:1:2:participant\nversion=0"),
    }
}

/// Takes in what a leader sent, in pieces of one length.
///
/// # Errors
/// If it is no history, or of the disk.
pub fn take_in(
    vfs: &Arc<dyn Vfs>,
    zxid: Zxid,
    bytes: &[u8],
    piece: usize,
) -> Result<(Twin, PendingHistory, Vec<u8>), IncomingError> {
    let (none, limits) = (Compression::None, Limits::DEFAULT);
    let mut incoming = Incoming::begin(RECEIVED, vfs, &dirs(), zxid, none, limits)?;
    let mut twin = Twin::default();
    for piece in bytes.chunks(piece) {
        incoming.push(piece, &mut twin)?;
    }
    let (history, rest) = incoming.finish()?;
    Ok((twin, history, rest))
}

/// Sessions, ACL table and one znode per txn, without the end marker.
pub fn body_of(twin: &Twin) -> Vec<u8> {
    let mut out = Vec::new();
    (twin.sessions.len() as i32).encode(&mut out);
    for (id, timeout) in &twin.sessions {
        id.encode(&mut out);
        timeout.encode(&mut out);
    }
    1i32.encode(&mut out);
    1i64.encode(&mut out);
    vec![Acl::world(Perms::ALL)].encode(&mut out);
    let mut node = |path: &str, data: Option<&[u8]>, czxid: u64| {
        path.encode(&mut out);
        data.encode(&mut out);
        1i64.encode(&mut out);
        StatPersisted {
            czxid: czxid as i64,
            ..StatPersisted::default()
        }
        .encode(&mut out);
    };
    node("", Some(b""), 0);
    for (z, data) in &twin.txns {
        node(&format!("/n{z:x}"), Some(data), *z);
    }
    out
}

fn tail_of(zxid: Zxid) -> SnapshotTail {
    SnapshotTail {
        digest: Some(SnapshotDigest {
            zxid,
            version: 2,
            value: 7,
        }),
        last_processed: Some(zxid),
    }
}

/// A server in miniature: recovers, writes its first snapshot, logs.
pub struct Server {
    /// Its disk.
    pub vfs: Arc<dyn Vfs>,
    /// What it should hold.
    pub twin: Twin,
    /// Its log.
    pub log: TxnLog,
    /// How it began.
    pub recovered: Recovered,
}

impl Server {
    /// Starts from what is there.
    ///
    /// # Errors
    /// As of recovery.
    pub fn start(vfs: &Arc<dyn Vfs>) -> Result<Self, StorageError> {
        let (mut twin, recovered) = try_recover(vfs)?;
        if recovered.start == Start::New {
            twin.sessions.insert(5, 30_000);
            write_snapshot(vfs, &twin, Zxid::ZERO, Compression::None, &recovered.mark)?;
            dirs().remove_initialize(&**vfs)?;
        }
        let mark = Arc::clone(&recovered.mark);
        let log = TxnLog::new(
            Arc::clone(vfs),
            dirs().log(),
            small_log(),
            mark,
            recovered.last_zxid,
        );
        Ok(Self {
            vfs: Arc::clone(vfs),
            twin,
            log,
            recovered,
        })
    }

    /// Appends txns of these lengths, without flushing.
    ///
    /// # Panics
    /// If the log does not take them.
    pub fn append(&mut self, lens: &[usize]) {
        for len in lens {
            self.append_as(self.log.last_appended().next(), *len);
        }
    }

    /// Appends a txn of this number and length, without flushing.
    ///
    /// # Panics
    /// If the log does not take it.
    pub fn append_as(&mut self, zxid: Zxid, len: usize) {
        let data = data_of(zxid, len);
        self.log.append(zxid, &payload(zxid, &data)).unwrap();
        self.twin.txns.insert(zxid.0, data);
    }

    /// Writes a snapshot of everything appended.
    ///
    /// # Errors
    /// Of the disk.
    pub fn snapshot(&self, compression: Compression) -> Result<(), StorageError> {
        write_snapshot(
            &self.vfs,
            &self.twin,
            self.log.last_appended(),
            compression,
            &self.recovered.mark,
        )
    }
}
