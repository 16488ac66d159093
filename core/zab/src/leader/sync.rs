//! How a learner is brought into step (quorum 9).

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::{MonoMillis, Zxid};

use super::link::Stage;
use super::{Leader, LeaderAction, Phase};
use crate::{Backlog, Entry, History, LinkId, Packet, Position, SyncPlan, plan_sync};

impl Leader {
    /// Sends a learner what it lacks, then NEWLEADER. From here on it is sent every proposal: between the plan and the
    /// first of them nothing can be missed (P18, P19).
    pub(super) fn sync(
        &mut self,
        link: LinkId,
        history: &History,
        now: MonoMillis,
        actions: &mut Vec<LeaderAction>,
    ) {
        let (Phase::Establishing { epoch, .. } | Phase::Leading { epoch, .. }) = self.phase else {
            return;
        };
        let settled = self.settled(history);
        let Some(entry) = self.links.get_mut(&link) else {
            return;
        };
        let Stage::Confirmed { last_logged } = entry.stage else {
            return;
        };
        entry.stage = Stage::Syncing {
            up_to: settled,
            held: Vec::new(),
            since: now,
        };
        let observes = entry.observes;
        // What is decided by others' disks alone goes from memory.
        let on_disk = settled.min(history.flushed());
        let after = match self.plan(last_logged, settled, epoch, history) {
            SyncPlan::Diff { announce, after } => {
                actions.push(LeaderAction::Send(link, Packet::Diff(announce)));
                after
            }
            SyncPlan::Trunc { to, after } => {
                actions.push(LeaderAction::Send(link, Packet::Trunc(to)));
                after
            }
            SyncPlan::FromDisk => {
                let backlog = Backlog::Behind {
                    learner: last_logged,
                    up_to: on_disk,
                };
                actions.push(LeaderAction::Backlog(link, backlog));
                if mutant::on(Mutant::GapBehindDisk) {
                    on_disk.next()
                } else {
                    on_disk
                }
            }
            SyncPlan::Snapshot => {
                let backlog = Backlog::Snapshot { up_to: on_disk };
                actions.push(LeaderAction::Backlog(link, backlog));
                on_disk
            }
        };
        self.send_rest((link, observes), (after, settled), epoch, history, actions);
    }

    /// What is decided and in memory, what is proposed, and NEWLEADER.
    fn send_rest(
        &self,
        (link, observes): (LinkId, bool),
        (after, settled): (Zxid, Zxid),
        epoch: u32,
        history: &History,
        actions: &mut Vec<LeaderAction>,
    ) {
        let new_leader = Packet::NewLeader {
            epoch,
            membership: self.settings.membership.clone(),
        };
        let mut send = |packet| actions.push(LeaderAction::Send(link, packet));
        if mutant::on(Mutant::NewLeaderFirst) {
            send(new_leader.clone());
        }
        for entry in settled_entries(history, after, settled) {
            send(Packet::Proposal(entry.clone()));
            send(Packet::Commit(entry.zxid));
        }
        if !observes {
            for entry in history.tail_after(settled) {
                send(Packet::Proposal(entry.clone()));
            }
        }
        if !mutant::on(Mutant::NewLeaderFirst) {
            send(new_leader);
        }
    }

    fn plan(&self, learner: Zxid, settled: Zxid, epoch: u32, history: &History) -> SyncPlan {
        let window = history.settled_window(settled);
        let processed = if self.is_serving() {
            settled.max(Zxid::new(epoch, 0))
        } else {
            settled
        };
        let position = Position {
            window: &window,
            processed,
            disk: self.settings.syncs_from_log,
            always_snapshot: self.settings.always_snapshot,
        };
        plan_sync(learner, &position)
    }

    /// The end of what every learner must have: the history that leadership began with, and what was decided since.
    pub(super) fn settled(&self, history: &History) -> Zxid {
        self.initial.max(history.committed())
    }
}

/// The decided entries behind `after`, from memory.
fn settled_entries(history: &History, after: Zxid, settled: Zxid) -> impl Iterator<Item = &Entry> {
    let kept = history.window().after(after);
    let tail = history.tail_after(after);
    kept.chain(tail)
        .take_while(move |entry| entry.zxid <= settled)
}
