//! What a peer is told.

use zabra_proto::{ConnId, Identity, MonoMillis, OpCode, SessionId, WallMillis, Xid, Zxid};

/// The time, from outside: one clock for timers, one that is only data (R9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Never goes back.
    pub mono: MonoMillis,
    /// May jump; becomes ctime and mtime.
    pub wall: WallMillis,
}

/// What a client of this server asked that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A new session.
    Session,
    /// A request.
    Op(OpCode),
}

/// Where an answer goes. The connection id is never used twice, so that an answer to a connection that is gone finds
/// nobody, whatever xid a later one uses (P86).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The connection.
    pub conn: ConnId,
    /// The connection's own number for the request; xids may repeat.
    pub seq: u64,
    /// The client's number for the request.
    pub xid: Xid,
    /// What was asked.
    pub ask: Ask,
}

/// A request that must become a transaction.
#[derive(Debug, Clone, Copy)]
pub struct WriteRequest<'a> {
    /// Who waits for the answer.
    pub origin: Origin,
    /// What is asked.
    pub op: OpCode,
    /// On whose behalf.
    pub session: SessionId,
    /// The request's record, not decoded yet: a learner forwards the same bytes.
    pub body: &'a [u8],
    /// Who the client has shown itself to be.
    pub identities: &'a [Identity],
}

/// Everything that can happen to a peer.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A client's write.
    Write(WriteRequest<'a>),
    /// A client's `sync`: answered once everything proposed before it is committed.
    Sync(Origin),
    /// A client wants a new session with this timeout, already clamped.
    OpenSession {
        /// Who waits for it.
        conn: ConnId,
        /// Granted timeout.
        timeout_ms: i32,
    },
    /// A client with the right password wants to take up a session.
    ResumeSession {
        /// Who waits for it.
        conn: ConnId,
        /// Which.
        session: SessionId,
        /// Granted timeout.
        timeout_ms: i32,
    },
    /// A session was heard of.
    Touched {
        /// Which.
        session: SessionId,
        /// When.
        heard: MonoMillis,
    },
    /// Everything up to here is on stable storage.
    Flushed(Zxid),
    /// The commit with this number is in the tree.
    Applied(Zxid),
    /// Whether the disk is so full that writes are refused (design 2.6).
    DiskLow(bool),
    /// Time has passed. Touches that were heard before it must have come in.
    Tick,
}
