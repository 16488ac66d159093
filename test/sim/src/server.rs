//! A server of the world: its disk, its clock, and, while it runs, its process.

use zabra_proto::{Sid, Zxid};
use zabra_quorum::Role;
use zabra_testkit::disk::FaultyDisk;

use crate::clock::Clock;
use crate::disk;
use crate::event::{Event, ServerAt};
use crate::network::Node;
use crate::process::Process;
use crate::say;
use crate::start;
use crate::surroundings::Surroundings;

/// Which life of a server: events of an earlier one find nobody.
pub type Life = u32;

/// How a server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The machine loses its power: what was not synced may be lost. Others see their connections end.
    Power,
    /// As before, and nobody is told.
    Silent,
    /// The process alone ends: what it wrote stays in the page cache, and may still be lost by a later power cut.
    Process,
}

/// A job of a server's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// A machine with a disk.
pub struct Server {
    /// Its place in the world.
    pub at: ServerAt,
    /// Its number among the members.
    pub sid: Sid,
    /// Whether it votes.
    pub role: Role,
    /// Its clocks.
    pub clock: Clock,
    /// Its disk.
    pub disk: FaultyDisk,
    /// Whether a voter's disk was lost and replaced.
    pub is_wiped: bool,
    /// Whether something on the disk was damaged since the last start.
    pub is_damaged: bool,
    /// How often it has asked in vain for what is damaged.
    pub mend_tries: u32,
    /// How often it was started.
    pub life: Life,
    /// What runs on it.
    pub process: Option<Box<Process>>,
    /// Whether it stands still; what would happen to it meanwhile.
    pub standing_still: Option<Vec<Event>>,
}

impl Server {
    /// A machine with an empty disk, switched off.
    #[must_use]
    pub fn new(at: ServerAt, role: Role, clock: Clock) -> Self {
        Self {
            at,
            sid: Sid(at as i64 + 1),
            role,
            clock,
            disk: FaultyDisk::new(),
            is_wiped: false,
            is_damaged: false,
            mend_tries: 0,
            life: 0,
            process: None,
            standing_still: None,
        }
    }

    /// Its place in the network.
    #[must_use]
    pub fn node(&self) -> Node {
        Node::Server(self.at)
    }

    /// Starts it from its disk. A start that is cut by a crash leaves it switched off; it is tried again.
    pub fn start(&mut self, around: &mut Surroundings) {
        if self.process.is_some() {
            return;
        }
        self.life += 1;
        let faults = &around.plan.faults;
        if around.kernel.chance(faults.restart_crash_permille) {
            let is_process = around.kernel.chance(faults.process_permille);
            self.die_over(is_process, around, |server, around| {
                drop(start::start(server, true, around));
            });
            say!(around.kernel, "s{} dies while it starts", self.sid);
            return self.start_later(around);
        }
        let hits = self.disk.hits();
        match start::start(self, false, around) {
            Ok(process) => {
                self.process = Some(Box::new(process));
                around.net.live(&mut around.kernel, self.node());
            }
            Err(why) if self.disk.hits() > hits => {
                say!(around.kernel, "s{} ⛁ cannot start: {why}", self.sid);
                around.check.count("start on a failing disk");
                if around.kernel.rng.bool() {
                    self.disk.heal();
                }
                self.start_later(around);
            }
            Err(why) => {
                around.check.cannot_start(self.sid, &why);
            }
        }
    }

    fn start_later(&mut self, around: &mut Surroundings) {
        let delay = around.kernel.spread(around.plan.faults.away_us);
        around.kernel.after(delay, Event::Start(self.at));
    }

    /// The end comes at some moment of what is done here. When only the process ends, what it wrote by then is seen by
    /// the next one, synced or not, and may still be lost by a later crash; else any of what was not synced is lost now.
    fn die_over(
        &mut self,
        is_process: bool,
        around: &mut Surroundings,
        last: impl FnOnce(&Self, &mut Surroundings),
    ) {
        if is_process {
            self.disk.stop_after(around.kernel.rng.usize(0..30));
            last(self, around);
            self.disk.go_on();
        } else {
            let before = self.disk.operations();
            last(self, around);
            let range = (before, self.disk.operations());
            self.disk = disk::crashed(&self.disk, range, &mut around.kernel.rng);
        }
    }

    /// Ends its process at once. What is on the disk is what a crash at some moment of the jobs under way leaves.
    pub fn crash(&mut self, around: &mut Surroundings, death: Death) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        say!(
            around.kernel,
            "s{} ✗ dies{}",
            self.sid,
            match death {
                Death::Power => "",
                Death::Silent => " silently",
                Death::Process => ", the machine lives",
            }
        );
        self.die_over(death == Death::Process, around, |_, around| {
            process.run_jobs_under_way(around);
        });
        self.standing_still = None;
        around.net.move_again(&mut around.kernel, self.node(), 0);
        let is_silent = death == Death::Silent;
        around.net.die(&mut around.kernel, self.node(), is_silent);
        around.check.crashed(self.at);
    }

    /// The last txn in its tree.
    #[must_use]
    pub fn applied(&self) -> Option<Zxid> {
        self.process
            .as_ref()
            .map(|process| process.replica().last_zxid())
    }
}
