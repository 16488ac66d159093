//! What each disk holds for certain: as its storage reported it, and as recovery then must find it.

use std::collections::BTreeMap;

use zabra_proto::Zxid;
use zabra_proto::quorum_packet::Message;
use zabra_zab::Entry;

use super::order::Decided;
use super::{Verdict, i14_recovery};
use crate::event::ServerAt;
use crate::trace::hash_of;

/// All disks.
pub(super) struct Disks {
    disks: Vec<Disk>,
    voters: usize,
}

/// What one disk holds whatever happens.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// Every txn up to here, by a snapshot.
    pub(super) base: Zxid,
    /// Txns in the log.
    pub(super) log: BTreeMap<Zxid, u64>,
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

    /// Whether it holds a txn, or did before it was lost.
    pub(super) fn has_held(&self, zxid: Zxid, hash: u64) -> bool {
        let lost = self.lost.as_ref();
        self.holds(zxid, hash) || lost.is_some_and(|lost| lost.holds(zxid, hash))
    }

    /// Whether its server counts in a quorum and would not find this.
    pub(super) fn lacks(&self, decided: &Decided) -> bool {
        self.lost.is_none() && !self.holds(decided.zxid, decided.hash)
    }

    /// The last txn on it.
    pub(super) fn last(&self) -> Zxid {
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

    /// A txn is given to the log. What was given to it before?
    pub(super) fn append(&mut self, at: ServerAt, zxid: Zxid) -> Zxid {
        std::mem::replace(&mut self.disks[at].appended, zxid)
    }

    /// Those of voters.
    pub(super) fn voters(&self) -> impl Iterator<Item = &Disk> {
        self.disks.iter().take(self.voters)
    }

    /// Whether a server's holds a txn with these bytes.
    pub(super) fn holds(&self, at: ServerAt, zxid: Zxid, hash: u64) -> bool {
        self.disks[at].holds(zxid, hash)
    }

    pub(super) fn flushed(&mut self, at: ServerAt, batch: &[Entry]) {
        let entries = batch.iter().map(|e| (e.zxid, hash_of(&e.payload)));
        self.disks[at].log.extend(entries);
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

    /// What a learner had been sent when NEWLEADER came.
    pub(super) fn fence(&self, at: ServerAt) -> Zxid {
        self.disks[at].fence
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

    /// A server was started, and found this: from here on that is what it holds (I-14).
    pub(super) fn recovered(&mut self, at: ServerAt, snapshot: Zxid, tail: &[Entry]) -> Verdict {
        let found: BTreeMap<Zxid, u64> = hashes(tail).collect();
        let disk = &mut self.disks[at];
        let verdict = i14_recovery::found(disk, at, snapshot, &found);
        disk.base = disk.base.max(snapshot);
        disk.log.retain(|zxid, _| *zxid <= snapshot);
        disk.log.extend(found);
        disk.appended = disk.last();
        verdict
    }
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
