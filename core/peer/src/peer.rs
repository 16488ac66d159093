//! One member of the ensemble, or a standalone server: what it is told, what it does.

use std::collections::VecDeque;

use zabra_election::ServerState;
use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::{MonoMillis, Sid, Zxid};
use zabra_session::{SessionIds, SessionTracker};
use zabra_tree::DataTree;
use zabra_zab::{Epochs, History};

use crate::learning;
use crate::member::{Early, Member, Role};
use crate::options::{EnsembleOptions, PeerOptions, Restored, RestoredHistory};
use crate::primary::{COUNTER_MAX, Primary};
use crate::reconfig;
use crate::{Effect, Input, Note, Now, Origin};

/// One member of the ensemble, or a standalone server, whose quorum is its own disk.
///
/// Invariant: `applied ≤ released ≤ min(committed, flushed)`, in every role ([`History`]).
#[derive(Debug)]
pub struct Peer {
    pub(crate) options: PeerOptions,
    pub(crate) history: History,
    pub(crate) role: Role,
    pub(crate) member: Option<Box<Member>>,
    /// Clients' requests that became transactions here, each with its number.
    pub(crate) origins: VecDeque<(Zxid, Origin)>,
    /// `sync` requests, each behind the last transaction that it must see applied.
    pub(crate) ordered: VecDeque<(Zxid, Origin)>,
    pub(crate) ids: SessionIds,
    pub(crate) disk_low: bool,
    pub(crate) serves: bool,
    pub(crate) stopping: bool,
    /// What had been begun when it was asked to stop.
    pub(crate) begun: Zxid,
    /// What a server without sessions of its own to expire shows of them.
    pub(crate) no_sessions: SessionTracker,
    pub(crate) expired_before: u64,
    /// Where the tree stood at the start: behind it everything was decided under this server's eyes.
    pub(crate) began_at: Zxid,
    /// The last counter of an epoch that this server gives to a transaction when it leads.
    pub(crate) counter_max: u32,
}

impl Peer {
    /// A standalone server that begins with what was on disk.
    #[must_use]
    pub fn new(options: PeerOptions, restored: &Restored, now: Now) -> Self {
        let history = History::new(0, restored.last_zxid, Vec::new());
        let primary = Primary::new(
            options.clone(),
            restored.last_zxid,
            &restored.sessions,
            false,
            now,
        );
        Self::with(
            options,
            history,
            Role::Standalone(Box::new(primary)),
            None,
            now,
        )
    }

    /// A member of an ensemble. It begins to look for a leader with its first tick.
    #[must_use]
    pub fn member(
        options: PeerOptions,
        ensemble: EnsembleOptions,
        restored: &Restored,
        history: RestoredHistory,
        now: Now,
    ) -> Self {
        let RestoredHistory {
            tail,
            epochs,
            has_history,
        } = history;
        let mut member = Member::new(ensemble, epochs, has_history, options.tick_ms, now);
        let proposed = tail.iter().rev().find_map(reconfig::membership_of);
        if let Some(membership) = proposed {
            member.see_proposed(membership);
        }
        let history = History::new(member.options.commit_log_count, restored.last_zxid, tail);
        let role = Role::Looking {
            early: Early::new(),
            votes: false,
        };
        Self::with(options, history, role, Some(Box::new(member)), now)
    }

    fn with(
        options: PeerOptions,
        history: History,
        role: Role,
        member: Option<Box<Member>>,
        now: Now,
    ) -> Self {
        Self {
            ids: SessionIds::new(options.server, now.wall),
            no_sessions: SessionTracker::new(options.tick_ms),
            began_at: history.released(),
            history,
            role,
            member,
            origins: VecDeque::new(),
            ordered: VecDeque::new(),
            disk_low: false,
            serves: false,
            stopping: false,
            begun: Zxid::ZERO,
            expired_before: 0,
            counter_max: COUNTER_MAX,
            options,
        }
    }

    /// Has epochs that this server leads end behind this counter, so that a test need not make 2^32 transactions to see
    /// the next one begin (P127).
    #[must_use]
    pub fn with_counter_max(mut self, counter_max: u32) -> Self {
        self.counter_max = counter_max;
        self
    }

    /// Takes one input; what is to be done for it is appended to `effects`, in order.
    pub fn step(&mut self, now: Now, input: Input<'_>, tree: &DataTree, effects: &mut Vec<Effect>) {
        let mono = match mutant::on(Mutant::WallClockExpires) {
            true => MonoMillis(now.wall.0.unsigned_abs()),
            false => now.mono,
        };
        let now = Now { mono, ..now };
        match input {
            Input::Write(request) => self.on_write(now, request, tree, effects),
            Input::Sync { origin, session } => self.on_sync(now, origin, session, effects),
            Input::OpenSession { conn, timeout_ms } => {
                self.on_open_session(now, conn, timeout_ms, tree, effects);
            }
            Input::ResumeSession {
                conn,
                session,
                timeout_ms,
            } => {
                self.on_resume_session(now, conn, session, timeout_ms, effects);
            }
            Input::Touched {
                session,
                timeout_ms,
                heard,
            } => {
                let is_mutant = mutant::on(Mutant::WallClockExpires);
                self.on_touched(
                    session,
                    timeout_ms,
                    if is_mutant { now.mono } else { heard },
                );
            }
            Input::Flushed(zxid) => self.on_flushed(now, zxid, effects),
            Input::Applied(zxid) => self.on_applied(zxid, effects),
            Input::DiskLow(low) => self.disk_low = low,
            Input::Tick => self.on_tick(now, tree, effects),
            Input::Woken if mutant::on(Mutant::PauseUnnoticed) => {}
            Input::Woken => self.judge_links(now, effects),
            Input::Stop => {
                if !self.stopping {
                    self.stopping = true;
                    self.begun = self.history.logged();
                }
                self.maybe_stop(effects);
            }
            _ => self.on_ensemble(now, input, tree, effects),
        }
    }

    /// What only a member is told.
    fn on_ensemble(
        &mut self,
        now: Now,
        input: Input<'_>,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
    ) {
        if self.member.is_none() || matches!(self.role, Role::Halted) {
            return;
        }
        match input {
            Input::Sessions(sessions) => self.on_sessions(now, sessions, effects),
            Input::EpochsSaved(epochs) => self.on_epochs_saved(now, epochs, effects),
            Input::Truncated(zxid) => self.on_truncated(now, zxid, effects),
            Input::CannotTruncate => self.on_cannot_truncate(now, effects),
            Input::SnapshotInstalled(zxid) => self.on_snapshot_installed(now, zxid, effects),
            Input::Vote(vote) => {
                let input = zabra_election::Input::Received(vote.clone());
                self.elect(now, input, effects);
            }
            Input::ElectionLink(sid, fact) => {
                let input = zabra_election::Input::Link(sid, fact);
                self.elect(now, input, effects);
            }
            Input::LearnerConnected(link) => self.on_learner_connected(now, link, effects),
            Input::Dialed { dial, link } => self.on_dialed(now, dial, link, effects),
            Input::Packet(link, message) => self.on_packet(now, link, message, tree, effects),
            Input::LinkClosed(link) => self.on_link_closed(now, link, effects),
            _ => {}
        }
    }

    /// The last number handed out, or logged.
    #[must_use]
    pub fn proposed(&self) -> Zxid {
        let primary = self.primary().map(Primary::proposed);
        primary.unwrap_or_else(|| self.history.logged())
    }

    /// Number of transactions that are not decided and applied.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        match &self.role {
            Role::Learning(learning) => learning.waiting_len(),
            _ => self.history.tail_len(),
        }
    }

    /// How many changes of znodes are proposed and not applied; a learner knows of none.
    #[must_use]
    pub fn overlay_len(&self) -> usize {
        self.primary().map_or(0, Primary::overlay_len)
    }

    /// The sessions that this server may expire.
    #[must_use]
    pub fn tracker(&self) -> &SessionTracker {
        self.primary().map_or(&self.no_sessions, Primary::tracker)
    }

    /// How many sessions have expired here.
    #[must_use]
    pub fn expired_count(&self) -> u64 {
        self.expired_before + self.primary().map_or(0, Primary::expired_count)
    }

    /// Where this server stands in its log.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What a member has promised and accepted.
    #[must_use]
    pub fn epochs(&self) -> Option<Epochs> {
        self.member.as_ref().map(|member| member.epochs)
    }

    /// Whether clients are served.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.serves || self.member.is_none()
    }

    /// What a member does just now; none of a standalone server.
    #[must_use]
    pub fn state(&self) -> Option<ServerState> {
        let observes = self
            .member
            .as_ref()
            .is_some_and(|m| m.options.role == zabra_quorum::Role::Observer);
        match &self.role {
            Role::Standalone(_) => None,
            Role::Looking { .. } | Role::Halted => Some(ServerState::Looking),
            Role::Leading(_) => Some(ServerState::Leading),
            Role::Learning(_) if observes => Some(ServerState::Observing),
            Role::Learning(_) => Some(ServerState::Following),
        }
    }

    /// Whom this member follows; itself if it leads.
    #[must_use]
    pub fn leader(&self) -> Option<Sid> {
        let member = self.member.as_ref()?;
        match &self.role {
            Role::Leading(_) => Some(member.options.me),
            Role::Learning(learning) => Some(learning.leader),
            Role::Standalone(_) | Role::Looking { .. } | Role::Halted => None,
        }
    }

    /// A leader's learners: who, and whether it observes.
    #[must_use]
    pub fn learners(&self) -> Vec<(Sid, bool)> {
        match &self.role {
            Role::Leading(leading) => leading.learners().collect(),
            _ => Vec::new(),
        }
    }

    /// How many of a leader's followers, and of its observers, are in step.
    #[must_use]
    pub fn synced_count(&self) -> (usize, usize) {
        match &self.role {
            Role::Leading(leading) => leading.leader.synced_count(),
            _ => (0, 0),
        }
    }

    /// How many learners and clients wait for a `sync`.
    #[must_use]
    pub fn pending_syncs(&self) -> usize {
        match &self.role {
            Role::Leading(leading) => leading.pending_syncs(),
            _ => 0,
        }
    }

    /// When the next [`Input::Tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoMillis> {
        let timer = self.member.as_ref().and_then(|member| member.timer);
        let pause = self.member.as_ref().and_then(|member| member.pause);
        let role = match &self.role {
            Role::Standalone(_) | Role::Looking { .. } | Role::Halted => None,
            Role::Leading(leading) => Some(leading.leader.next_deadline()),
            Role::Learning(learning) => Some(match &learning.stage {
                learning::Stage::Dialing { until, .. } => *until,
                learning::Stage::Linked(learner) => learner.next_deadline(),
            }),
        };
        let at = [
            timer.map(|(_, at)| at),
            pause,
            role,
            self.tracker().next_due(),
        ];
        at.into_iter().flatten().min()
    }

    pub(crate) fn primary(&self) -> Option<&Primary> {
        match &self.role {
            Role::Standalone(primary) => Some(primary),
            Role::Leading(leading) => leading.primary.as_ref(),
            Role::Looking { .. } | Role::Learning(_) | Role::Halted => None,
        }
    }

    fn on_tick(&mut self, now: Now, tree: &DataTree, effects: &mut Vec<Effect>) {
        if let Some(member) = &mut self.member {
            if !member.began {
                member.began = true;
                let config = Box::new(member.views.committed().clone());
                effects.push(Effect::SetConfig(config));
                effects.push(Effect::Note(Note::Looking));
                self.maybe_vote(now, effects);
            } else if member.pause.take_if(|at| *at <= now.mono).is_some() {
                self.maybe_vote(now, effects);
            } else if let Some((timer, _)) = member.timer.take_if(|(_, at)| *at <= now.mono) {
                let input = zabra_election::Input::Timer(timer);
                self.elect(now, input, effects);
            }
        }
        self.judge_links(now, effects);
        self.decide(now, tree, effects, |primary, _, scene| primary.tick(scene));
    }

    /// Who is silent for too long is left, or leaves.
    fn judge_links(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match &mut self.role {
            Role::Leading(leading) => {
                let outcomes = leading.act(&mut self.history, effects, |leader, _, actions| {
                    leader.tick(now.mono, actions);
                });
                self.follow_leading(now, outcomes, effects);
            }
            Role::Learning(learning) => {
                let is_late = matches!(&learning.stage,
                    learning::Stage::Dialing { until, .. } if now.mono >= *until);
                let outcomes = learning.act(&mut self.history, effects, |learner, _, actions| {
                    learner.tick(now.mono, actions);
                });
                if is_late {
                    self.look(now, "the leader cannot be reached", effects);
                }
                self.follow_silence(now, outcomes, effects);
            }
            Role::Standalone(_) | Role::Looking { .. } | Role::Halted => {}
        }
    }

    /// A leader that stops finishes what it had begun by then, and not what is asked of it meanwhile: under load there would be
    /// no end of it (P68). Its learners see the link end, and elect at once.
    pub(crate) fn maybe_stop(&mut self, effects: &mut Vec<Effect>) {
        if !self.stopping {
            return;
        }
        let is_finished = if mutant::on(Mutant::StopWaitsForQuiet) {
            self.history.tail_len() == 0
        } else {
            self.history.released() >= self.begun
        };
        let is_done = match &self.role {
            Role::Leading(leading) if leading.leader.is_serving() => is_finished,
            Role::Standalone(_) => is_finished,
            Role::Leading(_) | Role::Learning(_) | Role::Looking { .. } => true,
            Role::Halted => return,
        };
        if is_done {
            self.role = Role::Halted;
            effects.push(Effect::Stopped);
        }
    }
}
