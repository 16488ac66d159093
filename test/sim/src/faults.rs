//! Faults, as the plan weighs them.

use zabra_testkit::disk::{Fault, FaultHow, FaultOn, FaultyDisk};

use crate::disk;
use crate::event::{Event, ServerAt};
use crate::network::Node;
use crate::say;
use crate::world::World;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Crash,
    CrashAll,
    Pause,
    Partition,
    Reset,
    ClientReset,
    Disk,
    Clock,
    Wipe,
}

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

impl World {
    pub(crate) fn schedule_fault(&mut self) {
        let mean = self.around.plan.faults.every_us;
        if mean > 0 && self.calm_since.is_none() {
            let delay = self.around.kernel.spread(mean);
            self.around.kernel.after(delay, Event::Fault);
        }
    }

    pub(crate) fn fault(&mut self) {
        if self.calm_since.is_some() {
            return;
        }
        self.schedule_fault();
        let plan = &self.around.plan.faults;
        let weights = [
            (Kind::Crash, plan.crash),
            (Kind::CrashAll, plan.crash_all),
            (Kind::Pause, plan.pause),
            (Kind::Partition, plan.partition),
            (Kind::Reset, plan.reset),
            (Kind::ClientReset, plan.client_reset),
            (Kind::Disk, plan.disk),
            (Kind::Clock, plan.clock),
            (Kind::Wipe, plan.wipe),
        ];
        let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return;
        }
        let mut drawn = self.around.kernel.rng.u32(0..total);
        for (kind, weight) in weights {
            if drawn < weight {
                self.faults += 1;
                return self.inflict(kind);
            }
            drawn -= weight;
        }
    }

    fn inflict(&mut self, kind: Kind) {
        let at = self.around.kernel.rng.usize(0..self.servers.len());
        match kind {
            Kind::Crash => self.crash_soon(at),
            Kind::CrashAll => {
                say!(self.around.kernel, "all servers die");
                for at in 0..self.servers.len() {
                    self.crash(at);
                }
            }
            Kind::Pause => self.pause(at),
            Kind::Partition => self.partition(),
            Kind::Reset => self.reset_something(),
            Kind::ClientReset => {
                let at = self.around.kernel.rng.usize(0..self.clients.len());
                if let Some(stream) = self.clients[at].stream() {
                    say!(self.around.kernel, "c{at}'s connection is reset");
                    let around = &mut self.around;
                    around.net.reset(&mut around.kernel, stream);
                }
            }
            Kind::Disk => self.let_disk_fail(at),
            Kind::Clock => self.set_wall_clock(at),
            Kind::Wipe => self.wipe(at),
        }
    }

    /// A wall clock is set, by up to an hour.
    fn set_wall_clock(&mut self, at: ServerAt) {
        let step = self.around.kernel.rng.i64(-3_600_000..=3_600_000);
        let server = &mut self.servers[at];
        say!(
            self.around.kernel,
            "s{}'s wall clock steps by {step} ms",
            server.sid
        );
        server.clock.wall_ms += step;
        if let Some(process) = &mut server.process {
            process.set_clock(server.clock);
        }
    }

    /// A server dies and its disk is replaced by an empty one: of voters only a minority, of which none comes twice
    /// (P48).
    fn wipe(&mut self, at: ServerAt) {
        let minority = (self.around.plan.voters - 1) / 2;
        let is_voter = at < self.around.plan.voters;
        let wiped = self.servers.iter().filter(|s| s.is_wiped).count();
        if self.servers[at].is_wiped
            || is_voter && wiped >= minority
            || !self.around.check.may_be_wiped(at)
        {
            return;
        }
        let ran = self.servers[at].process.is_some();
        self.crash(at);
        let server = &mut self.servers[at];
        say!(self.around.kernel, "s{}'s disk is lost", server.sid);
        server.disk = FaultyDisk::new();
        server.is_wiped = is_voter;
        self.around.check.wiped(at);
        // It matters who is there when it comes back.
        if self.around.kernel.chance(500) {
            let other = self.around.kernel.rng.usize(0..self.servers.len());
            self.crash_soon(other);
        }
        if !ran {
            // Its next start is on its way.
            self.around.check.count("disk lost while away");
        }
    }

    /// One of the next operations of a disk fails, or all from then on.
    fn let_disk_fail(&mut self, at: ServerAt) {
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
        say!(kernel, "s{}'s disk: {fault:?}", self.servers[at].sid);
        self.servers[at].disk.inject(fault);
    }

    /// A server dies after so many effects.
    pub fn die_in(&mut self, at: ServerAt, effects: u32) {
        if let Some(process) = &mut self.servers[at].process {
            process.dies_in = Some(effects);
        }
    }

    /// A crash now, or at one of the next effects.
    fn crash_soon(&mut self, at: ServerAt) {
        let midway = self.around.plan.faults.midway_permille;
        let is_midway = self.around.kernel.chance(midway);
        let left = self.around.kernel.rng.u32(0..30);
        match &mut self.servers[at].process {
            Some(process) if is_midway => process.dies_in = Some(left),
            Some(_) => self.crash(at),
            None => {}
        }
    }

    /// A server dies, and is started again later.
    pub(crate) fn crash(&mut self, at: ServerAt) {
        if self.servers[at].process.is_none() {
            return;
        }
        let silent = self.around.plan.faults.silent_permille;
        let is_silent = self.around.kernel.chance(silent);
        self.servers[at].crash(&mut self.around, is_silent);
        for told in self.around.votes.die(at) {
            if !is_silent {
                let delay = self.around.net.delay(&mut self.around.kernel);
                self.tell(told, delay);
            }
        }
        let away = self.around.plan.faults.away_us;
        let delay = if self.calm_since.is_some() {
            self.around.plan.tick_ms * 1000
        } else {
            self.around.kernel.spread(away)
        };
        self.around.kernel.after(delay, Event::Start(at));
    }

    /// Nothing happens to a server from here on, until it is resumed. Whether it ran.
    pub(crate) fn stand_still(&mut self, at: ServerAt) -> bool {
        let server = &mut self.servers[at];
        if server.process.is_none() || server.standing_still.is_some() {
            return false;
        }
        say!(self.around.kernel, "s{} stands still", server.sid);
        server.standing_still = Some(Vec::new());
        self.around.net.stand_still(server.node());
        true
    }

    fn pause(&mut self, at: ServerAt) {
        if !self.stand_still(at) {
            return;
        }
        let delay = self
            .around
            .kernel
            .spread(self.around.plan.faults.trouble_us);
        self.around.kernel.after(delay, Event::Resume(at));
    }

    /// A server that stood still goes on: first it hears what came meanwhile, then it looks at its clock.
    pub(crate) fn resume(&mut self, at: ServerAt) {
        let server = &mut self.servers[at];
        let Some(waiting) = server.standing_still.take() else {
            return;
        };
        say!(self.around.kernel, "s{} goes on", server.sid);
        let around = &mut self.around;
        around.net.move_again(&mut around.kernel, server.node());
        around.votes.move_on(&mut around.kernel, &around.net);
        for event in waiting {
            let is_clock = matches!(event, Event::Timer(..));
            let heard_by = around.plan.weather.delay_us.1;
            let delay = if is_clock { heard_by + 1 } else { 0 };
            around.kernel.after(delay, event);
        }
    }

    /// Cuts ways between servers, and between some clients and servers.
    fn partition(&mut self) {
        let fault = self.faults;
        let rng = &mut self.around.kernel.rng;
        let n = self.servers.len();
        let sides: Vec<bool> = (0..n).map(|_| rng.bool()).collect();
        let is_one_way = rng.u32(0..4) == 0;
        let is_partial = rng.u32(0..3) == 0;
        let cuts_clients = rng.bool();
        say!(
            self.around.kernel,
            "partition {fault}: {sides:?}{}{}",
            if is_one_way { ", one way" } else { "" },
            if is_partial { ", partial" } else { "" }
        );
        for from in 0..n {
            for to in 0..n {
                let is_cut = sides[from] != sides[to] && !(is_one_way && sides[from]);
                if is_cut && !(is_partial && self.around.kernel.rng.bool()) {
                    let net = &mut self.around.net;
                    net.block(Node::Server(from), Node::Server(to), fault);
                }
            }
        }
        if cuts_clients {
            for client in 0..self.clients.len() {
                let at = self.around.kernel.rng.usize(0..n);
                let (client, server) = (Node::Client(client), Node::Server(at));
                self.around.net.block(client, server, fault);
                self.around.net.block(server, client, fault);
            }
        }
        let delay = self
            .around
            .kernel
            .spread(self.around.plan.faults.trouble_us);
        self.around.kernel.after(delay, Event::Heal(fault));
    }

    pub(crate) fn heal(&mut self, fault: u64) {
        let around = &mut self.around;
        say!(around.kernel, "partition {fault} heals");
        around.net.unblock(&mut around.kernel, fault);
        around.votes.move_on(&mut around.kernel, &around.net);
    }

    fn reset_something(&mut self) {
        let around = &mut self.around;
        if around.kernel.rng.bool() {
            let streams = around.net.between_servers();
            if let Some(stream) = around.kernel.pick(&streams).copied() {
                say!(around.kernel, "quorum stream {} is reset", stream.0);
                around.net.reset(&mut around.kernel, stream);
            }
            return;
        }
        let pairs = around.votes.pairs();
        if let Some((one, other)) = around.kernel.pick(&pairs).copied() {
            say!(
                around.kernel,
                "election link s{} s{} is reset",
                one + 1,
                other + 1
            );
            for told in around.votes.reset(one, other) {
                let delay = self.around.net.delay(&mut self.around.kernel);
                self.tell(told, delay);
            }
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
