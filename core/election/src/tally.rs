//! Votes by sender, and which of them say the same.

use std::collections::{BTreeMap, BTreeSet};

use zabra_mutant::{self as mutant, Mutant};
use zabra_quorum::Sid;

use crate::{Received, Round, ServerState, Vote};

/// A vote as it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ballot {
    pub(crate) vote: Vote,
    pub(crate) round: Round,
    pub(crate) state: ServerState,
    /// Whether the message said a version; those of 3.4 do not, and their epochs are not comparable.
    pub(crate) is_versioned: bool,
}

impl Ballot {
    pub(crate) fn new(received: &Received, state: ServerState) -> Self {
        Self {
            vote: received.vote,
            round: received.round,
            state,
            is_versioned: received.version != 0,
        }
    }

    /// A looker's vote is the same in all fields. Of servers that have settled only leader and epoch are compared,
    /// since they may have come to it in different rounds (quorum 5.4).
    fn matches(&self, other: &Self) -> bool {
        if self.state == ServerState::Looking || other.state == ServerState::Looking {
            let is_round = self.round == other.round || mutant::on(Mutant::OldRoundCounted);
            return self.vote == other.vote && is_round;
        }
        self.vote.leader == other.vote.leader
            && (self.is_versioned != other.is_versioned || self.vote.epoch == other.vote.epoch)
    }
}

/// The last vote of each sender.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(BTreeMap<Sid, Ballot>);

impl Tally {
    pub(crate) fn insert(&mut self, sender: Sid, ballot: Ballot) {
        self.0.insert(sender, ballot);
    }

    pub(crate) fn remove(&mut self, sender: Sid) {
        self.0.remove(&sender);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whose vote is the same as this one.
    pub(crate) fn supporters(&self, ballot: &Ballot) -> BTreeSet<Sid> {
        let same = self.0.iter().filter(|(_, cast)| cast.matches(ballot));
        same.map(|(sender, _)| *sender).collect()
    }

    /// Whether the leader itself says that it leads: a leader that is only told of may be dead.
    pub(crate) fn has_leading(&self, leader: Sid) -> bool {
        self.0
            .get(&leader)
            .is_some_and(|cast| cast.state == ServerState::Leading)
    }
}
