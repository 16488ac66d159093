//! Proposals, acks, commits (quorum 11).

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::{MonoMillis, Sid, Zxid};

use super::link::Stage;
use super::{Leader, LeaderAction, Phase};
use crate::{Entry, History, LinkId, Packet};

impl Leader {
    /// Proposes an entry that has just been given to the log.
    ///
    /// # Panics
    /// If it is not the next of this epoch (R2).
    pub fn propose(&mut self, entry: &Entry, now: MonoMillis, actions: &mut Vec<LeaderAction>) {
        assert!(
            self.is_serving() && self.proposed.next() == entry.zxid,
            "{} proposed behind {} (R2)",
            entry.zxid,
            self.proposed
        );
        self.proposed = entry.zxid;
        for (link, learner) in &mut self.links {
            if learner.is_forwarded_to() {
                actions.push(LeaderAction::Send(*link, Packet::Proposal(entry.clone())));
                if learner.counts() {
                    learner.oldest_unacked.get_or_insert((entry.zxid, now));
                }
            }
        }
    }

    /// More of this server's own log is durable: its own ack, by the same rule as anybody's (P28).
    pub fn on_flushed(&mut self, history: &mut History, actions: &mut Vec<LeaderAction>) {
        self.maybe_commit(history, actions);
    }

    pub(super) fn on_ack(
        &mut self,
        link: LinkId,
        zxid: Zxid,
        history: &mut History,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) {
        if zxid.counter() == 0 {
            return self.on_history_ack(link, zxid.epoch(), history, now, actions);
        }
        let proposed = self.proposed;
        let Some(learner) = self.links.get_mut(&link) else {
            return;
        };
        // Some servers acknowledge proposals before NEWLEADER (quorum 19.3): noted, and counted once they have done that.
        if !learner.is_told() || zxid > proposed {
            return self.close(link, "it acknowledges what was not sent", actions);
        }
        learner.acked = learner.acked.max(zxid);
        if learner
            .oldest_unacked
            .is_some_and(|(oldest, _)| oldest <= zxid)
        {
            learner.oldest_unacked = (zxid < proposed).then_some((proposed, now));
        }
        if learner.counts() {
            self.maybe_commit(history, actions);
        }
    }

    /// The answer to NEWLEADER; or the second one, after UPTODATE, which says nothing.
    fn on_history_ack(
        &mut self,
        link: LinkId,
        epoch: u32,
        history: &mut History,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) {
        let expected = self.epoch();
        let Some(learner) = self.links.get_mut(&link) else {
            return;
        };
        let (up_to, held) = match &mut learner.stage {
            Stage::Syncing { up_to, held, .. } if expected == Some(epoch) => {
                (*up_to, std::mem::take(held))
            }
            Stage::Active => return,
            _ => return self.close(link, "it acknowledges another epoch", actions),
        };
        learner.acked = learner.acked.max(up_to);
        learner.stage = Stage::Synced { held };
        let (sid, observes) = (learner.sid, learner.observes);
        // An epoch without proposals has nothing to be acknowledged.
        if self.proposed > learner.acked && self.proposed.counter() > 0 && !observes {
            learner.oldest_unacked = Some((self.proposed, now));
        }
        match &mut self.phase {
            Phase::Establishing { who, .. } => {
                who.extend(sid.filter(|_| !observes || mutant::on(Mutant::ObserverCounted)));
                self.maybe_establish(history, now, actions);
            }
            Phase::Leading { serves: true, .. } => {
                self.welcome(link, now, actions);
                self.maybe_commit(history, actions);
            }
            _ => {}
        }
    }

    /// UPTODATE, then what was held back.
    pub(super) fn welcome(
        &mut self,
        link: LinkId,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) {
        let Some(learner) = self.links.get_mut(&link) else {
            return;
        };
        let Stage::Synced { held } = &mut learner.stage else {
            return;
        };
        let held = std::mem::take(held);
        learner.stage = Stage::Active;
        learner.heard = now;
        self.fences.ask_too(link, learner.pings + 1);
        actions.push(LeaderAction::Send(link, Packet::UpToDate));
        actions.extend(
            held.into_iter()
                .map(|packet| LeaderAction::Send(link, packet)),
        );
        actions.extend(learner.sid.map(LeaderAction::InStep));
        if self.may_beat_fast() {
            // The promise goes right behind: until it has it, a learner waits out `syncLimit` for a leader that hangs.
            self.next_ping = now;
        }
    }

    /// Decides what a quorum has on its disks, in order.
    ///
    /// An ack stands for everything before it: a learner logs in order and without holes, so one mark per voter is all
    /// that need be kept.
    fn maybe_commit(&mut self, history: &mut History, actions: &mut Vec<LeaderAction>) {
        if !self.is_serving() {
            return;
        }
        let committed = history.committed();
        let own = if mutant::on(Mutant::LeaderCountsUnsynced) {
            history.logged()
        } else {
            history.flushed()
        };
        let mut marks = std::mem::take(&mut self.marks);
        marks.clear();
        marks.extend([own].into_iter().filter(|mark| *mark > committed));
        let counted = self.links.values().filter(|learner| learner.counts());
        marks.extend(counted.map(|l| l.acked).filter(|mark| *mark > committed));
        marks.sort_unstable_by(|a, b| b.cmp(a));
        let decided = marks.iter().copied().find(|mark| {
            self.quorum
                .is_held_by(&|sid| self.mark_of(sid, own) >= *mark)
        });
        self.marks = marks;
        if let Some(decided) = decided {
            self.decide(committed, decided, history, actions);
        }
    }

    /// Up to where a voter has acknowledged.
    fn mark_of(&self, sid: Sid, own: Zxid) -> Zxid {
        if sid == self.settings.me {
            return own;
        }
        let links = self.links.values();
        links
            .filter(|learner| learner.sid == Some(sid) && learner.counts())
            .map(|learner| learner.acked)
            .max()
            .unwrap_or(Zxid::ZERO)
    }

    fn decide(
        &mut self,
        behind: Zxid,
        decided: Zxid,
        history: &mut History,
        actions: &mut Vec<LeaderAction>,
    ) {
        let entries = history.tail_after(behind);
        for entry in entries.take_while(|entry| entry.zxid <= decided) {
            self.fences.pass_before(entry.zxid, actions);
            for (link, learner) in &mut self.links {
                let packet = if learner.observes {
                    Packet::Inform(entry.clone())
                } else {
                    Packet::Commit(entry.zxid)
                };
                let packet = learner.hold_or_send(packet);
                actions.extend(packet.map(|packet| LeaderAction::Send(*link, packet)));
            }
        }
        history.commit_to(decided);
        self.maybe_pass_fences(history, actions);
    }
}
