//! The transaction log's writing end: group commit into segments of Apache's format.
//!
//! `append` only buffers; `flush` writes what is buffered in one piece and syncs it. Nothing appended may be
//! acknowledged, applied or advertised before `flush` returned (R1). The first error poisons the log: a failed sync
//! says nothing about what is on the disk, and repeating it would lie (P29, R3). The process must then end, and trust
//! at its next start only what it reads back and syncs anew.
//!
//! Segments are only ever created, never opened again for appending: what a restart finds is finished (P36, P40).

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::Zxid;

use crate::error::StorageError;
use crate::incoming::AdoptedHistory;
use crate::mark::MarkFile;
use crate::names::log_name;
use crate::record::{LOG_HEADER, RECORD_OVERHEAD, adler32, encode_record, follows};
use crate::vfs::{Vfs, VfsFile};

/// At most this much is unsynced at any time, unless a single record is longer: longer batches are synced in parts.
/// Recovery relies on it: what a crash can tear is no longer than this (design: durable mark).
pub const UNSYNCED_MAX: u64 = 8 << 20;

/// How the log is written.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// Files grow in steps of this many zero bytes (`zookeeper.preAllocSize`); 0 lets them grow as they are written.
    pub preallocate: u64,
    /// A segment longer than this is finished after the flush (`zookeeper.txnLogSizeLimitInKb`); 0 is no limit.
    pub segment_len_max: u64,
    /// `zookeeper.forceSync`: false leaves syncing to the operating system, and acknowledged writes to luck (P43).
    pub force_sync: bool,
    /// A clock that never goes back, for [`Flushed::sync_took`] only.
    pub clock: fn() -> Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            preallocate: 64 << 20,
            segment_len_max: 0,
            force_sync: true,
            clock: monotonic,
        }
    }
}

fn monotonic() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// What a flush made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    /// Everything up to this zxid is on stable storage.
    pub last: Zxid,
    /// Records written by this flush.
    pub records: usize,
    /// Bytes written by this flush.
    pub bytes: u64,
    /// The segment's bytes in use, for the slow-fsync warning and the decision to roll; 0 if it has been rolled.
    pub segment_len: u64,
    /// How long the syncs took.
    pub sync_took: Duration,
}

/// Why the log does not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// A txn does not continue the history: a bug above, caught before it does harm (R2). Nothing was written.
    #[error(
        "txn {zxid} cannot be appended behind {last}: txns are missing or repeated between them"
    )]
    NotNext {
        /// The last txn appended.
        last: Zxid,
        /// The one refused.
        zxid: Zxid,
    },
    /// The leader's history that was adopted holds another txn here than the one appended: a bug above.
    #[error("txn {zxid} was to be logged where the history adopted from the leader has {there}")]
    Adopted {
        /// What is on the disk.
        there: Zxid,
        /// What was appended.
        zxid: Zxid,
    },
    /// A payload that no reader would accept. Nothing was written.
    #[error("a txn of {0} bytes cannot be logged")]
    BadLength(usize),
    /// Writing or syncing failed; the log takes nothing any more.
    #[error("writing the transaction log failed, this server must stop: {0}")]
    Write(#[source] StorageError),
    /// An earlier call failed.
    #[error("the transaction log failed before and takes nothing any more")]
    Poisoned,
}

/// The writing end of the transaction log. It may move between threads; each call is made by one at a time.
pub struct TxnLog {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    options: LogOptions,
    mark: Arc<MarkFile>,
    segment: Option<OpenSegment>,
    batch: Batch,
    appended: Zxid,
    flushed: Zxid,
    /// Txns that are in the log already, with their checksums, and have not been appended.
    adopted: VecDeque<(Zxid, u32)>,
    poisoned: bool,
}

#[derive(Debug)]
struct OpenSegment {
    file: Box<dyn VfsFile>,
    path: PathBuf,
    /// Header and whole records.
    len: u64,
    /// Length of the file, with its padding.
    allocated: u64,
    records: u64,
}

/// Framed records that wait for the next flush.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    records: usize,
    first: Zxid,
    /// Where to cut the batch so that no part exceeds [`UNSYNCED_MAX`], and the last zxid before each cut.
    cuts: Vec<(usize, Zxid)>,
}

impl TxnLog {
    /// A log that goes on behind `last`, in a new segment. The mark is the one that recovery returned.
    #[must_use]
    pub fn new(
        vfs: Arc<dyn Vfs>,
        log_dir: &Path,
        options: LogOptions,
        mark: Arc<MarkFile>,
        last: Zxid,
    ) -> Self {
        Self {
            vfs,
            dir: log_dir.to_owned(),
            options,
            mark,
            segment: None,
            batch: Batch::default(),
            appended: last,
            flushed: last,
            adopted: VecDeque::new(),
            poisoned: false,
        }
    }

    /// Buffers a txn's payload (TxnHeader, body, digest).
    pub fn append(&mut self, zxid: Zxid, payload: &[u8]) -> Result<(), LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        if !follows(self.appended, zxid) {
            return Err(LogError::NotNext {
                last: self.appended,
                zxid,
            });
        }
        if payload.is_empty() || payload.len() > (i32::MAX as usize) / 2 {
            return Err(LogError::BadLength(payload.len()));
        }
        if let Some((there, checksum)) = self.adopted.pop_front() {
            if there != zxid || checksum != adler32(payload) {
                // Its place on the disk is taken by another.
                self.poisoned = true;
                return Err(LogError::Adopted { there, zxid });
            }
            self.appended = zxid;
            self.flushed = zxid;
            return Ok(());
        }
        self.batch.push(zxid, payload, self.appended);
        self.appended = zxid;
        Ok(())
    }

    /// Writes and syncs everything appended. Returns at once if nothing is buffered.
    pub fn flush(&mut self) -> Result<Flushed, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        let done = self.flush_batch();
        // An error from here on leaves the disk unknown: fail closed for ever.
        self.poisoned = done.is_err();
        done.map_err(LogError::Write)
    }

    /// Finishes the present segment; the next flush begins another. What is still buffered is flushed first.
    pub fn roll(&mut self) -> Result<(), LogError> {
        self.flush()?;
        self.finish_segment();
        Ok(())
    }

    /// Continues behind another zxid, after the state was replaced by a leader's or truncated. Nothing may be
    /// buffered any more.
    pub fn restart_behind(&mut self, last: Zxid) -> Result<(), LogError> {
        self.roll()?;
        self.appended = last;
        self.flushed = last;
        self.adopted.clear();
        Ok(())
    }

    /// Continues behind the snapshot of a history that was adopted. The txns behind it, which are there already, must be
    /// appended first, as they came: they are durable at once.
    pub fn restart_adopted(&mut self, history: AdoptedHistory) -> Result<(), LogError> {
        self.restart_behind(history.zxid)?;
        self.adopted = history.txns;
        Ok(())
    }

    /// The last txn appended.
    #[must_use]
    pub fn last_appended(&self) -> Zxid {
        self.appended
    }

    /// The last txn on stable storage.
    #[must_use]
    pub fn last_flushed(&self) -> Zxid {
        self.flushed
    }

    /// Bytes in the present segment since it was begun, without padding and without what is buffered.
    #[must_use]
    pub fn segment_len(&self) -> u64 {
        self.segment.as_ref().map_or(0, |s| s.len)
    }

    /// Txns in the present segment, without what is buffered.
    #[must_use]
    pub fn segment_records(&self) -> u64 {
        self.segment.as_ref().map_or(0, |s| s.records)
    }

    /// Bytes that wait for the next flush.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.batch.bytes.len()
    }

    /// Whether an error has ended this log.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// The mark that this log keeps.
    #[must_use]
    pub fn mark(&self) -> &Arc<MarkFile> {
        &self.mark
    }

    fn flush_batch(&mut self) -> crate::Result<Flushed> {
        let records = self.batch.records;
        let bytes = self.batch.bytes.len() as u64;
        let mut sync_took = Duration::ZERO;
        if records > 0 {
            if self.segment.is_none() {
                self.begin_segment()?;
            }
            self.batch
                .cuts
                .push((self.batch.bytes.len(), self.appended));
            let mut from = 0;
            for (to, last) in std::mem::take(&mut self.batch.cuts) {
                sync_took += self.write_part(from, to, last)?;
                from = to;
            }
            if let Some(segment) = &mut self.segment {
                segment.records += records as u64;
            }
            self.batch.clear();
        }
        let limit = self.options.segment_len_max;
        if limit > 0 && self.segment_len() > limit {
            self.finish_segment();
        }
        Ok(Flushed {
            last: self.flushed,
            records,
            bytes,
            segment_len: self.segment_len(),
            sync_took,
        })
    }

    /// Creates the next segment, empty. Its name, its header and the mark that names it are durable before the first
    /// record is written (P31, P39; the mark's documentation says why).
    fn begin_segment(&mut self) -> crate::Result<()> {
        let name = log_name(self.batch.first);
        let path = self.dir.join(&name);
        let io = |doing| move |e: io::Error| (doing, e);
        let create = || -> Result<OpenSegment, (&'static str, io::Error)> {
            // Recovery has removed every segment without records, so one that bears this name holds history (P40).
            let mut file = self.vfs.create_new(&path).map_err(io("create"))?;
            file.write_all_at(&LOG_HEADER, 0).map_err(io("write"))?;
            file.sync_all().map_err(io("sync"))?;
            if !mutant::on(Mutant::DirectoryUnsynced) {
                self.vfs
                    .sync_dir(&self.dir)
                    .map_err(io("sync the directory of"))?;
            }
            let len = LOG_HEADER.len() as u64;
            Ok(OpenSegment {
                file,
                path: path.clone(),
                len,
                allocated: len,
                records: 0,
            })
        };
        let segment = create().map_err(|(doing, e)| StorageError::io(doing, &path, e))?;
        if self.options.force_sync {
            self.mark.opened(&name, self.flushed)?;
        }
        self.segment = Some(segment);
        Ok(())
    }

    fn write_part(&mut self, from: usize, to: usize, last: Zxid) -> crate::Result<Duration> {
        let Some(segment) = &mut self.segment else {
            return Ok(Duration::ZERO);
        };
        let bytes = self.batch.bytes.get(from..to).unwrap_or_default();
        let end = segment.len + bytes.len() as u64;
        let fail = |doing, path: &Path, e| Err(StorageError::io(doing, path, e));
        let grown = grow_to(
            segment.allocated,
            segment.len,
            end,
            self.options.preallocate,
        );
        if grown > segment.allocated {
            match segment.file.preallocate(grown) {
                Ok(()) => segment.allocated = grown,
                // No room for a whole step, but perhaps for these bytes: the write will tell (P38).
                Err(e) if e.kind() == io::ErrorKind::StorageFull => {}
                Err(e) => return fail("extend", &segment.path, e),
            }
        }
        match segment.file.write_all_at(bytes, segment.len) {
            Ok(()) => {}
            Err(e)
                if mutant::on(Mutant::NoSpaceIgnored) && e.kind() == io::ErrorKind::StorageFull => {
            }
            Err(e) => return fail("write", &segment.path, e),
        }
        let mut took = Duration::ZERO;
        if self.options.force_sync {
            let begun = (self.options.clock)();
            let mut synced = segment.file.sync_data();
            if mutant::on(Mutant::FsyncRetried) && synced.is_err() {
                synced = segment.file.sync_data();
            }
            if let Err(e) = synced {
                return fail("sync", &segment.path, e);
            }
            took = (self.options.clock)().saturating_sub(begun);
            self.mark.flushed(end, last);
        }
        segment.len = end;
        segment.allocated = segment.allocated.max(end);
        self.flushed = last;
        Ok(took)
    }

    fn finish_segment(&mut self) {
        if self.segment.take().is_some() && self.options.force_sync {
            self.mark.sealed();
        }
    }
}

impl Batch {
    fn push(&mut self, zxid: Zxid, payload: &[u8], previous: Zxid) {
        if self.records == 0 {
            self.first = zxid;
        }
        let part = self.bytes.len() - self.cuts.last().map_or(0, |&(at, _)| at);
        if part > 0 && (part + payload.len() + RECORD_OVERHEAD) as u64 > UNSYNCED_MAX {
            self.cuts.push((self.bytes.len(), previous));
        }
        encode_record(payload, &mut self.bytes);
        self.records += 1;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        // One huge batch must not hold its memory for ever.
        self.bytes.shrink_to(1 << 20);
        self.records = 0;
        self.cuts.clear();
    }
}

/// The length a file gets before bytes are written from `position` to `end`: it grows by a step, like Apache's, when
/// less than 4 KiB are left behind `position` (protocol 12.4), and by more if that does not hold the bytes.
fn grow_to(allocated: u64, position: u64, end: u64, step: u64) -> u64 {
    if step == 0 || position + 4096 < allocated && end <= allocated {
        return allocated;
    }
    allocated + step * end.saturating_sub(allocated).div_ceil(step).max(1)
}

impl fmt::Debug for TxnLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxnLog")
            .field("dir", &self.dir)
            .field("appended", &self.appended)
            .field("flushed", &self.flushed)
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_segment_has_apaches_size() {
        assert_eq!(grow_to(16, 16, 100, 64 << 20), 16 + (64 << 20));
    }

    #[test]
    fn files_grow_by_steps_when_4_kib_are_left() {
        assert_eq!(grow_to(10_000, 5_000, 5_100, 1000), 10_000);
        assert_eq!(grow_to(10_000, 5_904, 5_905, 1000), 11_000);
        assert_eq!(grow_to(10_000, 5_000, 12_500, 1000), 13_000);
        assert_eq!(grow_to(10_000, 9_000, 12_500, 0), 10_000);
    }
}
