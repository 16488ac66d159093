//! What every part of a world may touch: time, network, election links, the plan, the checks.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::Checker;
use crate::event::ServerAt;
use crate::kernel::Kernel;
use crate::network::{Network, StreamId};
use crate::plan::Plan;
use crate::votes::ElectionLinks;

/// A world without its servers and clients.
pub struct Surroundings {
    /// Time, randomness, trace.
    pub kernel: Kernel,
    /// Streams.
    pub net: Network,
    /// Election links.
    pub votes: ElectionLinks,
    /// What the seed decided.
    pub plan: Plan,
    /// What must hold.
    pub check: Checker,
    /// Disks on which every job takes so long, µs, whatever the plan says.
    pub slow_disks: BTreeMap<ServerAt, u64>,
    /// Connections of clients that take nothing of what is sent to them.
    pub slow_readers: BTreeSet<StreamId>,
    /// Servers that cannot resolve names.
    pub unresolved: BTreeSet<ServerAt>,
    /// Streams of somebody who does not speak the protocol.
    pub strange: BTreeSet<StreamId>,
}

impl Surroundings {
    /// How long a job of a server's disk takes, µs.
    pub fn disk_delay(&mut self, at: ServerAt) -> u64 {
        if let Some(delay) = self.slow_disks.get(&at) {
            return *delay;
        }
        if self.kernel.chance(self.plan.slow_disk_permille) {
            self.kernel.between(self.plan.slow_disk_us)
        } else {
            self.kernel.between(self.plan.flush_us)
        }
    }
}
