//! Faults, as the plan weighs them, and in which phase of the protocol they meet a server.
//!
//! Most come at any time, to any server. Those phases that are short would hardly ever be met: so a world may also lie in
//! *ambush*, and let something go wrong in the very moment at which a server enters a phase.
//!
//! | File | |
//! |---|---|
//! | `kind` | what can go wrong, and under which names it is counted |
//! | `servers` | processes that die, stop, stand still; wall clocks |
//! | `disks` | disks that fail, are slow, full or lost |
//! | `damage` | disks that say something else than was written |
//! | `ways` | partitions, broken links, garbage, names |

mod damage;
mod disks;
mod kind;
mod servers;
mod ways;

use zabra_election::ServerState;

use crate::event::{Event, ServerAt};
use crate::network::StreamId;
use crate::phase::Phase;
use crate::server::Server;
use crate::world::World;

pub use disks::Loss;
pub use kind::{COUNTED, Kind};

/// What passes by itself after a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relief {
    /// A slow disk.
    SlowDisk(ServerAt),
    /// A disk that is nearly full.
    DiskLow(ServerAt),
    /// Names that are not resolved.
    Unresolved(ServerAt),
    /// A client that takes nothing.
    SlowReader(StreamId),
}

impl World {
    pub(crate) fn schedule_fault(&mut self) {
        let mean = self.around.plan.faults.every_us;
        if mean > 0 && self.calm_since.is_none() {
            let delay = self.around.kernel.spread(mean);
            self.around.kernel.after(delay, Event::Fault);
        }
    }

    /// The next fault by the clock, to whomever.
    pub(crate) fn fault(&mut self) {
        if self.calm_since.is_none() {
            self.schedule_fault();
            let at = self.around.kernel.rng.usize(0..self.servers.len());
            self.inflict_any(at);
        }
    }

    /// A server has entered a phase, and was waited for there.
    pub(crate) fn ambush(&mut self, at: ServerAt) {
        if self.calm_since.is_none() {
            self.inflict_any(at);
        }
    }

    fn inflict_any(&mut self, at: ServerAt) {
        let weights = &self.around.plan.faults.weights;
        let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return;
        }
        let mut drawn = self.around.kernel.rng.u32(0..total);
        for (kind, weight) in weights {
            if drawn < *weight {
                let kind = *kind;
                return self.inflict(kind, at);
            }
            drawn -= weight;
        }
    }

    fn inflict(&mut self, kind: Kind, at: ServerAt) {
        match kind {
            Kind::Crash => self.crash_somehow(at),
            Kind::CrashAll => self.crash_all(),
            Kind::Pause => {
                let at = self.leader_or(at);
                self.pause(at);
            }
            Kind::Stop => self.stop(at),
            Kind::Rolling => self.roll(),
            Kind::Partition => {
                let at = self.leader_or(at);
                self.partition(at);
            }
            Kind::Reset => self.reset_quorum_link(at),
            Kind::VoteReset => self.reset_election_link(at),
            Kind::ClientReset => self.reset_client(),
            Kind::Garbage => self.send_garbage(at),
            Kind::Unresolved => self.forget_names(at),
            Kind::SlowDisk => {
                let at = self.leader_or(at);
                self.slow_disk(at);
            }
            Kind::Disk => self.let_disk_fail(at),
            Kind::DiskLow => self.fill_disk(at),
            Kind::Clock => self.set_wall_clock(at),
            Kind::Damage => self.damage(at),
            Kind::SlowReader => self.slow_reader(at),
            Kind::Wipe => self.wipe(at),
            Kind::LostDisk => self.begin_to_lose_disk(at),
        }
    }

    /// The leader instead of another, as often as the plan has it.
    fn leader_or(&mut self, at: ServerAt) -> ServerAt {
        let leads = |server: &Server| {
            let process = server.process.as_ref();
            process.is_some_and(|p| p.state() == Some(ServerState::Leading))
        };
        let permille = self.around.plan.faults.hits_leader_permille;
        let leader = self.servers.iter().position(leads);
        leader
            .filter(|_| self.around.kernel.chance(permille))
            .unwrap_or(at)
    }

    /// What was broken for a while is whole again.
    pub(crate) fn relieve(&mut self, relief: Relief) {
        match relief {
            Relief::SlowDisk(at) => {
                self.around.slow_disks.remove(&at);
            }
            Relief::SlowReader(stream) => {
                self.around.slow_readers.remove(&stream);
            }
            Relief::DiskLow(at) => self.tell_disk_low(at, false),
            Relief::Unresolved(at) => {
                self.around.unresolved.remove(&at);
            }
        }
    }

    /// Counts a fault that meets a server now.
    fn meets(&mut self, fault: &'static str, at: ServerAt) {
        let phase = self.phase_of(at);
        self.faults += 1;
        self.exposure.count(fault, phase);
    }

    /// Counts a fault that meets the world as a whole: by the server that is furthest from being in step.
    fn meets_all(&mut self, fault: &'static str) {
        let phases = (0..self.servers.len()).filter_map(|at| self.phase_of(at));
        let phase = phases.min();
        self.faults += 1;
        self.exposure.count(fault, phase);
    }

    fn phase_of(&self, at: ServerAt) -> Option<Phase> {
        let process = self.servers[at].process.as_ref();
        process.map(|process| process.phase())
    }

    /// How long a trouble lasts.
    fn trouble(&mut self) -> u64 {
        let mean = self.around.plan.faults.trouble_us;
        self.around.kernel.spread(mean)
    }
}
