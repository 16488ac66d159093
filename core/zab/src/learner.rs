//! The learner's side of ZAB: promise an epoch, take the history, log, acknowledge, learn what is decided.
//!
//! ```text
//! Greeting ── LEADERINFO ──► Promising ── acceptedEpoch durable, ACKEPOCH ──► AwaitingPlan
//!     ── DIFF ──────────────────────────────► Syncing
//!     ── TRUNC ──► Truncating ── cut ───────►   │
//!     ── SNAP ───► Installing ── durable ───►   │
//! Syncing ── NEWLEADER ──► Sealing ── all of it durable ──► Adopting ── currentEpoch durable, ACK ──► Sealed
//!     ── UPTODATE ──► Active
//! ```
//!
//! One durable step between any two states, and nothing is said before what it claims is on disk (R1, P02, P03). From
//! Syncing on proposals and decisions are taken by the same rules, before and after UPTODATE (P06).

use std::collections::VecDeque;
use std::sync::Arc;

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::quorum_packet::Message;
use zabra_proto::{MonoMillis, SessionId, Sid, Zxid};
use zabra_quorum::Membership;

use crate::limits::{HEARTBEAT_LIMIT_MS, HEARTBEAT_MS};
use crate::{Entry, Epochs, History, Limits, LinkId, NO_HISTORY, Packet};

/// What a learner is told.
#[derive(Debug, Clone, Copy)]
pub struct LearnerSettings {
    /// This server.
    pub me: Sid,
    /// Whether it observes.
    pub observes: bool,
    /// The version of its committed membership.
    pub config_version: i64,
    /// Whether it has a history at all; without one it says so.
    pub has_history: bool,
    /// The epoch whose leader is told that it has none, as the log cannot be cut as that leader asked (P10).
    pub uncut_in: Option<u32>,
    /// How long the leader may take.
    pub limits: Limits,
}

/// What a learner wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LearnerAction {
    /// Send a packet to the leader.
    Send(Packet),
    /// Make the epochs durable, then call [`Learner::on_epochs_saved`]. Everything logged before is durable.
    SaveEpochs(Epochs),
    /// Cut the log behind this, then call [`Learner::on_truncated`].
    Truncate(Zxid),
    /// Give the entry to the log. It is in the history already.
    Append(Entry),
    /// The server is in step: it may serve.
    InStep {
        /// Which epoch.
        epoch: u32,
    },
    /// The leader asks who was heard of; answer with a ping that repeats this zxid.
    Pinged(Zxid),
    /// The oldest sync request is ordered behind everything decided so far.
    Synced,
    /// Whether a session lives.
    Revalidated {
        /// Which.
        session: SessionId,
        /// Whether.
        valid: bool,
    },
    /// An error with the number of another transaction, as some leaders make them: nothing is logged, but somebody may
    /// wait for it (quorum 15.2).
    Repeated(Entry),
    /// The membership that comes with the new epoch.
    Adopt(Box<Membership>),
    /// A decided reconfiguration, and who should lead.
    Activate {
        /// Its number.
        zxid: Zxid,
        /// Who should lead.
        designated_leader: Sid,
    },
    /// The round ends; look for a leader.
    Leave(String),
    /// What was decided is not what was proposed: this server must end (quorum 18.3).
    CommitOutOfOrder {
        /// What was decided.
        committed: Zxid,
        /// What should have been.
        expected: Zxid,
    },
    /// The leader asks to take back what is decided here (P16).
    CannotTruncate(Zxid),
}

/// How far a learner has come.
#[derive(Debug)]
enum Stage {
    Greeting,
    /// `reply` is the epoch of the history; none if the epoch was accepted before.
    Promising {
        epoch: u32,
        reply: Option<u32>,
    },
    AwaitingPlan {
        epoch: u32,
    },
    /// The log is being cut; what comes meanwhile waits.
    Truncating {
        epoch: u32,
        waiting: VecDeque<Packet>,
    },
    /// The snapshot is being taken; nothing can come meanwhile.
    Installing {
        epoch: u32,
    },
    Syncing {
        epoch: u32,
    },
    /// All up to here must be durable.
    Sealing {
        epoch: u32,
        up_to: Zxid,
    },
    Adopting {
        epoch: u32,
    },
    Sealed {
        epoch: u32,
    },
    Active {
        epoch: u32,
    },
}

/// One epoch's following or observing, over one link.
#[derive(Debug)]
pub struct Learner {
    settings: LearnerSettings,
    link: LinkId,
    epochs: Epochs,
    stage: Stage,
    /// The last entry that the leader said is decided, or that is with the epoch.
    decided: Zxid,
    /// The last proposal that was acknowledged.
    acked: Zxid,
    /// Errors that repeat a number.
    repeated: VecDeque<Entry>,
    /// The membership that came with NEWLEADER.
    membership: Option<Membership>,
    heard: MonoMillis,
    /// For how long of the time since then this server itself stood still, ms.
    stood_still_ms: u64,
    last_tick: MonoMillis,
    /// Whether the leader has promised heartbeats.
    is_fast: bool,
}

impl Learner {
    /// Introduces itself on a new link. Everything in the log is durable.
    pub fn new(
        settings: LearnerSettings,
        link: LinkId,
        epochs: Epochs,
        history: &History,
        now: MonoMillis,
        actions: &mut Vec<LearnerAction>,
    ) -> Self {
        assert!(
            history.is_flushed(),
            "a learner begins with a durable history (R1)"
        );
        actions.push(LearnerAction::Send(Packet::LearnerInfo {
            observes: settings.observes,
            accepted: epochs.accepted,
            sid: settings.me,
            config_version: settings.config_version,
        }));
        Self {
            settings,
            link,
            epochs,
            stage: Stage::Greeting,
            decided: history.logged(),
            acked: history.logged(),
            repeated: VecDeque::new(),
            membership: None,
            heard: now,
            stood_still_ms: 0,
            last_tick: now,
            is_fast: false,
        }
    }

    /// The link to the leader.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// The epoch, once it is named.
    #[must_use]
    pub fn epoch(&self) -> Option<u32> {
        match self.stage {
            Stage::Greeting => None,
            Stage::Promising { epoch, .. }
            | Stage::AwaitingPlan { epoch }
            | Stage::Truncating { epoch, .. }
            | Stage::Installing { epoch }
            | Stage::Syncing { epoch }
            | Stage::Sealing { epoch, .. }
            | Stage::Adopting { epoch }
            | Stage::Sealed { epoch }
            | Stage::Active { epoch } => Some(epoch),
        }
    }

    /// Whether this server is in step.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.stage, Stage::Active { .. })
    }

    /// Whether the history on disk is being replaced or cut: the role cannot end before that is done.
    #[must_use]
    pub fn is_rewriting(&self) -> bool {
        matches!(self.stage, Stage::Truncating { .. })
    }

    /// A packet of the leader's.
    pub fn on_packet(
        &mut self,
        message: &Message<'_>,
        history: &mut History,
        now: MonoMillis,
        actions: &mut Vec<LearnerAction>,
    ) {
        self.hear(now);
        match &mut self.stage {
            Stage::Greeting => self.on_leader_info(message, actions),
            Stage::AwaitingPlan { epoch } => {
                let epoch = *epoch;
                self.on_plan(epoch, message, history, actions);
            }
            Stage::Truncating { waiting, .. } => waiting.extend(Packet::of_history(message)),
            Stage::Promising { .. } | Stage::Installing { .. } => {
                leave("the leader does not wait for an answer", actions);
            }
            Stage::Active { .. } => self.on_live(message, history, actions),
            Stage::Syncing { .. }
            | Stage::Sealing { .. }
            | Stage::Adopting { .. }
            | Stage::Sealed { .. } => self.on_sync(message, history, actions),
        }
    }

    fn on_leader_info(&mut self, message: &Message<'_>, actions: &mut Vec<LearnerAction>) {
        let Message::LeaderInfo { zxid, .. } = message else {
            return leave("it does not say which epoch it leads", actions);
        };
        let epoch = zxid.epoch();
        let accepted = self.epochs.accepted;
        if epoch < accepted {
            let why = format!("its epoch {epoch} is below epoch {accepted}, which was promised");
            return leave(&why, actions);
        }
        if epoch == accepted {
            // Not counted, for it may have been promised to another leader of this epoch; but brought into step.
            self.stage = Stage::Promising { epoch, reply: None };
            return self.accept(epoch, None, actions);
        }
        // A txn of an epoch stands behind all that its leader began with, acknowledged or not: the history counts as that
        // epoch's, as it does after a restart. A lower one would let it be cut (P03, P48).
        let of_history = match mutant::on(Mutant::UnackedCountsLess) {
            true => 0,
            false => self.decided.epoch(),
        };
        let reply = Some(self.epochs.current.max(of_history));
        self.stage = Stage::Promising { epoch, reply };
        let current = if mutant::on(Mutant::EpochBeforeHistory) {
            epoch
        } else {
            self.epochs.current
        };
        actions.push(LearnerAction::SaveEpochs(Epochs {
            accepted: epoch,
            current,
        }));
    }

    fn accept(&mut self, epoch: u32, reply: Option<u32>, actions: &mut Vec<LearnerAction>) {
        self.stage = Stage::AwaitingPlan { epoch };
        let is_uncut = self.settings.uncut_in == Some(epoch);
        let last_logged = if self.settings.has_history && !is_uncut {
            self.decided
        } else {
            NO_HISTORY
        };
        actions.push(LearnerAction::Send(Packet::AckEpoch {
            last_logged,
            current_epoch: reply,
        }));
    }

    fn on_plan(
        &mut self,
        epoch: u32,
        message: &Message<'_>,
        history: &mut History,
        actions: &mut Vec<LearnerAction>,
    ) {
        match message {
            Message::Diff { .. } => self.stage = Stage::Syncing { epoch },
            Message::Snap { .. } => self.stage = Stage::Installing { epoch },
            Message::Trunc { zxid } if *zxid == history.logged() => {
                self.stage = Stage::Syncing { epoch };
            }
            Message::Trunc { zxid } if *zxid > history.logged() => {
                leave("it asks to cut behind the end of the log", actions);
            }
            Message::Trunc { zxid } if !history.can_truncate(*zxid) => {
                actions.push(LearnerAction::CannotTruncate(*zxid));
            }
            Message::Trunc { zxid } => {
                self.stage = Stage::Truncating {
                    epoch,
                    waiting: VecDeque::new(),
                };
                actions.push(LearnerAction::Truncate(*zxid));
            }
            _ => leave("it sends neither DIFF nor TRUNC nor SNAP", actions),
        }
    }

    /// The log ends with this entry.
    pub fn on_truncated(
        &mut self,
        zxid: Zxid,
        history: &mut History,
        actions: &mut Vec<LearnerAction>,
    ) {
        history.truncated(zxid);
        let Stage::Truncating { epoch, waiting } = &mut self.stage else {
            return;
        };
        let (epoch, waiting) = (*epoch, std::mem::take(waiting));
        self.begin_sync(epoch, history);
        for packet in waiting {
            self.on_sync(&packet.message(), history, actions);
        }
    }

    /// The leader's snapshot is the history now, durably.
    pub fn on_installed(&mut self, zxid: Zxid, history: &mut History, now: MonoMillis) {
        history.replaced(zxid);
        self.hear(now);
        if let Stage::Installing { epoch } = self.stage {
            self.begin_sync(epoch, history);
        }
    }

    fn begin_sync(&mut self, epoch: u32, history: &History) {
        self.stage = Stage::Syncing { epoch };
        self.decided = history.logged();
        self.acked = history.logged();
    }

    /// The leader's packets between the plan and UPTODATE. What is not of the history is ignored there, as Apache's
    /// servers do (quorum 9.1).
    fn on_sync(
        &mut self,
        message: &Message<'_>,
        history: &mut History,
        actions: &mut Vec<LearnerAction>,
    ) {
        match message {
            Message::NewLeader { zxid, membership } => {
                self.on_new_leader(zxid.epoch(), *membership, history, actions);
            }
            Message::UpToDate => match self.stage {
                Stage::Sealed { epoch } => self.begin_serving(epoch, history, actions),
                _ => leave("UPTODATE before the history is acknowledged", actions),
            },
            Message::Ping { touched, .. } => self.is_fast = touched.is_some(),
            _ => self.on_history(message, history, actions),
        }
    }

    fn on_new_leader(
        &mut self,
        named: u32,
        membership: Option<&[u8]>,
        history: &History,
        actions: &mut Vec<LearnerAction>,
    ) {
        let Stage::Syncing { epoch } = self.stage else {
            return leave("NEWLEADER comes twice", actions);
        };
        if named != epoch {
            return leave("NEWLEADER names another epoch", actions);
        }
        let text = membership.and_then(|text| str::from_utf8(text).ok());
        self.membership = text.and_then(|text| Membership::parse(text).ok());
        let up_to = history.logged();
        // Its acknowledgement covers what is decided until here. What comes behind is waited for one by one, though some
        // leaders decide it before UPTODATE (f23).
        self.acked = self.acked.max(self.decided);
        self.stage = Stage::Sealing { epoch, up_to };
        self.maybe_adopt(history, actions);
    }

    fn maybe_adopt(&mut self, history: &History, actions: &mut Vec<LearnerAction>) {
        if let Stage::Sealing { epoch, up_to } = self.stage
            && (history.flushed() >= up_to || mutant::on(Mutant::AckBeforeHistory))
        {
            // The history first, then the epoch that it justifies (P03).
            self.stage = Stage::Adopting { epoch };
            actions.push(LearnerAction::SaveEpochs(Epochs {
                current: epoch,
                ..self.epochs
            }));
        }
    }

    /// The epochs are durable.
    pub fn on_epochs_saved(&mut self, saved: Epochs, actions: &mut Vec<LearnerAction>) {
        self.epochs = saved;
        match self.stage {
            Stage::Promising { epoch, reply } if saved.accepted == epoch => {
                self.accept(epoch, reply, actions);
            }
            Stage::Adopting { epoch } if saved.current == epoch => {
                self.stage = Stage::Sealed { epoch };
                let ack = Packet::Ack(Zxid::new(epoch, 0));
                actions.push(LearnerAction::Send(ack));
            }
            _ => {}
        }
    }

    fn begin_serving(
        &mut self,
        epoch: u32,
        history: &mut History,
        actions: &mut Vec<LearnerAction>,
    ) {
        self.stage = Stage::Active { epoch };
        let ack = Packet::Ack(Zxid::new(epoch, 0));
        actions.push(LearnerAction::Send(ack));
        // With the epoch the whole history with which it began is decided.
        history.commit_to(self.decided);
        self.acknowledge(history, actions);
        if let Some(membership) = self.membership.take() {
            actions.push(LearnerAction::Adopt(Box::new(membership)));
        }
        actions.push(LearnerAction::InStep { epoch });
    }

    /// More of the log is durable.
    pub fn on_flushed(&mut self, history: &History, actions: &mut Vec<LearnerAction>) {
        self.maybe_adopt(history, actions);
        if self.is_active() {
            self.acknowledge(history, actions);
        }
    }

    /// One ACK for each proposal that is durable, in order (P05). Observers are not asked.
    fn acknowledge(&mut self, history: &History, actions: &mut Vec<LearnerAction>) {
        if self.settings.observes {
            return;
        }
        let flushed = history.flushed();
        let durable = history.tail_after(self.acked);
        for entry in durable.take_while(|entry| entry.zxid <= flushed) {
            self.acked = entry.zxid;
            actions.push(LearnerAction::Send(Packet::Ack(entry.zxid)));
        }
    }

    fn on_live(
        &mut self,
        message: &Message<'_>,
        history: &mut History,
        actions: &mut Vec<LearnerAction>,
    ) {
        match message {
            Message::Ping { zxid, touched } => {
                self.is_fast = touched.is_some();
                actions.push(LearnerAction::Pinged(*zxid));
            }
            Message::Sync => actions.push(LearnerAction::Synced),
            Message::Revalidated { session, valid } => {
                actions.push(LearnerAction::Revalidated {
                    session: *session,
                    valid: *valid,
                });
            }
            Message::Diff { .. }
            | Message::Trunc { .. }
            | Message::Snap { .. }
            | Message::NewLeader { .. } => leave("it begins to synchronize anew", actions),
            _ => self.on_history(message, history, actions),
        }
    }

    /// Proposals and decisions, by one rule in all states (P06).
    fn on_history(
        &mut self,
        message: &Message<'_>,
        history: &mut History,
        actions: &mut Vec<LearnerAction>,
    ) {
        match message {
            Message::Proposal { zxid, txn } => {
                self.take(*zxid, txn, history, actions);
            }
            Message::Commit { zxid } => self.decide(*zxid, history, actions),
            Message::Inform { zxid, txn } => {
                let is_new = self.take(*zxid, txn, history, actions);
                if is_new {
                    self.decide(*zxid, history, actions);
                }
            }
            Message::CommitAndActivate {
                zxid,
                designated_leader,
            } => self.activate(*zxid, *designated_leader, history, actions),
            Message::InformAndActivate {
                zxid,
                designated_leader,
                txn,
            } => {
                let is_new = self.take(*zxid, txn, history, actions);
                if is_new {
                    self.activate(*zxid, *designated_leader, history, actions);
                }
            }
            _ => {}
        }
    }

    fn activate(
        &mut self,
        zxid: Zxid,
        designated_leader: Sid,
        history: &mut History,
        actions: &mut Vec<LearnerAction>,
    ) {
        self.decide(zxid, history, actions);
        actions.push(LearnerAction::Activate {
            zxid,
            designated_leader,
        });
    }

    /// Takes a proposal into the log. False if there was nothing to take.
    fn take(
        &mut self,
        zxid: Zxid,
        txn: &[u8],
        history: &mut History,
        actions: &mut Vec<LearnerAction>,
    ) -> bool {
        let logged = history.logged();
        let entry = Entry {
            zxid,
            payload: Arc::from(txn),
        };
        if logged.may_precede(zxid) {
            history.append(entry.clone());
            actions.push(LearnerAction::Append(entry));
            return true;
        }
        if zxid == logged && self.is_active() {
            self.repeated.push_back(entry);
            if !self.settings.observes {
                actions.push(LearnerAction::Send(Packet::Ack(zxid)));
            }
        } else if zxid > logged || self.is_active() {
            // A hole, or a second transaction of one number (P20). What is logged stands; a new round finds the rest.
            leave(&format!("it proposes {zxid} behind {logged}"), actions);
        }
        // Otherwise the leader repeats what the snapshot holds already (P20).
        false
    }

    fn decide(&mut self, zxid: Zxid, history: &mut History, actions: &mut Vec<LearnerAction>) {
        let next = history.tail_after(self.decided).next();
        let next = next.map(|entry| entry.zxid);
        if mutant::on(Mutant::CommitsDroppedInSync) && !self.is_active() {
            return;
        }
        if next == Some(zxid) {
            self.decided = zxid;
            if self.is_active() {
                history.commit_to(zxid);
            }
            return;
        }
        if let Some(entry) = self.repeated.pop_front_if(|entry| entry.zxid == zxid) {
            return actions.push(LearnerAction::Repeated(entry));
        }
        match next {
            // Of what came by the snapshot (P20).
            _ if zxid <= self.decided && !self.is_active() => {}
            Some(expected) if self.is_active() => {
                actions.push(LearnerAction::CommitOutOfOrder {
                    committed: zxid,
                    expected,
                });
            }
            _ => leave(
                &format!("it decides {zxid}, which it did not propose"),
                actions,
            ),
        }
    }

    /// When [`Self::tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> MonoMillis {
        if self.is_fast {
            self.last_tick.after(HEARTBEAT_MS)
        } else {
            self.deadline()
        }
    }

    fn deadline(&self) -> MonoMillis {
        let limits = self.settings.limits;
        match self.stage {
            // The shell sees whether bytes of the snapshot come.
            Stage::Installing { .. } => MonoMillis(u64::MAX),
            Stage::Greeting
            | Stage::Promising { .. }
            | Stage::AwaitingPlan { .. }
            | Stage::Truncating { .. }
            | Stage::Syncing { .. } => limits.init_deadline(self.heard),
            Stage::Sealing { .. } | Stage::Adopting { .. } | Stage::Sealed { .. } => limits
                .sync_deadline(self.heard)
                .max(limits.init_deadline(self.heard)),
            Stage::Active { .. } => limits.sync_deadline(self.heard),
        }
    }

    fn hear(&mut self, now: MonoMillis) {
        self.heard = now;
        self.stood_still_ms = 0;
    }

    /// Time has passed. What was heard before must have come in.
    pub fn tick(&mut self, now: MonoMillis, actions: &mut Vec<LearnerAction>) {
        let gap = now.since(self.last_tick);
        self.last_tick = now;
        if self.is_fast && gap > 2 * HEARTBEAT_MS {
            self.stood_still_ms += gap - HEARTBEAT_MS;
        }
        let is_forgiven = mutant::on(Mutant::PauseForgiven) && self.stood_still_ms > 0;
        if (now >= self.deadline() && !is_forgiven) || self.misses_heartbeats(now) {
            leave("it is silent", actions);
        }
    }

    /// Heartbeats are counted in this server's own running time: its own pause is no silence of the leader's (design 1.1).
    /// `syncLimit` is not: after a pause of that length the others may have gone on without this server (P75).
    fn misses_heartbeats(&self, now: MonoMillis) -> bool {
        let silence_ms = now.since(self.heard).saturating_sub(self.stood_still_ms);
        self.is_fast && self.is_active() && silence_ms >= HEARTBEAT_LIMIT_MS
    }
}

fn leave(why: &str, actions: &mut Vec<LearnerAction>) {
    actions.push(LearnerAction::Leave(why.to_owned()));
}
