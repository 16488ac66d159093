//! How calls and links end badly.

use thiserror::Error;
use zabra_jute::JuteError;
use zabra_proto::{ErrorCode, Xid};

/// Why a call has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CallError {
    /// The server said no.
    #[error("{0}")]
    Server(ErrorCode),
    /// The connection was lost after the call was made: nobody knows whether it was carried out.
    #[error("the connection was lost")]
    ConnectionLoss,
    /// The session is gone.
    #[error("the session has expired")]
    SessionExpired,
    /// The credentials were refused; the session cannot be used.
    #[error("authentication failed")]
    AuthFailed,
    /// The session was closed from here.
    #[error("the session is closed")]
    Closed,
    /// No reply came within the request timeout. It may still be carried out.
    #[error("no reply in time")]
    Timeout,
    /// The request is longer than any server would take, in bytes.
    #[error("a request of {len} bytes is longer than {len_max}")]
    TooLong {
        /// Its length.
        len: usize,
        /// The limit.
        len_max: usize,
    },
}

/// Why a link cannot go on. It must be closed; the session lives on, elsewhere or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LinkError {
    /// A frame of negative length, or longer than replies may be (features CL-20).
    #[error("a frame of {0} bytes")]
    FrameLength(i32),
    /// A frame that is not what it should be.
    #[error("a frame that cannot be read: {0}")]
    Malformed(#[from] JuteError),
    /// A reply to a request that was not made, or out of order (features CL-27).
    #[error("a reply to request {found:?} where {expected:?} was due")]
    OutOfOrder {
        /// The xid that came.
        found: Xid,
        /// The xid of the oldest request without a reply, if there is any.
        expected: Option<Xid>,
    },
}
