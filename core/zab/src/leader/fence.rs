//! Whether this server still leads: what stands before the answer to a `sync` (P105).
//!
//! A leader that was cut off does not know it. So a sync waits until a quorum has answered a ping that was sent after
//! the sync came; many syncs share one round of pings. Learners answer every ping that comes after UPTODATE, in order.
//! A transaction that was proposed behind the sync and is decided proves the same: then the sync passes before it, for it
//! must not be answered behind a later write of its session (P98).
//!
//! A voter without a history waits for the same proof before it is brought into step. It may be new; or it has helped to make a
//! later epoch and lost that with its disk, and with its voice a leader of the past would have a quorum again (P48).

use std::collections::{BTreeMap, VecDeque};

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::{MonoMillis, Zxid};

use super::link::Stage;
use super::{Leader, LeaderAction};
use crate::{History, LinkId};

/// Fences in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Fences {
    waiting: VecDeque<Fence>,
    /// The round of pings that is under way: how many answers of each link complete it.
    round: Option<BTreeMap<LinkId, u64>>,
    number: u64,
    /// Voters without a history, and the round that must have been answered before they are brought into step.
    doubted: Vec<(LinkId, u64)>,
}

#[derive(Debug)]
struct Fence {
    /// Everything up to here must be decided.
    behind: Zxid,
    /// This round must have been answered.
    round: u64,
}

impl Fences {
    /// A learner is in step from here on: its next pong counts for the round under way. The links that the round began with
    /// may all be gone by now, and the same learners be back on others; then nobody else can end it.
    pub(super) fn ask_too(&mut self, link: LinkId, pongs: u64) {
        if let Some(targets) = &mut self.round
            && !mutant::on(Mutant::RoundForgetsReturned)
        {
            targets.insert(link, pongs);
        }
    }

    /// A transaction is about to be decided: what stands before it passes, since its quorum follows still.
    pub(super) fn pass_before(&mut self, zxid: Zxid, actions: &mut Vec<LeaderAction>) {
        if mutant::on(Mutant::SyncBehindLaterWrite) {
            return;
        }
        while let Some(fence) = self.waiting.pop_front_if(|fence| fence.behind < zxid) {
            let behind = fence.behind;
            actions.push(LeaderAction::Fenced { behind });
        }
    }
}

impl Leader {
    /// Asks for a fence behind everything that is proposed. [`LeaderAction::Fenced`] tells that it has passed.
    pub fn fence(&mut self, history: &History, now: MonoMillis, actions: &mut Vec<LeaderAction>) {
        // A round under way began before this one was asked for: it proves nothing.
        let round = self.fences.number + 1;
        // In an epoch without proposals there is nothing but what it began with.
        let behind = if self.proposed.counter() > 0 || mutant::on(Mutant::SyncHangsInNewEpoch) {
            self.proposed
        } else {
            self.settled(history)
        };
        if mutant::on(Mutant::SyncUnproven) {
            return actions.push(LeaderAction::Fenced { behind });
        }
        self.fences.waiting.push_back(Fence { behind, round });
        if self.fences.round.is_none() {
            self.begin_round(now, actions);
            self.maybe_end_round(history, now, actions);
        }
    }

    /// Brings a voter without a history into step as soon as a quorum without it has answered.
    pub(super) fn believe_later(
        &mut self,
        link: LinkId,
        history: &History,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) {
        let links = &self.links;
        self.fences
            .doubted
            .retain(|(link, _)| links.contains_key(link));
        // As above: only a round that begins from here on proves something.
        self.fences.doubted.push((link, self.fences.number + 1));
        if self.fences.round.is_none() {
            self.begin_round(now, actions);
            self.maybe_end_round(history, now, actions);
        }
    }

    fn begin_round(&mut self, now: MonoMillis, actions: &mut Vec<LeaderAction>) {
        self.ping_all(now, actions);
        let active = self.links.iter().filter(|(_, l)| l.stage.is_active());
        let targets = active.map(|(link, entry)| (*link, entry.pings)).collect();
        self.fences.number += 1;
        self.fences.round = Some(targets);
    }

    pub(super) fn on_pong(
        &mut self,
        link: LinkId,
        history: &History,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) {
        if let Some(entry) = self.links.get_mut(&link) {
            entry.pongs += 1;
        }
        self.maybe_end_round(history, now, actions);
    }

    fn maybe_end_round(
        &mut self,
        history: &History,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) {
        let Some(targets) = &self.fences.round else {
            return;
        };
        let answered = |sid| {
            sid == self.settings.me
                || targets.iter().any(|(link, target)| {
                    let entry = self.links.get(link);
                    entry.is_some_and(|l| l.sid == Some(sid) && l.counts() && l.pongs >= *target)
                })
        };
        if self.quorum.is_held_by(&answered) {
            self.fences.round = None;
            self.maybe_pass_fences(history, actions);
            self.believe(history, now, actions);
            self.maybe_begin_round(now, actions);
        }
    }

    fn believe(&mut self, history: &History, now: MonoMillis, actions: &mut Vec<LeaderAction>) {
        let proven = self.fences.number;
        let is_proven = |(_, round): &mut (LinkId, u64)| *round <= proven;
        let believed: Vec<_> = self.fences.doubted.extract_if(.., is_proven).collect();
        for (link, _) in believed {
            let Some(entry) = self.links.get_mut(&link) else {
                continue;
            };
            if let Stage::Doubted { last_logged } = entry.stage {
                entry.stage = Stage::Confirmed { last_logged };
                self.sync(link, history, now, actions);
            }
        }
    }

    pub(super) fn maybe_pass_fences(&mut self, history: &History, actions: &mut Vec<LeaderAction>) {
        let Fences {
            waiting,
            round,
            number,
            doubted: _,
        } = &mut self.fences;
        let proven = *number - u64::from(round.is_some());
        let committed = history.committed();
        let has_passed = |fence: &mut Fence| fence.round <= proven && fence.behind <= committed;
        while let Some(fence) = waiting.pop_front_if(has_passed) {
            let behind = fence.behind;
            actions.push(LeaderAction::Fenced { behind });
        }
    }

    /// Begins the next round, if somebody waits for it.
    pub(super) fn maybe_begin_round(&mut self, now: MonoMillis, actions: &mut Vec<LeaderAction>) {
        let next = self.fences.number + 1;
        let last_fence = self.fences.waiting.back().map(|fence| fence.round);
        let last_doubt = self.fences.doubted.last().map(|(_, round)| *round);
        let is_wanted = last_fence.max(last_doubt).is_some_and(|last| last >= next);
        if self.fences.round.is_none() && is_wanted {
            self.begin_round(now, actions);
        }
    }
}
