//! Epochs and votes: promises that are kept over crashes.

use std::collections::BTreeMap;

use zabra_election::{Notification, ServerState};
use zabra_proto::{Sid, Zxid};
use zabra_zab::Epochs;

use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

/// What each server has promised.
pub(super) struct Promises {
    saved: Vec<Epochs>,
    /// What each server last wanted saved.
    wanted: Vec<Epochs>,
    /// What each had saved on a disk that was lost: it counts where it has been acknowledged, by packets still on their way.
    lost: Vec<Epochs>,
    voters: usize,
    leaders: BTreeMap<u32, ServerAt>,
    /// To whom a server has given its word for an epoch.
    accepted: BTreeMap<(ServerAt, u32), Sid>,
    acked: BTreeMap<(ServerAt, u32), Sid>,
}

impl Promises {
    pub(super) fn new(servers: usize, voters: usize) -> Self {
        Self {
            voters,
            saved: vec![Epochs::default(); servers],
            wanted: vec![Epochs::default(); servers],
            lost: vec![Epochs::default(); servers],
            leaders: BTreeMap::new(),
            accepted: BTreeMap::new(),
            acked: BTreeMap::new(),
        }
    }

    /// What a server last wanted saved.
    pub(super) fn wanted_last(&self, at: ServerAt) -> Epochs {
        self.wanted[at]
    }

    /// I-11: epochs only grow, and current is never above accepted.
    pub(super) fn wanted(&mut self, at: ServerAt, epochs: Epochs) -> Verdict {
        self.wanted[at] = epochs;
        let saved = self.saved[at];
        if epochs.accepted < saved.accepted
            || epochs.current < saved.current
            || epochs.current > epochs.accepted
        {
            let text = format!("s{} had {saved:?} and saves {epochs:?}", at + 1);
            return fails("I-11 epochs", text);
        }
        Ok(())
    }

    pub(super) fn saved(&mut self, at: ServerAt, epochs: Epochs) {
        self.saved[at] = epochs;
    }

    /// Nothing is left of what it promised; it has no voice until it has a history again (P48).
    pub(super) fn wiped(&mut self, at: ServerAt) {
        self.lost[at] = std::mem::take(&mut self.saved[at]);
        self.wanted[at] = Epochs::default();
        self.accepted.retain(|(who, _), _| *who != at);
        self.acked.retain(|(who, _), _| *who != at);
    }

    /// I-11 after a crash, and the epoch of the log's end.
    pub(super) fn recovered(&mut self, at: ServerAt, epochs: Epochs, last: Zxid) -> Verdict {
        let verdict = self.wanted(at, epochs);
        self.saved[at] = epochs;
        verdict?;
        if last.epoch() > epochs.current {
            let text = format!("s{} has {} and {epochs:?}", at + 1, Z(last));
            return fails("I-11 epochs", text);
        }
        Ok(())
    }

    /// I-1: an epoch has one leader.
    pub(super) fn established(&mut self, at: ServerAt, epoch: u32) -> Verdict {
        let first = *self.leaders.entry(epoch).or_insert(at);
        if first != at {
            let text = format!("s{} and s{} lead in epoch {epoch}", first + 1, at + 1);
            return fails("I-1 one leader", text);
        }
        Ok(())
    }

    /// I-1, I-10: an epoch is established when a quorum of voters has it on their disks, with its history before it.
    pub(super) fn has_quorum(&self, epoch: u32) -> Verdict {
        let is_first = !self.leaders.contains_key(&epoch);
        let voters = self.saved.iter().zip(&self.lost).take(self.voters);
        let has_it = |(saved, lost): &(&Epochs, &Epochs)| saved.current.max(lost.current) >= epoch;
        let count = voters.filter(has_it).count();
        if is_first && 2 * count <= self.voters {
            let text = format!(
                "epoch {epoch} begins with {count} of {} voters",
                self.voters
            );
            return fails("I-10 sync result", text);
        }
        Ok(())
    }

    /// I-1 as its followers see it.
    pub(super) fn follows(&mut self, at: ServerAt, leader: Sid, epoch: u32) -> Verdict {
        let first = self
            .leaders
            .get(&epoch)
            .map(|leader| Sid(*leader as i64 + 1));
        if first != Some(leader) {
            let text = format!(
                "s{} follows s{leader} in epoch {epoch}, led by {first:?}",
                at + 1
            );
            return fails("I-1 one leader", text);
        }
        Ok(())
    }

    pub(super) fn current(&self, at: ServerAt) -> u32 {
        self.saved[at].current
    }

    pub(super) fn is_about_itself(&self, at: ServerAt, notification: &Notification) -> bool {
        notification.state == ServerState::Looking
            && notification.vote.leader == Sid(at as i64 + 1)
            && notification.vote.zxid != zabra_election::NO_HISTORY
    }

    /// I-12: who votes for itself says what is on its disk.
    pub(super) fn vote(&self, at: ServerAt, notification: &Notification, last: Zxid) -> Verdict {
        let vote = notification.vote;
        // A txn of an epoch in its log stands for that epoch (P03).
        let current = i64::from(self.saved[at].current.max(last.epoch()));
        if vote.zxid > last || vote.epoch.0 > current {
            let text = format!(
                "s{} says epoch {} and {}, its disk {current} and {}",
                at + 1,
                vote.epoch.0,
                Z(vote.zxid),
                Z(last)
            );
            return fails("I-12 votes tell the truth", text);
        }
        Ok(())
    }

    /// I-12 and I-11 for the answer to LEADERINFO.
    pub(super) fn ack_epoch(
        &mut self,
        at: ServerAt,
        to: Option<Sid>,
        (last_logged, current): (Zxid, Option<u32>),
        last: Zxid,
    ) -> Verdict {
        let saved = self.saved[at];
        // Who cannot use what it has says that it has nothing, and gets everything (P10); it decides nothing (P48).
        let says_more = last_logged > last && last_logged != zabra_election::NO_HISTORY;
        let most = saved.current.max(last.epoch());
        if says_more || current.is_some_and(|current| current > most) {
            let text = format!(
                "s{} says epoch {current:?} and {}, its disk {saved:?} and {}",
                at + 1,
                Z(last_logged),
                Z(last)
            );
            return fails("I-12 votes tell the truth", text);
        }
        let (Some(to), Some(_)) = (to, current) else {
            return Ok(());
        };
        let first = *self.accepted.entry((at, saved.accepted)).or_insert(to);
        if first != to {
            let text = format!(
                "s{} accepts epoch {} of s{first} and of s{to}",
                at + 1,
                saved.accepted
            );
            return fails("I-11 epochs", text);
        }
        Ok(())
    }

    /// NEWLEADER is acknowledged when the epoch is on the disk, and to one leader.
    pub(super) fn acked_leader(&mut self, at: ServerAt, to: Option<Sid>, epoch: u32) -> Verdict {
        if self.saved[at].current < epoch {
            let text = format!("s{} acks epoch {epoch} with {:?}", at + 1, self.saved[at]);
            return fails("R1 order of durability", text);
        }
        let Some(to) = to else { return Ok(()) };
        let first = *self.acked.entry((at, epoch)).or_insert(to);
        if first != to {
            let text = format!("s{} acks epoch {epoch} to s{first} and s{to}", at + 1);
            return fails("I-11 epochs", text);
        }
        Ok(())
    }
}
