//! Who is alive (quorum 11.6).

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::MonoMillis;

use super::link::{Link, Stage};
use super::{Leader, LeaderAction, Phase};
use crate::limits::HEARTBEAT_MS;
use crate::{LinkId, Packet};

impl Leader {
    /// When [`Self::tick`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> MonoMillis {
        self.deadline.min(self.next_ping)
    }

    /// Time has passed. What was heard before must have come in (P71, P75).
    pub fn tick(&mut self, now: MonoMillis, actions: &mut Vec<LeaderAction>) {
        self.close_silent(now, actions);
        if now >= self.next_ping {
            self.ping_all(now, actions);
        }
        if now < self.deadline {
            return;
        }
        let why = match &self.phase {
            Phase::Gathering { .. } => "no quorum introduced itself in time",
            Phase::Promising { .. } | Phase::Adopting { .. } => "the disk took too long",
            Phase::Confirming { .. } => "no quorum accepted the epoch in time",
            Phase::Establishing { .. } => "no quorum took the history in time",
            Phase::Leading { .. }
                if self.has_quorum() || mutant::on(Mutant::LeaderNeverResigns) =>
            {
                self.deadline = now.after(self.settings.limits.tick_ms);
                return;
            }
            Phase::Leading { .. } => "a quorum is lost",
        };
        actions.push(LeaderAction::Leave(why.to_owned()));
    }

    /// A learner is gone: whether the quorum stands is looked at soon, not at once, for it may come back.
    pub(super) fn doubt(&mut self, now: MonoMillis) {
        if matches!(self.phase, Phase::Leading { .. }) && !self.has_quorum() {
            let soon = now.after(self.settings.limits.ping_ms());
            self.deadline = self.deadline.min(soon);
        }
    }

    /// Whether this server and the learners whose links stand are a quorum.
    fn has_quorum(&self) -> bool {
        self.quorum.is_held_by(&|sid| {
            sid == self.settings.me
                || self
                    .links
                    .values()
                    .any(|l| l.sid == Some(sid) && l.is_forwarded_to())
        })
    }

    /// Tells every learner that this server is there. Whether it promises to beat fast depends on all voters.
    pub(super) fn ping_all(&mut self, now: MonoMillis, actions: &mut Vec<LeaderAction>) {
        let is_fast = self.may_beat_fast();
        let interval = if is_fast {
            HEARTBEAT_MS.min(self.settings.limits.ping_ms())
        } else {
            self.settings.limits.ping_ms()
        };
        self.next_ping = now.after(interval);
        for (link, entry) in &mut self.links {
            if !entry.is_told() {
                continue;
            }
            entry.pings += u64::from(entry.stage.is_active());
            let touched = (is_fast && entry.is_capable).then(Vec::new);
            let zxid = self.proposed;
            actions.push(LeaderAction::Send(*link, Packet::Ping { zxid, touched }));
        }
    }

    /// Everything beyond ZooKeeper is off while a server of Apache votes (design 1.1).
    pub(super) fn may_beat_fast(&self) -> bool {
        let voters = self.links.values().filter(|entry| {
            entry
                .sid
                .is_some_and(|sid| self.settings.views.is_voter(sid))
        });
        let mut voters = voters.filter(|entry| entry.is_told());
        voters.all(|entry| entry.is_capable)
    }

    fn close_silent(&mut self, now: MonoMillis, actions: &mut Vec<LeaderAction>) {
        let limits = self.settings.limits;
        let is_late = |entry: &Link| {
            let is_stuck = entry
                .oldest_unacked
                .is_some_and(|(_, sent)| now >= limits.sync_deadline(sent));
            let deadline = match &entry.stage {
                Stage::Greeting => limits.init_deadline(entry.heard),
                // This server's own phase has its own limit.
                Stage::Introduced | Stage::Confirmed { .. } | Stage::Doubted { .. } => {
                    return None;
                }
                Stage::Asked => limits.init_deadline(entry.heard),
                Stage::Syncing { since, .. } => limits.sync_deadline(limits.init_deadline(*since)),
                Stage::Synced { .. } | Stage::Active if is_stuck => {
                    return Some("it does not acknowledge proposals");
                }
                Stage::Synced { .. } => return None,
                Stage::Active => limits.sync_deadline(entry.heard),
            };
            (now >= deadline).then_some("it is silent")
        };
        let late: Vec<(LinkId, &str)> = self
            .links
            .iter()
            .filter_map(|(link, entry)| Some((*link, is_late(entry)?)))
            .collect();
        for (link, why) in late {
            self.close(link, why, actions);
            self.doubt(now);
        }
        self.maybe_begin_round(now, actions);
    }
}
