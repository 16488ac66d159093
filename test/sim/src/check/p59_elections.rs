//! P59: who leads was elected: a quorum has said so, all in one round. And votes settle.

use std::collections::{BTreeMap, BTreeSet};

use zabra_election::Notification;
use zabra_proto::Sid;

use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::kernel::Micros;

pub(super) const ELECTED: &str = "P59 elected by a quorum";
pub(super) const NO_STORM: &str = "P59 no storm of votes";

/// Who ever spoke for whom, by round.
pub(super) struct Elections {
    voters: usize,
    spoke: BTreeMap<(Sid, i64), BTreeSet<ServerAt>>,
    /// The round in which each server last spoke.
    rounds: BTreeMap<ServerAt, i64>,
    tick_us: u64,
    /// How often each server has spoken to another since when, for a tick.
    lately: BTreeMap<(ServerAt, Sid), (Micros, u32)>,
}

/// Who speaks to another more often in a tick, and in one election, talks for ever.
const SAID_MAX: u32 = 200;

impl Elections {
    pub(super) fn new(voters: usize, tick_us: u64) -> Self {
        Self {
            voters,
            tick_us,
            lately: BTreeMap::new(),
            spoke: BTreeMap::new(),
            rounds: BTreeMap::new(),
        }
    }

    pub(super) fn said(&mut self, at: ServerAt, notification: &Notification) {
        if at < self.voters {
            let key = (notification.vote.leader, notification.round.0);
            self.spoke.entry(key).or_default().insert(at);
            self.rounds.insert(at, notification.round.0);
        }
    }

    /// A server begins to look: what it says from here on is not what it said before.
    pub(super) fn looks(&mut self, at: ServerAt) {
        self.lately.retain(|(who, _), _| *who != at);
    }

    /// Votes settle: nobody tells another the same over and over.
    pub(super) fn said_to(&mut self, at: ServerAt, to: Sid, now: Micros) -> Verdict {
        let (since, count) = self.lately.entry((at, to)).or_insert((now, 0));
        if now.since(*since) > self.tick_us {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count > SAID_MAX {
            let text = format!("s{} tells s{to} {count} votes in a tick", at + 1);
            return fails(NO_STORM, text);
        }
        Ok(())
    }

    /// A server finds itself elected.
    pub(super) fn elected(&self, at: ServerAt) -> Verdict {
        let me = Sid(at as i64 + 1);
        let round = self.rounds.get(&at).copied().unwrap_or_default();
        let spoke = self.spoke.get(&(me, round)).into_iter().flatten();
        // It counts itself, whether it had to say so or not.
        let most = spoke.filter(|other| **other != at).count() + 1;
        if 2 * most <= self.voters {
            let text = format!(
                "s{me} leads, for whom {most} of {} spoke in round {round}",
                self.voters
            );
            return fails(ELECTED, text);
        }
        Ok(())
    }
}
