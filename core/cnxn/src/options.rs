//! What a session is asked to be.

use std::fmt;

use zabra_proto::{SessionId, password};

/// Settings of a [`Cnxn`](crate::Cnxn).
#[derive(Debug, Clone)]
pub struct CnxnOptions {
    /// The session timeout to ask for, in ms. The server has the last word.
    pub session_timeout_ms: i32,
    /// Whether a server without a quorum will do, for reads (features CL-11).
    pub allow_read_only: bool,
    /// Longest frame, in bytes, that is sent or accepted (features CL-20).
    pub frame_len_max: usize,
    /// How long a call may wait for its reply (features CL-12); `None`: as long as the session may.
    pub request_timeout_ms: Option<u64>,
    /// Whether the session is declared expired here after 4/3 of its timeout without a word from a server (features CL-18).
    pub local_expiry: bool,
    /// How long an orderly close waits for the server's answer.
    pub close_timeout_ms: u64,
}

impl Default for CnxnOptions {
    fn default() -> Self {
        Self {
            session_timeout_ms: 30_000,
            allow_read_only: false,
            frame_len_max: 0xfffff,
            request_timeout_ms: None,
            local_expiry: false,
            close_timeout_ms: 1_000,
        }
    }
}

/// A session that exists already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResumedSession {
    /// Its id.
    pub id: SessionId,
    /// Its password.
    pub password: [u8; password::LEN],
}

impl fmt::Debug for ResumedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumedSession")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An identity to claim, on each connection anew.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `digest`, or another scheme that the server has.
    pub scheme: String,
    /// The scheme's own bytes: `user:password` for `digest`.
    pub auth: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}
