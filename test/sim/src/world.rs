//! A world: servers, clients and what is between them, under one seed.

use std::collections::{BTreeMap, BTreeSet};

use zabra_election::LinkFact;
use zabra_peer::{DialId, Input};
use zabra_proto::Sid;
use zabra_quorum::Role;

use crate::check::{Checker, Violation};
use crate::client::{Client, Tally};
use crate::clock::Clock;
use crate::event::{ClientAt, Event, ServerAt};
use crate::kernel::{Kernel, Micros};
use crate::network::{Arrived, Network, Node, Side, StreamId};
use crate::phase::Exposure;
use crate::plan::Plan;
use crate::process::{Fate, Process};
use crate::say;
use crate::server::{Life, Server};
use crate::surroundings::Surroundings;
use crate::trace::{Keeps, Trace};
use crate::votes::{ElectionLinks, Told};

/// Everything that is simulated.
pub struct World {
    /// The servers.
    pub servers: Vec<Server>,
    /// The clients.
    pub clients: Vec<Client>,
    /// What is between them.
    pub around: Surroundings,
    /// When faults ended, if they have.
    pub(crate) calm_since: Option<Micros>,
    /// When everything was in step, if it is.
    pub(crate) in_step_at: Option<Micros>,
    pub(crate) faults: u64,
    /// Which of them met servers in which phase.
    pub(crate) exposure: Exposure,
    /// Numbers of faults that block ways.
    pub(crate) cuts: u64,
    /// Who is healed when faults end, if not all are.
    pub(crate) core: Option<BTreeSet<ServerAt>>,
    /// What the trace last showed of each server.
    pub(crate) shown: Vec<Vec<(&'static str, String)>>,
    is_over: bool,
}

/// What a run has shown.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What went wrong, if something did.
    pub violation: Option<Violation>,
    /// The hash of the trace, if it was made.
    pub hash: Option<u64>,
    /// Events.
    pub steps: u64,
    /// Virtual time, µs.
    pub virtual_us: u64,
    /// Injected faults.
    pub faults: u64,
    /// Which of them met servers in which phase.
    pub exposure: Exposure,
    /// Decided txns.
    pub decided: usize,
    /// How often the premise of each invariant held.
    pub counts: crate::check::Counts,
    /// What became of the clients' requests.
    pub tally: Tally,
    /// How long it took after the faults until everything was in step, µs.
    pub recovery_us: Option<u64>,
}

/// A refused connection to a leader is tried so often, after such a pause, µs (quorum 8.1).
const DIALS_MAX: u32 = 5;
const DIAL_PAUSE_US: u64 = 100_000;
/// A connection that is not answered is tried again after this, µs.
const UNANSWERED_US: u64 = 1_000_000;

impl World {
    /// A world in which nothing has happened.
    #[must_use]
    pub fn new(plan: Plan, keeps: Keeps) -> Self {
        let mut kernel = Kernel::new(plan.seed, Trace::new(keeps));
        let server = |at: usize| {
            let drift = plan.drift_permille;
            let clock = Clock {
                base_ms: 1_000_000 + kernel.rng.u64(0..1_000_000),
                wall_ms: 1_700_000_000_000 + kernel.rng.i64(0..100_000),
                rate_permille: kernel.rng.u64(1000 - drift..=1000 + drift),
            };
            let votes = at < plan.voters;
            let role = if votes {
                Role::Participant
            } else {
                Role::Observer
            };
            Server::new(at, role, clock)
        };
        let mut check = Checker::new(&plan);
        for name in plan.coincidences() {
            check.count(name);
        }
        let servers: Vec<Server> = (0..plan.servers()).map(server).collect();
        let clients = (0..plan.clients).map(Client::new).collect();
        Self {
            servers,
            clients,
            around: Surroundings {
                net: Network::new(plan.weather),
                votes: ElectionLinks::default(),
                check,
                kernel,
                plan,
                slow_disks: BTreeMap::new(),
                slow_readers: BTreeSet::new(),
                unresolved: BTreeSet::new(),
                strange: BTreeSet::new(),
            },
            calm_since: None,
            in_step_at: None,
            faults: 0,
            exposure: Exposure::default(),
            cuts: 0,
            core: None,
            shown: Vec::new(),
            is_over: false,
        }
    }

    /// Switches everything on.
    pub fn begin(&mut self) {
        let spread = self.around.plan.tick_ms * 1000;
        for at in 0..self.servers.len() {
            let delay = self.around.kernel.between((0, spread));
            self.around.kernel.after(delay, Event::Start(at));
        }
        for at in 0..self.clients.len() {
            let delay = self.around.kernel.between((0, spread)) + self.around.plan.clients_wait_us;
            self.around.kernel.after(delay, Event::ClientTimer(at));
        }
    }

    /// Runs until the plan has been carried out, or something is wrong.
    pub fn run(&mut self) -> Outcome {
        self.begin();
        let calm_at = Micros(self.around.plan.calm_at_us);
        self.around.kernel.at(calm_at, Event::Calm);
        self.schedule_fault();
        while !self.is_over && self.step(Micros(u64::MAX)) {}
        self.around.check.over();
        self.outcome()
    }

    /// Lets the next event happen. False if there is none until then, or something is wrong.
    pub fn step(&mut self, until: Micros) -> bool {
        if self.around.check.has_failed() {
            return false;
        }
        let Some(event) = self.around.kernel.next_event(until) else {
            return false;
        };
        self.happen(event);
        self.show_differences();
        !self.around.check.has_failed()
    }

    /// What has been shown so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let mut tally = Tally::default();
        for client in &self.clients {
            tally.add(client.tally);
        }
        let recovery = self.calm_since.zip(self.in_step_at);
        Outcome {
            violation: self.around.check.violation().cloned(),
            hash: self.around.kernel.trace.hash(),
            steps: self.around.kernel.steps,
            virtual_us: self.around.kernel.now().0,
            faults: self.faults,
            exposure: self.exposure.clone(),
            decided: self.around.check.decided().len(),
            counts: self.around.check.counts().clone(),
            tally,
            recovery_us: recovery.map(|(since, at)| at.since(since)),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(stream, side) => self.arrive(stream, side),
            Event::Broken(stream, side) => {
                if let Some(node) = self.around.net.node(stream, side)
                    && self.around.net.take_break(stream, side)
                {
                    self.stream_gone(node, stream);
                }
            }
            Event::Timer(at, life)
            | Event::JobDone(at, life, _)
            | Event::Dialing(at, life, _)
            | Event::Woken(at, life)
            | Event::VoteFact(at, life, ..) => self.on_server(at, life, event),
            Event::ClientTimer(at) => self.clients[at].on_timer(&mut self.around),
            Event::ClientConnect(at, attempt) => self.connect_client(at, attempt),
            Event::VoteArrives { from, to, link } => self.vote_arrives(from, to, link),
            Event::VoteDial { from, to, attempt } => self.vote_dial(from, to, attempt),
            Event::Fault => self.fault(),
            Event::Ambush(at) => self.ambush(at),
            Event::Stop(at) => self.stop(at),
            Event::Relief(relief) => self.relieve(relief),
            Event::Loss(loss) => self.lose(&loss),
            Event::Start(at) => self.start(at),
            Event::Resume(at) => self.resume(at),
            Event::Heal(fault) => self.heal(fault),
            Event::Calm => self.calm(),
            Event::LastBlow => self.last_blow(),
            Event::Look => self.look(),
            Event::End => {
                self.around.check.was_quiet();
                self.is_over = true;
            }
        }
    }

    /// What happens to a process of a certain life, unless it stands still.
    fn on_server(&mut self, at: ServerAt, life: Life, event: Event) {
        let server = &mut self.servers[at];
        if server.process.as_ref().is_none_or(|p| p.life() != life) {
            return;
        }
        if let Some(waiting) = &mut server.standing_still {
            waiting.push(event);
            return;
        }
        match event {
            Event::Timer(..) => self.with(at, Process::on_timer),
            Event::Woken(..) => self.with(at, |p, around| p.on_input(Input::Woken, around)),
            Event::JobDone(_, _, job) => self.with(at, |p, around| p.on_job(job, around)),
            Event::Dialing(_, _, dial) => self.dialing(at, dial),
            Event::VoteFact(_, _, about, is_refused) => {
                let fact = if is_refused {
                    LinkFact::Refused
                } else {
                    LinkFact::Reset
                };
                self.with(at, |p, around| p.on_fact(about, fact, around));
            }
            _ => {}
        }
    }

    /// Lets a process do something, and buries it if it ends with that.
    pub(crate) fn with(
        &mut self,
        at: ServerAt,
        act: impl FnOnce(&mut Process, &mut Surroundings) -> Fate,
    ) {
        let Some(process) = self.servers[at].process.as_mut() else {
            return;
        };
        let fate = act(process, &mut self.around);
        if let Fate::Ends(why) = fate {
            if let Some(why) = why {
                say!(self.around.kernel, "s{} ends: {why}", at + 1);
            }
            let now = self.around.kernel.now();
            self.around.check.has_ended(at, now);
            self.crash(at);
        }
    }

    /// Whether a server is to be in step in the end.
    pub(crate) fn is_in_core(&self, at: ServerAt) -> bool {
        self.core.as_ref().is_none_or(|core| core.contains(&at))
    }

    fn start(&mut self, at: ServerAt) {
        if !self.is_in_core(at) {
            return;
        }
        if self.servers[at].is_damaged && !self.settle_damage(at) {
            return;
        }
        self.servers[at].start(&mut self.around);
        self.around.check.turns(at, self.around.kernel.now());
        self.with(at, Process::wake);
    }

    fn arrive(&mut self, stream: StreamId, side: Side) {
        let Some(node) = self.around.net.node(stream, side) else {
            return;
        };
        match self.around.net.arrive(stream, side) {
            None => {}
            Some(Arrived::End) => self.stream_gone(node, stream),
            Some(Arrived::Bytes(bytes)) => match node {
                Node::Client(at) => self.clients[at].on_bytes(stream, &bytes, &mut self.around),
                Node::Server(at) => {
                    if let Some(Node::Server(from)) = self.around.net.node(stream, side.other()) {
                        let now = self.around.kernel.now();
                        self.around.check.heard_server(at, from, now);
                    }
                    self.with(at, |process, around| {
                        if process.has_client(stream) {
                            process.on_client_bytes(stream, &bytes, around)
                        } else {
                            process.on_link_bytes(stream, &bytes, around)
                        }
                    });
                }
            },
        }
    }

    fn stream_gone(&mut self, node: Node, stream: StreamId) {
        match node {
            Node::Client(at) => self.clients[at].on_gone(stream, &mut self.around),
            Node::Server(at) => self.with(at, |process, around| {
                if process.has_client(stream) {
                    process.on_client_gone(stream, around)
                } else {
                    process.on_link_gone(stream, around)
                }
            }),
        }
    }

    fn connect_client(&mut self, at: ClientAt, attempt: u64) {
        let Some(to) = self.clients[at].choose(attempt, &mut self.around) else {
            return;
        };
        let (client, server) = (Node::Client(at), Node::Server(to));
        let net = &self.around.net;
        let is_blocked = net.is_blocked(client, server) || net.is_blocked(server, client);
        if is_blocked || self.servers[to].process.is_none() {
            return;
        }
        let stream = self.around.net.open(client, server);
        if let Some(process) = &mut self.servers[to].process {
            process.on_client(stream, &mut self.around);
        }
        self.clients[at].on_connected(stream, to, &mut self.around);
    }

    fn dialing(&mut self, at: ServerAt, dial: DialId) {
        let Some(process) = self.servers[at].process.as_mut() else {
            return;
        };
        let life = process.life();
        let Some((Sid(sid), tries)) = process.dials.get_mut(&dial) else {
            return;
        };
        let Some(to) = usize::try_from(*sid - 1)
            .ok()
            .filter(|to| *to < self.around.plan.servers())
        else {
            return self.with(at, |p, around| p.on_dialed(dial, None, around));
        };
        *tries += 1;
        let tries = *tries;
        let (here, there) = (Node::Server(at), Node::Server(to));
        let net = &self.around.net;
        let is_blocked = net.is_blocked(here, there) || net.is_blocked(there, here);
        let is_found = !self.around.unresolved.contains(&at);
        let again = Event::Dialing(at, life, dial);
        if is_blocked {
            self.around.kernel.after(UNANSWERED_US, again);
        } else if !is_found || self.servers[to].process.is_none() {
            if tries < DIALS_MAX {
                self.around.kernel.after(DIAL_PAUSE_US, again);
            } else {
                self.with(at, |p, around| p.on_dialed(dial, None, around));
            }
        } else {
            let stream = self.around.net.open(here, there);
            self.with(to, |p, around| p.on_learner(stream, around));
            self.with(at, |p, around| p.on_dialed(dial, Some(stream), around));
        }
    }

    fn vote_dial(&mut self, from: ServerAt, to: ServerAt, attempt: u64) {
        let listens = [from, to].map(|at| self.servers[at].process.is_some());
        let around = &mut self.around;
        if around.unresolved.contains(&from) {
            return around.votes.unresolved(from, to, attempt);
        }
        let (kernel, net) = (&mut around.kernel, &around.net);
        let told = around.votes.dial(kernel, net, (from, to), attempt, listens);
        for told in told {
            self.tell(told, 0);
        }
    }

    /// Tells a server of an election link, after a while.
    pub(crate) fn tell(&mut self, told: Told, delay_us: u64) {
        let Told {
            server,
            about,
            fact,
        } = told;
        let about = Sid(about as i64 + 1);
        match fact {
            LinkFact::Up if self.servers[server].standing_still.is_none() => {
                self.with(server, |p, around| p.on_fact(about, fact, around));
            }
            LinkFact::Up => {}
            LinkFact::Refused | LinkFact::Reset => {
                if let Some(process) = &self.servers[server].process {
                    let is_refused = fact == LinkFact::Refused;
                    let event = Event::VoteFact(server, process.life(), about, is_refused);
                    self.around.kernel.after(delay_us, event);
                }
            }
        }
    }

    fn vote_arrives(&mut self, from: ServerAt, to: ServerAt, link: u64) {
        let around = &mut self.around;
        if let Some(frame) = around.votes.arrive(&around.net, from, to, link) {
            let sid = Sid(from as i64 + 1);
            self.with(to, |p, around| p.on_vote(sid, &frame, around));
        }
    }
}
