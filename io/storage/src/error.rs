//! What storage can say when it cannot go on. Each message is one line: what is wrong, where, what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zabra_proto::Zxid;

/// Why recovery, or work on the files of a directory, stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The file system refused.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the history is not as it was written, and what is wrong may have been acknowledged.
    #[error(
        "{path} is damaged at byte {offset}, behind zxid {after}: {what}; restore the file from a backup, or remove \
         the data and let the server take it from the ensemble"
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the first bad byte belongs to.
        offset: u64,
        /// The last good zxid before it.
        after: Zxid,
        /// What is wrong there.
        what: String,
    },
    /// The history has a hole (R2).
    #[error(
        "txns are missing between zxid {after} and {found} ({path} at byte {offset}); restore the missing log files, or \
         remove the data and let the server take it from the ensemble"
    )]
    Gap {
        /// The segment in which the hole showed.
        path: PathBuf,
        /// Where the txn behind the hole begins.
        offset: u64,
        /// The last txn before the hole.
        after: Zxid,
        /// The first behind it.
        found: Zxid,
    },
    /// Snapshots are there, and none of them can be read.
    #[error(
        "no usable snapshot in {dir}: {why}; restore one from a backup, or remove the data and let the server take it \
         from the ensemble"
    )]
    NoValidSnapshot {
        /// The snapshot directory.
        dir: PathBuf,
        /// What is wrong with the newest.
        why: String,
    },
    /// Logs without any snapshot (P47).
    #[error(
        "there are transaction logs in {dir} but no snapshot; restore the snapshots, or if the data is from \
         ZooKeeper 3.4 and never had one, start once with zookeeper.snapshot.trust.empty=true"
    )]
    LogsWithoutSnapshot {
        /// The log directory.
        dir: PathBuf,
    },
    /// dataLogDir holds snapshots although dataDir is elsewhere.
    #[error(
        "log directory {dir} holds snapshot files ({example}); dataDir and dataLogDir seem to be exchanged"
    )]
    SnapshotsInLogDir {
        /// The log directory.
        dir: PathBuf,
        /// One of them.
        example: String,
    },
    /// dataDir holds logs although dataLogDir is elsewhere.
    #[error(
        "snapshot directory {dir} holds log files ({example}); move them to the dataLogDir's version-2"
    )]
    LogsInSnapshotDir {
        /// The snapshot directory.
        dir: PathBuf,
        /// One of them.
        example: String,
    },
    /// Another process uses the directory.
    #[error(
        "{path} is in use by another process; stop that server, or give this one its own directory"
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The reader of the history refused a txn.
    #[error("the txn at byte {offset} of {path} (zxid {zxid}) cannot be applied: {why}")]
    Refused {
        /// The segment.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// The txn.
        zxid: Zxid,
        /// What the reader said.
        why: String,
    },
    /// One of our own small records is damaged.
    #[error("{path} is damaged: {what}")]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A truncation cannot be done from what is here; the caller needs a snapshot from its leader.
    #[error("cannot truncate the history to zxid {to}: {why}")]
    CannotTruncate {
        /// Up to where the history should stay.
        to: Zxid,
        /// Why it cannot.
        why: String,
    },
    /// The epoch files contradict the history or each other.
    #[error("{0}")]
    Epochs(String),
}

impl StorageError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

/// What storage returns.
pub type Result<T> = std::result::Result<T, StorageError>;

/// Says what was tried on which path, where an `io::Result` becomes a [`StorageError`].
pub(crate) trait During<T> {
    fn during(self, doing: &'static str, path: &Path) -> Result<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| StorageError::io(doing, path, source))
    }
}
