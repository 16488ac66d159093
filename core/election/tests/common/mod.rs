//! One server's election, and short words for what it hears and says.
#![allow(dead_code, reason = "each test crate uses its part")]

use zabra_election::{
    Effect, Election, History, Input, LinkFact, Notification, PeerEpoch, Received, Round,
    ServerState, Settings, Timer, Vote,
};
use zabra_proto::{MonoMillis, Zxid};
use zabra_quorum::{Membership, Role, Sid, Views};

pub(crate) fn membership(text: &str) -> Membership {
    Membership::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn voters(sids: &[i64], version: u64) -> Membership {
    let lines: Vec<String> = sids
        .iter()
        .map(|sid| format!("server.{sid}=h:1:2"))
        .collect();
    membership(&format!("{}\nversion={version:x}", lines.join("\n")))
}

pub(crate) fn config(sids: &[i64]) -> Views {
    Views::settled(voters(sids, 0))
}

/// A vote whose zxid is the counter of the epoch.
pub(crate) fn vote(leader: i64, epoch: i64, counter: u32) -> Vote {
    Vote {
        leader: Sid(leader),
        zxid: Zxid::new(0, counter),
        epoch: PeerEpoch(epoch),
    }
}

pub(crate) fn looking(vote: Vote, round: i64) -> Notification {
    Notification {
        state: ServerState::Looking,
        vote,
        round: Round(round),
    }
}

pub(crate) fn received(sender: i64, notification: Notification) -> Received {
    Received {
        sender: Sid(sender),
        state: Some(notification.state),
        vote: notification.vote,
        round: notification.round,
        version: 2,
        config: None,
    }
}

/// A server whose clock stands still.
pub(crate) struct Seat {
    pub(crate) election: Election,
    pub(crate) timer: Option<Timer>,
    settings: Settings,
}

const NOW: MonoMillis = MonoMillis(1_000);

impl Seat {
    pub(crate) fn new(me: i64, views: Views) -> Self {
        Self::with_role(me, Role::Participant, views)
    }

    pub(crate) fn with_role(me: i64, role: Role, views: Views) -> Self {
        let settings = Settings::new(Sid(me), role);
        Self {
            election: Election::new(settings, views),
            timer: None,
            settings,
        }
    }

    pub(crate) fn adopting(mut self) -> Self {
        self.settings.adopts_configs = true;
        let views = self.election.views().clone();
        self.election = Election::new(self.settings, views);
        self
    }

    pub(crate) fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.election.step(NOW, input, &mut effects);
        for effect in &effects {
            if let Effect::ArmTimer { timer, .. } = effect {
                self.timer = Some(*timer);
            }
        }
        effects
    }

    pub(crate) fn look(&mut self, epoch: i64, counter: u32) -> Vec<Effect> {
        self.step(Input::Look(History {
            last_logged: Zxid::new(0, counter),
            epoch: PeerEpoch(epoch),
        }))
    }

    pub(crate) fn hear(&mut self, sender: i64, notification: Notification) -> Vec<Effect> {
        self.step(Input::Received(received(sender, notification)))
    }

    pub(crate) fn link(&mut self, sid: i64, fact: LinkFact) -> Vec<Effect> {
        self.step(Input::Link(Sid(sid), fact))
    }

    /// The timer armed last runs out.
    pub(crate) fn fire(&mut self) -> Vec<Effect> {
        self.step(Input::Timer(self.timer.expect("a timer")))
    }

    pub(crate) fn to(&self, to: i64, notification: Notification) -> Effect {
        Effect::Send {
            to: Sid(to),
            notification,
        }
    }

    /// For how long a timer was armed.
    pub(crate) fn armed_in(&self, effects: &[Effect]) -> u64 {
        let armed = effects.iter().rev().find_map(|effect| match effect {
            Effect::ArmTimer { at, .. } => Some(at.since(NOW)),
            _ => None,
        });
        armed.unwrap_or_else(|| panic!("no timer: {effects:?}"))
    }

    pub(crate) fn decided(&self, effects: &[Effect]) -> Option<(Vote, Round, ServerState)> {
        effects.iter().find_map(|effect| match effect {
            Effect::Decided(decision) => Some((decision.vote, decision.round, decision.state)),
            _ => None,
        })
    }
}
