//! Votes, and which of two is better.

use zabra_proto::Zxid;
use zabra_quorum::{Sid, Views, Weight};

/// A round of elections: the logical clock of one election instance, never on disk (quorum 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Round(pub i64);

/// The epoch of the candidate's history, as votes carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PeerEpoch(pub i64);

impl PeerEpoch {
    /// An observer has none (quorum 5.2).
    pub const NONE: Self = Self(i64::MIN);
}

/// The zxid that a voter without history states: its votes are ignored, and it ignores those of lookers (quorum 5.5).
pub const NO_HISTORY: Zxid = Zxid(u64::MAX);

/// The zxid that an observer states (quorum 5.2).
const OBSERVER_ZXID: Zxid = Zxid(1 << 63);

/// Whom a server wants to lead, and with what history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vote {
    /// The candidate.
    pub leader: Sid,
    /// The last transaction in its log, committed or not.
    pub zxid: Zxid,
    /// The epoch that it last took part in.
    pub epoch: PeerEpoch,
}

/// A vote's place in the order: the greatest wins.
///
/// One total order for every comparison (P59): whether the candidate weighs anything, epoch, zxid, id. For candidates
/// that weigh something it is Apache's; a server that weighs nothing here also gives way to a shorter history, as it can
/// never win itself (quorum 5.5). Zxids compare unsigned (P127).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    weighs: bool,
    epoch: PeerEpoch,
    // None before every zxid: no history is less than an empty one.
    zxid: Option<Zxid>,
    leader: Sid,
}

impl Vote {
    /// What an observer votes: nothing, three times (quorum 5.2).
    pub(crate) const OBSERVER: Self = Self {
        leader: Sid::NON_VOTER,
        zxid: OBSERVER_ZXID,
        epoch: PeerEpoch::NONE,
    };

    /// Its place in the order, with the weights of the committed configuration.
    #[must_use]
    pub fn rank(&self, views: &Views) -> Rank {
        Rank {
            weighs: views.weight(self.leader) > Weight(0),
            epoch: self.epoch,
            zxid: (self.zxid != NO_HISTORY).then_some(self.zxid),
            leader: self.leader,
        }
    }

    /// Whether this is the better vote.
    #[must_use]
    pub fn beats(&self, other: &Self, views: &Views) -> bool {
        self.rank(views) > other.rank(views)
    }

    /// Whether it speaks of a server that has seen anything at all.
    pub(crate) fn has_history(&self) -> bool {
        self.has_txn() || self.epoch > PeerEpoch(0)
    }

    /// Whether it speaks of a server that has logged a transaction.
    pub(crate) fn has_txn(&self) -> bool {
        !matches!(self.zxid, Zxid::ZERO | NO_HISTORY | OBSERVER_ZXID)
    }
}

/// What a server's own disk holds when it begins to look.
///
/// It has been checked before (P65), and all of it is durable (R1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The last transaction in the log; [`NO_HISTORY`] if even an empty one must be fetched from others.
    pub last_logged: Zxid,
    /// The current epoch.
    pub epoch: PeerEpoch,
}

impl History {
    /// A new disk, or a wiped one: nobody can tell which (P48).
    pub const EMPTY: Self = Self {
        last_logged: Zxid::ZERO,
        epoch: PeerEpoch(0),
    };

    /// Whether there is nothing on the disk that could be lost.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.last_logged == NO_HISTORY || self == Self::EMPTY
    }
}
