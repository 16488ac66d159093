//! What runs on a server: the real peer, clients, replica and log, and a shell of the simulator's own around them.
//!
//! It goes through the same motions as the server's poller: what came in is given to the peer, effects are carried out in
//! their order, then bytes are sent, then what was appended is flushed. Between any two effects it can die.
//!
//! | Here | |
//! |---|---|
//! | `effects` | what the peer wants done |
//! | `jobs` | what the disk does meanwhile |
//! | `history` | what a learner lacks, read from disk |
//! | `links` | quorum links: packets in, packets out |
//! | `conns` | client connections |

mod conns;
mod effects;
mod history;
mod jobs;
mod links;

use std::collections::{BTreeMap, VecDeque};

use zabra_election::{LinkFact, Received, ServerState};
use zabra_peer::{DialId, Effect, Input, Now, Peer};
use zabra_proto::notification::{self, Notification};
use zabra_proto::{MonoMillis, Sid, Zxid};
use zabra_serve::{Clients, Conn, Replica};
use zabra_zab::Entry;

use crate::check::Kept;
use crate::clock::Clock;
use crate::disk::Files;
use crate::event::{Event, ServerAt};
use crate::kernel::Micros;
use crate::network::{Side, StreamId};
use crate::phase::Phase;
use crate::plan::Plan;
use crate::say;
use crate::server::{JobId, Life};
use crate::surroundings::Surroundings;
use zabra_testkit::disk::FaultyDisk;

use conns::Conns;
use jobs::Job;
use links::Links;

/// What a process begins with.
pub(crate) struct Parts {
    pub(crate) at: ServerAt,
    pub(crate) sid: Sid,
    pub(crate) life: Life,
    pub(crate) clock: Clock,
    pub(crate) peer: Peer,
    pub(crate) clients: Clients,
    pub(crate) replica: Replica,
    pub(crate) files: Files,
    pub(crate) disk: FaultyDisk,
    pub(crate) plan: Plan,
}

/// How a process is after something happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Runs,
    /// It has died in the midst of what it did, or ended itself, for the reason given.
    Ends(Option<String>),
}

/// A running server.
pub struct Process {
    at: ServerAt,
    sid: Sid,
    life: Life,
    clock: Clock,
    peer: Peer,
    clients: Clients,
    replica: Replica,
    files: Files,
    /// The disk that `files` are on, to ask about faults.
    disk: FaultyDisk,
    /// Injected faults that were met before the last look.
    hits: u64,
    plan: Plan,
    effects: Vec<Effect>,
    /// Appended and not given to the disk.
    batch: Vec<Entry>,
    is_flushing: bool,
    jobs: BTreeMap<JobId, Job>,
    /// Jobs that are done one after the other, in this order.
    in_order: VecDeque<JobId>,
    next_job: u64,
    snapshot_runs: bool,
    txns_since_snapshot: u64,
    /// Whether the tree is that of an ensemble that goes on: then it may be written down.
    is_tree_in_step: bool,
    conns: Conns,
    links: Links,
    /// Attempts to connect to a leader: whom, and how often it was tried.
    pub(crate) dials: BTreeMap<DialId, (Sid, u32)>,
    last_tick: MonoMillis,
    last_sweep: MonoMillis,
    armed: Option<Micros>,
    /// So many effects are still carried out before it dies.
    pub(crate) dies_in: Option<u32>,
    /// In which epoch it is in step, and behind whom.
    in_step: Option<(Sid, u32)>,
    phase: Phase,
    fate: Fate,
}

/// How often silent connections are looked for.
const SWEEP_MS: u64 = 1_000;

impl Process {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            at,
            sid,
            life,
            clock,
            peer,
            mut clients,
            replica,
            files,
            disk,
            plan,
        } = parts;
        let older = plan.older(at);
        let mut phase = Phase::Broadcast;
        if !plan.is_standalone {
            clients.stop_serving();
            phase = Phase::Election;
        }
        Self {
            at,
            sid,
            life,
            clock,
            peer,
            clients,
            replica,
            files,
            hits: disk.hits(),
            disk,
            plan,
            effects: Vec::new(),
            batch: Vec::new(),
            is_flushing: false,
            jobs: BTreeMap::new(),
            in_order: VecDeque::new(),
            next_job: 0,
            snapshot_runs: false,
            txns_since_snapshot: 0,
            is_tree_in_step: false,
            conns: Conns::default(),
            links: Links::of(older),
            dials: BTreeMap::new(),
            last_tick: MonoMillis(0),
            last_sweep: MonoMillis(0),
            armed: None,
            dies_in: None,
            in_step: None,
            phase,
            fate: Fate::Runs,
        }
    }

    /// The state that clients see.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Behind whom it is in step, and in which epoch.
    #[must_use]
    pub fn in_step(&self) -> Option<(Sid, u32)> {
        self.in_step
    }

    /// Whether sessions are opened.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.clients.is_serving()
    }

    /// What it does among the members.
    #[must_use]
    pub fn state(&self) -> Option<ServerState> {
        self.peer.state()
    }

    /// The last txn that is durable here.
    #[must_use]
    pub fn flushed(&self) -> Zxid {
        self.files.log.last_flushed()
    }

    /// How much its disk has to do.
    #[must_use]
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    /// Where it stands in the protocol.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// It enters a phase: perhaps it is waited for there.
    fn enter(&mut self, phase: Phase, around: &mut Surroundings) {
        self.phase = phase;
        let ambush = around.plan.faults.ambush_permille;
        if around.kernel.chance(ambush) {
            let longest = around.plan.weather.delay_us.1 + around.plan.flush_us.1;
            let delay = around.kernel.between((0, longest));
            around.kernel.after(delay, Event::Ambush(self.at));
        }
    }

    /// What it keeps in memory for others.
    fn kept(&self) -> Kept {
        let output = |conn: &Conn| self.clients.output(conn.id()).len();
        Kept {
            conns: self.clients.len(),
            waiting: self.clients.outstanding(),
            output: self.clients.iter().map(output).max().unwrap_or_default(),
            window: self.peer.history().window().len(),
            tail: self.peer.history().tail_len(),
            overlay: self.peer.overlay_len(),
        }
    }

    pub(crate) fn life(&self) -> Life {
        self.life
    }

    /// The first look at the clock.
    pub(crate) fn wake(&mut self, around: &mut Surroundings) -> Fate {
        let now = self.now(around);
        self.last_sweep = now.mono;
        self.tick(now, around);
        self.settle(around)
    }

    /// The time has come that the process wanted to be woken.
    pub(crate) fn on_timer(&mut self, around: &mut Surroundings) -> Fate {
        let now = self.now(around);
        if self.armed.is_some_and(|armed| armed <= around.kernel.now()) {
            self.armed = None;
        }
        if now.mono < self.next_tick() {
            return self.settle(around);
        }
        self.tick(now, around);
        let (state, at) = (self.peer.state(), around.kernel.now());
        around.check.is_now(self.at, state, at);
        let fate = self.settle(around);
        if fate == Fate::Runs {
            around.check.keeps(self.at, self.kept(), &self.plan);
        }
        fate
    }

    /// A notification arrived.
    pub(crate) fn on_vote(&mut self, from: Sid, frame: &[u8], around: &mut Surroundings) -> Fate {
        let now = self.now(around);
        if let Ok(Some((body, _))) = notification::frame(frame)
            && let Ok(message) = Notification::decode(body)
        {
            let received = Received::new(from, &message);
            say!(
                around.kernel,
                "s{} ← s{from} vote for s{} {} round {} ({:?})",
                self.sid,
                received.vote.leader,
                crate::trace::Z(received.vote.zxid),
                received.round.0,
                received.state
            );
            self.step(now, Input::Vote(&received));
        } else {
            around.check.violate(
                "wire",
                format!("s{from} sent s{} a bad notification", self.sid),
            );
        }
        self.settle(around)
    }

    /// Something arrived at the election port that is no notification.
    pub(crate) fn on_strange_vote(&mut self, bytes: &[u8], around: &mut Surroundings) -> Fate {
        let is_message = match notification::frame(bytes) {
            Ok(Some((body, _))) => Notification::decode(body).is_ok(),
            Ok(None) | Err(_) => false,
        };
        if is_message {
            say!(around.kernel, "s{} takes it for a vote of nobody", self.sid);
        }
        self.settle(around)
    }

    /// It is told something that needs nothing else.
    pub(crate) fn on_input(&mut self, input: Input<'_>, around: &mut Surroundings) -> Fate {
        let now = self.now(around);
        say!(around.kernel, "s{} {input:?}", self.sid);
        self.step(now, input);
        self.settle(around)
    }

    /// It is asked to stop in good order.
    pub(crate) fn stop(&mut self, around: &mut Surroundings) -> Fate {
        around.check.asked_to_stop(self.at, around.kernel.now());
        self.on_input(Input::Stop, around)
    }

    /// An election link changed.
    pub(crate) fn on_fact(
        &mut self,
        about: Sid,
        fact: LinkFact,
        around: &mut Surroundings,
    ) -> Fate {
        let now = self.now(around);
        say!(
            around.kernel,
            "s{} election link to s{about}: {fact:?}",
            self.sid
        );
        self.step(now, Input::ElectionLink(about, fact));
        self.settle(around)
    }

    /// An attempt to connect to a leader has ended.
    pub(crate) fn on_dialed(
        &mut self,
        dial: DialId,
        stream: Option<StreamId>,
        around: &mut Surroundings,
    ) -> Fate {
        let now = self.now(around);
        let Some((leader, _)) = self.dials.remove(&dial) else {
            return Fate::Runs;
        };
        let link = stream.map(|stream| self.links.add(stream, Side::Opener, Some(leader)));
        say!(around.kernel, "s{} dialed s{leader}: {link:?}", self.sid);
        self.step(now, Input::Dialed { dial, link });
        self.settle(around)
    }

    /// A learner connected to the quorum port.
    pub(crate) fn on_learner(&mut self, stream: StreamId, around: &mut Surroundings) -> Fate {
        let now = self.now(around);
        let link = self.links.add(stream, Side::Acceptor, None);
        self.step(now, Input::LearnerConnected(link));
        self.settle(around)
    }

    /// Its clocks were set.
    pub(crate) fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Whether the disk failed since the last time this was asked.
    fn has_disk_failed(&mut self) -> bool {
        let hits = self.disk.hits();
        std::mem::replace(&mut self.hits, hits) < hits
    }

    fn now(&self, around: &Surroundings) -> Now {
        self.clock.at(around.kernel.now())
    }

    fn step(&mut self, now: Now, input: Input<'_>) {
        self.peer
            .step(now, input, &self.replica.tree, &mut self.effects);
    }

    fn tick(&mut self, now: Now, around: &mut Surroundings) {
        self.last_tick = now.mono;
        let Self {
            clients,
            peer,
            effects,
            replica,
            ..
        } = self;
        let mut upstream = |input: Input<'_>| peer.step(now, input, &replica.tree, effects);
        clients.report_touches(now.mono, &mut upstream);
        upstream(Input::Tick);
        if now.mono.since(self.last_sweep) >= SWEEP_MS {
            self.last_sweep = now.mono;
            self.clients.close_idle(now.mono);
        }
        self.give_up_silent_intakes(now, around);
        self.maybe_begin_snapshot(around);
    }

    /// Carries out what is to be done until nothing is left, sends, flushes, and sets the timer.
    fn settle(&mut self, around: &mut Surroundings) -> Fate {
        loop {
            if !self.effects.is_empty() {
                self.carry_out(around);
                if self.fate != Fate::Runs {
                    break;
                }
            } else if self.clients.has_resumable() {
                self.resume_conns(around);
            } else if !self.send_to_clients(around) {
                break;
            }
        }
        self.send_to_links(around);
        if self.fate == Fate::Runs {
            self.maybe_flush(around);
            self.arm(around);
        }
        self.fate.clone()
    }

    /// When [`Self::tick`] has something to do.
    fn next_tick(&self) -> MonoMillis {
        let regular = self.last_tick.after(self.plan.tick_ms);
        let sweep = self.last_sweep.after(SWEEP_MS);
        let regular = if self.clients.is_empty() {
            regular
        } else {
            regular.min(sweep)
        };
        self.peer
            .next_deadline()
            .map_or(regular, |due| due.min(regular))
    }

    fn arm(&mut self, around: &mut Surroundings) {
        // A deadline that has passed is looked at again a moment later, so that virtual time goes on.
        let soon = around.kernel.now().after(500);
        let due = self.clock.when(self.next_tick()).max(soon);
        if self.armed.is_none_or(|armed| due < armed) {
            self.armed = Some(due);
            around.kernel.at(due, Event::Timer(self.at, self.life));
        }
    }
}
