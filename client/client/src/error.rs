//! How calls fail.

use thiserror::Error;
use zabra_cnxn::{CallError, ConnectStringError};
use zabra_jute::JuteError;
use zabra_proto::path::PathError;

use crate::ErrorCode;

/// Why a call has no result.
///
/// The distinction that matters: after [`Error::Server`], [`Error::Transaction`] and [`Error::Misuse`] nothing has changed;
/// after [`Error::ConnectionLoss`], [`Error::Timeout`], [`Error::SessionExpired`] and [`Error::Closed`] a write may or may not
/// have been carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused, and why; for which path, as the caller wrote it.
    #[error("{0} for {1:?}")]
    Server(ErrorCode, String),
    /// A transaction was refused as a whole.
    #[error("operation {failed} of the transaction: {} for {path:?}", codes.get(*failed).copied().unwrap_or(ErrorCode::OK))]
    Transaction {
        /// Which operation failed, counted from 0.
        failed: usize,
        /// The path of that operation.
        path: String,
        /// For each operation: `OK` before the failed one, its code, `RUNTIME_INCONSISTENCY` behind it.
        codes: Vec<ErrorCode>,
    },
    /// The connection was lost before the reply came: **the call may have been carried out**. Or there was no connection for
    /// as long as the session timeout. Calls made from now on use the next connection.
    #[error("the connection was lost; the call may have been carried out")]
    ConnectionLoss,
    /// The session has expired, with its ephemerals and watches.
    #[error("the session has expired")]
    SessionExpired,
    /// A server refused the credentials; the session cannot be used any more.
    #[error("authentication failed")]
    AuthFailed,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// No server answered in time: none could be connected to, or a reply took longer than the request timeout.
    #[error("no answer in time")]
    Timeout,
    /// The call was not made, since it could not have succeeded.
    #[error("{0}")]
    Misuse(#[from] Misuse),
    /// The server's reply cannot be read.
    #[error("a reply that cannot be read: {0}")]
    Reply(#[from] JuteError),
}

/// A call that is refused before it is made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// Not a path.
    #[error("{path:?}: {error}")]
    Path {
        /// What was given.
        path: String,
        /// What is wrong with it.
        error: PathError,
    },
    /// Not a list of servers.
    #[error("{0}")]
    ConnectString(#[from] ConnectStringError),
    /// A request that is longer than servers accept.
    #[error("a request of {len} bytes is longer than {len_max}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The limit, see [`Builder::frame_len_max`](crate::Builder::frame_len_max).
        len_max: usize,
    },
    /// A time to live that is 0 or longer than 0xff_ffff_ffff ms, is missing, or does not go with the mode.
    #[error("the mode and the time to live do not go together")]
    Ttl,
    /// There is no tokio runtime with time and I/O here.
    #[error("no tokio runtime here")]
    NoRuntime,
}

impl Error {
    /// The server's code, where one exists: of the operation that failed, for a transaction.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Server(code, _) => Some(*code),
            Self::Transaction { failed, codes, .. } => codes.get(*failed).copied(),
            Self::SessionExpired => Some(ErrorCode::SESSION_EXPIRED),
            Self::AuthFailed => Some(ErrorCode::AUTH_FAILED),
            _ => None,
        }
    }

    /// Whether the server refused with this code.
    #[must_use]
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code() == Some(code)
    }

    /// Whether a write that ended so may have been carried out, and nobody knows.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        matches!(
            self,
            Self::ConnectionLoss
                | Self::Timeout
                | Self::SessionExpired
                | Self::Closed
                | Self::Reply(_)
        )
    }

    /// Whether the same call may succeed on the same session if it is made again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::ConnectionLoss | Self::Timeout) || self.is(ErrorCode::THROTTLED_OP)
    }

    pub(crate) fn of_call(error: CallError, path: &str) -> Self {
        match error {
            CallError::Server(code) => Self::Server(code, path.to_owned()),
            CallError::ConnectionLoss => Self::ConnectionLoss,
            CallError::SessionExpired => Self::SessionExpired,
            CallError::AuthFailed => Self::AuthFailed,
            CallError::Closed => Self::Closed,
            CallError::Timeout => Self::Timeout,
            CallError::TooLong { len, len_max } => Misuse::TooLong { len, len_max }.into(),
        }
    }
}
