//! Snapshots: Apache's format, all compressions (protocol 13).
//!
//! [`read_snapshot`] feeds a [`SnapshotSink`]; [`SnapshotWriter`] takes parts that the tree has encoded. What servers send
//! each other has the same body and nothing around it: [`crate::StreamReader`].
//!
//! | Part | Bytes |
//! |---|---|
//! | header | `ZKSN`, version 2, dbid −1 |
//! | sessions | int count; per session long id, int timeout |
//! | ACL table | int count; per entry long key, vector of ACL |
//! | tree | per znode ustring path, buffer data, long ACL key, StatPersisted; then ustring `/` |
//! | seal | Adler-32 of everything before, as a long; ustring `/` |
//! | digest (from 3.6, optional) | long zxid, int version, long digest; then a seal |
//! | last zxid (from 3.9, optional) | long; then a seal |

mod body;
mod codec;
mod read;
mod write;

use std::path::Path;

use thiserror::Error;
use zabra_proto::{Acl, SessionId, StatPersisted, Zxid};

pub use read::{read_snapshot, read_snapshot_bytes};
pub use write::{PendingSnapshot, SnapshotWriter, WrittenSnapshot, encode_seal, encode_tail};

pub(crate) use body::{Body, BodyError, MARKER, Step};
pub(crate) use read::read_snapshot_raw;

use crate::error::{During, Result};
use crate::names::{Compression, parse_snapshot_name};
use crate::vfs::Vfs;

/// Takes what a snapshot holds, in the order of the file: sessions, ACLs, znodes, tail.
///
/// A snapshot that turns out to be damaged has been handed over in part: `reset` then comes before the next one, and
/// must leave nothing behind (P53). What was handed over counts only once the reader has returned.
pub trait SnapshotSink {
    /// Forget everything; the next snapshot begins.
    fn reset(&mut self);

    /// A session and its timeout.
    fn session(&mut self, id: SessionId, timeout_ms: i32) -> std::result::Result<(), Refusal>;

    /// An entry of the ACL table.
    fn acl(&mut self, key: i64, acl: Vec<Acl<'static>>) -> std::result::Result<(), Refusal>;

    /// A znode. Parents come before their children; the root's path is empty. ACL key −1 is open and in no table.
    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_key: i64,
        stat: &StatPersisted,
    ) -> std::result::Result<(), Refusal>;

    /// What stands behind the tree.
    fn tail(&mut self, tail: &SnapshotTail) -> std::result::Result<(), Refusal> {
        let _ = tail;
        Ok(())
    }
}

/// Why a sink does not take something, for the operator to read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// A sink that takes everything and keeps nothing, to verify a file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

impl SnapshotSink for Discard {
    fn reset(&mut self) {}

    fn session(&mut self, _: SessionId, _: i32) -> std::result::Result<(), Refusal> {
        Ok(())
    }

    fn acl(&mut self, _: i64, _: Vec<Acl<'static>>) -> std::result::Result<(), Refusal> {
        Ok(())
    }

    fn node(
        &mut self,
        _: &str,
        _: Option<&[u8]>,
        _: i64,
        _: &StatPersisted,
    ) -> std::result::Result<(), Refusal> {
        Ok(())
    }
}

/// The optional sections behind the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotTail {
    /// Digest of the tree, and when it held.
    pub digest: Option<SnapshotDigest>,
    /// The last zxid in the tree when it was completely written; Apache's fuzzy snapshots can be ahead of their name.
    pub last_processed: Option<Zxid>,
}

impl SnapshotTail {
    /// Up to where effects of txns may be in the tree, if the file says so.
    #[must_use]
    pub fn effects_up_to(&self) -> Option<Zxid> {
        self.last_processed.max(self.digest.map(|d| d.zxid))
    }
}

/// The digest section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotDigest {
    /// After which txn the tree had it.
    pub zxid: Zxid,
    /// How it was computed.
    pub version: i32,
    /// The digest.
    pub value: u64,
}

/// What is wrong with a snapshot.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is not as it was written.
    #[error("is damaged at byte {offset} of its content: {what}")]
    Damaged {
        /// Offset before compression.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The sink does not take it.
    #[error("is not accepted at byte {offset} of its content: {why}")]
    Refused {
        /// Offset before compression.
        offset: u64,
        /// The sink's words.
        why: Refusal,
    },
}

/// A snapshot in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotFile {
    /// When writing it began, from its name.
    pub zxid: Zxid,
    /// From its name.
    pub compression: Compression,
    /// File name.
    pub name: String,
    /// Bytes on disk.
    pub len: u64,
}

/// The snapshots of a directory, newest first.
pub fn list_snapshots(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<SnapshotFile>> {
    let entries = vfs.list(dir).during("list", dir)?;
    let mut found: Vec<SnapshotFile> = entries
        .into_iter()
        .filter_map(|e| {
            let (zxid, compression) = parse_snapshot_name(&e.name)?;
            Some(SnapshotFile {
                zxid,
                compression,
                name: e.name,
                len: e.len,
            })
        })
        .collect();
    found.sort();
    found.reverse();
    Ok(found)
}
