//! One member of the ensemble, or a standalone server: what it is told, what it does.

use std::collections::VecDeque;

use zabra_election::{Decision, History as Candidate, PeerEpoch, ServerState};
use zabra_proto::quorum_packet::Message;
use zabra_proto::{ConnId, ErrorCode, MonoMillis, SessionId, Sid, Zxid};
use zabra_session::{SessionIds, SessionTracker};
use zabra_tree::DataTree;
use zabra_zab::{Epochs, History, Leader, Learner, LinkId, NO_HISTORY};

use crate::leading::{self, Leading};
use crate::learning::{self, Learning};
use crate::member::{Early, Introduction, Member, Role};
use crate::options::{EnsembleOptions, PeerOptions, Restored, RestoredHistory};
use crate::primary::{Asker, Owner, Primary, Request, Scene};
use crate::{Commit, DialId, Effect, Input, Note, Now, Origin, WriteRequest};

/// One member of the ensemble, or a standalone server, whose quorum is its own disk.
///
/// Invariant: `applied ≤ released ≤ min(committed, flushed)`, in every role ([`History`]).
#[derive(Debug)]
pub struct Peer {
    options: PeerOptions,
    history: History,
    role: Role,
    pub(crate) member: Option<Box<Member>>,
    /// Clients' requests that became transactions here, each with its number.
    origins: VecDeque<(Zxid, Origin)>,
    /// `sync` requests, each behind the last transaction that it must see applied.
    ordered: VecDeque<(Zxid, Origin)>,
    ids: SessionIds,
    disk_low: bool,
    serves: bool,
    stopping: bool,
    /// What a server without sessions of its own to expire shows of them.
    no_sessions: SessionTracker,
    expired_before: u64,
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
        let history = History::new(ensemble.commit_log_count, restored.last_zxid, tail);
        let member = Member::new(ensemble, epochs, has_history, options.tick_ms);
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
            history,
            role,
            member,
            origins: VecDeque::new(),
            ordered: VecDeque::new(),
            disk_low: false,
            serves: false,
            stopping: false,
            expired_before: 0,
            options,
        }
    }

    /// Takes one input; what is to be done for it is appended to `effects`, in order.
    pub fn step(&mut self, now: Now, input: Input<'_>, tree: &DataTree, effects: &mut Vec<Effect>) {
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
            } => self.on_touched(session, timeout_ms, heard),
            Input::Flushed(zxid) => self.on_flushed(now, zxid, effects),
            Input::Applied(zxid) => self.on_applied(zxid, effects),
            Input::DiskLow(low) => self.disk_low = low,
            Input::Tick => self.on_tick(now, tree, effects),
            Input::Stop => {
                self.stopping = true;
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
        let role = match &self.role {
            Role::Standalone(_) | Role::Looking { .. } | Role::Halted => None,
            Role::Leading(leading) => Some(leading.leader.next_deadline()),
            Role::Learning(learning) => Some(match &learning.stage {
                learning::Stage::Dialing { until, .. } => *until,
                learning::Stage::Linked(learner) => learner.next_deadline(),
            }),
        };
        let at = [timer.map(|(_, at)| at), role, self.tracker().next_due()];
        at.into_iter().flatten().min()
    }

    fn primary(&self) -> Option<&Primary> {
        match &self.role {
            Role::Standalone(primary) => Some(primary),
            Role::Leading(leading) => leading.primary.as_ref(),
            Role::Looking { .. } | Role::Learning(_) | Role::Halted => None,
        }
    }

    /// Runs something on whoever decides here, then logs and proposes what it made.
    fn decide(
        &mut self,
        now: Now,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
        act: impl FnOnce(&mut Primary, &mut SessionIds, &mut Scene<'_>),
    ) {
        let primary = match &mut self.role {
            Role::Standalone(primary) => primary,
            Role::Leading(leading) => match &mut leading.primary {
                Some(primary) => primary,
                None => return,
            },
            Role::Looking { .. } | Role::Learning(_) | Role::Halted => return,
        };
        let mut scene = leading::scene(now, tree, effects, self.disk_low);
        act(primary, &mut self.ids, &mut scene);
        self.log_fresh(now, effects);
    }

    /// Gives what was made to the log and to the learners: to them first, so that their disks work while this one does.
    fn log_fresh(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let primary = match &mut self.role {
            Role::Standalone(primary) => primary,
            Role::Leading(leading) => match &mut leading.primary {
                Some(primary) => primary,
                None => return,
            },
            _ => return,
        };
        let mut fresh = primary.take_fresh();
        let exhausted = primary.is_exhausted();
        for made in fresh.drain(..) {
            let entry = made.entry;
            let origin = made.origin.map(|origin| (entry.zxid, origin));
            self.origins.extend(origin);
            self.history.append(entry.clone());
            if let Role::Leading(leading) = &mut self.role {
                let outcomes = leading.act(&mut self.history, effects, |leader, _, actions| {
                    leader.propose(&entry, now.mono, actions);
                });
                debug_assert!(outcomes.is_empty(), "a proposal alone decides nothing");
            }
            effects.push(Effect::Append {
                zxid: entry.zxid,
                payload: entry.payload,
            });
        }
        if let Role::Standalone(primary) = &mut self.role {
            primary.recycle(fresh);
        } else if let Role::Leading(leading) = &mut self.role
            && let Some(primary) = &mut leading.primary
        {
            primary.recycle(fresh);
            if exhausted {
                self.look(now, "the epoch's numbers are used up", effects);
            }
        }
    }

    fn on_write(
        &mut self,
        now: Now,
        request: WriteRequest<'_>,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
    ) {
        let WriteRequest {
            origin,
            op,
            session,
            body,
            identities,
        } = request;
        match &mut self.role {
            Role::Standalone(_) | Role::Leading(_) => {
                let request = Request {
                    asker: Asker::Here(origin),
                    session,
                    cxid: origin.xid,
                    op,
                    body,
                    identities,
                };
                self.decide(now, tree, effects, |primary, _, scene| {
                    primary.write(request, scene);
                });
            }
            Role::Learning(_) if self.disk_low && op != zabra_proto::OpCode::CloseSession => {
                effects.push(Effect::Reply(origin, ErrorCode::SYSTEM_ERROR));
            }
            Role::Learning(learning) if learning.is_active() => learning.forward(&request, effects),
            Role::Learning(_) | Role::Looking { .. } | Role::Halted => {
                effects.push(Effect::HangUp(origin.conn));
            }
        }
    }

    fn on_sync(&mut self, now: Now, origin: Origin, session: SessionId, effects: &mut Vec<Effect>) {
        match &mut self.role {
            Role::Standalone(primary) => {
                let behind = primary.proposed();
                self.order(behind, origin, effects);
            }
            Role::Leading(leading) => {
                let outcomes = leading.sync(origin, now, &mut self.history, effects);
                self.follow_leading(now, outcomes, effects);
            }
            Role::Learning(learning) if learning.is_active() => {
                learning.sync(origin, session, effects);
            }
            Role::Learning(_) | Role::Looking { .. } | Role::Halted => {
                effects.push(Effect::HangUp(origin.conn));
            }
        }
    }

    /// Answers a `sync` once everything up to here is applied.
    fn order(&mut self, behind: Zxid, origin: Origin, effects: &mut Vec<Effect>) {
        self.ordered.push_back((behind, origin));
        self.answer_ordered(effects);
    }

    fn answer_ordered(&mut self, effects: &mut Vec<Effect>) {
        let released = self.history.released();
        while let Some((_, origin)) = self.ordered.pop_front_if(|(behind, _)| *behind <= released) {
            effects.push(Effect::Reply(origin, ErrorCode::OK));
        }
    }

    fn on_open_session(
        &mut self,
        now: Now,
        conn: ConnId,
        timeout_ms: i32,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
    ) {
        match &mut self.role {
            Role::Learning(learning) if learning.is_active() => {
                let session = self.ids.next(|_| false);
                learning.open_session(conn, session, timeout_ms, effects);
            }
            Role::Standalone(_) | Role::Leading(_) => {
                self.decide(now, tree, effects, |primary, ids, scene| {
                    primary.open_session(conn, timeout_ms, ids, scene);
                });
            }
            Role::Learning(_) | Role::Looking { .. } | Role::Halted => {
                effects.push(Effect::HangUp(conn));
            }
        }
    }

    fn on_resume_session(
        &mut self,
        now: Now,
        conn: ConnId,
        session: SessionId,
        timeout_ms: i32,
        effects: &mut Vec<Effect>,
    ) {
        let primary = match &mut self.role {
            Role::Standalone(primary) => Some(&mut **primary),
            Role::Leading(leading) => leading.primary.as_mut(),
            Role::Learning(learning) if learning.is_active() => {
                return learning.claim(conn, session, timeout_ms, effects);
            }
            Role::Learning(_) | Role::Looking { .. } | Role::Halted => None,
        };
        let Some(primary) = primary else {
            return effects.push(Effect::HangUp(conn));
        };
        effects.push(
            if primary.resume(session, timeout_ms, Owner::Here, now.mono) {
                Effect::SessionResumed {
                    conn,
                    session,
                    timeout_ms,
                }
            } else {
                Effect::SessionRefused(conn)
            },
        );
    }

    fn on_touched(&mut self, session: SessionId, timeout_ms: i32, heard: MonoMillis) {
        match &mut self.role {
            Role::Standalone(primary) => primary.touch(session, heard),
            Role::Leading(leading) => {
                if let Some(primary) = &mut leading.primary {
                    primary.touch(session, heard);
                }
            }
            Role::Learning(learning) => learning.touch(session, timeout_ms),
            Role::Looking { .. } | Role::Halted => {}
        }
    }

    fn on_flushed(&mut self, now: Now, zxid: Zxid, effects: &mut Vec<Effect>) {
        self.history.flushed_to(zxid);
        match &mut self.role {
            // A standalone server's quorum is its disk (R1, P28).
            Role::Standalone(_) => self.history.commit_to(zxid),
            Role::Leading(leading) => {
                let outcomes =
                    leading.act(&mut self.history, effects, |leader, history, actions| {
                        leader.on_flushed(history, actions);
                    });
                self.follow_leading(now, outcomes, effects);
            }
            Role::Learning(learning) => {
                let outcomes =
                    learning.act(&mut self.history, effects, |learner, history, actions| {
                        learner.on_flushed(history, actions);
                    });
                self.follow_learning(now, outcomes, effects);
            }
            Role::Looking { .. } | Role::Halted => {}
        }
        self.release(effects);
        self.maybe_vote(now, effects);
        self.maybe_stop(effects);
    }

    /// Gives to the tree what is decided and durable (R4, P13).
    fn release(&mut self, effects: &mut Vec<Effect>) {
        while let Some(entry) = self.history.release() {
            let origin = match &mut self.role {
                Role::Learning(learning) => learning.origin_of(&entry),
                _ => {
                    let first = self.origins.pop_front_if(|(zxid, _)| *zxid == entry.zxid);
                    first.map(|(_, origin)| origin)
                }
            };
            effects.push(Effect::Commit(Commit {
                zxid: entry.zxid,
                payload: entry.payload,
                origin,
            }));
            // In its place among the writes of its session (P98).
            self.answer_ordered(effects);
        }
    }

    fn on_applied(&mut self, zxid: Zxid, effects: &mut Vec<Effect>) {
        assert!(
            zxid <= self.history.released(),
            "applied what is not decided (R4)"
        );
        match &mut self.role {
            Role::Standalone(primary) => primary.applied(zxid),
            Role::Leading(leading) => {
                if let Some(primary) = &mut leading.primary {
                    primary.applied(zxid);
                }
            }
            Role::Looking { .. } | Role::Learning(_) | Role::Halted => {}
        }
        self.maybe_stop(effects);
    }

    fn on_tick(&mut self, now: Now, tree: &DataTree, effects: &mut Vec<Effect>) {
        if let Some(member) = &mut self.member {
            if !member.began {
                member.began = true;
                effects.push(Effect::SetConfig(member.views.committed().clone()));
                effects.push(Effect::Note(Note::Looking));
                self.maybe_vote(now, effects);
            } else if let Some((timer, _)) = member.timer.take_if(|(_, at)| *at <= now.mono) {
                let input = zabra_election::Input::Timer(timer);
                self.elect(now, input, effects);
            }
        }
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
        self.decide(now, tree, effects, |primary, _, scene| primary.tick(scene));
    }

    /// A learner whose leader is silent tells its election not to wait for it.
    fn follow_silence(
        &mut self,
        now: Now,
        outcomes: Vec<learning::Outcome>,
        effects: &mut Vec<Effect>,
    ) {
        let leaves = outcomes
            .iter()
            .any(|outcome| matches!(outcome, learning::Outcome::Leave(_)));
        if let Some(leader) = self.leader().filter(|_| leaves) {
            let fact = zabra_election::LinkFact::Reset;
            self.elect(now, zabra_election::Input::Link(leader, fact), effects);
        }
        self.follow_learning(now, outcomes, effects);
    }

    // ---- roles ----

    /// The role ends, if there is one, and a leader is looked for.
    pub(crate) fn look(&mut self, now: Now, why: &str, effects: &mut Vec<Effect>) {
        let looking = Role::Looking {
            early: Early::new(),
            votes: false,
        };
        if std::mem::take(&mut self.serves) {
            effects.push(Effect::StopServing);
        }
        self.origins.clear();
        self.ordered.clear();
        match std::mem::replace(&mut self.role, looking) {
            Role::Leading(leading) => {
                let expired = leading.primary.as_ref().map_or(0, Primary::expired_count);
                self.expired_before += expired;
                effects.extend(leading.into_links().into_iter().map(Effect::Close));
            }
            Role::Learning(learning) => match &learning.stage {
                learning::Stage::Dialing { dial, .. } => effects.push(Effect::StopDialing(*dial)),
                learning::Stage::Linked(learner) => effects.push(Effect::Close(learner.link())),
            },
            Role::Looking { early, .. } => {
                effects.extend(early.into_keys().map(Effect::Close));
            }
            other @ (Role::Standalone(_) | Role::Halted) => {
                self.role = other;
                return;
            }
        }
        let why = why.to_owned();
        effects.push(Effect::Note(Note::Left { why }));
        effects.push(Effect::Note(Note::Looking));
        self.maybe_vote(now, effects);
        self.maybe_stop(effects);
    }

    /// Begins an election once the log and the epochs on disk are what a vote will say of them (I-12, P14).
    fn maybe_vote(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let (Role::Looking { votes, .. }, Some(member)) = (&mut self.role, &self.member) else {
            return;
        };
        let is_ready = member.began && member.is_settled() && self.history.is_flushed();
        if *votes || !is_ready || self.stopping {
            return;
        }
        *votes = true;
        let candidate = Candidate {
            last_logged: if member.has_history {
                self.history.logged()
            } else {
                NO_HISTORY
            },
            epoch: PeerEpoch(i64::from(member.epochs.current)),
        };
        self.release(effects);
        self.elect(now, zabra_election::Input::Look(candidate), effects);
    }

    fn elect(&mut self, now: Now, input: zabra_election::Input, effects: &mut Vec<Effect>) {
        let Some(member) = &mut self.member else {
            return;
        };
        let mut wanted = Vec::new();
        member.election.step(now.mono, input, &mut wanted);
        for effect in wanted {
            let Some(member) = &mut self.member else {
                return;
            };
            match effect {
                zabra_election::Effect::Send { to, notification } => {
                    effects.push(Effect::Notify { to, notification });
                }
                zabra_election::Effect::Broadcast(notification) => {
                    for to in member.election.recipients() {
                        effects.push(Effect::Notify { to, notification });
                    }
                }
                zabra_election::Effect::ArmTimer { timer, at } => member.timer = Some((timer, at)),
                zabra_election::Effect::Decided(decision) => {
                    member.timer = None;
                    self.on_decided(now, decision, effects);
                }
                zabra_election::Effect::AdoptConfig {
                    membership,
                    ends_election,
                } => self.on_told_config(now, membership, ends_election, effects),
            }
        }
    }

    /// A newer membership stood in a vote (quorum 5.3).
    fn on_told_config(
        &mut self,
        now: Now,
        membership: zabra_quorum::Membership,
        ends_election: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = &mut self.member else {
            return;
        };
        effects.push(Effect::AdoptConfig(membership.clone()));
        effects.push(Effect::SetConfig(membership.clone()));
        if ends_election {
            member.adopt(membership);
            self.look(now, "a newer membership is in force", effects);
        } else {
            let last_seen = member.views.pending().unwrap_or(&membership).clone();
            member.views = zabra_quorum::Views::new(membership, last_seen);
        }
    }

    fn on_decided(&mut self, now: Now, decision: Decision, effects: &mut Vec<Effect>) {
        let leader = decision.vote.leader;
        effects.push(Effect::Note(Note::Elected { leader }));
        let Role::Looking { early, .. } = &mut self.role else {
            return;
        };
        let early = std::mem::take(early);
        match decision.state {
            ServerState::Leading => self.begin_leading(now, early, effects),
            _ => {
                effects.extend(early.into_keys().map(Effect::Close));
                self.begin_learning(now, leader, effects);
            }
        }
    }

    fn begin_leading(&mut self, now: Now, early: Early, effects: &mut Vec<Effect>) {
        let Some(member) = &self.member else { return };
        let mut actions = Vec::new();
        let leader = Leader::new(
            member.leader_settings(),
            member.epochs,
            &self.history,
            now.mono,
            &mut actions,
        );
        let mut leading = Box::new(Leading::new(leader, actions));
        let mut outcomes = leading.act(&mut self.history, effects, |_, _, _| {});
        for (link, introduction) in early {
            leading.connected(link, now);
            if let Some(introduction) = introduction {
                outcomes.extend(leading.act(
                    &mut self.history,
                    effects,
                    |leader, history, actions| {
                        let message = introduction.message();
                        leader.on_packet(link, &message, history, now.mono, actions);
                    },
                ));
            }
        }
        self.role = Role::Leading(leading);
        self.follow_leading(now, outcomes, effects);
    }

    fn begin_learning(&mut self, now: Now, leader: Sid, effects: &mut Vec<Effect>) {
        let Some(member) = &mut self.member else {
            return;
        };
        let until = now.mono.after(member.dial_ms());
        let dial = member.dial(leader, effects);
        self.role = Role::Learning(Box::new(Learning::new(leader, dial, until)));
    }

    fn follow_leading(
        &mut self,
        now: Now,
        outcomes: Vec<leading::Outcome>,
        effects: &mut Vec<Effect>,
    ) {
        for outcome in outcomes {
            // Of a role that has just ended nothing is wanted any more.
            let (Role::Leading(_), Some(member)) = (&self.role, &mut self.member) else {
                return;
            };
            match outcome {
                leading::Outcome::Save(epochs) => member.save(epochs, effects),
                leading::Outcome::Established => {
                    self.release(effects);
                    effects.push(Effect::ListSessions);
                }
                leading::Outcome::Ordered(behind, origin) => self.order(behind, origin, effects),
                leading::Outcome::Leave(why) => self.look(now, &why, effects),
            }
        }
        self.release(effects);
    }

    fn follow_learning(
        &mut self,
        now: Now,
        outcomes: Vec<learning::Outcome>,
        effects: &mut Vec<Effect>,
    ) {
        for outcome in outcomes {
            let (Role::Learning(_), Some(member)) = (&self.role, &mut self.member) else {
                return;
            };
            match outcome {
                learning::Outcome::Save(epochs) => member.save(epochs, effects),
                learning::Outcome::Truncate(zxid) => {
                    member.truncating = true;
                    effects.push(Effect::Truncate(zxid));
                }
                learning::Outcome::InStep(epoch) => {
                    member.has_history = true;
                    member.established(epoch, now.mono);
                    self.release(effects);
                    self.begin_serving(epoch, effects);
                }
                learning::Outcome::Ordered(behind, origin) => self.order(behind, origin, effects),
                learning::Outcome::Activate {
                    zxid,
                    designated_leader,
                } => self.on_activate(now, zxid, designated_leader, effects),
                learning::Outcome::Adopt(membership) => self.on_adopt(now, *membership, effects),
                learning::Outcome::Leave(why) => self.look(now, &why, effects),
                learning::Outcome::Halt(halt) => {
                    self.role = Role::Halted;
                    effects.push(Effect::Halt(halt));
                }
            }
        }
        self.release(effects);
    }

    fn begin_serving(&mut self, epoch: u32, effects: &mut Vec<Effect>) {
        let Some(leader) = self.leader() else { return };
        self.serves = true;
        effects.push(Effect::StartServing);
        effects.push(Effect::Note(Note::InStep { leader, epoch }));
    }

    /// The sessions that a new leader takes charge of.
    fn on_sessions(&mut self, now: Now, sessions: &[(SessionId, i32)], effects: &mut Vec<Effect>) {
        let (Role::Leading(leading), Some(member)) = (&mut self.role, &mut self.member) else {
            return;
        };
        let Some(epoch) = leading.leader.epoch().filter(|_| leading.primary.is_none()) else {
            return;
        };
        member.has_history = true;
        member.established(epoch, now.mono);
        let serves_clients = member.options.leader_serves;
        let outcomes = leading.begin(&self.options, sessions, now, &mut self.history, effects);
        if serves_clients {
            self.begin_serving(epoch, effects);
        }
        self.follow_leading(now, outcomes, effects);
    }

    fn on_epochs_saved(&mut self, now: Now, saved: Epochs, effects: &mut Vec<Effect>) {
        let Some(member) = &mut self.member else {
            return;
        };
        if member.saving.take_if(|saving| *saving == saved).is_none() {
            return;
        }
        assert!(
            saved.accepted >= member.epochs.accepted && saved.current >= member.epochs.current,
            "epochs fell (I-11)"
        );
        member.epochs = saved;
        match &mut self.role {
            Role::Leading(leading) => {
                let outcomes =
                    leading.act(&mut self.history, effects, |leader, history, actions| {
                        leader.on_epochs_saved(saved, history, now.mono, actions);
                    });
                self.follow_leading(now, outcomes, effects);
            }
            Role::Learning(learning) => {
                let outcomes = learning.act(&mut self.history, effects, |learner, _, actions| {
                    learner.on_epochs_saved(saved, actions);
                });
                self.follow_learning(now, outcomes, effects);
            }
            Role::Looking { .. } => self.maybe_vote(now, effects),
            Role::Standalone(_) | Role::Halted => {}
        }
    }

    fn on_truncated(&mut self, now: Now, zxid: Zxid, effects: &mut Vec<Effect>) {
        if let Some(member) = &mut self.member {
            member.truncating = false;
        }
        if let Role::Learning(learning) = &mut self.role {
            let outcomes = learning.act(&mut self.history, effects, |learner, history, actions| {
                learner.on_truncated(zxid, history, actions);
            });
            self.follow_learning(now, outcomes, effects);
        } else {
            self.history.truncated(zxid);
            self.maybe_vote(now, effects);
        }
    }

    fn on_snapshot_installed(&mut self, now: Now, zxid: Zxid, effects: &mut Vec<Effect>) {
        let config = self.member.as_ref().map(|m| m.views.committed().clone());
        effects.extend(config.map(Effect::SetConfig));
        if let Role::Learning(learning) = &mut self.role {
            let outcomes = learning.act(&mut self.history, effects, |learner, history, _| {
                learner.on_installed(zxid, history, now.mono);
            });
            self.follow_learning(now, outcomes, effects);
        } else {
            self.history.replaced(zxid);
        }
    }

    fn on_learner_connected(&mut self, now: Now, link: LinkId, effects: &mut Vec<Effect>) {
        match &mut self.role {
            Role::Leading(leading) => leading.connected(link, now),
            Role::Looking { early, .. } if early.len() < EARLY_MAX => {
                early.insert(link, None);
            }
            _ => effects.push(Effect::Close(link)),
        }
    }

    fn on_dialed(
        &mut self,
        now: Now,
        dial: DialId,
        link: Option<LinkId>,
        effects: &mut Vec<Effect>,
    ) {
        let (Role::Learning(learning), Some(member)) = (&mut self.role, &self.member) else {
            return effects.extend(link.map(Effect::Close));
        };
        let is_wanted = matches!(&learning.stage,
            learning::Stage::Dialing { dial: wanted, .. } if *wanted == dial);
        match link {
            _ if !is_wanted => effects.extend(link.map(Effect::Close)),
            None => self.look(now, "the leader cannot be reached", effects),
            Some(link) => {
                let mut actions = Vec::new();
                let learner = Learner::new(
                    member.learner_settings(),
                    link,
                    member.epochs,
                    &self.history,
                    now.mono,
                    &mut actions,
                );
                learning.stage = learning::Stage::Linked(Box::new(learner));
                let outcomes = learning.act(&mut self.history, effects, |_, _, out| {
                    out.append(&mut actions);
                });
                self.follow_learning(now, outcomes, effects);
            }
        }
    }

    fn on_packet(
        &mut self,
        now: Now,
        link: LinkId,
        message: &Message<'_>,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
    ) {
        match &mut self.role {
            Role::Leading(leading) => {
                let mut scene = leading::scene(now, tree, effects, self.disk_low);
                let outcomes = leading.on_packet(link, message, &mut self.history, &mut scene);
                self.log_fresh(now, effects);
                self.follow_leading(now, outcomes, effects);
            }
            Role::Learning(learning) if learning.link() == Some(link) => {
                let outcomes =
                    learning.act(&mut self.history, effects, |learner, history, actions| {
                        learner.on_packet(message, history, now.mono, actions);
                    });
                self.follow_learning(now, outcomes, effects);
            }
            Role::Looking { early, .. } => {
                let introduction = Introduction::from_message(message);
                match early.get_mut(&link) {
                    Some(known @ None) if introduction.is_some() => *known = introduction,
                    Some(_) => {
                        early.remove(&link);
                        effects.push(Effect::Close(link));
                    }
                    None => {}
                }
            }
            Role::Standalone(_) | Role::Learning(_) | Role::Halted => {}
        }
    }

    fn on_link_closed(&mut self, now: Now, link: LinkId, effects: &mut Vec<Effect>) {
        match &mut self.role {
            Role::Leading(leading) => leading.closed(link, now),
            Role::Learning(learning) if learning.link() == Some(link) => {
                self.look(now, "the link to the leader broke", effects);
            }
            Role::Looking { early, .. } => {
                early.remove(&link);
            }
            Role::Standalone(_) | Role::Learning(_) | Role::Halted => {}
        }
    }

    /// A leader that stops finishes what it has begun; its learners see the link end, and elect at once.
    fn maybe_stop(&mut self, effects: &mut Vec<Effect>) {
        if !self.stopping {
            return;
        }
        let is_done = match &self.role {
            Role::Leading(leading) if leading.leader.is_serving() => self.history.tail_len() == 0,
            Role::Standalone(_) => self.history.tail_len() == 0,
            Role::Leading(_) | Role::Learning(_) | Role::Looking { .. } => true,
            Role::Halted => return,
        };
        if is_done {
            self.role = Role::Halted;
            effects.push(Effect::Stopped);
        }
    }
}

/// More learners than this need not wait for a leader that does not know yet that it is one.
const EARLY_MAX: usize = 256;
