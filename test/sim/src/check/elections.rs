//! Who leads was elected: a quorum has said so, all in one round (P59).

use std::collections::{BTreeMap, BTreeSet};

use zabra_election::Notification;
use zabra_proto::Sid;

use super::{Verdict, fails};
use crate::event::ServerAt;

/// Who ever spoke for whom, by round.
pub(super) struct Elections {
    voters: usize,
    spoke: BTreeMap<(Sid, i64), BTreeSet<ServerAt>>,
}

impl Elections {
    pub(super) fn new(voters: usize) -> Self {
        Self {
            voters,
            spoke: BTreeMap::new(),
        }
    }

    pub(super) fn said(&mut self, at: ServerAt, notification: &Notification) {
        if at < self.voters {
            let key = (notification.vote.leader, notification.round.0);
            self.spoke.entry(key).or_default().insert(at);
        }
    }

    /// A server finds itself elected.
    pub(super) fn elected(&self, at: ServerAt) -> Verdict {
        let me = Sid(at as i64 + 1);
        let rounds = self.spoke.range((me, i64::MIN)..=(me, i64::MAX));
        // It counts itself, whether it had to say so or not.
        let most = rounds.map(|(_, who)| who.iter().filter(|other| **other != at).count() + 1);
        let most = most.max().unwrap_or(1);
        if 2 * most <= self.voters {
            let text = format!("s{me} leads, for whom {most} of {} spoke", self.voters);
            return fails("P59 elected by a quorum", text);
        }
        Ok(())
    }
}
