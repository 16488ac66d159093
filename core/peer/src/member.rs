//! A member of an ensemble: its part in elections, its promises, and what it is just now.

use std::collections::BTreeMap;

use zabra_election::{Election, PeerEpoch, Settings, Timer};
use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::quorum_packet::{LearnerInfo, Message};
use zabra_proto::{MonoMillis, Sid, Zxid};
use zabra_quorum::{Membership, Role as Seat, Views};
use zabra_zab::{Epochs, LeaderSettings, LearnerSettings, Limits, LinkId};

use crate::leading::Leading;
use crate::learning::{Learning, Numbers};
use crate::options::EnsembleOptions;
use crate::primary::Primary;
use crate::{DialId, Effect, Now};

/// What a peer is just now. What exists only in a role is gone with it (R12).
#[derive(Debug)]
pub(crate) enum Role {
    /// The only server.
    Standalone(Box<Primary>),
    /// Without a leader. An election begins once the disk has finished what an earlier role asked of it.
    Looking {
        early: Early,
        /// Whether the election has begun.
        votes: bool,
    },
    /// Leads, or is about to.
    Leading(Box<Leading>),
    /// Follows or observes, or is about to.
    Learning(Box<Learning>),
    /// Nothing more is done.
    Halted,
}

/// Learners that connected before this server knew that it leads, with what they said.
pub(crate) type Early = BTreeMap<LinkId, Option<Introduction>>;

/// How a learner introduced itself.
#[derive(Debug, Clone)]
pub(crate) struct Introduction {
    observes: bool,
    accepted: Zxid,
    sid: Sid,
    protocol: i32,
    config_version: Option<i64>,
    capabilities: Vec<u8>,
}

impl Introduction {
    /// From a packet; none if it is another one.
    pub(crate) fn from_message(message: &Message<'_>) -> Option<Self> {
        let (observes, accepted, learner) = match message {
            Message::FollowerInfo { accepted, learner } => (false, accepted, learner),
            Message::ObserverInfo { accepted, learner } => (true, accepted, learner),
            _ => return None,
        };
        Some(Self {
            observes,
            accepted: *accepted,
            sid: learner.sid,
            protocol: learner.protocol,
            config_version: learner.config_version,
            capabilities: learner.capabilities.to_vec(),
        })
    }

    pub(crate) fn message(&self) -> Message<'_> {
        let accepted = self.accepted;
        let learner = LearnerInfo {
            sid: self.sid,
            protocol: self.protocol,
            config_version: self.config_version,
            capabilities: &self.capabilities,
        };
        if self.observes {
            Message::ObserverInfo { accepted, learner }
        } else {
            Message::FollowerInfo { accepted, learner }
        }
    }
}

/// What a member has through all roles.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) options: EnsembleOptions,
    pub(crate) views: Views,
    pub(crate) election: Election,
    pub(crate) timer: Option<(Timer, MonoMillis)>,
    pub(crate) epochs: Epochs,
    /// Epochs on their way to the disk.
    pub(crate) saving: Option<Epochs>,
    /// A truncation on its way.
    pub(crate) truncating: bool,
    pub(crate) has_history: bool,
    /// The epoch whose leader asked for a cut that the log does not allow. It alone is told that there is no history, for
    /// then it sends its own; a vote, and any other leader, hears what a restart would find.
    pub(crate) uncut_in: Option<u32>,
    pub(crate) began: bool,
    pub(crate) tick_ms: u64,
    pub(crate) numbers: Numbers,
    /// So often in a row this server left a leader before it was in step.
    pub(crate) vain_joins: u32,
    /// No election is begun before.
    pub(crate) pause: Option<MonoMillis>,
    next_dial: u64,
}

/// So many joins in vain are followed by the next at once: a leader may have died young.
const VAIN_JOINS_AT_ONCE: u32 = 3;
/// The first pause after that; each is twice as long as the one before, up to a tick.
const PAUSE_MS: u64 = 10;

impl Member {
    pub(crate) fn new(
        options: EnsembleOptions,
        epochs: Epochs,
        has_history: bool,
        tick_ms: u64,
        now: Now,
    ) -> Self {
        let last_seen = options.last_seen.clone();
        let committed = options.membership.clone();
        let last_seen = last_seen.unwrap_or_else(|| committed.clone());
        let views = Views::new(committed, last_seen);
        Self {
            election: Election::new(settings(&options), views.clone()),
            numbers: Numbers::new(options.me, now),
            options,
            views,
            timer: None,
            epochs,
            saving: None,
            truncating: false,
            has_history,
            uncut_in: None,
            began: false,
            tick_ms,
            vain_joins: 0,
            pause: None,
            next_dial: 0,
        }
    }

    /// A membership stands in the log that is not decided: elections need a quorum of both (quorum 14.1, P110).
    pub(crate) fn see_proposed(&mut self, membership: Membership) {
        if self.options.reconfig_enabled && membership.version() > self.views.committed().version()
        {
            self.views = Views::new(self.views.committed().clone(), membership);
            self.election.see_proposed(self.views.clone());
        }
    }

    /// Whether the disk has nothing left to do that a new role would depend on.
    pub(crate) fn is_settled(&self) -> bool {
        self.saving.is_none() && !self.truncating
    }

    pub(crate) fn save(&mut self, epochs: Epochs, effects: &mut Vec<Effect>) {
        self.saving = Some(epochs);
        effects.push(Effect::SaveEpochs(epochs));
    }

    /// A leader was left before this server was in step with it. What ended that may last, as a disk does that refuses a
    /// snapshot: then the next attempts come later and later, or both sides would do nothing else.
    pub(crate) fn pause_before_next_join(&mut self, now: MonoMillis) {
        self.vain_joins = self.vain_joins.saturating_add(1);
        let pause = pause_ms(self.vain_joins, self.tick_ms);
        let pause = pause.filter(|_| !mutant::on(Mutant::VainJoinsAtOnce));
        self.pause = pause.map(|pause| now.after(pause));
    }

    /// All members report the same epoch to lookers from here on (quorum 5.6).
    pub(crate) fn established(&mut self, epoch: u32, now: MonoMillis) {
        let input = zabra_election::Input::Established(PeerEpoch(i64::from(epoch)));
        // It only changes what lookers are told.
        self.election.step(now, input, &mut Vec::new());
    }

    pub(crate) fn dial(&mut self, to: Sid, effects: &mut Vec<Effect>) -> DialId {
        self.next_dial += 1;
        let dial = DialId(self.next_dial);
        effects.push(Effect::Dial { dial, to });
        dial
    }

    pub(crate) fn dial_ms(&self) -> u64 {
        let ticks = match self.options.connect_limit {
            0 => self.options.init_limit,
            given => given,
        };
        u64::from(ticks).saturating_mul(self.tick_ms)
    }

    fn limits(&self) -> Limits {
        Limits {
            tick_ms: self.tick_ms,
            init_limit: self.options.init_limit,
            sync_limit: self.options.sync_limit,
        }
    }

    pub(crate) fn leader_settings(&self) -> LeaderSettings {
        let last_seen = self.views.pending().unwrap_or(self.views.committed());
        LeaderSettings {
            me: self.options.me,
            views: self.views.clone(),
            membership: last_seen.to_string().into(),
            limits: self.limits(),
            always_snapshot: self.options.always_snapshot,
            syncs_from_log: self.options.syncs_from_log,
        }
    }

    pub(crate) fn learner_settings(&self) -> LearnerSettings {
        LearnerSettings {
            me: self.options.me,
            observes: self.options.role == Seat::Observer,
            config_version: self.views.committed().version().0,
            has_history: self.has_history,
            uncut_in: self.uncut_in,
            limits: self.limits(),
        }
    }

    /// Another membership is in force while this server goes on with its leader: lookers are told so as before.
    pub(crate) fn go_on_under(
        &mut self,
        membership: Membership,
        leader: Option<Sid>,
        epoch: Option<u32>,
        now: MonoMillis,
    ) {
        let zxid = Zxid::from_wire(membership.version().0);
        self.adopt(membership);
        if let Some(leader) = leader {
            let designated = zabra_election::Input::Designated { leader, zxid };
            self.election.step(now, designated, &mut Vec::new());
        }
        if let Some(epoch) = epoch {
            self.established(epoch, now);
        }
    }

    /// Another membership is in force: elections begin anew under it (quorum 5.6).
    pub(crate) fn adopt(&mut self, membership: Membership) {
        let last_seen = self.views.pending().unwrap_or(&membership).clone();
        self.options.role = match membership.role(self.options.me) {
            Some(role) => role,
            // In no role: a follower without a vote (quorum 13.2).
            None => Seat::Participant,
        };
        self.views = Views::new(membership, last_seen);
        self.election = Election::new(settings(&self.options), self.views.clone());
        self.timer = None;
    }
}

fn settings(options: &EnsembleOptions) -> Settings {
    let (resend_ms_min, resend_ms_max) = options.vote_resend_ms;
    Settings {
        adopts_configs: options.reconfig_enabled,
        resend_ms_min,
        resend_ms_max,
        ..Settings::new(options.me, options.role)
    }
}

/// How long the next election waits after so many joins in vain.
fn pause_ms(vain_joins: u32, tick_ms: u64) -> Option<u64> {
    let doublings = vain_joins.checked_sub(VAIN_JOINS_AT_ONCE + 1)?;
    Some((PAUSE_MS << doublings.min(20)).min(tick_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_in_vain_are_tried_again_later_and_later_and_once_a_tick_in_the_end() {
        let pauses = [1, 3, 4, 5, 8, 12, u32::MAX].map(|joins| pause_ms(joins, 2000));
        let expected = [
            None,
            None,
            Some(10),
            Some(20),
            Some(160),
            Some(2000),
            Some(2000),
        ];
        assert_eq!(pauses, expected);
    }
}
