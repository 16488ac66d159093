//! What comes out of a [`Cnxn`](crate::Cnxn) for its users.

use zabra_proto::{EventKind, Zxid};

use crate::{CallError, HostPort, SessionState, WatcherId};

/// A successful reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The last transaction that the server had applied; of a write, its own.
    pub zxid: Zxid,
    /// The record behind the header, not decoded.
    pub body: Vec<u8>,
}

/// What a watcher hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// Something happened to a znode.
    Znode {
        /// What.
        kind: EventKind,
        /// Where, as the server knows it.
        path: String,
        /// The transaction; servers before 3.9 do not tell, and nobody does after a reconnect.
        zxid: Option<Zxid>,
    },
    /// The connection was lost and is there again: for a watch that stays, changes in between were not told
    /// (features WA-16).
    Missed,
}

/// Something to pass on. The order in which outputs come is the order in which users must see them.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<C> {
    /// A call has ended.
    Done {
        /// Which.
        call: C,
        /// How.
        result: Result<Reply, CallError>,
    },
    /// An event for watchers: all whom one notification is for, together.
    Event {
        /// Which.
        watchers: Vec<WatcherId>,
        /// What.
        event: Watched,
    },
    /// A watcher hears nothing any more: it was removed, or the session has ended.
    Unwatched {
        /// Which.
        watcher: WatcherId,
        /// How the session ended; `None`: the watch was removed.
        error: Option<CallError>,
    },
    /// The session's state has changed.
    State(SessionState),
    /// A better server is looked for: ask this one by `isro` whether it takes writes, and tell
    /// [`Cnxn::on_probed`](crate::Cnxn::on_probed) if so.
    Probe(HostPort),
}
