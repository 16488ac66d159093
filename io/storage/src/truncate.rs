//! Taking history back: cutting it behind a zxid (TRUNC), or replacing all of it by a leader's snapshot (SNAP).
//!
//! Cutting a file, removing later ones and removing snapshots are many steps, and a crash between any two must not leave
//! a history with txns that were truncated or a hole (P36, P37). So what will be done is written down first, durably;
//! whoever finds the note, does it to the end. Snapshots that hold effects of truncated txns go, too (P10).
//!
//! ```text
//! zabra-truncation 1
//! to 100000005
//! base 0                        the mark's new base, if a snapshot is adopted
//! adopt snapshot.1 1113 zabra-tmp-snapshot.1   the snapshot that replaces the history, with its length
//! take log.2 894 5 zabra-tmp-log.2             the log behind it, with its length and last zxid
//! cut log.100000001 894         the segment that holds the txn, and the byte behind it
//! remove log.100000009          later segments, newest first
//! drop snapshot.100000008       snapshots with later effects
//! keep snapshot.0               everything else there was
//! sum 89abcdef
//! ```
//!
//! A log or snapshot that the note does not name was written after it, by Apache's server: then the note is void.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::Zxid;

use crate::dirs::DataDirs;
use crate::error::{During, Result, StorageError};
use crate::history::{LogReader, PAYLOAD_MAX_ANY, Trust};
use crate::incoming::{AdoptedHistory, PendingHistory};
use crate::mark::{Mark, MarkFile, Segment, seal_text, unseal_text};
use crate::names::{TRUNCATION, parse_log_name, parse_snapshot_name};
use crate::record::{FILE_HEADER_LEN, RECORD_OVERHEAD};
use crate::snapshot::{Discard, list_snapshots, read_snapshot};
use crate::vfs::{Access, Vfs, read_small, replace_small};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Plan {
    to: Zxid,
    /// The mark's new base, if a snapshot is adopted.
    base: Zxid,
    adopt: Option<Adopted>,
    /// With its last zxid.
    take: Option<(Adopted, Zxid)>,
    cut: Option<(String, u64)>,
    remove: Vec<String>,
    drop: Vec<String>,
    keep: Vec<String>,
}

/// A file that lies there under a temporary name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Adopted {
    name: String,
    len: u64,
    temp_name: String,
}

/// Cuts everything behind `to` from logs and snapshots. The caller's log must have no open segment (it was rolled or
/// dropped), and goes on with [`crate::TxnLog::restart_behind`]; its memory must be loaded anew unless it knows that
/// nothing behind `to` was applied.
///
/// Fails with [`StorageError::CannotTruncate`], and has changed nothing, if the txn `to` is not here or no snapshot
/// at or before it is good: the server then needs its leader's snapshot. After any other error the process must end.
pub fn truncate(vfs: &Arc<dyn Vfs>, dirs: &DataDirs, mark: &MarkFile, to: Zxid) -> Result<()> {
    plan(vfs, dirs, &mark.current(), to)?.run(vfs, dirs, mark)
}

/// Replaces the history by a leader's: every log goes, since it may hold txns that the leader never had, and so does every
/// newer snapshot. Older snapshots are never used again, because no log leads from them to this one (P54). The caller's
/// log is as for [`truncate`], and goes on with [`crate::TxnLog::restart_adopted`].
///
/// Snapshot and log get their names with all this: were the snapshot there a moment before, a crash could leave it below
/// txns of the old log that do not belong behind it; were the log there a moment later, a crash could leave less than this
/// server has acknowledged, for a leader's snapshot may be older than that.
///
/// An error must end the process.
pub fn adopt_history(
    vfs: &Arc<dyn Vfs>,
    dirs: &DataDirs,
    mark: &MarkFile,
    history: PendingHistory,
) -> Result<AdoptedHistory> {
    let PendingHistory {
        snapshot,
        log,
        txns,
    } = history;
    let (file, temp_name) = snapshot.release();
    let mut plan = Plan {
        to: file.zxid,
        base: file.zxid,
        take: log.map(|log| {
            let (log, temp_name) = log.release();
            let adopted = Adopted {
                name: log.name,
                len: log.len,
                temp_name,
            };
            (adopted, log.last)
        }),
        ..Plan::default()
    };
    for old in list_snapshots(&**vfs, dirs.snap())? {
        if old.name == file.name {
            continue;
        }
        if old.zxid >= file.zxid {
            plan.drop.push(old.name);
        } else {
            plan.keep.push(old.name);
        }
    }
    let taken = plan.take.as_ref().map(|(log, _)| log.name.clone());
    plan.remove = log_names(&**vfs, dirs.log())?
        .into_iter()
        .rev()
        .map(|(_, name)| name)
        .filter(|name| Some(name) != taken.as_ref())
        .collect();
    plan.adopt = Some(Adopted {
        name: file.name,
        len: file.len,
        temp_name,
    });
    // What the note names must be there after a crash.
    for dir in dirs.each() {
        vfs.sync_dir(dir).during("sync", dir)?;
    }
    plan.run(vfs, dirs, mark)?;
    let zxid = file.zxid;
    Ok(AdoptedHistory { zxid, txns })
}

/// Finishes a truncation that a crash interrupted; returns what to tell the operator.
pub(crate) fn resume_truncation(vfs: &Arc<dyn Vfs>, dirs: &DataDirs) -> Result<Option<String>> {
    let path = dirs.log().join(TRUNCATION);
    if !vfs.exists(&path).during("look for", &path)? {
        return Ok(None);
    }
    let bytes = read_small(&**vfs, &path, PLAN_MAX).during("read", &path)?;
    let Some(plan) = Plan::decode(&bytes) else {
        // Whether txns were truncated is not known any more: starting could bring them back.
        let what = "it says up to where the history was truncated; restore it, or remove the data and let the server \
                    take it from the ensemble";
        return Err(StorageError::BadRecord {
            path,
            what: what.to_owned(),
        });
    };
    if let Some(stranger) = plan.stranger(&**vfs, dirs)? {
        vfs.remove(&path).during("remove", &path)?;
        vfs.sync_dir(dirs.log()).during("sync", dirs.log())?;
        return Ok(Some(format!(
            "{} is void: {stranger} was written after it",
            path.display()
        )));
    }
    if let Some(Ok(mut mark)) = Mark::load(&**vfs, dirs.log())? {
        plan.lower(&mut mark);
        MarkFile::new(Arc::clone(vfs), dirs.log(), mark).save()?;
    }
    plan.carry_out(&**vfs, dirs)?;
    Ok(Some(format!(
        "finished the truncation to zxid {} that was interrupted",
        plan.to
    )))
}

const PLAN_MAX: usize = 16 << 20;

fn plan(vfs: &Arc<dyn Vfs>, dirs: &DataDirs, mark: &Mark, to: Zxid) -> Result<Plan> {
    let mut plan = Plan {
        to,
        ..Plan::default()
    };
    let mut from = None;
    for file in list_snapshots(&**vfs, dirs.snap())? {
        if file.zxid > to {
            let outlives = mutant::on(Mutant::SnapshotOutlivesTruncation);
            let goes_on = if outlives {
                &mut plan.keep
            } else {
                &mut plan.drop
            };
            goes_on.push(file.name);
            continue;
        }
        match read_snapshot(&**vfs, dirs.snap(), &file, &mut Discard) {
            Ok(tail) if tail.effects_up_to() > Some(to) => {
                plan.drop.push(file.name);
                continue;
            }
            Ok(_) if file.zxid >= mark.base => from = from.max(Some(file.zxid)),
            // Not usable, and not in the way.
            Ok(_) | Err(_) => {}
        }
        plan.keep.push(file.name);
    }
    let Some(from) = from else {
        return Err(StorageError::CannotTruncate {
            to,
            why: "no good snapshot is as old".to_owned(),
        });
    };
    plan.find_cut(vfs, dirs, mark, from)?;
    Ok(plan)
}

impl Plan {
    /// Writes the note down, then does what it says.
    fn run(&self, vfs: &Arc<dyn Vfs>, dirs: &DataDirs, mark: &MarkFile) -> Result<()> {
        let (dir, bytes) = (dirs.log(), self.encode());
        if mutant::on(Mutant::TruncationWithoutNote) {
            let remove = self.remove.iter().rev().cloned().collect();
            mark.update(|m| self.lower(m));
            return Self {
                remove,
                ..self.clone()
            }
            .carry_out(&**vfs, dirs);
        }
        replace_small(&**vfs, dir, "zabra-tmp-truncation", TRUNCATION, &bytes)
            .during("write", &dir.join(TRUNCATION))?;
        mark.update(|m| self.lower(m));
        mark.save()?;
        self.carry_out(&**vfs, dirs)
    }

    /// Where to cut: right behind the txn `to`. If the snapshot at `to` itself is the last of what stays, every record
    /// behind it goes.
    fn find_cut(
        &mut self,
        vfs: &Arc<dyn Vfs>,
        dirs: &DataDirs,
        mark: &Mark,
        from: Zxid,
    ) -> Result<()> {
        let dir = dirs.log();
        let logs = log_names(&**vfs, dir)?;
        let trust = Trust {
            mark: Some(mark.clone()),
            others_wrote: false,
        };
        let names = logs.iter().map(|(_, name)| name.clone());
        let mut found = from == self.to;
        if !found {
            let mut reader =
                LogReader::new(Arc::clone(vfs), dir, names, from, trust, PAYLOAD_MAX_ANY)?;
            while !found && reader.advance()? {
                found = reader.last() == self.to;
            }
        }
        if !found {
            return Err(StorageError::CannotTruncate {
                to: self.to,
                why: "that txn is not in the logs".to_owned(),
            });
        }
        for (first, name) in logs.into_iter().rev() {
            if first > self.to {
                self.remove.push(name);
            } else if self.cut.is_none() {
                let offset = end_of(&**vfs, &dir.join(&name), self.to)?;
                self.cut = Some((name, offset));
            } else {
                self.keep.push(name);
            }
        }
        Ok(())
    }

    /// The mark never says more than what will be left.
    fn lower(&self, mark: &mut Mark) {
        // A leader's snapshot may be older than the one before: what leads on from it is the new log alone.
        if self.adopt.is_some() {
            mark.base = self.base;
        }
        mark.committed = mark.committed.min(self.to);
        let mut segments: Vec<_> = mark.sealed.drain(..).chain(mark.open.take()).collect();
        segments.retain(|s| !self.remove.contains(&s.name));
        for segment in &mut segments {
            if let Some((_, len)) = self.cut.as_ref().filter(|(name, _)| *name == segment.name) {
                segment.len = segment.len.min(*len);
                segment.last = segment.last.min(self.to);
            }
        }
        segments.retain(|s| s.len > FILE_HEADER_LEN as u64);
        mark.sealed = segments;
        mark.snapshots.retain(|name, _| !self.drop.contains(name));
        if let Some(adopted) = &self.adopt {
            mark.snapshots.insert(adopted.name.clone(), adopted.len);
        }
        if let Some((log, last)) = &self.take {
            mark.sealed.retain(|s| s.name != log.name);
            mark.sealed.push(Segment {
                name: log.name.clone(),
                len: log.len,
                last: *last,
            });
        }
    }

    /// Gives the adopted files their names, durably, before any log goes: what is left at any moment is a history.
    fn take_up(&self, vfs: &dyn Vfs, dirs: &DataDirs) -> Result<()> {
        if let Some(snapshot) = &self.adopt {
            snapshot.take_up(vfs, dirs.snap())?;
        }
        if let Some((log, _)) = &self.take {
            log.take_up(vfs, dirs.log())?;
        }
        Ok(())
    }

    fn carry_out(&self, vfs: &dyn Vfs, dirs: &DataDirs) -> Result<()> {
        self.take_up(vfs, dirs)?;
        for name in &self.drop {
            remove_if_there(vfs, &dirs.snap().join(name))?;
        }
        for name in &self.remove {
            remove_if_there(vfs, &dirs.log().join(name))?;
        }
        if let Some((name, len)) = &self.cut {
            let path = dirs.log().join(name);
            let mut file = vfs.open(&path, Access::Write).during("open", &path)?;
            if file.size().during("measure", &path)? > *len {
                file.set_len(*len).during("cut", &path)?;
            }
            file.sync_all().during("sync", &path)?;
        }
        for dir in dirs.each() {
            vfs.sync_dir(dir).during("sync", dir)?;
        }
        if mutant::on(Mutant::TruncationWithoutNote) {
            return Ok(());
        }
        // Only now may the note go.
        let note = dirs.log().join(TRUNCATION);
        vfs.remove(&note).during("remove", &note)?;
        vfs.sync_dir(dirs.log()).during("sync", dirs.log())
    }

    fn stranger(&self, vfs: &dyn Vfs, dirs: &DataDirs) -> Result<Option<String>> {
        let adopted = self.adopt.as_ref().map(|snapshot| &snapshot.name);
        let taken = self.take.as_ref().map(|(log, _)| &log.name);
        let cut = self.cut.as_ref().map(|(log, _)| log);
        let named = |name: &String| {
            let lists = [&self.keep, &self.drop, &self.remove];
            lists.iter().any(|list| list.contains(name))
                || [adopted, taken, cut].contains(&Some(name))
        };
        for dir in dirs.each() {
            for entry in vfs.list(dir).during("list", dir)? {
                let name = entry.name;
                let is_history =
                    parse_log_name(&name).is_some() || parse_snapshot_name(&name).is_some();
                if is_history && !named(&name) {
                    return Ok(Some(name));
                }
            }
        }
        Ok(None)
    }

    fn encode(&self) -> Vec<u8> {
        let mut text = format!(
            "zabra-truncation 1\nto {:x}\nbase {:x}\n",
            self.to.0, self.base.0
        );
        // Writing to a string cannot fail.
        if let Some(Adopted {
            name,
            len,
            temp_name,
        }) = &self.adopt
        {
            let _ = writeln!(text, "adopt {name} {len} {temp_name}");
        }
        if let Some((log, last)) = &self.take {
            let Adopted {
                name,
                len,
                temp_name,
            } = log;
            let _ = writeln!(text, "take {name} {len} {:x} {temp_name}", last.0);
        }
        if let Some((name, len)) = &self.cut {
            let _ = writeln!(text, "cut {name} {len}");
        }
        for (verb, names) in [
            ("remove", &self.remove),
            ("drop", &self.drop),
            ("keep", &self.keep),
        ] {
            for name in names {
                let _ = writeln!(text, "{verb} {name}");
            }
        }
        seal_text(text)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut lines = unseal_text(bytes)?.lines();
        if lines.next()? != "zabra-truncation 1" {
            return None;
        }
        let mut plan = Self::default();
        for line in lines {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["to", zxid] => plan.to = Zxid(u64::from_str_radix(zxid, 16).ok()?),
                ["base", zxid] => plan.base = Zxid(u64::from_str_radix(zxid, 16).ok()?),
                ["adopt", name, len, temp_name] => {
                    plan.adopt = Some(Adopted::new(name, len, temp_name)?);
                }
                ["take", name, len, last, temp_name] => {
                    let last = Zxid(u64::from_str_radix(last, 16).ok()?);
                    plan.take = Some((Adopted::new(name, len, temp_name)?, last));
                }
                ["cut", name, len] => plan.cut = Some((name.to_owned(), len.parse().ok()?)),
                ["remove", name] => plan.remove.push(name.to_owned()),
                ["drop", name] => plan.drop.push(name.to_owned()),
                ["keep", name] => plan.keep.push(name.to_owned()),
                _ => return None,
            }
        }
        Some(plan)
    }
}

impl Adopted {
    fn new(name: &str, len: &str, temp_name: &str) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            len: len.parse().ok()?,
            temp_name: temp_name.to_owned(),
        })
    }

    /// Gives the file its name, unless that was done before a crash.
    fn take_up(&self, vfs: &dyn Vfs, dir: &Path) -> Result<()> {
        let (temp, path) = (dir.join(&self.temp_name), dir.join(&self.name));
        match vfs.rename(&temp, &path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                if !vfs.exists(&path).during("look for", &path)? {
                    return Err(StorageError::io("rename", &temp, e));
                }
            }
            done => done.during("rename", &temp)?,
        }
        vfs.sync_dir(dir).during("sync", dir)
    }
}

/// The logs of a directory, oldest first.
fn log_names(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<(Zxid, String)>> {
    let entries = vfs.list(dir).during("list", dir)?;
    let mut logs: Vec<(Zxid, String)> = entries
        .into_iter()
        .filter_map(|e| Some((parse_log_name(&e.name)?, e.name)))
        .collect();
    logs.sort();
    Ok(logs)
}

/// The byte behind the last record with a zxid up to `to`.
fn end_of(vfs: &dyn Vfs, path: &Path, to: Zxid) -> Result<u64> {
    let mut reader = crate::segment::SegmentReader::open(vfs, path, PAYLOAD_MAX_ANY)?;
    let mut end = FILE_HEADER_LEN as u64;
    while reader.advance()? {
        if let Some(record) = reader.record().filter(|r| r.zxid <= to) {
            end = record.offset + (RECORD_OVERHEAD + record.payload.len()) as u64;
        }
    }
    Ok(end)
}

fn remove_if_there(vfs: &dyn Vfs, path: &Path) -> Result<()> {
    match vfs.remove(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(StorageError::io("remove", path, e))
        }
        _ => Ok(()),
    }
}
