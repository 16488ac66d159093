//! From the files on disk to the state they stand for.
//!
//! ```text
//! finish a truncation that was begun → newest good snapshot → every txn behind it → make the tail durable → new mark
//! ```
//!
//! The result is the state after some prefix of the txns ever logged, and the prefix has every txn that was flushed; or
//! an error that says what is damaged. It never is a state with a hole, and after a crash without damage it never is an
//! error (I-14, I-18, I-19).

use std::collections::BTreeMap;
use std::sync::Arc;

use zabra_jute::{Decode, Reader};
use zabra_proto::{TxnHeader, Zxid};

use crate::dirs::DataDirs;
use crate::error::{During, Result, StorageError};
use crate::history::{FinishedSegment, HistoryEnd, LogReader, PAYLOAD_MAX_DEFAULT, Trust};
use crate::log::UNSYNCED_MAX;
use crate::mark::{Mark, MarkFile, Segment};
use crate::names::parse_log_name;
use crate::record::FILE_HEADER_LEN;
use crate::snapshot::{
    Discard, Refusal, SnapshotFile, SnapshotSink, SnapshotTail, list_snapshots, read_snapshot,
};
use crate::truncate::resume_truncation;
use crate::vfs::{Access, Vfs, VfsFile};

/// Takes the state: a snapshot's content, then the txns behind it.
pub trait RecoverySink: SnapshotSink {
    /// The snapshot is in, or there is none, and the txns behind `from` follow. Those up to `decided` are known to have been
    /// committed; what is behind that may still be taken back.
    fn replay(&mut self, from: Zxid, decided: Zxid) -> std::result::Result<(), Refusal> {
        let _ = (from, decided);
        Ok(())
    }

    /// The next txn; `payload` is all of it, header included. A refusal stops the recovery (R14, P58).
    fn txn(&mut self, header: &TxnHeader, payload: &[u8]) -> std::result::Result<(), Refusal>;
}

/// What recovery may do.
#[derive(Debug, Clone, Copy)]
pub struct RecoverOptions {
    /// `zookeeper.snapshot.trust.empty`: logs without any snapshot are a database of ZooKeeper 3.4.
    pub trust_empty: bool,
    /// `zookeeper.db.autocreate`: an empty directory is a new database.
    pub autocreate: bool,
    /// Longest txn payload that is believed.
    pub payload_max: usize,
    /// Change nothing on the disk; for tools.
    pub read_only: bool,
}

impl Default for RecoverOptions {
    fn default() -> Self {
        Self {
            trust_empty: false,
            autocreate: true,
            payload_max: PAYLOAD_MAX_DEFAULT,
            read_only: false,
        }
    }
}

/// What kind of start this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// From this snapshot.
    Snapshot(SnapshotFile),
    /// From logs that reach back to the first txn, without any snapshot (`trust_empty`).
    LogsOnly,
    /// A new database: the caller writes its first snapshot, then calls [`DataDirs::remove_initialize`], before it
    /// logs anything.
    New,
    /// Nothing is here, and nobody said that nothing is right: the state must come from a leader. Votes carry −1.
    Empty,
}

/// What recovery found and did.
#[derive(Debug)]
pub struct Recovered {
    /// How the state began.
    pub start: Start,
    /// The last txn in the state.
    pub last_zxid: Zxid,
    /// Txns handed to the sink.
    pub replayed: u64,
    /// The sections behind the snapshot's tree.
    pub tail: SnapshotTail,
    /// What an operator should know, one line each: snapshots passed over, torn tails cut.
    pub notes: Vec<String>,
    /// Goes to the new [`crate::TxnLog`].
    pub mark: Arc<MarkFile>,
}

/// Brings the state in `dirs` into `sink`, and the files into a shape from which the log can go on.
pub fn recover(
    vfs: &Arc<dyn Vfs>,
    dirs: &DataDirs,
    options: &RecoverOptions,
    sink: &mut dyn RecoverySink,
) -> Result<Recovered> {
    let mut run = Recovery {
        vfs,
        dirs,
        options,
        notes: Vec::new(),
    };
    run.prepare()?;
    let files = run.files()?;
    let (start, tail) = run.load_snapshot(&files, sink)?;
    let from = match &start {
        Start::Snapshot(file) => file.zxid,
        _ => Zxid::ZERO,
    };
    let decided = files.trust.decided();
    if let Err(Refusal(why)) = sink.replay(from, decided) {
        let dir = dirs.snap().to_owned();
        return Err(StorageError::NoValidSnapshot { dir, why });
    }
    let (end, replayed) = run.replay(&files, from, sink)?;
    run.note_effects_beyond(&tail, end.last);
    let last_zxid = end.last;
    let mark = run.settle(files, &end, &start)?;
    let mark = Arc::new(MarkFile::new(Arc::clone(vfs), dirs.log(), mark));
    if !options.read_only && start != Start::Empty {
        mark.save()?;
    }
    Ok(Recovered {
        start,
        last_zxid,
        replayed,
        tail,
        notes: run.notes,
        mark,
    })
}

struct Recovery<'a> {
    vfs: &'a Arc<dyn Vfs>,
    dirs: &'a DataDirs,
    options: &'a RecoverOptions,
    notes: Vec<String>,
}

/// What is in the directories.
struct Files {
    segments: Vec<String>,
    snapshots: Vec<SnapshotFile>,
    trust: Trust,
}

/// At most this many candidates are looked at, as by the reference.
const SNAPSHOTS_TRIED_MAX: usize = 100;
/// This much of a tail that no mark covers is written again; more than any server leaves unsynced.
const REWRITTEN_MAX: u64 = 8 * UNSYNCED_MAX;

impl Recovery<'_> {
    fn prepare(&mut self) -> Result<()> {
        let vfs = &**self.vfs;
        if !self.options.read_only {
            self.dirs.create(vfs)?;
        }
        self.dirs.check_separation(vfs)?;
        if !self.options.read_only {
            // First of all: a snapshot that was about to be adopted still bears its temporary name.
            self.notes.extend(resume_truncation(self.vfs, self.dirs)?);
            self.dirs.remove_temporaries(vfs)?;
        }
        Ok(())
    }

    fn files(&mut self) -> Result<Files> {
        let vfs = &**self.vfs;
        let log_dir = self.dirs.log();
        let entries = vfs.list(log_dir).during("list", log_dir)?;
        let logs = || entries.iter().filter(|e| parse_log_name(&e.name).is_some());
        let segments: Vec<String> = logs().map(|e| e.name.clone()).collect();
        let snapshots = list_snapshots(vfs, self.dirs.snap())?;
        let mark = match Mark::load(vfs, log_dir)? {
            Some(Ok(mark)) => Some(mark),
            Some(Err(why)) => {
                self.notes.push(format!(
                    "{}: {why}",
                    log_dir.join(crate::names::MARK).display()
                ));
                None
            }
            None => None,
        };
        let others_wrote = mark.as_ref().is_some_and(|mark| {
            // A known snapshot of another length was written anew, unless it is damaged.
            let others = snapshots.iter().filter(|s| {
                let known = mark.snapshots.get(&s.name);
                known.is_none()
                    || known != Some(&s.len)
                        && read_snapshot(vfs, self.dirs.snap(), s, &mut Discard).is_ok()
            });
            // One that is no longer than its header has no txn. It is what a server leaves that is killed before the mark
            // names its new segment (f22).
            let filled = logs().filter(|e| e.len > FILE_HEADER_LEN as u64);
            mark.others_wrote(filled.map(|e| e.name.as_str()), others.count())
        });
        Ok(Files {
            segments,
            snapshots,
            trust: Trust { mark, others_wrote },
        })
    }

    /// Newest first; one that is bad in any way is passed over, and the sink starts from nothing each time (P53). That
    /// an older one does not lose anything is then proved by the logs, which must reach back to it.
    fn load_snapshot(
        &mut self,
        files: &Files,
        sink: &mut dyn RecoverySink,
    ) -> Result<(Start, SnapshotTail)> {
        let base = files.trust.mark.as_ref().map_or(Zxid::ZERO, |m| m.base);
        let mut first_reason = None;
        for file in files.snapshots.iter().take(SNAPSHOTS_TRIED_MAX) {
            let why = if file.zxid < base {
                format!("is older than the state transfer of zxid {base}")
            } else {
                match read_snapshot(&**self.vfs, self.dirs.snap(), file, sink) {
                    Ok(tail) => return Ok((Start::Snapshot(file.clone()), tail)),
                    Err(e) => e.to_string(),
                }
            };
            let note = format!("{} {why}", self.dirs.snap().join(&file.name).display());
            self.notes.push(format!("passed over: {note}"));
            first_reason.get_or_insert(note);
        }
        sink.reset();
        if let Some(why) = first_reason {
            return Err(StorageError::NoValidSnapshot {
                dir: self.dirs.snap().to_owned(),
                why,
            });
        }
        Ok((self.start_without_snapshot(files)?, SnapshotTail::default()))
    }

    fn start_without_snapshot(&self, files: &Files) -> Result<Start> {
        if !files.segments.is_empty() {
            // P47: an empty start must not skip what only a snapshot held. The logs must then begin with the first
            // txn of all, which replay checks.
            return if self.options.trust_empty {
                Ok(Start::LogsOnly)
            } else {
                Err(StorageError::LogsWithoutSnapshot {
                    dir: self.dirs.log().to_owned(),
                })
            };
        }
        let is_new = self.options.autocreate || self.dirs.is_marked_initial(&**self.vfs)?;
        Ok(if is_new { Start::New } else { Start::Empty })
    }

    fn replay(
        &self,
        files: &Files,
        from: Zxid,
        sink: &mut dyn RecoverySink,
    ) -> Result<(HistoryEnd, u64)> {
        let mut reader = LogReader::new(
            Arc::clone(self.vfs),
            self.dirs.log(),
            files.segments.iter().cloned(),
            from,
            files.trust.clone(),
            self.options.payload_max,
        )?;
        let mut replayed = 0;
        while reader.advance()? {
            let Some(record) = reader.record() else { break };
            let taken = TxnHeader::decode(&mut Reader::new(record.payload))
                .map_err(|e| Refusal(e.to_string()))
                .and_then(|header| sink.txn(&header, record.payload));
            if let Err(Refusal(why)) = taken {
                let (offset, zxid) = (record.offset, record.zxid);
                return Err(StorageError::Refused {
                    path: reader.path(),
                    offset,
                    zxid,
                    why,
                });
            }
            replayed += 1;
        }
        Ok((reader.into_end(), replayed))
    }

    /// Apache writes snapshots while txns go on; effects of txns that the log does not have are legal on a member (its
    /// leader has them), and a sign of loss on a single server.
    fn note_effects_beyond(&mut self, tail: &SnapshotTail, last: Zxid) {
        if let Some(zxid) = tail.effects_up_to().filter(|zxid| *zxid > last) {
            self.notes.push(format!(
                "the snapshot holds effects of txns up to {zxid}, but the logs end with {last}; on a standalone server \
                 that means that log files are missing"
            ));
        }
    }

    /// Makes what was read durable knowledge. A process that died with a failed sync leaves pages that read well and
    /// were never written (P30): the part that no mark covers is written again and synced. A torn end is cut; segments
    /// without a record are removed, so that no later segment can meet one of the same name (P39, P40).
    fn settle(&mut self, files: Files, end: &HistoryEnd, start: &Start) -> Result<Mark> {
        let vfs = &**self.vfs;
        let log_dir = self.dirs.log();
        let mut segments = &end.segments[..];
        while let Some((last, before)) = segments.split_last().filter(|(s, _)| s.last.is_none()) {
            if !self.options.read_only {
                let path = log_dir.join(&last.name);
                vfs.remove(&path).during("remove", &path)?;
            }
            segments = before;
        }
        if !self.options.read_only {
            if let Some(last) = segments.last() {
                let marked = files
                    .trust
                    .mark
                    .as_ref()
                    .and_then(|m| m.segment(&last.name))
                    .map(|s| s.len);
                self.harden(last, marked)?;
            }
            if let Start::Snapshot(file) = start {
                let path = self.dirs.snap().join(&file.name);
                vfs.open(&path, Access::Write)
                    .and_then(|mut f| f.sync_all())
                    .during("sync", &path)?;
            }
            for dir in self.dirs.each() {
                vfs.sync_dir(dir).during("sync", dir)?;
            }
        }
        Ok(new_mark(files, segments))
    }

    fn harden(&mut self, segment: &FinishedSegment, marked: Option<u64>) -> Result<()> {
        let path = self.dirs.log().join(&segment.name);
        let mut file = self.vfs.open(&path, Access::Write).during("open", &path)?;
        if let Some(torn) = &segment.torn {
            self.notes.push(format!(
                "{}: cut a torn write behind zxid {} at byte {} ({})",
                path.display(),
                segment.last.unwrap_or_default(),
                segment.len,
                torn.kind
            ));
            file.set_len(segment.len).during("cut", &path)?;
        }
        // A mark that says more than is there was void: then nothing is known to be durable.
        let durable = marked.filter(|len| *len <= segment.len).unwrap_or(0);
        let from = durable.max(segment.len.saturating_sub(REWRITTEN_MAX));
        rewrite(&mut *file, from, segment.len).during("write", &path)?;
        file.sync_all().during("sync", &path)
    }
}

/// Writes bytes over themselves, so that a sync has to bring them to the disk.
fn rewrite(file: &mut dyn VfsFile, from: u64, to: u64) -> std::io::Result<()> {
    let mut buf = vec![0; 64 * 1024];
    let mut at = from;
    while at < to {
        let n = file.read_at(&mut buf, at)?;
        let n = n.min(usize::try_from(to - at).unwrap_or(n));
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(buf.get(..n).unwrap_or_default(), at)?;
        at += n as u64;
    }
    Ok(())
}

fn new_mark(files: Files, read: &[FinishedSegment]) -> Mark {
    let Files {
        segments,
        snapshots,
        trust,
    } = files;
    let committed = trust.decided();
    let old = trust.mark.unwrap_or_default();
    let unread = |s: &Segment| segments.contains(&s.name) && !read.iter().any(|r| r.name == s.name);
    let mut sealed: Vec<Segment> = old.segments().filter(|s| unread(s)).cloned().collect();
    sealed.retain(|s| s.len > FILE_HEADER_LEN as u64);
    sealed.extend(read.iter().filter_map(|s| {
        Some(Segment {
            name: s.name.clone(),
            len: s.len,
            last: s.last?,
        })
    }));
    let snapshots: BTreeMap<String, u64> = snapshots.into_iter().map(|s| (s.name, s.len)).collect();
    Mark {
        base: old.base,
        committed,
        open: None,
        sealed,
        snapshots,
    }
}
