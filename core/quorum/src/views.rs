//! The configuration in force beside the one that is on its way.

use std::collections::BTreeSet;

use crate::{Membership, QuorumSet, Sid, Weight};

/// The committed configuration and, while a reconfiguration is pending, the newest proposed one (quorum 1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Views {
    committed: Membership,
    // Invariant: its version is greater than the committed one's.
    pending: Option<Membership>,
}

impl Views {
    /// One configuration, nothing pending.
    #[must_use]
    pub fn settled(committed: Membership) -> Self {
        Self {
            committed,
            pending: None,
        }
    }

    /// With the newest configuration seen; it counts only if it is newer than the committed one (quorum 6.5).
    #[must_use]
    pub fn new(committed: Membership, last_seen: Membership) -> Self {
        let is_newer = last_seen.version() > committed.version();
        Self {
            committed,
            pending: is_newer.then_some(last_seen),
        }
    }

    /// What is in force.
    #[must_use]
    pub fn committed(&self) -> &Membership {
        &self.committed
    }

    /// What has been proposed and not yet committed.
    #[must_use]
    pub fn pending(&self) -> Option<&Membership> {
        self.pending.as_ref()
    }

    /// Whether the server votes in one of them (quorum 5.2).
    #[must_use]
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.iter().any(|membership| membership.is_voter(sid))
    }

    /// Everyone who votes in one of them.
    #[must_use]
    pub fn voters(&self) -> BTreeSet<Sid> {
        self.iter().flat_map(Membership::voters).collect()
    }

    /// What a server's voice weighs in the committed one (quorum 5.2).
    #[must_use]
    pub fn weight(&self, sid: Sid) -> Weight {
        self.committed.weight(sid)
    }

    /// A quorum of each is needed.
    #[must_use]
    pub fn quorum_set(&self) -> QuorumSet {
        let committed = self.committed.quorum_set();
        match &self.pending {
            None => committed,
            Some(pending) => QuorumSet::Joint(Box::new(committed), Box::new(pending.quorum_set())),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Membership> {
        std::iter::once(&self.committed).chain(&self.pending)
    }
}
