//! What a peer is told.

use zabra_election::{LinkFact, Received};
use zabra_proto::quorum_packet::Message;
use zabra_proto::{ConnId, Identity, MonoMillis, OpCode, SessionId, Sid, WallMillis, Xid, Zxid};
use zabra_zab::{Epochs, LinkId};

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
    /// A client's `sync`: answered once everything that was decided anywhere before it is applied here.
    Sync {
        /// Who waits for it.
        origin: Origin,
        /// On whose behalf.
        session: SessionId,
    },
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
        /// Its timeout, ms.
        timeout_ms: i32,
        /// When.
        heard: MonoMillis,
    },
    /// Everything up to here is on stable storage.
    Flushed(Zxid),
    /// The commit with this number is in the tree.
    Applied(Zxid),
    /// Whether the disk is so full that writes are refused (design 2.6).
    DiskLow(bool),
    /// Time has passed, at the latest at [`crate::Peer::next_deadline`]. Touches and packets that were heard before it
    /// must have come in.
    Tick,
    /// This server did nothing for a while, as when it was stopped or starved. What came on its links has come in, what its
    /// clients sent has not: it may have lost its place in the ensemble, and must know before it answers them (P75).
    Woken,
    /// The sessions in the replica, as [`crate::Effect::ListSessions`] asked.
    Sessions(&'a [(SessionId, i32)]),
    /// The epochs are on stable storage.
    EpochsSaved(Epochs),
    /// The log ends with this transaction; nothing behind it is left on the disk.
    Truncated(Zxid),
    /// The log cannot be cut where [`crate::Effect::Truncate`] asked, and nothing was changed: the transaction is not in it,
    /// or every snapshot is newer. Only a leader's snapshot helps.
    CannotTruncate,
    /// A leader's snapshot has become the history, on stable storage and in the replica. The log goes on behind it.
    SnapshotInstalled(Zxid),
    /// A vote arrived.
    Vote(&'a Received),
    /// The election link to a server changed.
    ElectionLink(Sid, LinkFact),
    /// A learner connected to this server's quorum port.
    LearnerConnected(LinkId),
    /// How an attempt to connect to the leader ended: with a link, or with none.
    Dialed {
        /// Which attempt.
        dial: DialId,
        /// The connection, if there is one.
        link: Option<LinkId>,
    },
    /// A packet arrived on a quorum link. Behind a SNAP the shell reads the snapshot itself.
    Packet(LinkId, &'a Message<'a>),
    /// A quorum link is gone. Never for one that the peer closed.
    LinkClosed(LinkId),
    /// The server is to stop: a leader finishes what it has begun and gives up leadership in good order. Ends in
    /// [`crate::Effect::Stopped`].
    Stop,
}

/// An attempt to connect to the leader. Never used twice (R12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);
