//! What clients note.

use std::sync::Arc;

/// A time that all clients of a history share, µs.
pub type Micros = u64;
/// The number of a session.
pub type SessionId = i64;
/// The zxid of an answer or a Stat.
pub type Zxid = i64;
/// What a znode holds. No value is written twice in a history.
pub type Value = u64;
/// Where a znode is.
pub type Path = Arc<str>;
/// The fencing token of a lock's holder.
pub type Token = i64;

/// What several clients noted, each in its order.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Entries of one session are in the order in which its client met them.
    pub entries: Vec<Entry>,
    /// What was written up to here is not in the entries.
    pub since: Zxid,
}

/// One note of a client.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Whose.
    pub session: SessionId,
    /// When.
    pub at: Micros,
    /// What.
    pub what: What,
}

/// What a client notes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It sends a request; `call` tells its requests apart.
    Asked {
        /// Its number.
        call: u64,
        /// What for.
        ask: Ask,
    },
    /// A request was answered.
    Told {
        /// Which.
        call: u64,
        /// The zxid in the answer's header.
        zxid: Zxid,
        /// What it says.
        answer: Answer,
    },
    /// An event came; with its zxid if the server tells it.
    Event {
        /// Of which znode.
        path: Path,
        /// What happened.
        change: Change,
        /// In which transaction.
        zxid: Option<Zxid>,
    },
    /// The connection is lost: what was not answered will not be. Watches go along to the next connection.
    Disconnected,
    /// The session was closed by the client, in the transaction of this zxid.
    Closed(Zxid),
    /// The client was told that its session has expired.
    Expired,
    /// It holds a lock from here on.
    Holds {
        /// Which.
        lock: Path,
        /// Its fencing token.
        token: Token,
    },
    /// It does not hold a lock any more.
    Frees {
        /// Which.
        lock: Path,
    },
    /// Something that a lock guards was changed under this token, in the transaction of this zxid.
    Guarded {
        /// By which lock.
        lock: Path,
        /// Under which token.
        token: Token,
        /// When, in the order of what is guarded.
        zxid: Zxid,
    },
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A new znode.
    Create {
        /// Where.
        path: Path,
        /// Holding what.
        value: Value,
        /// Whether it ends with the session.
        ephemeral: bool,
    },
    /// Another value for a znode.
    Set {
        /// Which.
        path: Path,
        /// To what.
        value: Value,
    },
    /// No znode any more.
    Delete {
        /// Which.
        path: Path,
    },
    /// The value of a znode.
    Read {
        /// Which.
        path: Path,
        /// Whether an event is wanted for its next change.
        watch: bool,
    },
    /// The children of a znode.
    Children {
        /// Which.
        path: Path,
        /// Whether an event is wanted for the next change among them.
        watch: bool,
    },
    /// What others were told shall be seen.
    Sync,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// What a znode holds.
    Data(Shown),
    /// The children were last changed in this transaction.
    Children(Zxid),
    /// There is no such znode.
    Absent,
    /// There is such a znode already.
    Present,
    /// It was not done, for another reason than what is in the tree.
    Refused,
}

/// A znode as it was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// What it holds.
    pub value: Value,
    /// When it was created.
    pub czxid: Zxid,
    /// When it got its value.
    pub mzxid: Zxid,
    /// Whose it is; 0 if no session's.
    pub owner: SessionId,
}

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Another value.
    Data,
    /// No znode any more.
    Deleted,
    /// Another child, or one less.
    Children,
}

impl Ask {
    /// The znode that it is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Create { path, .. }
            | Self::Set { path, .. }
            | Self::Delete { path }
            | Self::Read { path, .. }
            | Self::Children { path, .. } => Some(path),
            Self::Sync => None,
        }
    }

    /// Whether it changes the tree.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        matches!(
            self,
            Self::Create { .. } | Self::Set { .. } | Self::Delete { .. }
        )
    }
}
