//! Scenarios by hand: the same world, in which only happens what the script says.
//!
//! Clients do nothing but what they are told, servers that die stay dead until they are started, and every check runs
//! after every step as with seeds. A script that waits in vain fails with the end of the trace.

use zabra_election::ServerState;

use crate::event::{ClientAt, Event, ServerAt};
use crate::kernel::Micros;
use crate::network::Node;
use crate::plan::Plan;
use crate::trace::Keeps;
use crate::world::World;

/// A world under a script.
pub struct Script {
    /// The world.
    pub world: World,
    faults: u64,
}

/// A script waits no longer than this, µs of virtual time.
const PATIENCE_US: u64 = 120_000_000;
/// So much of the trace is shown when it waits in vain.
const TRACE_SHOWN: usize = 80;

impl Script {
    /// So many voters, all running, with one client that has made a write.
    #[must_use]
    pub fn with(voters: usize) -> Self {
        Self::of(Plan::scripted(voters))
    }

    /// A world after this plan, all running, each client having made a write.
    #[must_use]
    pub fn of(plan: Plan) -> Self {
        let mut script = Self {
            world: World::new(plan, Keeps::Lines),
            faults: 1 << 32,
        };
        script.world.begin();
        for client in &mut script.world.clients {
            client.calm_down();
        }
        script.until("everybody is served", |world| {
            world.clients.iter().all(crate::client::Client::is_served)
        });
        script
    }

    /// Who leads and is in step, if there is one.
    #[must_use]
    pub fn leader(&self) -> Option<ServerAt> {
        leader_of(&self.world)
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// If it does not come to that, or something is wrong.
    pub fn until(&mut self, what: &str, is_so: impl Fn(&World) -> bool) {
        let end = self.world.around.kernel.now().after(PATIENCE_US);
        while !is_so(&self.world) {
            let goes_on = self.world.step(end);
            self.require_no_violation();
            assert!(goes_on, "waited in vain until {what}\n{}", self.shown());
        }
    }

    /// Lets so much time pass.
    ///
    /// # Panics
    /// If something is wrong meanwhile.
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.world.around.kernel.now().after(ms * 1000);
        while self.world.around.kernel.now() < end && self.world.step(end) {}
        self.require_no_violation();
    }

    /// Waits until every server that runs is in step behind one leader with everything applied; who that is.
    pub fn in_step(&mut self) -> ServerAt {
        self.until("all are in step", |world| {
            let last = world.around.check.last_decided();
            let leader = leader_of(world);
            leader.is_some()
                && world.servers.iter().all(|server| {
                    server.process.as_ref().is_none_or(|process| {
                        let follows = process.in_step().map(|(leader, _)| leader.0 as usize - 1);
                        follows == leader && server.applied() == Some(last)
                    })
                })
        });
        self.leader().unwrap_or_default()
    }

    /// A client writes, and gets its answer.
    pub fn write(&mut self, client: ClientAt) {
        self.begin_write(client);
        self.until("the write is answered", move |world| {
            world.clients[client].is_served()
        });
    }

    /// A client writes as soon as it is connected; the answer is not waited for.
    pub fn begin_write(&mut self, client: ClientAt) {
        self.world.clients[client].calm_down();
    }

    /// A server dies.
    pub fn crash(&mut self, at: ServerAt) {
        self.world.crash(at);
    }

    /// A server is started.
    pub fn start(&mut self, at: ServerAt) {
        self.world.around.kernel.after(0, Event::Start(at));
    }

    /// A server stands still for so long.
    pub fn pause_ms(&mut self, at: ServerAt, ms: u64) {
        self.world.stand_still(at);
        self.world.around.kernel.after(ms * 1000, Event::Resume(at));
    }

    /// Every job of a server's disk takes so long from here on.
    pub fn slow_disk_ms(&mut self, at: ServerAt, ms: u64) {
        self.world.around.slow_disks.insert(at, ms * 1000);
        self.world.around.check.disk_takes(ms * 1000);
    }

    /// A server hears no other server, and is heard by none; the number takes it back.
    pub fn cut_off(&mut self, at: ServerAt) -> u64 {
        self.faults += 1;
        self.world.cut_off(at, self.faults);
        self.faults
    }

    /// A client reaches this server only.
    pub fn tie(&mut self, client: ClientAt, to: ServerAt) {
        self.faults += 1;
        for other in (0..self.world.servers.len()).filter(|other| *other != to) {
            let (here, there) = (Node::Client(client), Node::Server(other));
            self.world.around.net.block(here, there, self.faults);
            self.world.around.net.block(there, here, self.faults);
        }
    }

    /// No client hears or is heard from here on.
    pub fn silence_clients(&mut self) {
        self.faults += 1;
        for client in 0..self.world.clients.len() {
            for server in 0..self.world.servers.len() {
                let (here, there) = (Node::Client(client), Node::Server(server));
                self.world.around.net.block(here, there, self.faults);
                self.world.around.net.block(there, here, self.faults);
            }
        }
    }

    /// Takes back what cut something off.
    pub fn heal(&mut self, fault: u64) {
        self.world.heal(fault);
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.world.around.kernel.now()
    }

    fn require_no_violation(&self) {
        if let Some(violation) = self.world.around.check.violation() {
            panic!("{violation:?}\n{}", self.shown());
        }
    }

    fn shown(&self) -> String {
        let lines = self.world.around.kernel.trace.lines();
        let from = lines.len().saturating_sub(TRACE_SHOWN);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

fn leader_of(world: &World) -> Option<ServerAt> {
    let leads = |at: &ServerAt| {
        let process = world.servers[*at].process.as_ref();
        process.is_some_and(|process| {
            process.state() == Some(ServerState::Leading) && process.in_step().is_some()
        })
    };
    (0..world.servers.len()).find(leads)
}
