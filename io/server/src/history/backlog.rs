//! Sending a learner the history that it lacks, from disk.
//!
//! | Step | |
//! |---|---|
//! | 1 | from the log, if that is allowed, is not long beside a snapshot, reaches back, and tells where the learner stands |
//! | 2 | else the newest snapshot that is good and from which the log leads without a hole to the end |
//!
//! Everything is read once before the first byte goes, and once more to send it: what has begun with DIFF can no longer
//! become SNAP, and a learner that is led into a hole comes back only to be led there again. On the way out txns are
//! checked anew (R2).

use std::io;

use thiserror::Error;
use tracing::warn;
use zabra_jute::Encode;
use zabra_proto::Zxid;
use zabra_proto::quorum_packet::Message;
use zabra_storage::{
    DirEntry, Discard, LogReader, PAYLOAD_MAX_DEFAULT, SendError, SnapshotError, SnapshotFile,
    StorageError, Trust, first_needed, list_snapshots, names, read_snapshot, send_snapshot,
};
use zabra_zab::{Backlog, Step, Verdict, Walk};

use super::{Generation, HistoryFiles};

/// At most so many bytes are handed to the link at once.
pub const CHUNK_MAX: usize = 64 << 10;
/// At most this many snapshots are looked at.
const SNAPSHOTS_TRIED_MAX: usize = 100;

/// How a learner was brought into step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// DIFF.
    Diff,
    /// TRUNC to this transaction.
    Trunc(Zxid),
    /// SNAP with the snapshot of this zxid.
    Snap(Zxid),
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// How.
    pub how: How,
    /// Transactions behind it.
    pub txns: u64,
    /// Bytes in all.
    pub bytes: u64,
}

/// Why a backlog was not sent to its end. The link is to be closed: part of it may have gone.
#[derive(Debug, Error)]
pub enum BacklogError {
    /// The link does not take it.
    #[error("the learner's link does not take the history: {0}")]
    Link(#[source] io::Error),
    /// The files do not give it.
    #[error("the history cannot be read for a learner: {0}")]
    Disk(#[from] StorageError),
    /// The snapshot that was good a moment ago is not.
    #[error("the snapshot for a learner {0}")]
    Snapshot(#[source] SnapshotError),
    /// No snapshot and log lead to where it should end.
    #[error("no good snapshot with the log behind it leads to zxid {0}")]
    NoWay(Zxid),
    /// It was cut or replaced meanwhile.
    #[error("the history was cut or replaced while it was sent")]
    Outdated,
}

/// Sends what a learner lacks, up to a transaction that is on disk: DIFF, TRUNC or SNAP with its stream, then PROPOSAL
/// and COMMIT for each transaction. Blocks as long as `link` does, which is given at most [`CHUNK_MAX`] bytes at once.
///
/// May run while the log is written behind it, while snapshots are written, and while old files are purged.
pub fn send_backlog(
    files: &HistoryFiles,
    backlog: Backlog,
    link: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<Sent, BacklogError> {
    let out = Out {
        generation: files.generation(),
        files,
        link,
        held: Vec::with_capacity(CHUNK_MAX),
        bytes: 0,
        outdated: false,
    };
    let (Backlog::Behind { up_to, .. } | Backlog::Snapshot { up_to }) = backlog;
    if let Backlog::Behind { learner, .. } = backlog {
        let _lease = files.lease(learner.min(up_to));
        if let Some(how) = plan_from_log(files, learner, up_to) {
            return out.send_log(how, learner, up_to);
        }
    }
    // No log may go between the choice and the end.
    let lease = files.lease(Zxid::ZERO);
    let snapshot = choose_snapshot(files, up_to)?.ok_or(BacklogError::NoWay(up_to))?;
    let _narrower = files.lease(snapshot.zxid);
    drop(lease);
    out.send_snapshot(&snapshot, up_to)
}

/// Whether and how the log alone brings the learner into step (quorum 9.3 rule 5, 9.4).
fn plan_from_log(files: &HistoryFiles, learner: Zxid, up_to: Zxid) -> Option<How> {
    if learner == up_to {
        return Some(How::Diff);
    }
    let planned = walk(files, learner, up_to);
    planned.unwrap_or_else(|error| {
        warn!(%error, %learner, "the log cannot be read for a learner, which gets a snapshot");
        None
    })
}

fn walk(files: &HistoryFiles, learner: Zxid, up_to: Zxid) -> Result<Option<How>, StorageError> {
    let around = learner.min(up_to);
    let logs = logs(files)?;
    if is_too_long(files, &logs, around, up_to)? {
        return Ok(None);
    }
    let mut reader = LogReader::around(
        files.vfs.clone(),
        files.dirs.log(),
        logs.into_iter().map(|(_, entry)| entry.name),
        around,
        trust(files),
        payload_max(files),
    )?;
    let mut walk = Walk::new(learner);
    // Behind `up_to` the log is being written: nothing there is looked at.
    while reader.last() < up_to && reader.advance()? {
        if walk.on(reader.last()) == Step::GiveUp {
            return Ok(None);
        }
    }
    if reader.last() != up_to {
        return Ok(None);
    }
    Ok(match walk.end() {
        Verdict::Diff => Some(How::Diff),
        Verdict::TruncTo(to) => Some(How::Trunc(to)),
        Verdict::Snap => None,
    })
}

/// Whether the log is too long beside a snapshot. As Apache's server counts: files with their padding, without the first
/// that is needed; a limit of 0 bytes is none.
fn is_too_long(
    files: &HistoryFiles,
    logs: &[(Zxid, DirEntry)],
    from: Zxid,
    up_to: Zxid,
) -> Result<bool, StorageError> {
    let factor = files.options.snapshot_size_factor;
    if factor < 0.0 {
        return Ok(true);
    }
    let snapshots = list_snapshots(&*files.vfs, files.dirs.snap())?;
    let newest_len = snapshots.first().map_or(0, |newest| newest.len);
    let limit = (newest_len as f64 * factor) as u64;
    let first = first_needed(logs.iter().map(|(first, _)| *first), from);
    let behind = logs.iter().skip(first + 1);
    let len: u64 = behind
        .take_while(|(first, _)| *first <= up_to)
        .map(|(_, entry)| entry.len)
        .sum();
    Ok(limit > 0 && len > limit)
}

/// The newest snapshot at or before `up_to` that is good, and from which the log leads there.
fn choose_snapshot(
    files: &HistoryFiles,
    up_to: Zxid,
) -> Result<Option<SnapshotFile>, StorageError> {
    let base = files.mark.current().base;
    let found = list_snapshots(&*files.vfs, files.dirs.snap())?;
    let candidates = found
        .into_iter()
        .filter(|file| file.zxid <= up_to && file.zxid >= base);
    for file in candidates.take(SNAPSHOTS_TRIED_MAX) {
        match is_usable(files, &file, up_to) {
            Ok(true) => return Ok(Some(file)),
            Ok(false) => {}
            Err(error) => {
                warn!(%error, snapshot = file.name, "no way from this snapshot for a learner");
            }
        }
    }
    Ok(None)
}

fn is_usable(files: &HistoryFiles, file: &SnapshotFile, up_to: Zxid) -> Result<bool, BacklogError> {
    let tail = read_snapshot(&*files.vfs, files.dirs.snap(), file, &mut Discard)
        .map_err(BacklogError::Snapshot)?;
    // Apache's server writes while txns go on: effects of such that do not follow could not be taken back.
    if tail.effects_up_to() > Some(up_to) {
        return Ok(false);
    }
    let mut reader = behind(files, file.zxid)?;
    while reader.last() < up_to && reader.advance()? {}
    Ok(reader.last() == up_to)
}

/// The txns behind one.
fn behind(files: &HistoryFiles, from: Zxid) -> Result<LogReader, StorageError> {
    LogReader::new(
        files.vfs.clone(),
        files.dirs.log(),
        logs(files)?.into_iter().map(|(_, entry)| entry.name),
        from,
        trust(files),
        payload_max(files),
    )
}

/// The log files, oldest first.
fn logs(files: &HistoryFiles) -> Result<Vec<(Zxid, DirEntry)>, StorageError> {
    let dir = files.dirs.log();
    let entries = files.vfs.list(dir).map_err(|source| StorageError::Io {
        doing: "list",
        path: dir.to_owned(),
        source,
    })?;
    let mut logs: Vec<(Zxid, DirEntry)> = entries
        .into_iter()
        .filter_map(|entry| Some((names::parse_log_name(&entry.name)?, entry)))
        .collect();
    logs.sort_by_key(|(first, _)| *first);
    Ok(logs)
}

/// What recovery believes.
fn payload_max(files: &HistoryFiles) -> usize {
    PAYLOAD_MAX_DEFAULT.max(files.options.packet_limits.value_len_max)
}

/// The mark in memory says more than that on the disk.
fn trust(files: &HistoryFiles) -> Trust {
    Trust {
        mark: Some(files.mark.current()),
        others_wrote: false,
    }
}

/// The way to the learner.
struct Out<'a> {
    files: &'a HistoryFiles,
    generation: Generation,
    link: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    held: Vec<u8>,
    bytes: u64,
    outdated: bool,
}

impl Out<'_> {
    fn send_log(mut self, how: How, learner: Zxid, up_to: Zxid) -> Result<Sent, BacklogError> {
        let (first, from) = match how {
            How::Trunc(to) => (Message::Trunc { zxid: to }, to),
            _ => (Message::Diff { zxid: up_to }, learner),
        };
        self.message(&first)?;
        let txns = self.send_txns(from, up_to)?;
        self.finish(how, txns)
    }

    fn send_snapshot(mut self, file: &SnapshotFile, up_to: Zxid) -> Result<Sent, BacklogError> {
        self.message(&Message::Snap { zxid: file.zxid })?;
        let (vfs, dir) = (&*self.files.vfs, self.files.dirs.snap());
        match send_snapshot(vfs, dir, file, &mut |bytes| self.put(bytes)) {
            Ok(_) => {}
            Err(SendError::Link(error)) => return Err(self.broken(error)),
            Err(SendError::Snapshot(error)) => return Err(BacklogError::Snapshot(error)),
        }
        let txns = self.send_txns(file.zxid, up_to)?;
        self.finish(How::Snap(file.zxid), txns)
    }

    /// PROPOSAL and COMMIT for each txn behind one, up to another.
    fn send_txns(&mut self, from: Zxid, up_to: Zxid) -> Result<u64, BacklogError> {
        let mut txns = 0;
        if from >= up_to {
            return Ok(txns);
        }
        let mut reader = behind(self.files, from)?;
        while reader.last() < up_to {
            let record = if reader.advance()? {
                reader.record()
            } else {
                None
            };
            // It was there when this was planned: somebody has cut the log.
            let Some(record) = record.filter(|record| record.zxid <= up_to) else {
                return Err(BacklogError::Outdated);
            };
            let zxid = record.zxid;
            self.message(&Message::Proposal {
                zxid,
                txn: record.payload,
            })?;
            self.message(&Message::Commit { zxid })?;
            txns += 1;
        }
        Ok(txns)
    }

    fn finish(mut self, how: How, txns: u64) -> Result<Sent, BacklogError> {
        self.flush().map_err(|error| self.broken(error))?;
        Ok(Sent {
            how,
            txns,
            bytes: self.bytes,
        })
    }

    fn message(&mut self, message: &Message<'_>) -> Result<(), BacklogError> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.put(&bytes).map_err(|error| self.broken(error))
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = CHUNK_MAX - self.held.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.held.extend_from_slice(now);
            bytes = later;
            if self.held.len() == CHUNK_MAX {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        // What is held was read before: if the history is still the same, it was the same then.
        if self.files.generation() != self.generation {
            self.outdated = true;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if !self.held.is_empty() {
            (self.link)(&self.held)?;
            self.bytes += self.held.len() as u64;
            self.held.clear();
        }
        Ok(())
    }

    fn broken(&self, error: io::Error) -> BacklogError {
        if self.outdated {
            BacklogError::Outdated
        } else {
            BacklogError::Link(error)
        }
    }
}
