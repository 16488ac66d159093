//! What can happen.

use zabra_proto::Zxid;

use super::Txn;

/// A server, by its place.
type At = usize;

/// A step of the protocol, or a failure.
#[derive(Debug, Clone)]
pub enum Step<'s> {
    /// A server looks for a leader.
    Look(At),
    /// A server was elected, and means to lead.
    Elect(At),
    /// A server gives its word for an epoch: it will obey no earlier one. Who was elected proposes the epoch with it.
    Promise(At, u32),
    /// A server tells a leader that its word was for it.
    Follow {
        /// Who.
        at: At,
        /// Whom.
        leader: At,
        /// Whether it gave its word just now, so that it counts, or comes back.
        counts: bool,
    },
    /// A server makes an epoch that of its history: the leader with a quorum's words, who follows when it has the history.
    Accept(At, u32),
    /// The epoch that a server gave its word for, and that of its history, are durable.
    Keep(At, (u32, u32)),
    /// A server takes back what its leader does not have.
    Cut(At, Zxid),
    /// It has done so.
    WasCut(At),
    /// It could not, and has all that it had.
    NotCut(At),
    /// A server replaces its history by delivered transactions up to a number, and those behind it.
    Replace(At, Zxid, &'s [Txn]),
    /// It has done so.
    WasReplaced(At, Zxid, &'s [Txn]),
    /// A quorum has accepted the leader's epoch: from here on it proposes.
    Establish(At, u32),
    /// The leader puts a transaction behind all others, or sends it once more.
    Propose(At, Txn),
    /// A server logs what its leader, or it itself, has proposed.
    Log(At, Txn),
    /// Everything up to here is durable at a server.
    Sync(At, Zxid),
    /// A server delivers the next transaction.
    Deliver(At, Txn),
    /// A server dies.
    Crash(At),
    /// It is back.
    Recover {
        /// Who.
        at: At,
        /// What it has delivered, by a snapshot.
        delivered: Zxid,
        /// What it has behind that.
        tail: &'s [Txn],
        /// The epoch that it gave its word for, and that of its history.
        epochs: (u32, u32),
    },
    /// Its disk is lost.
    Lose(At),
}

impl Step<'_> {
    /// How it is counted.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Look(_) => "model: look",
            Self::Elect(_) => "model: elect",
            Self::Promise(..) => "model: promise",
            Self::Follow { .. } => "model: follow",
            Self::Accept(..) => "model: accept",
            Self::Keep(..) => "model: keep",
            Self::Cut(..) | Self::WasCut(_) | Self::NotCut(_) => "model: cut",
            Self::Replace(..) | Self::WasReplaced(..) => "model: replace",
            Self::Establish(..) => "model: establish",
            Self::Propose(..) => "model: propose",
            Self::Log(..) => "model: log",
            Self::Sync(..) => "model: sync",
            Self::Deliver(..) => "model: deliver",
            Self::Crash(_) => "model: crash",
            Self::Recover { .. } => "model: recover",
            Self::Lose(_) => "model: lose",
        }
    }
}
