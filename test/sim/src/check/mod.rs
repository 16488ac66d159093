//! What must hold, checked while it happens.
//!
//! The checks know things that no server knows: every txn that was ever decided, what each disk holds, what each client
//! was told (ghost state). Each invariant counts how often its premise held, so that a run shows which of them were put
//! to the test at all (I-44). The names are those of `pitfalls.md`.
//!
//! | File | |
//! |---|---|
//! | `order` | what is decided, in which order, and what state follows: I-2, I-3, I-4, I-13, I-28 |
//! | `durability` | what disks hold: I-7, I-8, I-9, I-14, I-16 |
//! | `epochs` | promises and votes: I-1, I-11, I-12 |
//! | `closed` | sessions that are over: I-31 |
//! | `names` | sequential names: I-21 |
//! | `tested` | what must have been put to the test: I-44 |
//! | `freshness` | how old what a server shows may be: I-27 |
//! | `elections` | who leads was elected: P59 |
//! | `replies` | what clients are told: I-22 to I-26 |
//! | `sessions` | their writes, their time, their end: I-26, I-29, I-30 |
//! | `replay` | a history applied twice: I-17 |
//! | `watches` | what they are told unasked: I-32, I-33, I-35 |

mod closed;
mod durability;
mod elections;
mod epochs;
mod freshness;
mod names;
mod order;
mod replay;
mod replies;
mod sessions;
mod tested;
mod watches;

use std::collections::{BTreeMap, BTreeSet};

use zabra_election::Notification;
use zabra_peer::Commit;
use zabra_proto::quorum_packet::Message;
use zabra_proto::{SessionId, Sid, Txn, Zxid};
use zabra_serve::Replica;
use zabra_zab::{Entry, Epochs, Packet};

use crate::event::ServerAt;
use crate::kernel::Micros;
use crate::model::{self, Model, Step};
use crate::plan::Plan;
use crate::trace::{Z, hash_of};

use closed::Closed;
use durability::Disks;
use elections::Elections;
use epochs::Promises;
use freshness::Freshness;
use names::Names;
use order::Order;
use replay::Replays;
use sessions::Sessions;

pub use order::{Change, ChildChange, Decided};
pub use replies::{Answer, Told};
pub use tested::REQUIRED;
pub use watches::WatchKind;

/// Something that must not happen has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What does not hold.
    pub invariant: &'static str,
    /// How it shows.
    pub text: String,
}

/// How often the premise of each invariant held.
pub type Counts = BTreeMap<&'static str, u64>;

/// All checks of one world.
pub struct Checker {
    violation: Option<Violation>,
    counts: Counts,
    is_standalone: bool,
    epoch_len_max: u32,
    order: Order,
    disks: Disks,
    promises: Promises,
    elections: Elections,
    sessions: Sessions,
    replays: Replays,
    /// The last txn that answered a session's write.
    answered: BTreeMap<SessionId, Zxid>,
    /// The last txn that any client was told of.
    told: Zxid,
    is_quiet: bool,
    /// Who is whole when the world is quiet, if not all are.
    core: Option<BTreeSet<ServerAt>>,
    freshness: Freshness,
    model: Model,
    names: Names,
    closed: Closed,
}

/// Every step is one of the abstract protocol.
const REFINEMENT: &str = "refinement of ZAB";

/// Why a learner leaves a leader that does not keep to the protocol: none of the simulated ones may.
const IRREGULAR: [&str; 8] = [
    "it proposes",
    "it decides",
    "it asks to cut behind",
    "it sends neither DIFF",
    "UPTODATE before",
    "NEWLEADER",
    "it begins to synchronize anew",
    "it does not say which epoch",
];

fn txn_of(entry: &Entry) -> model::Txn {
    (entry.zxid, hash_of(&entry.payload))
}

/// What a check says.
type Verdict = Result<(), Violation>;

fn fails(invariant: &'static str, text: String) -> Verdict {
    Err(Violation { invariant, text })
}

impl Checker {
    /// Nothing has happened.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self {
            violation: None,
            counts: Counts::new(),
            is_standalone: plan.is_standalone,
            epoch_len_max: plan.epoch_len_max,
            order: Order::new(plan.servers()),
            disks: Disks::new(plan.servers(), plan.voters),
            promises: Promises::new(plan.servers(), plan.voters),
            elections: Elections::new(plan.voters, plan.tick_ms * 1000),
            sessions: Sessions::new(plan.close_session_len_max),
            replays: Replays::default(),
            answered: BTreeMap::new(),
            told: Zxid::ZERO,
            is_quiet: false,
            core: None,
            freshness: Freshness::new(plan),
            model: Model::new(plan.servers(), plan.voters),
            names: Names::default(),
            closed: Closed::new(),
        }
    }

    /// Notes that something is wrong; the first time counts.
    pub fn violate(&mut self, invariant: &'static str, text: String) {
        self.violation.get_or_insert(Violation { invariant, text });
    }

    /// Whether something is wrong.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.violation.is_some()
    }

    /// What is wrong.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// How often premises held.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What is decided.
    #[must_use]
    pub fn decided(&self) -> &[Decided] {
        self.order.decided()
    }

    /// The last txn that anybody has decided.
    #[must_use]
    pub fn last_decided(&self) -> Zxid {
        self.order.last()
    }

    /// The premise of an invariant held.
    pub fn count(&mut self, invariant: &'static str) {
        *self.counts.entry(invariant).or_default() += 1;
    }

    /// What a member did is a step of the abstract protocol.
    fn refine(&mut self, step: &Step<'_>) {
        if self.is_standalone || self.has_failed() {
            return;
        }
        self.count(step.name());
        if let Err(why) = self.model.step(step) {
            self.violate(REFINEMENT, format!("{step:x?}: {why}"));
        }
    }

    fn judge(&mut self, verdict: Verdict) {
        if let Err(Violation { invariant, text }) = verdict {
            self.violate(invariant, text);
        }
    }

    /// A server appends a txn to its log; as a leader, it has made it.
    pub fn appended(&mut self, at: ServerAt, entry: &Entry, leads: bool) {
        self.count("I-2 integrity");
        self.count("I-4 total order");
        if leads && entry.zxid.counter() == 1 {
            self.count("I-6 primary integrity");
        }
        // Also of who has just ceased to lead, because the numbers are used up.
        self.count("P127 an epoch has its numbers");
        if entry.zxid.counter() > self.epoch_len_max && !self.is_standalone {
            let text = format!("s{} logs {}", at + 1, Z(entry.zxid));
            self.violate("P127 an epoch has its numbers", text);
        }
        let verdict = self.order.proposed(at, entry, leads);
        self.judge(verdict);
        let verdict = self.disks.appended(at, entry);
        self.judge(verdict);
        let txn = txn_of(entry);
        if self.model.leads(at) {
            self.refine(&Step::Propose(at, txn));
        }
        self.refine(&Step::Log(at, txn));
    }

    /// A server that leads makes a txn, by a clock of this speed.
    pub fn made(&mut self, at: ServerAt, entry: &Entry, now: Micros, rate_permille: u64) {
        let payload = Replica::decode(&entry.payload);
        if sessions::is_expiry(&payload.header, &payload.txn) {
            self.count("I-29 lease");
            let header = &payload.header;
            let verdict = self.sessions.expires(at, header, now, rate_permille);
            self.judge(verdict);
        }
    }

    /// A client asks for a timeout for a session that it has.
    pub fn asked_timeout(&mut self, session: SessionId, timeout_ms: i32) {
        self.sessions.asked(session, timeout_ms);
    }

    /// The run is over.
    pub fn over(&mut self) {
        self.count("I-17 replay law");
        let verdict = self.replays.law();
        self.judge(verdict);
    }

    /// A server's disk says that these are durable.
    pub fn flushed(&mut self, at: ServerAt, batch: &[Entry]) {
        self.disks.flushed(at, batch);
        if let Some(last) = batch.last() {
            self.refine(&Step::Sync(at, last.zxid));
        }
    }

    /// A server has applied a txn.
    pub fn applied(&mut self, at: ServerAt, commit: &Commit, replica: &Replica, now: Micros) {
        let verdict = self.applies(at, commit.zxid, &commit.payload);
        self.judge(verdict);
        self.freshness.decided(commit.zxid, now);
        self.refine(&Step::Deliver(at, (commit.zxid, hash_of(&commit.payload))));
        self.count("I-5 primary order");
        self.count("I-13 equal state");
        let verdict = self.order.state(at, replica);
        self.judge(verdict);
        self.count("I-28 ephemeral has owner");
        let verdict = order::owners(at, replica);
        self.judge(verdict);
    }

    fn applies(&mut self, at: ServerAt, zxid: Zxid, payload: &[u8]) -> Verdict {
        self.count("I-3 prefix agreement");
        let is_first = self.order.applied(at, zxid, payload)?;
        if is_first {
            self.count("I-8 commit needs disks");
            self.disks.decided(at, zxid, payload)?;
            self.replays.decided(payload);
            self.count("I-26 writes in their order");
            let payload = Replica::decode(payload);
            self.sessions.decided(&payload.header, &payload.txn)?;
            if let Txn::CloseSession(_) = payload.txn {
                self.closed.insert(payload.header.session, zxid);
            }
            let created = self.order.find(zxid).and_then(|d| d.created.as_deref());
            if let Some(verdict) = created.and_then(|path| self.names.created(path)) {
                self.count("I-21 sequential names");
                verdict?;
            }
        }
        Ok(())
    }

    /// A server was started from its disk.
    pub fn recovered(
        &mut self,
        at: ServerAt,
        replica: &Replica,
        tail: &[Entry],
        last: Zxid,
        epochs: Epochs,
    ) {
        self.count("I-14 recovery");
        self.count("I-15 contiguity");
        self.count("I-18 no unbootable state");
        let snapshot = if self.is_standalone {
            tail.first()
                .map_or(replica.last_zxid(), |first| Zxid(first.zxid.0 - 1))
        } else {
            replica.last_zxid()
        };
        self.order.restarted(at, snapshot);
        let verdict = durability::contiguous(at, snapshot, tail);
        self.judge(verdict);
        let verdict = self.disks.recovered(at, snapshot, tail);
        self.judge(verdict);
        if self.is_standalone {
            self.order.forget_proposals(last);
            for entry in tail {
                let verdict = self.applies(at, entry.zxid, &entry.payload);
                self.judge(verdict);
            }
        } else {
            self.count("I-11 epochs");
            let verdict = self.promises.recovered(at, epochs, last);
            self.judge(verdict);
        }
        self.count("I-16 snapshot truth");
        let verdict = self.order.state(at, replica);
        self.judge(verdict);
        let tail: Vec<model::Txn> = tail.iter().map(txn_of).collect();
        self.refine(&Step::Recover {
            at,
            delivered: snapshot,
            tail: &tail,
            epochs: (epochs.accepted, epochs.current),
        });
    }

    /// Whether a voter's disk may be lost without the others being stuck: who has no history cannot know that it never
    /// had one, and has no voice either (P48).
    #[must_use]
    pub fn may_be_wiped(&self, at: ServerAt) -> bool {
        self.disks.have_others_history(at)
    }

    /// Whether a voter has a history on its disk.
    #[must_use]
    pub fn has_history(&self, at: ServerAt) -> bool {
        self.disks.last(at) > Zxid::ZERO
    }

    /// What every voter that serves must show to who asks now (I-27).
    pub fn must_show(&mut self, now: Micros) -> Zxid {
        self.freshness.required(now)
    }

    /// A disk begins to take so long for each of its jobs, µs.
    pub fn disk_takes(&mut self, each_us: u64) {
        self.freshness.disk_takes(each_us);
    }

    /// A voter has shown the state behind `shown` to who asked when it had to show `required` (I-27).
    pub fn showed(&mut self, at: ServerAt, shown: Zxid, required: Zxid) {
        self.count("I-27 staleness bound");
        let verdict = self.freshness.showed(at, shown, required);
        self.judge(verdict);
    }

    /// A server's disk was lost.
    pub fn wiped(&mut self, at: ServerAt) {
        self.count("P48 disk lost");
        self.disks.wiped(at);
        self.promises.wiped(at);
        self.refine(&Step::Lose(at));
        let verdict = self.disks.kept_by_a_quorum(&self.order);
        self.judge(verdict);
    }

    /// A server's process has died.
    pub fn crashed(&mut self, at: ServerAt) {
        self.count("I-9 commit is for ever");
        self.disks.crashed(at);
        self.refine(&Step::Crash(at));
        let verdict = self.disks.kept_by_a_quorum(&self.order);
        self.judge(verdict);
    }

    /// A server wants its history cut.
    pub fn truncating(&mut self, at: ServerAt, to: Zxid, applied: Zxid) {
        self.count("truncation");
        if applied > to {
            let text = format!(
                "s{} truncates to {to} what it has applied ({applied})",
                at + 1
            );
            self.violate("R4 only committed state", text);
        }
        self.disks.truncating(at, to);
        self.refine(&Step::Cut(at, to));
        self.count("I-9 commit is for ever");
        let verdict = self.disks.kept_by_a_quorum(&self.order);
        self.judge(verdict);
    }

    /// It is cut.
    pub fn truncated(&mut self, at: ServerAt, to: Zxid) {
        self.disks.truncated(at, to);
        self.refine(&Step::WasCut(at));
    }

    /// It cannot be cut there.
    pub fn not_truncated(&mut self, at: ServerAt) {
        self.count("cannot truncate");
        self.disks.not_truncated(at);
        self.refine(&Step::NotCut(at));
    }

    /// A server begins to replace its history by a snapshot and what is behind it.
    pub fn installing(&mut self, at: ServerAt, zxid: Zxid, entries: &[Entry]) {
        self.count("snapshot installed");
        self.disks.installing(at, zxid, entries);
        let behind: Vec<model::Txn> = entries.iter().map(txn_of).collect();
        self.refine(&Step::Replace(at, zxid, &behind));
        let verdict = self.disks.kept_by_a_quorum(&self.order);
        self.judge(verdict);
    }

    /// A snapshot and what is behind it are a server's history.
    pub fn installed(&mut self, at: ServerAt, zxid: Zxid, entries: &[Entry], replica: &Replica) {
        self.disks.installed(at, zxid, entries);
        let behind: Vec<model::Txn> = entries.iter().map(txn_of).collect();
        self.refine(&Step::WasReplaced(at, zxid, &behind));
        let verdict = self.disks.kept_by_a_quorum(&self.order);
        self.judge(verdict);
        self.order.restarted(at, zxid);
        self.count("I-16 snapshot truth");
        let verdict = self.order.state(at, replica);
        self.judge(verdict);
    }

    /// A server wants these epochs durable.
    pub fn epochs_wanted(&mut self, at: ServerAt, epochs: Epochs) {
        self.count("I-11 epochs");
        let before = self.promises.wanted_last(at);
        let verdict = self.promises.wanted(at, epochs);
        self.judge(verdict);
        if epochs.accepted != before.accepted {
            self.refine(&Step::Promise(at, epochs.accepted));
        }
        if epochs.current != before.current {
            self.refine(&Step::Accept(at, epochs.current));
        }
    }

    /// They are.
    pub fn epochs_saved(&mut self, at: ServerAt, epochs: Epochs) {
        self.promises.saved(at, epochs);
        self.refine(&Step::Keep(at, (epochs.accepted, epochs.current)));
    }

    /// A server leads with a quorum behind it.
    pub fn established(&mut self, at: ServerAt, epoch: u32) {
        self.count("I-1 one leader");
        self.count("I-10 sync result");
        let verdict = self.promises.has_quorum(epoch);
        self.judge(verdict);
        let verdict = self.promises.established(at, epoch);
        self.judge(verdict);
        self.refine(&Step::Establish(at, epoch));
        self.count("I-7 leader completeness");
        let verdict = self.disks.is_complete(at, epoch, &self.order);
        self.judge(verdict);
    }

    /// A server is in step behind a leader: whom everybody else follows in this epoch, too.
    pub fn in_step(&mut self, at: ServerAt, leader: Sid, epoch: u32) {
        self.count("I-1 one leader");
        self.disks.in_step(at);
        let verdict = self.promises.follows(at, leader, epoch);
        self.judge(verdict);
    }

    /// From here on nothing is wrong with the world, or with a core of it, and it is in step.
    pub fn expect_quiet(&mut self, core: Option<BTreeSet<ServerAt>>) {
        self.is_quiet = true;
        self.core = core;
    }

    /// A server is without a leader: not while nothing is wrong (I-42).
    pub fn left(&mut self, at: ServerAt, why: &str) {
        self.count("P20 nothing out of order");
        if IRREGULAR.iter().any(|irregular| why.contains(irregular)) {
            let text = format!("s{} leaves its role: {why}", at + 1);
            self.violate("P20 nothing out of order", text);
        }
        let is_whole = self.core.as_ref().is_none_or(|core| core.contains(&at));
        if why.contains("numbers are used up") {
            // The election that follows is needed.
            self.is_quiet = false;
        }
        if self.is_quiet && is_whole {
            let text = format!("s{} leaves its role: {why}", at + 1);
            self.violate("I-42 no needless elections", text);
        }
    }

    /// A client has lost its session: not while nothing is wrong (I-29).
    pub fn lost_session(&mut self, session: SessionId) {
        if self.is_quiet && self.core.is_none() {
            self.violate("I-29 lease", format!("{session} is lost"));
        }
    }

    /// A server votes.
    pub fn vote(&mut self, at: ServerAt, to: Sid, notification: &Notification, now: Micros) {
        self.elections.said(at, notification);
        self.count("P59 no storm of votes");
        let verdict = self.elections.said_to(at, to, now);
        self.judge(verdict);
        if self.promises.is_about_itself(at, notification) {
            self.count("I-12 votes tell the truth");
            let last = self.disks.last(at);
            let verdict = self.promises.vote(at, notification, last);
            self.judge(verdict);
        }
    }

    /// A server looks for a leader.
    pub fn looks(&mut self, at: ServerAt) {
        self.elections.looks(at);
        self.refine(&Step::Look(at));
    }

    /// A server finds itself elected.
    pub fn elected(&mut self, at: ServerAt) {
        self.count("P59 elected by a quorum");
        let verdict = self.elections.elected(at);
        self.judge(verdict);
        self.refine(&Step::Elect(at));
    }

    /// A server hears a client, which has this session.
    pub fn heard_of(&mut self, at: ServerAt, session: SessionId, now: Micros) {
        self.sessions.heard_of(at, session, now);
    }

    /// A server leads, and decides requests from here on.
    pub fn leads(&mut self, at: ServerAt, now: Micros) {
        self.sessions.leads(at, now);
    }

    /// A learner hears its leader: what it is sent before NEWLEADER is what the epoch begins with (I-10).
    pub fn heard(&mut self, at: ServerAt, message: &Message<'_>) {
        self.disks.heard(at, message);
    }

    /// A server sends a packet.
    pub fn packet_sent(&mut self, at: ServerAt, to: Option<Sid>, packet: &Packet) {
        match packet {
            Packet::AckEpoch {
                last_logged,
                current_epoch,
            } => {
                self.count("I-12 votes tell the truth");
                let last = self.disks.last(at);
                let verdict = self
                    .promises
                    .ack_epoch(at, to, (*last_logged, *current_epoch), last);
                self.judge(verdict);
                if let Some(leader) = to.and_then(|to| usize::try_from(to.0 - 1).ok()) {
                    let counts = current_epoch.is_some();
                    self.refine(&Step::Follow { at, leader, counts });
                }
            }
            Packet::Proposal(entry) => self.refine(&Step::Propose(at, txn_of(entry))),
            Packet::UpToDate => {
                let epoch = self.promises.current(at);
                self.established(at, epoch);
            }
            Packet::Ack(zxid) => {
                self.count("R1 ack needs the disk");
                let verdict = self.disks.acked(at, *zxid);
                self.judge(verdict);
                if zxid.counter() == 0 {
                    let verdict = self.promises.acked_leader(at, to, zxid.epoch());
                    self.judge(verdict);
                    self.count("I-10 sync result");
                    let verdict = self.disks.has_what_it_was_sent(at);
                    self.judge(verdict);
                }
            }
            _ => {}
        }
    }
}
