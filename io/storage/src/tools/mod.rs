//! What the file tools print: the texts of Apache's `zkTxnLogToolkit.sh`, `zkSnapShotToolkit.sh` and `zkCleanup.sh`.
//!
//! Here is everything but the reading of command lines. Output goes to a writer, failures come back as [`ToolFailure`]
//! with Apache's exit code. Times are printed in UTC, as Apache's tools do where the machine's zone is UTC.

mod date;
mod purged;
mod snapshot;
mod txnlog;
mod txntext;

use std::io;
use std::path::Path;

use thiserror::Error;

pub use purged::write_purged;
pub use snapshot::{SnapshotFormat, print_snapshot};
pub use txnlog::{DumpOptions, chop_txn_log, dump_txn_log};
pub use txntext::txn_line;

use crate::error::StorageError;

/// Why a tool stopped, for standard error, and what it exits with.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct ToolFailure {
    /// Apache's exit code.
    pub exit: u8,
    /// One line.
    pub message: String,
}

impl ToolFailure {
    pub(crate) fn new(exit: u8, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(1, format!("cannot {doing} {}: {error}", path.display()))
    }
}

impl From<io::Error> for ToolFailure {
    fn from(error: io::Error) -> Self {
        Self::new(1, format!("cannot print: {error}"))
    }
}

impl From<StorageError> for ToolFailure {
    fn from(error: StorageError) -> Self {
        Self::new(1, error.to_string())
    }
}

/// The last part of a path.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}
