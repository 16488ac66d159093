//! The leader's side of ZAB: a new epoch, learners in step, proposals decided.
//!
//! ```text
//! Gathering ── a quorum introduced itself ──► Promising ── acceptedEpoch durable ──► Confirming
//!     ── a quorum accepted the epoch ──► Adopting ── currentEpoch durable ──► Establishing
//!     ── a quorum has the history ──► Leading
//! ```
//!
//! Each wait ends after `initLimit` (P23). Nothing goes out before what it claims is durable (R1). What a learner goes
//! through is in [`link`]; proposals and their acks in [`broadcast`]; what a learner lacks in [`sync`]; who is alive in
//! [`liveness`]; who still believes in this leader in [`fence`].

mod broadcast;
mod fence;
mod link;
mod liveness;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::quorum_packet::{LearnerInfo, Message};
use zabra_proto::{MonoMillis, Sid, Zxid};
use zabra_quorum::{QuorumSet, Views};

use crate::{Backlog, Epochs, History, Limits, LinkId, NO_HISTORY, Packet, is_capable};
use fence::Fences;
use link::{Link, Stage};

/// What a leader is told.
#[derive(Debug, Clone)]
pub struct LeaderSettings {
    /// This server.
    pub me: Sid,
    /// Who decides.
    pub views: Views,
    /// The text of the last-seen membership, for NEWLEADER.
    pub membership: Arc<str>,
    /// How long others may take.
    pub limits: Limits,
    /// Learners always get a snapshot.
    pub always_snapshot: bool,
    /// Whether learners get transactions from the log on disk.
    pub syncs_from_log: bool,
}

/// What a leader wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaderAction {
    /// Send a packet.
    Send(LinkId, Packet),
    /// Send history from disk; what is sent later goes behind it.
    Backlog(LinkId, Backlog),
    /// Close a link.
    Close {
        /// Which.
        link: LinkId,
        /// Whose.
        sid: Option<Sid>,
        /// Why.
        why: String,
    },
    /// Make the epochs durable, then call [`Leader::on_epochs_saved`].
    SaveEpochs(Epochs),
    /// A quorum has the history: all of it is decided. Call [`Leader::serve`] once it is applied.
    Established {
        /// The new epoch.
        epoch: u32,
    },
    /// A learner is in step.
    InStep(Sid),
    /// The oldest fence has passed: a quorum still follows, and what was proposed before it is decided. It stands right
    /// behind this transaction, before any later one.
    Fenced {
        /// The last that was proposed before it.
        behind: Zxid,
    },
    /// Leadership ends.
    Leave(String),
}

/// How far leadership has come.
#[derive(Debug)]
enum Phase {
    /// A quorum must introduce itself, so that the new epoch is greater than all it ever accepted (quorum 8.4).
    Gathering { epoch: u32, who: BTreeSet<Sid> },
    /// This server's own promise is being saved.
    Promising { epoch: u32 },
    /// A quorum must accept the epoch, and have no more history than this server (quorum 8.5).
    Confirming { epoch: u32, who: BTreeSet<Sid> },
    /// The epoch of this server's history is being saved.
    Adopting { epoch: u32 },
    /// A quorum must have the history (quorum 9.7).
    Establishing { epoch: u32, who: BTreeSet<Sid> },
    /// Proposals are made, once `serves`.
    Leading { epoch: u32, serves: bool },
}

/// One epoch's leadership, from the election that gave it to its end.
#[derive(Debug)]
pub struct Leader {
    settings: LeaderSettings,
    quorum: QuorumSet,
    phase: Phase,
    /// When the phase must be over; in the last phase, when the quorum is looked at next.
    deadline: MonoMillis,
    next_ping: MonoMillis,
    epochs: Epochs,
    /// The end of the history with which leadership began: decided with the epoch.
    initial: Zxid,
    proposed: Zxid,
    links: BTreeMap<LinkId, Link>,
    /// Voters that gave their word for this epoch on a history, and know it still.
    words: BTreeSet<Sid>,
    fences: Fences,
    /// Watermarks of acks, kept for the next count.
    marks: Vec<Zxid>,
}

impl Leader {
    /// Begins with a new election's result. Everything in the log is durable.
    pub fn new(
        settings: LeaderSettings,
        epochs: Epochs,
        history: &History,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) -> Self {
        assert!(
            history.is_flushed(),
            "a leader begins with a durable history (R1)"
        );
        let mut leader = Self {
            quorum: settings.views.quorum_set(),
            phase: Phase::Gathering {
                epoch: epochs.accepted.saturating_add(1),
                who: BTreeSet::from([settings.me]),
            },
            deadline: settings.limits.init_deadline(now),
            next_ping: now.after(settings.limits.ping_ms()),
            epochs,
            initial: history.logged(),
            proposed: history.logged(),
            links: BTreeMap::new(),
            words: BTreeSet::new(),
            fences: Fences::default(),
            marks: Vec::new(),
            settings,
        };
        leader.maybe_promise(actions);
        leader
    }

    /// The epoch, once it is known.
    #[must_use]
    pub fn epoch(&self) -> Option<u32> {
        match self.phase {
            Phase::Gathering { .. } => None,
            Phase::Promising { epoch }
            | Phase::Confirming { epoch, .. }
            | Phase::Adopting { epoch }
            | Phase::Establishing { epoch, .. }
            | Phase::Leading { epoch, .. } => Some(epoch),
        }
    }

    /// Whether proposals may be made.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Leading { serves: true, .. })
    }

    /// The last number that was proposed.
    #[must_use]
    pub fn proposed(&self) -> Zxid {
        self.proposed
    }

    /// A learner connected.
    pub fn on_connected(&mut self, link: LinkId, now: MonoMillis) {
        self.links.insert(link, Link::new(now));
    }

    /// A link is gone.
    pub fn on_closed(&mut self, link: LinkId, now: MonoMillis) {
        if self.links.remove(&link).is_some() {
            self.doubt(now);
        }
    }

    /// The epochs are durable.
    pub fn on_epochs_saved(
        &mut self,
        saved: Epochs,
        history: &mut History,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) {
        self.epochs = saved;
        match self.phase {
            Phase::Promising { epoch } if saved.accepted == epoch => {
                let who = BTreeSet::from([self.settings.me]);
                self.enter(Phase::Confirming { epoch, who }, now);
                self.name_epoch(epoch, actions);
                self.maybe_adopt(now, actions);
            }
            Phase::Adopting { epoch } if saved.current == epoch => {
                let who = BTreeSet::from([self.settings.me]);
                self.enter(Phase::Establishing { epoch, who }, now);
                let confirmed: Vec<LinkId> = self.links_in(Stage::is_confirmed).collect();
                for link in confirmed {
                    self.sync(link, history, now, actions);
                }
                self.maybe_establish(history, now, actions);
            }
            _ => {}
        }
    }

    /// A packet that is no request: those are the peer's ([`Self::is_active`]).
    pub fn on_packet(
        &mut self,
        link: LinkId,
        message: &Message<'_>,
        history: &mut History,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) {
        let Some(entry) = self.links.get_mut(&link) else {
            return;
        };
        entry.heard = now;
        match message {
            Message::FollowerInfo { accepted, learner } => {
                self.on_info(link, false, accepted.epoch(), learner, actions);
            }
            Message::ObserverInfo { accepted, learner } => {
                self.on_info(link, true, accepted.epoch(), learner, actions);
            }
            Message::AckEpoch {
                last_logged,
                current_epoch,
            } => self.on_ack_epoch(link, *last_logged, *current_epoch, history, now, actions),
            Message::Ack { zxid } => self.on_ack(link, *zxid, history, now, actions),
            Message::Ping { .. } => self.on_pong(link, history, now, actions),
            // Whoever speaks before its turn is no learner of this protocol (quorum 18.2).
            _ if !self.is_active(link) => self.close(link, "an unexpected packet", actions),
            _ => {}
        }
    }

    fn on_info(
        &mut self,
        link: LinkId,
        observes: bool,
        accepted: u32,
        info: &LearnerInfo<'_>,
        actions: &mut Vec<LeaderAction>,
    ) {
        let known = self.settings.views.committed().version().0;
        if info.config_version.is_some_and(|version| version > known) {
            return self.close(link, "its membership is newer than this leader's", actions);
        }
        if !self.links.get(&link).is_some_and(|l| l.stage.is_greeting()) {
            return self.close(link, "it introduced itself twice", actions);
        }
        self.close_older_link_of(info.sid, link, actions);
        if self.epoch().is_none_or(|epoch| accepted < epoch) {
            self.words.remove(&info.sid);
        }
        if let Some(entry) = self.links.get_mut(&link) {
            entry.sid = Some(info.sid);
            entry.observes = observes;
            entry.is_capable = is_capable(info.capabilities);
            entry.stage = Stage::Introduced;
        }
        let is_voter = !observes && self.settings.views.committed().is_voter(info.sid);
        match &mut self.phase {
            Phase::Gathering { epoch, who } => {
                *epoch = (*epoch).max(accepted.saturating_add(1));
                if is_voter {
                    who.insert(info.sid);
                }
                self.maybe_promise(actions);
            }
            Phase::Promising { epoch }
            | Phase::Confirming { epoch, .. }
            | Phase::Adopting { epoch }
            | Phase::Establishing { epoch, .. }
            | Phase::Leading { epoch, .. }
                if accepted > *epoch =>
            {
                // It will never accept this epoch. With its voice in a new round the next epoch is greater (P22).
                if is_voter {
                    let why = format!("server {} has accepted epoch {accepted} already", info.sid);
                    actions.push(LeaderAction::Leave(why));
                } else {
                    self.close(link, "it has accepted a later epoch", actions);
                }
            }
            Phase::Promising { .. } => {}
            Phase::Confirming { epoch, .. }
            | Phase::Adopting { epoch }
            | Phase::Establishing { epoch, .. }
            | Phase::Leading { epoch, .. } => {
                let epoch = *epoch;
                self.name_epoch(epoch, actions);
            }
        }
    }

    fn close_older_link_of(&mut self, sid: Sid, link: LinkId, actions: &mut Vec<LeaderAction>) {
        let older = self
            .links
            .iter()
            .find(|(id, entry)| **id != link && entry.sid == Some(sid))
            .map(|(id, _)| *id);
        if let Some(older) = older {
            self.close(older, "the server has connected anew", actions);
        }
    }

    fn maybe_promise(&mut self, actions: &mut Vec<LeaderAction>) {
        let Phase::Gathering { epoch, who } = &self.phase else {
            return;
        };
        let epoch = *epoch;
        if !self.committed_quorum().is_quorum(who) {
            return;
        }
        if epoch == u32::MAX {
            let why = "the epochs are used up (P127)".to_owned();
            return actions.push(LeaderAction::Leave(why));
        }
        self.phase = Phase::Promising { epoch };
        actions.push(LeaderAction::SaveEpochs(Epochs {
            accepted: epoch,
            ..self.epochs
        }));
    }

    /// Tells the epoch to whoever has introduced itself and does not know it.
    fn name_epoch(&mut self, epoch: u32, actions: &mut Vec<LeaderAction>) {
        for (link, entry) in &mut self.links {
            if matches!(entry.stage, Stage::Introduced) {
                entry.stage = Stage::Asked;
                actions.push(LeaderAction::Send(*link, Packet::LeaderInfo { epoch }));
            }
        }
    }

    fn on_ack_epoch(
        &mut self,
        link: LinkId,
        last_logged: Zxid,
        current_epoch: Option<u32>,
        history: &mut History,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) {
        let Some(entry) = self.links.get_mut(&link) else {
            return;
        };
        if !matches!(entry.stage, Stage::Asked) {
            return self.close(link, "it accepts an epoch that was not offered", actions);
        }
        let (sid, counts) = (entry.sid, !entry.observes);
        entry.stage = Stage::Confirmed { last_logged };
        // An epoch without a txn is on a disk that was not lost.
        let has_epoch = current_epoch.is_some_and(|current| current > 0);
        let has_txn = last_logged != Zxid::ZERO && last_logged != NO_HISTORY;
        let has_history = has_txn || has_epoch;
        if let Some(sid) = sid.filter(|sid| self.settings.views.is_voter(*sid))
            && counts
            && has_history
        {
            self.words.insert(sid);
        }
        let is_doubted = counts && !has_history && self.is_doubted(sid);
        if is_doubted && let Some(entry) = self.links.get_mut(&link) {
            entry.stage = Stage::Doubted { last_logged };
        }
        match &mut self.phase {
            Phase::Confirming { who, .. } => {
                let Some(current) = current_epoch else {
                    return;
                };
                let is_empty = last_logged == NO_HISTORY;
                let own = self.epochs.current.max(self.initial.epoch());
                if !is_empty && (current, last_logged) > (own, self.initial) {
                    // It should lead. Without it there is no quorum, or there is one that does not need it (quorum 8.5).
                    return self.close(link, "it has more history than this leader", actions);
                }
                if let Some(sid) = sid.filter(|_| counts && !is_empty && !is_doubted) {
                    who.insert(sid);
                }
                self.maybe_adopt(now, actions);
            }
            Phase::Leading { serves: true, .. } if is_doubted => {
                self.believe_later(link, history, now, actions);
            }
            Phase::Establishing { .. } | Phase::Leading { .. } => {
                self.sync(link, history, now, actions);
            }
            Phase::Gathering { .. } | Phase::Promising { .. } | Phase::Adopting { .. } => {}
        }
    }

    /// Whether a voter without a history may have lost its word for a later epoch together with it. An ensemble in which
    /// nothing was ever decided begins with nobody else.
    fn is_doubted(&self, sid: Option<Sid>) -> bool {
        let has_word = sid.is_some_and(|sid| self.words.contains(&sid));
        let is_first = self.initial == Zxid::ZERO && !matches!(self.phase, Phase::Leading { .. });
        // It is the second thing that keeps such a voter from counting: the first is that it does not vote.
        let is_believed = mutant::on(Mutant::EmptyVoterBelieved) || mutant::on(Mutant::WipedVotes);
        !has_word && !is_first && !is_believed
    }

    fn maybe_adopt(&mut self, now: MonoMillis, actions: &mut Vec<LeaderAction>) {
        let Phase::Confirming { epoch, who } = &self.phase else {
            return;
        };
        let epoch = *epoch;
        if self.committed_quorum().is_quorum(who) {
            self.enter(Phase::Adopting { epoch }, now);
            actions.push(LeaderAction::SaveEpochs(Epochs {
                current: epoch,
                ..self.epochs
            }));
        }
    }

    fn maybe_establish(
        &mut self,
        history: &mut History,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) {
        let Phase::Establishing { epoch, who } = &self.phase else {
            return;
        };
        let epoch = *epoch;
        if self.quorum.is_quorum(who) {
            self.phase = Phase::Leading {
                epoch,
                serves: false,
            };
            self.deadline = now.after(self.settings.limits.tick_ms);
            history.commit_to(self.initial);
            actions.push(LeaderAction::Established { epoch });
        }
    }

    /// The history is applied: learners that have it may serve, and proposals may come.
    pub fn serve(&mut self, history: &History, now: MonoMillis, actions: &mut Vec<LeaderAction>) {
        let Phase::Leading { epoch, serves } = &mut self.phase else {
            return;
        };
        *serves = true;
        self.proposed = Zxid::new(*epoch, 0);
        let synced: Vec<LinkId> = self.links_in(Stage::is_synced).collect();
        for link in synced {
            self.welcome(link, now, actions);
        }
        let doubted: Vec<LinkId> = self.links_in(Stage::is_doubted).collect();
        for link in doubted {
            self.believe_later(link, history, now, actions);
        }
    }

    fn enter(&mut self, phase: Phase, now: MonoMillis) {
        self.phase = phase;
        self.deadline = self.settings.limits.init_deadline(now);
    }

    /// Epochs are agreed under the committed membership alone (quorum 8.4).
    fn committed_quorum(&self) -> QuorumSet {
        self.settings.views.committed().quorum_set()
    }

    fn links_in(&self, is_there: fn(&Stage) -> bool) -> impl Iterator<Item = LinkId> {
        self.links
            .iter()
            .filter(move |(_, entry)| is_there(&entry.stage))
            .map(|(link, _)| *link)
    }

    fn close(&mut self, link: LinkId, why: &str, actions: &mut Vec<LeaderAction>) {
        if let Some(entry) = self.links.remove(&link) {
            actions.push(LeaderAction::Close {
                link,
                sid: entry.sid,
                why: why.to_owned(),
            });
        }
    }
}
