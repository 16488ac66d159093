//! What each server has promised: epochs on its disk, its word given to leaders (I-1, I-10, I-11, I-12).

use std::collections::BTreeMap;

use zabra_proto::Sid;
use zabra_zab::Epochs;

use crate::event::ServerAt;

/// What each server has promised.
pub(super) struct Promises {
    pub(super) saved: Vec<Epochs>,
    /// What each server last wanted saved.
    pub(super) wanted: Vec<Epochs>,
    /// What each had saved on a disk that was lost: it counts where it has been acknowledged, by packets still on their way.
    lost: Vec<Epochs>,
    pub(super) voters: usize,
    pub(super) leaders: BTreeMap<u32, ServerAt>,
    /// To whom a server has given its word for an epoch.
    pub(super) accepted: BTreeMap<(ServerAt, u32), Sid>,
    pub(super) acked: BTreeMap<(ServerAt, u32), Sid>,
}

impl Promises {
    pub(super) fn new(servers: usize, voters: usize) -> Self {
        Self {
            voters,
            saved: vec![Epochs::default(); servers],
            wanted: vec![Epochs::default(); servers],
            lost: vec![Epochs::default(); servers],
            leaders: BTreeMap::new(),
            accepted: BTreeMap::new(),
            acked: BTreeMap::new(),
        }
    }

    pub(super) fn saved(&mut self, at: ServerAt, epochs: Epochs) {
        self.saved[at] = epochs;
    }

    /// Nothing is left of what it promised; it has no voice until it has a history again (P48).
    pub(super) fn wiped(&mut self, at: ServerAt) {
        self.lost[at] = std::mem::take(&mut self.saved[at]);
        self.wanted[at] = Epochs::default();
        self.accepted.retain(|(who, _), _| *who != at);
        self.acked.retain(|(who, _), _| *who != at);
    }

    /// How many voters have an epoch on their disks, or had it on one that was lost.
    pub(super) fn voters_at(&self, epoch: u32) -> usize {
        let voters = self.saved.iter().zip(&self.lost).take(self.voters);
        let has_it = |(saved, lost): &(&Epochs, &Epochs)| saved.current.max(lost.current) >= epoch;
        voters.filter(has_it).count()
    }

    pub(super) fn current(&self, at: ServerAt) -> u32 {
        self.saved[at].current
    }
}
