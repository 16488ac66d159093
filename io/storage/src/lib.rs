//! Transaction logs and snapshots on disk, byte-compatible with Apache's.
//!
//! | To | see |
//! |---|---|
//! | start a server from its files | [`recover()`] |
//! | log txns with group commit | [`TxnLog`] |
//! | read txns back, at a start or for a learner | [`LogReader`] |
//! | write and read snapshots | [`SnapshotWriter`], [`read_snapshot`] |
//! | take and send snapshots between servers | [`StreamReader`], [`send_snapshot`] |
//! | mend a damaged log from other members' | [`Wound`], [`intact_behind`] |
//! | cut or replace the history, as a leader asks | [`truncate()`], [`Incoming`], [`adopt_history`] |
//! | remove what is not needed any more | [`purge()`] |
//! | keep a member's promises | [`Epochs`] |
//! | print files as Apache's tools do | [`tools`] |
//! | put all of it on a simulated disk | [`Vfs`] |
//!
//! This crate knows files, frames, seals and zxids. It does not know what a txn does (`zabra-tree`), who decides it
//! (`zabra-peer`), or when to flush and to take snapshots (`zabra-server`). What it promises after any crash is proved
//! in `tests/crash.rs`, and after any damaged byte in `tests/damage.rs`.

#![forbid(unsafe_code)]

mod dirs;
mod epochs;
mod error;
#[cfg(any(test, feature = "faults"))]
pub mod faults;
mod history;
mod incoming;
mod log;
mod mark;
mod mend;
pub mod names;
mod purge;
mod real;
pub mod record;
mod recover;
mod segment;
mod snapshot;
mod stream;
mod temp;
pub mod tools;
mod truncate;
mod vfs;
mod window;

pub use dirs::{DataDirs, DirsLock};
pub use epochs::Epochs;
pub use error::{Result, StorageError};
pub use history::{
    FinishedSegment, HistoryEnd, LogReader, PAYLOAD_MAX_DEFAULT, Trust, first_needed,
};
pub use incoming::{AdoptedHistory, Incoming, IncomingError, PendingHistory};
pub use log::{Flushed, LogError, LogOptions, TxnLog, UNSYNCED_MAX};
pub use mark::{Mark, MarkFile, Segment};
pub use mend::{Healing, Wound, intact_behind};
pub use names::Compression;
pub use purge::{PurgeOptions, Purged, purge};
pub use real::RealVfs;
pub use recover::{RecoverOptions, Recovered, RecoverySink, Start, recover};
pub use segment::{Defect, DefectKind, Record, SegmentEnd, SegmentReader};
pub use snapshot::{
    Discard, PendingSnapshot, Refusal, SnapshotDigest, SnapshotError, SnapshotFile, SnapshotSink,
    SnapshotTail, SnapshotWriter, WrittenSnapshot, encode_seal, encode_tail, list_snapshots,
    read_snapshot, read_snapshot_bytes,
};
pub use stream::{SendError, StreamError, StreamReader, send_snapshot};
pub use truncate::{adopt_history, truncate};
pub use vfs::{Access, DirEntry, Vfs, VfsFile};
