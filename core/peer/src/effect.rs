//! What a peer wants done.

use std::sync::Arc;

use zabra_proto::{ConnId, ErrorCode, SessionId, Zxid};

use zabra_tree::QuotaExceeded;

use crate::Origin;

/// A transaction that is decided for ever: to be applied, then answered.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Its number.
    pub zxid: Zxid,
    /// Its bytes, as they are in the log.
    pub payload: Arc<[u8]>,
    /// Who waits for it on this server.
    pub origin: Option<Origin>,
}

/// Something to do, in the order given.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Append to the log; report [`Input::Flushed`](crate::Input::Flushed) once it is durable.
    Append {
        /// Its number.
        zxid: Zxid,
        /// Its bytes.
        payload: Arc<[u8]>,
    },
    /// Apply to the replica and answer; then report [`Input::Applied`](crate::Input::Applied).
    Commit(Commit),
    /// Answer a request that became no transaction.
    Reply(Origin, ErrorCode),
    /// The session is the connection's.
    SessionResumed {
        /// The connection.
        conn: ConnId,
        /// The session.
        session: SessionId,
        /// Its timeout.
        timeout_ms: i32,
    },
    /// The session cannot be had.
    SessionRefused(ConnId),
    /// A write exceeds a quota: worth a line in the log.
    QuotaExceeded(QuotaExceeded),
    /// Close the connection: its session is not known any more.
    HangUp(ConnId),
}
