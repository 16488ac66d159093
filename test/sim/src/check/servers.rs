//! What is seen of servers, their histories and disks: which checks that is for.

use zabra_peer::Commit;
use zabra_proto::{SessionId, Txn, Zxid};
use zabra_serve::Replica;
use zabra_zab::{Entry, Epochs};

use crate::event::ServerAt;
use crate::kernel::Micros;
use crate::model::{self, Step};
use crate::older;
use crate::trace::hash_of;

use super::{
    Checker, Verdict, i02_integrity, i03_prefix_agreement, i04_total_order, i05_primary_order,
    i06_primary_integrity, i08_commit_needs_disks, i09_commit_is_for_ever, i11_epochs,
    i13_equal_state, i14_recovery, i15_contiguity, i16_snapshot_truth, i17_replay_law,
    i18_no_unbootable_state, i20_atomic_multi, i21_sequential_names, i23_no_phantom,
    i26_session_order, i27_staleness, i28_ephemeral_owner, i29_lease, p48_disk_lost,
    p127_epoch_length, r1_durable_first, r4_only_committed, r6_txn_limit,
};

pub(super) const TRUNCATION: &str = "truncation";
pub(super) const SNAPSHOT_INSTALLED: &str = "snapshot installed";
const CANNOT_TRUNCATE: &str = "cannot truncate";

pub(super) fn txn_of(entry: &Entry) -> model::Txn {
    (entry.zxid, hash_of(&entry.payload))
}

fn txns_of(entries: &[Entry]) -> Vec<model::Txn> {
    entries.iter().map(txn_of).collect()
}

impl Checker {
    /// A server appends a txn to its log; as a leader, it has made it.
    pub fn appended(&mut self, at: ServerAt, entry: &Entry, leads: bool) {
        self.count(p127_epoch_length::NAME);
        if !self.is_standalone {
            let verdict = p127_epoch_length::appended(at, entry.zxid, self.epoch_len_max);
            self.judge(verdict);
        }
        let verdict = i02_integrity::appended(&mut self.order, at, entry);
        self.holds(i02_integrity::NAME, verdict);
        if leads && let Some(verdict) = i06_primary_integrity::made(&self.order, at, entry) {
            self.holds(i06_primary_integrity::NAME, verdict);
        }
        let verdict = i04_total_order::appended(&mut self.disks, at, entry);
        self.holds(i04_total_order::NAME, verdict);
        let txn = txn_of(entry);
        if self.model.leads(at) {
            self.refine(&Step::Propose(at, txn));
        }
        self.refine(&Step::Log(at, txn));
    }

    /// A server that leads makes a txn, by a clock of this speed.
    pub fn made(&mut self, at: ServerAt, entry: &Entry, now: Micros, rate_permille: u64) {
        let payload = Replica::decode(&entry.payload);
        let header = &payload.header;
        if i29_lease::is_expiry(header, &payload.txn) {
            let verdict = self.leases.expires(at, header, now, rate_permille);
            self.holds(i29_lease::NAME, verdict);
        }
    }

    /// The run is over.
    pub fn over(&mut self) {
        let verdict = self.replays.law();
        self.holds(i17_replay_law::NAME, verdict);
    }

    /// A server's disk says that these are durable.
    pub fn flushed(&mut self, at: ServerAt, batch: &[Entry]) {
        self.disks.flushed(at, batch);
        if let Some(last) = batch.last() {
            self.refine(&Step::Sync(at, last.zxid));
        }
    }

    /// A server that has applied all up to `last`, and has all up to `flushed` on its disk, is about to apply a txn. Whether
    /// it may.
    pub fn may_apply(&mut self, at: ServerAt, zxid: Zxid, flushed: Zxid, last: Zxid) -> bool {
        let verdict = r1_durable_first::applies(at, zxid, flushed);
        let verdict = verdict.and_then(|()| i05_primary_order::applies(at, zxid, last));
        let may = verdict.is_ok();
        self.judge(verdict);
        may
    }

    /// A server has applied a txn.
    pub fn applied(&mut self, at: ServerAt, commit: &Commit, replica: &Replica, now: Micros) {
        let verdict = self.applies(at, commit.zxid, &commit.payload);
        self.judge(verdict);
        self.freshness.decided(commit.zxid, now);
        self.refine(&Step::Deliver(at, (commit.zxid, hash_of(&commit.payload))));
        self.count(i05_primary_order::NAME);
        self.count(i13_equal_state::NAME);
        self.stands(at, replica);
        let verdict = i28_ephemeral_owner::applied(at, replica);
        self.holds(i28_ephemeral_owner::NAME, verdict);
    }

    fn stands(&mut self, at: ServerAt, replica: &Replica) {
        let verdict = i16_snapshot_truth::stands(&self.order, at, replica);
        self.judge(verdict);
        let verdict = i13_equal_state::stands(&mut self.order, at, replica);
        self.judge(verdict);
        if let Some(verdict) = i20_atomic_multi::stands(at, replica) {
            self.holds(i20_atomic_multi::NAME, verdict);
        }
    }

    fn applies(&mut self, at: ServerAt, zxid: Zxid, payload: &[u8]) -> Verdict {
        self.count(i03_prefix_agreement::NAME);
        if i03_prefix_agreement::applied(&mut self.order, at, zxid, payload)? {
            i04_total_order::decided(&self.order, at, zxid)?;
            self.order.decide(zxid, payload)?;
            self.decided_first(at, zxid, payload)?;
        }
        Ok(())
    }

    /// A txn is decided: it is applied for the first time.
    fn decided_first(&mut self, at: ServerAt, zxid: Zxid, payload: &[u8]) -> Verdict {
        self.count(i08_commit_needs_disks::NAME);
        i08_commit_needs_disks::decided(&self.disks, at, zxid, payload)?;
        self.replays.decided(payload);
        let payload = Replica::decode(payload);
        let (header, txn) = (&payload.header, &payload.txn);
        self.leases.decided(header, txn);
        self.count(i26_session_order::WRITES);
        self.written.decided(header, txn)?;
        if let Some(verdict) = self.writes.decided(header, txn) {
            self.count(i23_no_phantom::ONCE);
            verdict?;
        }
        if payload.digest.is_none() && matches!(txn, Txn::SetData(_)) {
            self.count(older::NO_DIGEST);
        }
        self.changes(header, txn)?;
        if let Some((name, verdict)) = self.fading.decided(&self.order, header, txn) {
            self.count(name);
            verdict?;
        }
        r6_txn_limit::decided(header, txn, self.paths_len_max)?;
        if let Txn::CloseSession(_) = txn {
            self.closed.insert(header.session, zxid);
        }
        let created = self.order.find(zxid).and_then(|d| d.created.as_deref());
        if let Some(verdict) = created.and_then(|path| self.names.created(path)) {
            self.count(i21_sequential_names::NAME);
            verdict?;
        }
        Ok(())
    }

    /// A server was started from its disk.
    pub fn recovered(
        &mut self,
        at: ServerAt,
        replica: &Replica,
        tail: &[Entry],
        last: Zxid,
        epochs: Epochs,
    ) {
        self.count(i18_no_unbootable_state::NAME);
        let snapshot = if self.is_standalone {
            tail.first()
                .map_or(replica.last_zxid(), |first| Zxid(first.zxid.0 - 1))
        } else {
            replica.last_zxid()
        };
        self.order.restarted(at, snapshot);
        let verdict = i15_contiguity::found(at, snapshot, tail);
        self.holds(i15_contiguity::NAME, verdict);
        let verdict = self.disks.recovered(at, snapshot, tail);
        self.holds(i14_recovery::NAME, verdict);
        if self.is_standalone {
            self.order.forget_proposals(last);
            for entry in tail {
                let verdict = self.applies(at, entry.zxid, &entry.payload);
                self.judge(verdict);
            }
        } else {
            let verdict = i11_epochs::recovered(&mut self.promises, at, epochs, last);
            self.holds(i11_epochs::NAME, verdict);
        }
        self.count(i16_snapshot_truth::NAME);
        self.stands(at, replica);
        self.refine(&Step::Recover {
            at,
            delivered: snapshot,
            tail: &txns_of(tail),
            epochs: (epochs.accepted, epochs.current),
        });
    }

    /// Whether a voter has a history on its disk.
    #[must_use]
    pub fn has_history(&self, at: ServerAt) -> bool {
        self.disks.last(at) > Zxid::ZERO
    }

    /// What every voter that serves must show to who asks now (I-27).
    pub fn must_show(&mut self, now: Micros) -> Zxid {
        self.freshness.required(now)
    }

    /// A disk begins to take so long for each of its jobs, µs.
    pub fn disk_takes(&mut self, each_us: u64) {
        self.freshness.disk_takes(each_us);
    }

    /// A voter has shown the state behind `shown` to who asked when it had to show `required`.
    pub fn showed(&mut self, at: ServerAt, shown: Zxid, required: Zxid) {
        let verdict = self.freshness.showed(at, shown, required);
        self.holds(i27_staleness::NAME, verdict);
    }

    /// A server's disk was lost.
    pub fn wiped(&mut self, at: ServerAt) {
        self.count(p48_disk_lost::NAME);
        self.disks.wiped(at);
        self.promises.wiped(at);
        self.refine(&Step::Lose(at));
        self.still_kept();
    }

    /// A server's process has died.
    pub fn crashed(&mut self, at: ServerAt) {
        self.count(i09_commit_is_for_ever::NAME);
        self.disks.crashed(at);
        self.roles.forget_stop(at);
        self.refine(&Step::Crash(at));
        self.still_kept();
    }

    fn still_kept(&mut self) {
        let verdict = i09_commit_is_for_ever::kept(&self.disks, &self.order);
        self.judge(verdict);
    }

    /// A server wants its history cut.
    pub fn truncating(&mut self, at: ServerAt, to: Zxid, applied: Zxid) {
        self.count(TRUNCATION);
        self.judge(r4_only_committed::cuts(at, to, applied));
        self.disks.truncating(at, to);
        self.refine(&Step::Cut(at, to));
        self.count(i09_commit_is_for_ever::NAME);
        self.still_kept();
    }

    /// It is cut.
    pub fn truncated(&mut self, at: ServerAt, to: Zxid) {
        self.disks.truncated(at, to);
        self.refine(&Step::WasCut(at));
    }

    /// It cannot be cut there.
    pub fn not_truncated(&mut self, at: ServerAt) {
        self.count(CANNOT_TRUNCATE);
        self.disks.not_truncated(at);
        self.refine(&Step::NotCut(at));
    }

    /// A server begins to replace its history by a snapshot and what is behind it.
    pub fn installing(&mut self, at: ServerAt, zxid: Zxid, entries: &[Entry]) {
        self.count(SNAPSHOT_INSTALLED);
        self.disks.installing(at, zxid, entries);
        self.refine(&Step::Replace(at, zxid, &txns_of(entries)));
        self.still_kept();
    }

    /// A snapshot and what is behind it are a server's history.
    pub fn installed(&mut self, at: ServerAt, zxid: Zxid, entries: &[Entry], replica: &Replica) {
        self.disks.installed(at, zxid, entries);
        self.refine(&Step::WasReplaced(at, zxid, &txns_of(entries)));
        self.still_kept();
        self.order.restarted(at, zxid);
        self.count(i16_snapshot_truth::NAME);
        self.stands(at, replica);
    }

    /// A server hears a client, which has this session.
    pub fn heard_of(&mut self, at: ServerAt, session: SessionId, now: Micros) {
        self.leases.heard_of(at, session, now);
    }
}
