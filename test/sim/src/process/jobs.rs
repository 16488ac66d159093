//! What the disk does while the process goes on: each job takes its time, and a crash may come in the midst of it.

use zabra_jute::Limits;
use zabra_peer::Input;
use zabra_proto::Zxid;
use zabra_proto::quorum_packet::{Message, PacketReader};
use zabra_serve::Replica;
use zabra_storage::PendingHistory;
use zabra_zab::{Backlog, Entry, Epochs, LinkId};

use super::{Fate, Process, history};
use crate::disk::Image;
use crate::event::Event;
use crate::older;
use crate::say;
use crate::server::JobId;
use crate::surroundings::Surroundings;
use crate::trace::Z;

/// A job of the disk.
pub(super) enum Job {
    /// Append and sync.
    Flush(Vec<Entry>),
    /// Make the epochs durable.
    Epochs(Epochs),
    /// Cut the history.
    Truncate(Zxid),
    /// Write a snapshot of the own state.
    Snapshot(Image),
    /// Remove what no recovery needs.
    Purge,
    /// Read a history for a learner.
    Backlog(LinkId, Backlog),
    /// Make a leader's snapshot the history.
    Adopt(Box<Received>),
}

/// A leader's snapshot, whole and durable under a temporary name.
pub(super) struct Received {
    pub(super) link: LinkId,
    pub(super) zxid: Zxid,
    pub(super) replica: Box<Replica>,
    pub(super) history: PendingHistory,
    /// Packets that came behind the snapshot.
    pub(super) rest: Vec<u8>,
}

impl Process {
    /// Begins a job beside all others.
    pub(super) fn begin(&mut self, job: Job, around: &mut Surroundings) -> JobId {
        let id = self.enlist(job);
        self.schedule(id, around);
        id
    }

    /// Begins a job behind those of its kind that were begun before.
    pub(super) fn begin_in_order(&mut self, job: Job, around: &mut Surroundings) {
        if let Job::Adopt(received) = &job {
            let entries = entries_of(&received.rest);
            around.check.installing(self.at, received.zxid, &entries);
        }
        let id = self.enlist(job);
        self.in_order.push_back(id);
        if self.in_order.len() == 1 {
            self.schedule(id, around);
        }
    }

    fn enlist(&mut self, job: Job) -> JobId {
        self.next_job += 1;
        let id = JobId(self.next_job);
        self.jobs.insert(id, job);
        id
    }

    fn schedule(&mut self, id: JobId, around: &mut Surroundings) {
        let delay = around.disk_delay(self.at);
        let event = Event::JobDone(self.at, self.life, id);
        around.kernel.after(delay, event);
    }

    /// Gives the disk what was appended, unless it is at work.
    pub(super) fn maybe_flush(&mut self, around: &mut Surroundings) {
        if !self.is_flushing && !self.batch.is_empty() {
            self.is_flushing = true;
            let all = self.batch.len();
            let flushed = if self.plan.flushes_singly { 1 } else { all };
            let batch = self.batch.drain(..flushed).collect();
            self.begin(Job::Flush(batch), around);
        }
    }

    pub(super) fn maybe_begin_snapshot(&mut self, around: &mut Surroundings) {
        let is_due = self.txns_since_snapshot >= self.plan.snapshot_every;
        let may_be_saved = self.is_tree_in_step || self.plan.is_standalone;
        if !is_due || !may_be_saved || self.snapshot_runs {
            return;
        }
        if let Some(image) = Image::of(&mut self.replica) {
            say!(
                around.kernel,
                "s{} ⛁ snapshot {} begins",
                self.sid,
                Z(image.zxid)
            );
            self.snapshot_runs = true;
            self.txns_since_snapshot = 0;
            self.begin(Job::Snapshot(image), around);
        }
    }

    /// A job is done.
    pub(crate) fn on_job(&mut self, id: JobId, around: &mut Surroundings) -> Fate {
        let Some(job) = self.jobs.remove(&id) else {
            return Fate::Runs;
        };
        if self.in_order.front() == Some(&id) {
            self.in_order.pop_front();
            if let Some(next) = self.in_order.front().copied() {
                self.schedule(next, around);
            }
        }
        let may_fail = matches!(job, Job::Snapshot(_) | Job::Purge | Job::Backlog(..));
        match self.complete(job, around) {
            Ok(()) => {}
            Err(why) if !self.has_disk_failed() => {
                let text = format!("s{}: {why}", self.sid);
                around.check.violate("the disk does what it is told", text);
            }
            Err(why) if may_fail => {
                say!(around.kernel, "s{} ⛁ goes on without: {why}", self.sid);
                self.snapshot_runs = false;
            }
            // R3: nothing is tried again, and nothing more is written.
            Err(why) => {
                around.check.count("disk failed");
                return Fate::Ends(Some(format!("⛁ {why}")));
            }
        }
        self.settle(around)
    }

    fn complete(&mut self, job: Job, around: &mut Surroundings) -> Result<(), String> {
        let now = self.now(around);
        match job {
            Job::Flush(batch) => {
                let last = self.files.flush(&batch)?;
                self.disk.forget_durable();
                self.is_flushing = false;
                say!(around.kernel, "s{} ⛁ flushed {}", self.sid, Z(last));
                around.check.flushed(self.at, &batch);
                self.step(now, Input::Flushed(last));
            }
            Job::Epochs(epochs) => {
                self.files.save_epochs(epochs).map_err(|e| e.to_string())?;
                let Epochs { accepted, current } = epochs;
                say!(around.kernel, "s{} ⛁ epochs {accepted}/{current}", self.sid);
                around.check.epochs_saved(self.at, epochs);
                self.step(now, Input::EpochsSaved(epochs));
            }
            Job::Truncate(to) => {
                if !self.files.truncate(to)? {
                    say!(around.kernel, "s{} cannot truncate to {}", self.sid, Z(to));
                    around.check.not_truncated(self.at);
                    self.step(now, Input::CannotTruncate);
                    return Ok(());
                }
                say!(around.kernel, "s{} ⛁ truncated to {}", self.sid, Z(to));
                around.check.truncated(self.at, to);
                self.step(now, Input::Truncated(to));
            }
            Job::Snapshot(image) => {
                let files = &self.files;
                let written = image.write(&files.vfs, &files.dirs, &files.mark);
                written.map_err(|e| e.to_string())?;
                self.snapshot_runs = false;
                say!(around.kernel, "s{} ⛁ snapshot {}", self.sid, Z(image.zxid));
                if around.kernel.chance(300) {
                    self.begin(Job::Purge, around);
                }
            }
            Job::Purge => {
                let removed = self.files.purge().map_err(|e| e.to_string())?;
                if removed > 0 {
                    say!(around.kernel, "s{} ⛁ purged {removed} files", self.sid);
                }
            }
            Job::Backlog(link, backlog) => self.send_backlog(link, backlog, around),
            Job::Adopt(received) => {
                let Received {
                    link,
                    zxid,
                    replica,
                    history,
                    rest,
                } = *received;
                let entries = entries_of(&rest);
                self.files.adopt(history)?;
                self.replica = *replica;
                self.txns_since_snapshot = 0;
                say!(around.kernel, "s{} ⛁ installed {}", self.sid, Z(zxid));
                around
                    .check
                    .installed(self.at, zxid, &entries, &self.replica);
                self.step(now, Input::SnapshotInstalled(zxid));
                self.go_on(link, &rest, around);
            }
        }
        Ok(())
    }

    /// Sends a history to a learner, or closes the link if there is none to send.
    fn send_backlog(&mut self, id: LinkId, backlog: Backlog, around: &mut Surroundings) {
        if self.links.link_mut(id).is_none() {
            return;
        }
        let snaps = self.links.older.is_some_and(|older| older.snaps);
        if snaps && matches!(backlog, Backlog::Snapshot { .. }) {
            around.check.count(older::SNAPS);
        }
        match history::read(&self.files, backlog) {
            Ok(sent) => {
                say!(around.kernel, "s{} → link {} {}", self.sid, id.0, sent.how);
                if let Some(link) = self.links.link_mut(id) {
                    link.release(&sent.bytes);
                }
            }
            Err(why) => {
                say!(around.kernel, "s{} has no {backlog:?}: {why}", self.sid);
                around.check.count("no backlog");
                self.forget_link(id, around);
            }
        }
    }

    /// The process dies: what its disk was doing happens, in some order, as far as the crash lets it.
    pub(crate) fn run_jobs_under_way(&mut self, around: &mut Surroundings) {
        let head = self.in_order.front().copied();
        let in_order = &self.in_order;
        let begun = |id: &JobId| !in_order.contains(id) || Some(*id) == head;
        let mut ids: Vec<JobId> = self.jobs.keys().copied().filter(begun).collect();
        around.kernel.rng.shuffle(&mut ids);
        // While a history is cut or replaced, no file of it is added or removed.
        let is_changing = head
            .and_then(|head| self.jobs.get(&head))
            .is_some_and(|job| matches!(job, Job::Truncate(_) | Job::Adopt(_)));
        for id in ids {
            let Some(job) = self.jobs.remove(&id) else {
                continue;
            };
            // Nobody is left to hear of a failure.
            match job {
                Job::Flush(batch) => drop(self.files.flush(&batch)),
                Job::Epochs(epochs) => drop(self.files.save_epochs(epochs)),
                Job::Truncate(to) => drop(self.files.truncate(to)),
                Job::Snapshot(_) | Job::Purge if is_changing => {}
                Job::Snapshot(image) => {
                    let files = &self.files;
                    drop(image.write(&files.vfs, &files.dirs, &files.mark));
                }
                Job::Purge => drop(self.files.purge()),
                Job::Adopt(received) => drop(self.files.adopt(received.history)),
                Job::Backlog(..) => {}
            }
        }
    }
}

/// The txns among these packets.
fn entries_of(packets: &[u8]) -> Vec<Entry> {
    let mut reader = PacketReader::new(Limits::DEFAULT);
    reader.push(packets);
    let mut entries = Vec::new();
    while let Ok(Some(packet)) = reader.next_packet() {
        match packet.message() {
            Ok(Message::Proposal { zxid, txn } | Message::Inform { zxid, txn }) => {
                let payload = txn.into();
                entries.push(Entry { zxid, payload });
            }
            Ok(Message::NewLeader { .. }) => break,
            _ => {}
        }
    }
    entries
}
