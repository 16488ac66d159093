//! One learner, as its leader sees it.

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::{MonoMillis, Sid, Zxid};

use super::Leader;
use crate::{LinkId, Packet};

/// A learner's link.
#[derive(Debug)]
pub(super) struct Link {
    /// Who it is, once it said so.
    pub(super) sid: Option<Sid>,
    /// Whether it observes: it is told what is decided, and never counted.
    pub(super) observes: bool,
    /// Whether it is a server of this project.
    pub(super) is_capable: bool,
    pub(super) stage: Stage,
    /// When anything came from it last.
    pub(super) heard: MonoMillis,
    /// Everything up to here is in its log.
    pub(super) acked: Zxid,
    /// The oldest proposal that it has not acknowledged in time, and when it was sent; one at a time (quorum 11.6).
    pub(super) oldest_unacked: Option<(Zxid, MonoMillis)>,
    /// Pings that it must answer, and those that it has.
    pub(super) pings: u64,
    pub(super) pongs: u64,
}

/// How far a learner has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// It must introduce itself.
    Greeting,
    /// It has; the epoch is not known yet.
    Introduced,
    /// It was told the epoch, and must accept it.
    Asked,
    /// It has; this server is not ready to bring it into step yet.
    Confirmed { last_logged: Zxid },
    /// It has, without a history, and may have given its word for a later epoch that went with its disk (P48): it is brought
    /// into step once a quorum without it still follows.
    Doubted { last_logged: Zxid },
    /// It was sent what it lacks and NEWLEADER, which it must acknowledge.
    Syncing {
        /// What it has when it does so.
        up_to: Zxid,
        /// What is decided meanwhile, held back: some servers lose it between NEWLEADER and UPTODATE (quorum 19.3).
        held: Vec<Packet>,
        since: MonoMillis,
    },
    /// It has the history, and counts; this server does not serve yet.
    Synced { held: Vec<Packet> },
    /// In step.
    Active,
}

impl Link {
    pub(super) fn new(now: MonoMillis) -> Self {
        Self {
            sid: None,
            observes: false,
            is_capable: false,
            stage: Stage::Greeting,
            heard: now,
            acked: Zxid::ZERO,
            oldest_unacked: None,
            pings: 0,
            pongs: 0,
        }
    }

    /// Whether proposals are sent to it: from the moment on at which its history was planned (P19).
    pub(super) fn is_forwarded_to(&self) -> bool {
        if mutant::on(Mutant::ProposeToSyncedOnly) {
            return self.counts();
        }
        !self.observes && self.is_told()
    }

    /// Whether it is told what happens from here on.
    pub(super) fn is_told(&self) -> bool {
        matches!(
            self.stage,
            Stage::Syncing { .. } | Stage::Synced { .. } | Stage::Active
        )
    }

    /// Whether its acks count: it has the history of the epoch.
    pub(super) fn counts(&self) -> bool {
        !self.observes && matches!(self.stage, Stage::Synced { .. } | Stage::Active)
    }

    /// Notes what is decided, for now or for later; what is to be sent now is returned.
    pub(super) fn hold_or_send(&mut self, packet: Packet) -> Option<Packet> {
        match &mut self.stage {
            Stage::Syncing { held, .. } | Stage::Synced { held } => {
                held.push(packet);
                None
            }
            Stage::Active => Some(packet),
            Stage::Greeting
            | Stage::Introduced
            | Stage::Asked
            | Stage::Confirmed { .. }
            | Stage::Doubted { .. } => None,
        }
    }
}

impl Stage {
    pub(super) fn is_greeting(&self) -> bool {
        matches!(self, Self::Greeting)
    }

    pub(super) fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed { .. })
    }

    pub(super) fn is_doubted(&self) -> bool {
        matches!(self, Self::Doubted { .. })
    }

    pub(super) fn is_synced(&self) -> bool {
        matches!(self, Self::Synced { .. })
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self, Self::Active)
    }
}

impl Leader {
    /// Whether a learner is in step: only then may it send requests.
    #[must_use]
    pub fn is_active(&self, link: LinkId) -> bool {
        self.links
            .get(&link)
            .is_some_and(|entry| entry.stage.is_active())
    }

    /// The learners that are in step or about to be: who, and whether it observes, in the order of their links.
    pub fn learners(&self) -> impl Iterator<Item = (Sid, bool)> {
        let told = self.links.values().filter(|entry| entry.is_told());
        told.filter_map(|entry| Some((entry.sid?, entry.observes)))
    }

    /// How many followers, and how many observers, are in step.
    #[must_use]
    pub fn synced_count(&self) -> (usize, usize) {
        let active = || self.links.values().filter(|entry| entry.stage.is_active());
        let observers = active().filter(|entry| entry.observes).count();
        (active().count() - observers, observers)
    }
}
