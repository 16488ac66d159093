//! Who has answered, and whether that is enough.

use std::collections::BTreeSet;

use crate::{QuorumSet, Sid, Views};

/// The answers to one proposal, one NEWLEADER or one vote (quorum 6.5).
///
/// It keeps the configurations under which it began: an answer is never counted under others (P60).
#[derive(Debug, Clone)]
pub struct AckSet {
    quorum: QuorumSet,
    // Invariant: voters of `quorum` only.
    acks: BTreeSet<Sid>,
}

impl AckSet {
    /// Nobody has answered.
    #[must_use]
    pub fn new(views: &Views) -> Self {
        Self::over(views.quorum_set())
    }

    /// Nobody has answered, and this is what it takes.
    #[must_use]
    pub fn over(quorum: QuorumSet) -> Self {
        Self {
            quorum,
            acks: BTreeSet::new(),
        }
    }

    /// Counts a server's answer once, if it has a vote. Says whether it counted now.
    pub fn add(&mut self, sid: Sid) -> bool {
        self.quorum.is_voter(sid) && self.acks.insert(sid)
    }

    /// Whether every configuration has its quorum.
    #[must_use]
    pub fn is_satisfied(&self) -> bool {
        self.quorum.is_quorum(&self.acks)
    }

    /// Whose answers counted.
    #[must_use]
    pub fn acks(&self) -> &BTreeSet<Sid> {
        &self.acks
    }
}
