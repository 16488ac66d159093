//! How one role ends and the next begins.

use zabra_election::{Decision, History as Candidate, PeerEpoch, ServerState};
use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::{SessionId, Sid, WallMillis, Zxid};
use zabra_zab::{Leader, NO_HISTORY};

use crate::leading::{self, Leading};
use crate::learning::{self, Learning, Numbers};
use crate::member::{Early, Role};
use crate::peer::Peer;
use crate::primary::Primary;
use crate::{Effect, Halt, Note, Now};

impl Peer {
    /// A learner whose leader is silent tells its election not to wait for it.
    pub(crate) fn follow_silence(
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

    /// The role ends, if there is one, and a leader is looked for.
    pub(crate) fn look(&mut self, now: Now, why: &str, effects: &mut Vec<Effect>) {
        let looking = Role::Looking {
            early: Early::new(),
            votes: false,
        };
        let was_in_step = std::mem::take(&mut self.serves);
        if was_in_step {
            effects.push(Effect::StopServing);
        }
        if let (Role::Learning(_), Some(member)) = (&self.role, &mut self.member)
            && !was_in_step
        {
            member.pause_before_next_join(now.mono);
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
                learning::Stage::Linked(_) if mutant::on(Mutant::OldLinkStaysAlive) => {}
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
    pub(crate) fn maybe_vote(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let (Role::Looking { votes, .. }, Some(member)) = (&mut self.role, &self.member) else {
            return;
        };
        let is_flushed = self.history.is_flushed() || mutant::on(Mutant::VoteBeforeFlush);
        let is_ready = member.began && member.is_settled() && is_flushed && member.pause.is_none();
        if *votes || !is_ready || self.stopping {
            return;
        }
        *votes = true;
        let logged = self.history.logged();
        let current = member.epochs.current;
        let (last_logged, epoch) = if member.has_history {
            // As a restart would find it (P03).
            let is_mutant = mutant::on(Mutant::UnackedCountsLess);
            let of_history = if is_mutant { 0 } else { logged.epoch() };
            (logged, current.max(of_history))
        } else {
            (NO_HISTORY, current)
        };
        let candidate = Candidate {
            last_logged,
            epoch: PeerEpoch(i64::from(epoch)),
        };
        self.release(effects);
        self.elect(now, zabra_election::Input::Look(candidate), effects);
    }

    pub(crate) fn elect(
        &mut self,
        now: Now,
        input: zabra_election::Input,
        effects: &mut Vec<Effect>,
    ) {
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
    pub(crate) fn on_told_config(
        &mut self,
        now: Now,
        membership: zabra_quorum::Membership,
        ends_election: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = &mut self.member else {
            return;
        };
        effects.push(Effect::AdoptConfig(Box::new(membership.clone())));
        effects.push(Effect::SetConfig(Box::new(membership.clone())));
        if ends_election {
            member.adopt(membership);
            self.look(now, "a newer membership is in force", effects);
        } else {
            let last_seen = member.views.pending().unwrap_or(&membership).clone();
            member.views = zabra_quorum::Views::new(membership, last_seen);
        }
    }

    pub(crate) fn on_decided(&mut self, now: Now, decision: Decision, effects: &mut Vec<Effect>) {
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

    pub(crate) fn begin_leading(&mut self, now: Now, early: Early, effects: &mut Vec<Effect>) {
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

    pub(crate) fn begin_learning(&mut self, now: Now, leader: Sid, effects: &mut Vec<Effect>) {
        let Some(member) = &mut self.member else {
            return;
        };
        if mutant::on(Mutant::NumbersBeginAnew) {
            let wall = WallMillis(0);
            member.numbers = Numbers::new(member.options.me, Now { wall, ..now });
        }
        let until = now.mono.after(member.dial_ms());
        let dial = member.dial(leader, effects);
        self.role = Role::Learning(Box::new(Learning::new(leader, dial, until)));
    }

    pub(crate) fn follow_leading(
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

    pub(crate) fn follow_learning(
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
                    member.vain_joins = 0;
                    member.established(epoch, now.mono);
                    self.release(effects);
                    self.serves = true;
                    effects.push(Effect::StartServing);
                    self.note_in_step(epoch, effects);
                }
                learning::Outcome::Ordered(behind, origin) => self.order(behind, origin, effects),
                learning::Outcome::Activate {
                    zxid,
                    designated_leader,
                } => self.on_activate(now, zxid, designated_leader, effects),
                learning::Outcome::Proposed(membership) => member.see_proposed(*membership),
                learning::Outcome::Adopt(membership) => self.on_adopt(now, *membership, effects),
                learning::Outcome::Leave(why) => self.look(now, &why, effects),
                learning::Outcome::CannotTruncate(zxid) => {
                    self.refuse_truncation(now, zxid, effects);
                }
                learning::Outcome::Halt(halt) => {
                    self.role = Role::Halted;
                    effects.push(Effect::Halt(halt));
                }
            }
        }
        self.release(effects);
    }

    /// What was decided under this server's eyes is never taken back (P16). What it began with may have stood in a snapshot
    /// that was written too early (P10): then only the leader's own helps.
    fn refuse_truncation(&mut self, now: Now, to: Zxid, effects: &mut Vec<Effect>) {
        let released = self.history.released();
        if released == self.began_at {
            return self.on_cannot_truncate(now, effects);
        }
        let why =
            format!("the leader asks to cut the history behind {to}, and {released} is decided");
        self.role = Role::Halted;
        effects.push(Effect::Halt(Halt::CannotSync(why)));
    }

    fn note_in_step(&self, epoch: u32, effects: &mut Vec<Effect>) {
        let leader = self.leader();
        effects.extend(leader.map(|leader| Effect::Note(Note::InStep { leader, epoch })));
    }

    /// The sessions that a new leader takes charge of.
    pub(crate) fn on_sessions(
        &mut self,
        now: Now,
        sessions: &[(SessionId, i32)],
        effects: &mut Vec<Effect>,
    ) {
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
        if let Some(primary) = &mut leading.primary {
            primary.limit_epoch(self.counter_max);
        }
        if serves_clients {
            self.serves = true;
            effects.push(Effect::StartServing);
        }
        self.note_in_step(epoch, effects);
        self.follow_leading(now, outcomes, effects);
    }
}
