//! One server's part in elections, for as long as a configuration lasts.

use std::collections::BTreeSet;

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::MonoMillis;
use zabra_quorum::{Membership, Role, Sid, Views};

use crate::looking::Looking;
use crate::{
    Decision, Effect, History, Input, LinkFact, NO_HISTORY, Notification, PeerEpoch, Received,
    Round, ServerState, Timer, Vote,
};

/// What does not change while an election instance lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// This server.
    pub me: Sid,
    /// Participant or observer; a participant that no configuration names is a non-voting follower.
    pub role: Role,
    /// Whether configurations told in votes are obeyed (`reconfigEnabled`); if not, they are ignored (quorum 5.3, P64).
    pub adopts_configs: bool,
    /// The first wait before votes are sent again, in milliseconds.
    pub resend_ms_min: u64,
    /// The longest such wait.
    pub resend_ms_max: u64,
}

impl Settings {
    /// Apache's defaults (quorum 5.7).
    #[must_use]
    pub fn new(me: Sid, role: Role) -> Self {
        Self {
            me,
            role,
            adopts_configs: false,
            resend_ms_min: 200,
            resend_ms_max: 60_000,
        }
    }
}

/// The election algorithm of one server under one configuration.
///
/// A change of the membership ends it, and a new one begins at round 0 (quorum 5.6).
#[derive(Debug)]
pub struct Election {
    pub(crate) settings: Settings,
    pub(crate) views: Views,
    pub(crate) phase: Phase,
    pub(crate) round: Round,
    pub(crate) history: History,
    /// Whether any voter ever spoke of a history: an empty server then does not vote (P48).
    pub(crate) has_heard_history: bool,
    /// Whether any of them spoke of a transaction.
    pub(crate) has_heard_txn: bool,
    /// Who has spoken since this server looks, and of no transaction.
    pub(crate) without_txn: BTreeSet<Sid>,
    /// Servers whose link is known to be refused or reset.
    pub(crate) down: BTreeSet<Sid>,
    /// What lookers and non-voters are told; none before the first decision.
    current: Option<(Vote, Round)>,
    timer: Timer,
}

/// What the server is about.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Has not begun, or has ended by a new configuration. Hears nothing.
    Dormant,
    /// Seeks a leader.
    Looking(Looking),
    /// Has one, or is one.
    Settled(ServerState),
}

impl Election {
    /// Begins with the first [`Input::Look`].
    #[must_use]
    pub fn new(settings: Settings, views: Views) -> Self {
        Self {
            settings,
            views,
            phase: Phase::Dormant,
            round: Round(0),
            history: History::EMPTY,
            has_heard_history: false,
            has_heard_txn: false,
            without_txn: BTreeSet::new(),
            down: BTreeSet::new(),
            current: None,
            timer: Timer(0),
        }
    }

    /// Takes an input and appends what is to be done.
    pub fn step(&mut self, now: MonoMillis, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Look(history) => self.look(now, history, effects),
            Input::Received(received) => self.on_received(now, received, effects),
            Input::Timer(timer) if timer == self.timer => self.on_timer(now, effects),
            Input::Timer(_) => {}
            Input::Link(sid, fact) => self.on_link(now, sid, fact, effects),
            Input::Established(epoch) => {
                if let (Phase::Settled(_), Some((vote, _))) = (&self.phase, &mut self.current) {
                    vote.epoch = epoch;
                }
            }
            Input::Designated { leader, zxid } => {
                let epoch = PeerEpoch(-1);
                let vote = Vote {
                    leader,
                    zxid,
                    epoch,
                };
                self.settle(vote, Round(-1));
            }
        }
    }

    /// What this server does; none before it begins and after a new configuration ended the election.
    #[must_use]
    pub fn state(&self) -> Option<ServerState> {
        match &self.phase {
            Phase::Dormant => None,
            Phase::Looking(_) => Some(ServerState::Looking),
            Phase::Settled(state) => Some(*state),
        }
    }

    /// The logical clock.
    #[must_use]
    pub fn round(&self) -> Round {
        self.round
    }

    /// The configurations under which votes are counted.
    #[must_use]
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// A newer configuration was proposed and is not decided: from here on a quorum of both is needed (quorum 14.1).
    pub fn see_proposed(&mut self, views: Views) {
        self.views = views;
    }

    /// Whom [`Effect::Broadcast`] goes to.
    #[must_use]
    pub fn recipients(&self) -> BTreeSet<Sid> {
        let mut voters = self.views.voters();
        voters.remove(&self.settings.me);
        voters
    }

    /// What this server would like best: itself, if it can be elected (quorum 5.2).
    pub(crate) fn initial_vote(&self) -> Vote {
        if self.settings.role == Role::Observer {
            return Vote::OBSERVER;
        }
        let is_voter = self.views.committed().is_voter(self.settings.me);
        Vote {
            leader: if is_voter {
                self.settings.me
            } else {
                Sid::NON_VOTER
            },
            zxid: if self.is_outsider() {
                NO_HISTORY
            } else {
                self.history.last_logged
            },
            epoch: self.history.epoch,
        }
    }

    /// Whether this server's own vote counts.
    pub(crate) fn counts_itself(&self) -> bool {
        self.settings.role == Role::Participant
            && self.views.is_voter(self.settings.me)
            && !self.is_outsider()
    }

    /// A voter that may have lost its disk: it can only join a leader that others elected (P48).
    pub(crate) fn is_outsider(&self) -> bool {
        let is_missing = self.history.last_logged == NO_HISTORY;
        if mutant::on(Mutant::WipedVotes) {
            return is_missing;
        }
        is_missing
            || (self.history.is_empty() && self.has_heard_history && !self.nobody_has_a_txn())
    }

    /// Whether every voter has spoken, and none of a transaction: then nothing was decided that a wiped disk could have
    /// lost, for it would be on a quorum, and not all of that was wiped. Without this a new ensemble whose first leader died
    /// with the first epoch on its disk would never have another.
    fn nobody_has_a_txn(&self) -> bool {
        if mutant::on(Mutant::EmptyVotersWait) {
            return false;
        }
        let is_known = |sid: &Sid| *sid == self.settings.me || self.without_txn.contains(sid);
        !self.has_heard_txn && self.views.voters().iter().all(is_known)
    }

    pub(crate) fn arm(&mut self, now: MonoMillis, wait_ms: u64, effects: &mut Vec<Effect>) {
        self.timer = Timer(self.timer.0.wrapping_add(1));
        let (timer, at) = (self.timer, now.after(wait_ms));
        effects.push(Effect::ArmTimer { timer, at });
    }

    pub(crate) fn decide(&mut self, vote: Vote, round: Round, effects: &mut Vec<Effect>) {
        let Some(looking) = self.looking() else {
            return;
        };
        let waiting = looking.take_parked();
        let state = self.settle(vote, round);
        effects.push(Effect::Decided(Decision { vote, round, state }));
        // Whoever came too late for this round is told its result at once (P63).
        for received in waiting {
            self.answer_looker(received.sender, effects);
        }
    }

    pub(crate) fn looking(&mut self) -> Option<&mut Looking> {
        match &mut self.phase {
            Phase::Looking(looking) => Some(looking),
            Phase::Dormant | Phase::Settled(_) => None,
        }
    }

    fn settle(&mut self, vote: Vote, round: Round) -> ServerState {
        let state = match self.settings.role {
            _ if vote.leader == self.settings.me => ServerState::Leading,
            Role::Participant => ServerState::Following,
            Role::Observer => ServerState::Observing,
        };
        self.current = Some((vote, round));
        self.phase = Phase::Settled(state);
        // Whatever is armed belongs to the election that ended (R12).
        self.timer = Timer(self.timer.0.wrapping_add(1));
        state
    }

    fn on_received(&mut self, now: MonoMillis, received: Received, effects: &mut Vec<Effect>) {
        let sender = received.sender;
        if sender == self.settings.me || matches!(self.phase, Phase::Dormant) {
            return;
        }
        self.down.remove(&sender);
        if let Some(config) = &received.config
            && self.maybe_adopt(config, effects)
        {
            return;
        }
        if !self.views.is_voter(sender) {
            // One that has settled wants to know nothing: it has answered this server, and would answer again.
            let is_settled = received.state.is_some_and(|s| s != ServerState::Looking);
            if !is_settled || mutant::on(Mutant::ObserverAnswers) {
                self.answer_non_voter(sender, effects);
            }
            return;
        }
        let Some(state) = received.state else { return };
        match &self.phase {
            Phase::Looking(_) => self.on_vote(now, received, state, effects),
            Phase::Settled(_) if state == ServerState::Looking => {
                self.answer_looker(sender, effects);
            }
            Phase::Settled(_) | Phase::Dormant => {}
        }
    }

    /// Only a looker takes a newer configuration from a vote (quorum 5.3). Whether that ended this election.
    fn maybe_adopt(&mut self, config: &Membership, effects: &mut Vec<Effect>) -> bool {
        let is_looking = matches!(self.phase, Phase::Looking(_));
        let committed = self.views.committed();
        let is_newer = config.version() > committed.version();
        if !(is_looking && self.settings.adopts_configs && is_newer) {
            return false;
        }
        let ends_election = !config.has_same_members(committed);
        let last_seen = self.views.pending().unwrap_or(config).clone();
        self.views = Views::new(config.clone(), last_seen);
        if ends_election {
            self.phase = Phase::Dormant;
        }
        effects.push(Effect::AdoptConfig {
            membership: config.clone(),
            ends_election,
        });
        ends_election
    }

    /// A server without a vote is told the last result, not the running proposal, with this server's round
    /// (quorum 5.3).
    fn answer_non_voter(&self, to: Sid, effects: &mut Vec<Effect>) {
        let Some(state) = self.state() else { return };
        let vote = self.current.map(|(vote, _)| vote);
        let notification = Notification {
            state,
            vote: vote.unwrap_or_else(|| self.initial_vote()),
            round: self.round,
        };
        effects.push(Effect::Send { to, notification });
    }

    fn answer_looker(&self, to: Sid, effects: &mut Vec<Effect>) {
        if let (Phase::Settled(state), Some((vote, round))) = (&self.phase, self.current) {
            let notification = Notification {
                state: *state,
                vote,
                round,
            };
            effects.push(Effect::Send { to, notification });
        }
    }

    fn on_link(&mut self, now: MonoMillis, sid: Sid, fact: LinkFact, effects: &mut Vec<Effect>) {
        match fact {
            LinkFact::Up => {
                self.down.remove(&sid);
                if self.views.is_voter(sid) {
                    self.tell_proposal(sid, effects);
                }
            }
            LinkFact::Refused | LinkFact::Reset => {
                self.down.insert(sid);
                self.conclude(now, effects);
            }
        }
    }
}
