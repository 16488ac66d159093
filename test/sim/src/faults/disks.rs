//! Disks that fail, are slow, nearly full, or lost.

use zabra_peer::Input;
use zabra_testkit::disk::{Fault, FaultHow, FaultOn, FaultyDisk};

use super::{Relief, kind};
use crate::disk;
use crate::event::{Event, ServerAt};
use crate::say;
use crate::server::Death;
use crate::world::World;

/// What an error of a disk can hit.
const OPERATIONS: [FaultOn; 7] = [
    FaultOn::Read,
    FaultOn::Write,
    FaultOn::Sync,
    FaultOn::Sync,
    FaultOn::Create,
    FaultOn::Rename,
    FaultOn::SyncDir,
];

/// Parts of the names of files that it can hit.
const NAMES: [&str; 5] = ["", "", "log.", "snapshot.", "zabra"];

/// A disk is about to be lost: some voters have been kept from what the others decided since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Who lacks it.
    behind: Vec<ServerAt>,
    /// The fault that cuts them off.
    fault: u64,
}

impl World {
    /// A server dies and its disk is replaced by an empty one: of voters only a minority, of which none comes twice
    /// (P48).
    pub(super) fn wipe(&mut self, at: ServerAt) {
        if self.lose_disk(at, None) && self.around.kernel.chance(500) {
            // It matters who is there when it comes back.
            let other = self.around.kernel.rng.usize(0..self.servers.len());
            self.crash_somehow(other);
        }
    }

    /// Whether nothing is lost for ever with a server's disk: of voters only a minority loses it, of which none twice.
    pub(super) fn may_lose_disk(&self, at: ServerAt) -> bool {
        let minority = (self.around.plan.voters - 1) / 2;
        let is_voter = at < self.around.plan.voters;
        let wiped = self.servers.iter().filter(|s| s.is_wiped).count();
        let has_budget = !is_voter || wiped < minority;
        !self.servers[at].is_wiped && has_budget && self.around.check.may_be_wiped(at)
    }

    /// Whether it was lost.
    fn lose_disk(&mut self, at: ServerAt, away_us: Option<u64>) -> bool {
        let is_voter = at < self.around.plan.voters;
        if !self.may_lose_disk(at) {
            return false;
        }
        self.meets(kind::WIPE, at);
        if self.servers[at].process.is_none() {
            // Its next start is on its way.
            self.around.check.count("disk lost while away");
        }
        self.die(at, Death::Power, away_us);
        let server = &mut self.servers[at];
        say!(self.around.kernel, "s{}'s disk is lost", server.sid);
        server.disk = FaultyDisk::new();
        server.is_wiped = is_voter;
        self.around.check.wiped(at);
        true
    }

    /// A minority is cut off, beginning with this server, while the others go on.
    pub(super) fn begin_to_lose_disk(&mut self, at: ServerAt) {
        let voters = self.around.plan.voters;
        if voters < 3 || at >= voters {
            return;
        }
        let fault = self.next_fault();
        let behind: Vec<ServerAt> = (0..(voters - 1) / 2).map(|n| (at + n) % voters).collect();
        say!(self.around.kernel, "{behind:?} are cut off, {fault}");
        for one in &behind {
            self.meets(kind::ISOLATION, *one);
            self.cut_off(*one, fault);
        }
        let delay = self.trouble().max(self.around.plan.tick_ms * 3000);
        let loss = Loss { behind, fault };
        self.around.kernel.after(delay, Event::Loss(loss));
    }

    /// One of those who went on loses its disk, the rest of them die, and those who were cut off are back.
    pub(crate) fn lose(&mut self, loss: &Loss) {
        self.heal(loss.fault);
        if self.calm_since.is_some() {
            return;
        }
        let voters = 0..self.around.plan.voters;
        let ahead: Vec<ServerAt> = voters.filter(|at| !loss.behind.contains(at)).collect();
        let tick_us = self.around.plan.tick_ms * 1000;
        let Some(lost) = self.around.kernel.pick(&ahead).copied() else {
            return;
        };
        // Or a little later, when they have given away their history and nobody has said that it is there.
        let is_later = self.around.kernel.chance(500);
        if self.lose_disk(lost, Some(tick_us / 10)) {
            for other in ahead.into_iter().filter(|at| *at != lost) {
                if is_later {
                    let left = self.around.kernel.rng.u32(10..100);
                    self.die_in(other, left);
                } else {
                    self.die(other, Death::Power, Some(tick_us * 40));
                }
            }
        }
    }

    /// One of the next operations of a disk fails, or all from then on.
    pub(super) fn let_disk_fail(&mut self, at: ServerAt) {
        let kernel = &mut self.around.kernel;
        let fault = Fault {
            on: OPERATIONS[kernel.rng.usize(0..OPERATIONS.len())],
            name: NAMES[kernel.rng.usize(0..NAMES.len())],
            after: kernel.rng.usize(0..20),
            times: if kernel.rng.bool() { 1 } else { usize::MAX },
            how: match kernel.rng.u32(0..4) {
                0 => FaultHow::NoSpace,
                1 => FaultHow::Short,
                _ => FaultHow::Io,
            },
        };
        let name = match (fault.how, fault.on) {
            (FaultHow::NoSpace, _) => kind::NO_SPACE,
            (_, FaultOn::Read) => kind::DISK_READ,
            (_, FaultOn::Write) => kind::DISK_WRITE,
            (_, FaultOn::Sync) => kind::DISK_SYNC,
            _ => kind::DISK_NAMES,
        };
        self.meets(name, at);
        let server = &self.servers[at];
        say!(self.around.kernel, "s{}'s disk: {fault:?}", server.sid);
        server.disk.inject(fault);
    }

    /// For a while every job of a server's disk takes long.
    pub(super) fn slow_disk(&mut self, at: ServerAt) {
        self.meets(kind::SLOW_DISK, at);
        let tick_us = self.around.plan.tick_ms * 1000;
        let each = self.around.kernel.spread(tick_us * 2);
        let sid = self.servers[at].sid;
        say!(self.around.kernel, "s{sid}'s disk takes {each} µs");
        self.around.slow_disks.insert(at, each);
        self.around.check.disk_takes(each);
        let delay = self.trouble();
        let relief = Event::Relief(Relief::SlowDisk(at));
        self.around.kernel.after(delay, relief);
    }

    /// For a while a disk is below its low-water mark.
    pub(super) fn fill_disk(&mut self, at: ServerAt) {
        self.meets(kind::DISK_LOW, at);
        self.tell_disk_low(at, true);
        let delay = self.trouble();
        let relief = Event::Relief(Relief::DiskLow(at));
        self.around.kernel.after(delay, relief);
    }

    pub(crate) fn tell_disk_low(&mut self, at: ServerAt, is_low: bool) {
        if self.servers[at].standing_still.is_none() || !is_low {
            let sid = self.servers[at].sid;
            say!(self.around.kernel, "s{sid}'s disk is nearly full: {is_low}");
            self.with(at, |p, around| p.on_input(Input::DiskLow(is_low), around));
        }
    }

    /// The names of a server's snapshots and logs, for a look from outside.
    #[must_use]
    pub fn files(&self, at: ServerAt) -> Vec<String> {
        let files = self.servers[at].disk.files();
        let in_dir = files
            .keys()
            .filter(|path| path.starts_with(disk::snap_dir()));
        in_dir
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect()
    }
}
