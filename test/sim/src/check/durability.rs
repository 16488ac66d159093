//! What each disk holds for certain: as its storage reported it, and as recovery then must find it.

use std::collections::BTreeMap;

use zabra_proto::Zxid;
use zabra_proto::quorum_packet::Message;
use zabra_zab::Entry;

use super::order::Order;
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::{Z, hash_of};

/// All disks.
pub(super) struct Disks {
    disks: Vec<Disk>,
    voters: usize,
}

/// What one disk holds whatever happens.
#[derive(Debug, Default)]
struct Disk {
    /// Every txn up to here, by a snapshot.
    base: Zxid,
    /// Txns in the log.
    log: BTreeMap<Zxid, u64>,
    /// The last txn given to the log, durable or not.
    appended: Zxid,
    /// The last txn that its leader sent it, and what that was when NEWLEADER came.
    sent: Zxid,
    fence: Zxid,
    /// What is being cut off: it may be there or not.
    being_cut: BTreeMap<Zxid, u64>,
    /// What was on the disk that was lost, until the server is in step again.
    lost: Option<Box<Self>>,
}

impl Disk {
    fn holds(&self, zxid: Zxid, hash: u64) -> bool {
        zxid <= self.base || self.log.get(&zxid) == Some(&hash)
    }

    fn last(&self) -> Zxid {
        let logged = self.log.last_key_value().map(|(zxid, _)| *zxid);
        logged.unwrap_or_default().max(self.base)
    }
}

impl Disks {
    pub(super) fn new(servers: usize, voters: usize) -> Self {
        Self {
            disks: (0..servers).map(|_| Disk::default()).collect(),
            voters,
        }
    }

    /// The last txn that is durable at a server.
    pub(super) fn last(&self, at: ServerAt) -> Zxid {
        self.disks[at].last()
    }

    /// I-4: a log goes on with the next number, or the first of a later epoch.
    pub(super) fn appended(&mut self, at: ServerAt, entry: &Entry) -> Verdict {
        let last = std::mem::replace(&mut self.disks[at].appended, entry.zxid);
        let zxid = entry.zxid;
        let follows = zxid.0 == last.0 + 1 || zxid.epoch() > last.epoch() && zxid.counter() == 1;
        if !follows {
            let text = format!("s{} appends {} behind {}", at + 1, Z(zxid), Z(last));
            return fails("I-4 total order", text);
        }
        Ok(())
    }

    pub(super) fn flushed(&mut self, at: ServerAt, batch: &[Entry]) {
        let entries = batch.iter().map(|e| (e.zxid, hash_of(&e.payload)));
        self.disks[at].log.extend(entries);
    }

    /// I-8: what is decided was on the disks of a quorum.
    pub(super) fn decided(&self, at: ServerAt, zxid: Zxid, payload: &[u8]) -> Verdict {
        let hash = hash_of(payload);
        let held = |disk: &&Disk| {
            let lost = disk.lost.as_ref();
            disk.holds(zxid, hash) || lost.is_some_and(|lost| lost.holds(zxid, hash))
        };
        let holders = self.disks.iter().take(self.voters).filter(held).count();
        if 2 * holders <= self.voters {
            let text = format!(
                "s{} applies {}, which {holders} of {} disks hold",
                at + 1,
                Z(zxid),
                self.voters
            );
            return fails("I-8 commit needs disks", text);
        }
        Ok(())
    }

    /// I-9: each quorum has a member that holds the last decided txn, and with it all before.
    pub(super) fn kept_by_a_quorum(&self, order: &Order) -> Verdict {
        let Some(last) = order.decided().last() else {
            return Ok(());
        };
        // Who knows that it may have lost everything is in no quorum (P48).
        let voters = self.disks.iter().take(self.voters);
        let lacks = |disk: &&Disk| disk.lost.is_none() && !disk.holds(last.zxid, last.hash);
        if 2 * voters.filter(lacks).count() > self.voters {
            let text = format!(
                "{} is decided, and a quorum of disks lacks it",
                Z(last.zxid)
            );
            return fails("I-9 commit is for ever", text);
        }
        Ok(())
    }

    /// I-7: who leads holds every txn that was decided in earlier epochs.
    pub(super) fn is_complete(&self, at: ServerAt, epoch: u32, order: &Order) -> Verdict {
        let disk = &self.disks[at];
        let mut earlier = order
            .decided()
            .iter()
            .take_while(|d| d.zxid.epoch() < epoch);
        let lacks = earlier.find(|d| !disk.holds(d.zxid, d.hash));
        match lacks {
            Some(lacks) => fails(
                "I-7 leader completeness",
                format!("s{} leads without {}", at + 1, Z(lacks.zxid)),
            ),
            None => Ok(()),
        }
    }

    /// R1: a txn is acknowledged when the disk has it.
    pub(super) fn acked(&self, at: ServerAt, zxid: Zxid) -> Verdict {
        if zxid.counter() > 0 && zxid > self.disks[at].last() {
            let text = format!(
                "s{} acks {} with {} durable",
                at + 1,
                Z(zxid),
                Z(self.disks[at].last())
            );
            return fails("R1 order of durability", text);
        }
        Ok(())
    }

    /// Whether every other voter has a history.
    pub(super) fn have_others_history(&self, at: ServerAt) -> bool {
        let mut voters = self.disks.iter().take(self.voters).enumerate();
        voters.all(|(other, disk)| other == at || disk.last() > Zxid::ZERO)
    }

    pub(super) fn wiped(&mut self, at: ServerAt) {
        let lost = std::mem::take(&mut self.disks[at]);
        self.disks[at].lost = Some(Box::new(lost));
    }

    pub(super) fn in_step(&mut self, at: ServerAt) {
        self.disks[at].lost = None;
    }

    pub(super) fn heard(&mut self, at: ServerAt, message: &Message<'_>) {
        let disk = &mut self.disks[at];
        match message {
            Message::Diff { .. } => disk.sent = Zxid::ZERO,
            Message::Trunc { zxid }
            | Message::Snap { zxid }
            | Message::Proposal { zxid, .. }
            | Message::Inform { zxid, .. } => disk.sent = *zxid,
            Message::NewLeader { .. } => disk.fence = disk.sent,
            _ => {}
        }
    }

    /// I-10: whoever acknowledges NEWLEADER has all that came before it on its disk.
    pub(super) fn has_what_it_was_sent(&self, at: ServerAt) -> Verdict {
        let (fence, last) = (self.disks[at].fence, self.disks[at].last());
        if last < fence {
            let text = format!(
                "s{} acks NEWLEADER, was sent {} and has {} on its disk",
                at + 1,
                Z(fence),
                Z(last)
            );
            return fails("I-10 sync result", text);
        }
        Ok(())
    }

    pub(super) fn crashed(&mut self, at: ServerAt) {
        let disk = &mut self.disks[at];
        disk.being_cut.clear();
        disk.appended = disk.last();
    }

    pub(super) fn truncating(&mut self, at: ServerAt, to: Zxid) {
        // From here on nobody can say whether what is behind is there.
        let disk = &mut self.disks[at];
        disk.being_cut = disk.log.split_off(&Zxid(to.0 + 1));
    }

    pub(super) fn truncated(&mut self, at: ServerAt, to: Zxid) {
        self.disks[at].being_cut.clear();
        self.disks[at].appended = to;
    }

    /// It could not be cut, and nothing was changed.
    pub(super) fn not_truncated(&mut self, at: ServerAt) {
        let disk = &mut self.disks[at];
        disk.log.append(&mut disk.being_cut);
    }

    /// Until it is done there is the old history or the new one: certain is what is in both.
    pub(super) fn installing(&mut self, at: ServerAt, zxid: Zxid, entries: &[Entry]) {
        let new: BTreeMap<Zxid, u64> = hashes(entries).collect();
        let is_in_new =
            |logged: &Zxid, hash: &u64| *logged <= zxid || new.get(logged) == Some(hash);
        self.disks[at]
            .log
            .retain(|zxid, hash| is_in_new(zxid, hash));
    }

    pub(super) fn installed(&mut self, at: ServerAt, zxid: Zxid, entries: &[Entry]) {
        let disk = &mut self.disks[at];
        disk.log = hashes(entries)
            .filter(|(logged, _)| *logged > zxid)
            .collect();
        disk.base = zxid;
        disk.appended = zxid;
    }

    /// I-14: recovery finds what was durable, and perhaps more of what was appended.
    pub(super) fn recovered(&mut self, at: ServerAt, snapshot: Zxid, tail: &[Entry]) -> Verdict {
        let found: BTreeMap<Zxid, u64> = tail
            .iter()
            .map(|entry| (entry.zxid, hash_of(&entry.payload)))
            .collect();
        let disk = &mut self.disks[at];
        let lost = disk
            .log
            .iter()
            .find(|(zxid, hash)| **zxid > snapshot && found.get(zxid) != Some(hash));
        let verdict = match lost {
            Some((zxid, _)) => fails(
                "I-14 recovery",
                format!("s{} had {} on its disk and lost it", at + 1, Z(*zxid)),
            ),
            None if snapshot.max(disk.last()) < disk.base => fails(
                "I-14 recovery",
                format!("s{} had {} by snapshot and lost it", at + 1, Z(disk.base)),
            ),
            None => Ok(()),
        };
        disk.base = disk.base.max(snapshot);
        disk.log.retain(|zxid, _| *zxid <= snapshot);
        disk.log.extend(found);
        disk.appended = disk.last();
        verdict
    }
}

/// I-15: what recovery finds goes on from its snapshot without a hole.
pub(super) fn contiguous(at: ServerAt, snapshot: Zxid, tail: &[Entry]) -> Verdict {
    let mut last = snapshot;
    for entry in tail {
        if !last.may_precede(entry.zxid) {
            let text = format!("s{} finds {} behind {}", at + 1, Z(entry.zxid), Z(last));
            return fails("I-15 contiguity", text);
        }
        last = entry.zxid;
    }
    Ok(())
}

fn hashes(entries: &[Entry]) -> impl Iterator<Item = (Zxid, u64)> + '_ {
    entries
        .iter()
        .map(|entry| (entry.zxid, hash_of(&entry.payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(zxid: Zxid) -> Entry {
        Entry {
            zxid,
            payload: zxid.0.to_be_bytes().as_slice().into(),
        }
    }

    #[test]
    fn a_log_that_could_not_be_cut_holds_what_it_held() {
        let (before, behind) = (Zxid::new(61, 10), Zxid::new(61, 11));
        let mut disks = Disks::new(3, 3);
        disks.flushed(1, &[entry(before), entry(behind)]);
        disks.truncating(1, before);
        assert_eq!(disks.last(1), before);
        disks.not_truncated(1);
        assert_eq!(disks.last(1), behind);
    }
}
