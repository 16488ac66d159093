//! The txns behind a zxid, over all segments, with every rule about ends, holes and damage.
//!
//! | The mark says of a segment | Its good records | What may follow them |
//! |---|---|---|
//! | finished | must reach the mark | anything: the mark tells that it is not part of the history |
//! | being written, and it is the last | must reach the mark | what fits one unsynced batch: a torn write |
//! | being written, and it is not the last | must reach the mark | a torn record that nothing good follows |
//! | nothing: Apache wrote it | | a torn record that nothing good follows; Apache never cuts one |
//!
//! Whatever is left out must not show: the next record must continue the history (R2), or it is a gap. Damage and gaps
//! are errors; a torn end of the last segment is reported in [`HistoryEnd`] and cut by recovery.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::Zxid;

use crate::error::{During, Result, StorageError};
use crate::log::UNSYNCED_MAX;
use crate::mark::{Mark, Segment};
use crate::names::parse_log_name;
use crate::record::{FILE_HEADER_LEN, RECORD_OVERHEAD, follows, payload_op};
use crate::segment::{Defect, DefectKind, Record, SegmentEnd, SegmentReader};
use crate::vfs::Vfs;

/// Longest payload that is believed, unless configured: far more than any server with a sane `jute.maxbuffer` writes.
/// Memory grows only with what is really in the file.
pub const PAYLOAD_MAX_DEFAULT: usize = 16 << 20;

/// Longest payload that a length field can claim: for readers of logs that recovery has been through, and has judged by
/// what is configured.
pub(crate) const PAYLOAD_MAX_ANY: usize = i32::MAX as usize;

/// How far back a repeated txn is recognized.
const SEEN_MAX: usize = 1 << 18;

/// Reads the txns behind a zxid in order.
#[derive(Debug)]
pub struct LogReader {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    pending: VecDeque<String>,
    current: Option<SegmentReader>,
    current_name: String,
    trust: Trust,
    from: Zxid,
    last: Zxid,
    /// Whether the next txn must continue the history behind `last`; not so before the first one of [`Self::around`].
    anchored: bool,
    /// Last zxid that the current segment holds, whether handed out or not.
    last_in_segment: Option<Zxid>,
    /// Zxid and checksum of the txns handed out last, to know a repetition from a contradiction.
    seen: VecDeque<(Zxid, u32)>,
    finished: Vec<FinishedSegment>,
    payload_max: usize,
}

/// What is known about the files besides their content.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The durable mark, if there is a good one.
    pub mark: Option<Mark>,
    /// Apache's server ran on the files after the mark was written: where they disagree, the mark is void.
    pub others_wrote: bool,
}

impl Trust {
    /// Up to where txns are known to have been committed.
    ///
    /// What is committed stays so for ever, whoever runs: a truncation or a leader's snapshot never goes behind it. But
    /// that holds for one history, and what shows that it is still the same one are the segments of the mark. Where Apache's
    /// server ran in between, they may be another's: somebody may have removed the data and begun anew, leaving the mark
    /// behind. Then nothing is known; a member's leader will say it, at the price of one longer tail in memory.
    #[must_use]
    pub fn decided(&self) -> Zxid {
        let mark = self.mark.as_ref().filter(|_| !self.others_wrote);
        mark.map_or(Zxid::ZERO, |mark| mark.committed)
    }
}

/// A segment that has been read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedSegment {
    /// File name.
    pub name: String,
    /// Behind its last good record.
    pub len: u64,
    /// Its last zxid; `None` if it has no record.
    pub last: Option<Zxid>,
    /// What follows the good records, if it is not zeros; accepted as torn.
    pub torn: Option<Defect>,
}

/// How the history ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEnd {
    /// The last txn, or the zxid the reader began behind.
    pub last: Zxid,
    /// Every segment read, in order.
    pub segments: Vec<FinishedSegment>,
}

impl LogReader {
    /// A reader of the txns behind `from`. `segments` are the log files of `dir`.
    pub fn new(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        segments: impl IntoIterator<Item = String>,
        from: Zxid,
        trust: Trust,
        payload_max: usize,
    ) -> Result<Self> {
        let mut named: Vec<(Zxid, String)> = segments
            .into_iter()
            .filter_map(|name| Some((parse_log_name(&name)?, name)))
            .collect();
        named.sort();
        let reader = Self {
            vfs,
            dir: dir.to_owned(),
            pending: VecDeque::new(),
            current: None,
            current_name: String::new(),
            trust,
            from,
            last: from,
            anchored: true,
            last_in_segment: None,
            seen: VecDeque::new(),
            finished: Vec::new(),
            payload_max,
        };
        reader.check_all_marked_are_there(&named)?;
        let begin = first_needed(named.iter().map(|(first, _)| *first), from);
        let pending = named
            .into_iter()
            .skip(begin)
            .map(|(_, name)| name)
            .collect();
        Ok(Self { pending, ..reader })
    }

    /// A reader that begins before a zxid: with the first txn of the segment that should hold it, if there is one. For who
    /// wants to know whether the zxid is in the history, and what stands before it.
    pub fn around(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        segments: impl IntoIterator<Item = String>,
        zxid: Zxid,
        trust: Trust,
        payload_max: usize,
    ) -> Result<Self> {
        let mut reader = Self::new(vfs, dir, segments, zxid, trust, payload_max)?;
        reader.from = Zxid::ZERO;
        reader.last = Zxid::ZERO;
        reader.anchored = false;
        Ok(reader)
    }

    /// Opens the logs of a directory as they are, trusting its mark.
    pub fn open(vfs: Arc<dyn Vfs>, dir: &Path, from: Zxid, payload_max: usize) -> Result<Self> {
        let entries = vfs.list(dir).during("list", dir)?;
        let mark = Mark::load(&*vfs, dir)?.and_then(std::result::Result::ok);
        let trust = Trust {
            mark,
            others_wrote: true,
        };
        Self::new(
            vfs,
            dir,
            entries.into_iter().map(|e| e.name),
            from,
            trust,
            payload_max,
        )
    }

    /// Moves to the next txn; false at the end of the history.
    pub fn advance(&mut self) -> Result<bool> {
        loop {
            if self.current.is_none() && !self.open_next()? {
                return Ok(false);
            }
            let Some(reader) = &mut self.current else {
                return Ok(false);
            };
            if !reader.advance()? {
                self.end_segment()?;
                continue;
            }
            let Some(record) = reader.record() else {
                continue;
            };
            let (zxid, checksum, offset) = (record.zxid, record.checksum, record.offset);
            let is_error = payload_op(record.payload) == Some(-1);
            self.last_in_segment = self.last_in_segment.max(Some(zxid));
            if zxid <= self.from {
                continue;
            }
            let is_gap_seen = !mutant::on(Mutant::DamageEndsFile);
            if follows(self.last, zxid) || !self.anchored || zxid > self.last && !is_gap_seen {
                self.anchored = true;
                self.last = zxid;
                if self.seen.len() == SEEN_MAX {
                    self.seen.pop_front();
                }
                self.seen.push_back((zxid, checksum));
                return Ok(true);
            }
            self.check_repetition(zxid, checksum, is_error, offset)?;
        }
    }

    /// The txn that [`Self::advance`] found.
    #[must_use]
    pub fn record(&self) -> Option<Record<'_>> {
        self.current.as_ref()?.record()
    }

    /// The segment that [`Self::record`] is in.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.join(&self.current_name)
    }

    /// The last txn handed out.
    #[must_use]
    pub fn last(&self) -> Zxid {
        self.last
    }

    /// What was found, once [`Self::advance`] has returned false.
    #[must_use]
    pub fn into_end(self) -> HistoryEnd {
        HistoryEnd {
            last: self.last,
            segments: self.finished,
        }
    }

    /// A zxid that does not continue the history is harmless only where Apache's servers write one: an error txn with
    /// the zxid already used (3.9, protocol 19 no. 7), or a txn logged twice with the same bytes. A lower zxid with
    /// other bytes contradicts the history, a higher one leaves a hole.
    fn check_repetition(
        &self,
        zxid: Zxid,
        checksum: u32,
        is_error: bool,
        offset: u64,
    ) -> Result<()> {
        if zxid > self.last {
            return Err(StorageError::Gap {
                path: self.path(),
                offset,
                after: self.last,
                found: zxid,
            });
        }
        let known = self
            .seen
            .binary_search_by_key(&zxid, |&(z, _)| z)
            .ok()
            .and_then(|i| self.seen.get(i));
        if is_error && zxid == self.last || known.is_some_and(|&(_, sum)| sum == checksum) {
            return Ok(());
        }
        Err(self.damaged(
            offset,
            format!("txn {zxid} is here once more, with another content"),
        ))
    }

    fn open_next(&mut self) -> Result<bool> {
        let Some(name) = self.pending.pop_front() else {
            return Ok(false);
        };
        let reader = SegmentReader::open(&*self.vfs, &self.dir.join(&name), self.payload_max)?;
        self.current_name = name;
        self.last_in_segment = None;
        self.current = Some(reader);
        Ok(true)
    }

    fn end_segment(&mut self) -> Result<()> {
        let Some(end) = self.current.as_ref().and_then(SegmentReader::end).cloned() else {
            return Ok(());
        };
        let marked = self.marked_part(&end)?;
        if let Some(defect) = &end.defect {
            self.settle(&end, defect, marked)?;
        }
        self.current = None;
        self.finished.push(FinishedSegment {
            name: std::mem::take(&mut self.current_name),
            len: end.offset,
            last: self.last_in_segment,
            torn: end.defect,
        });
        Ok(())
    }

    /// The mark's entry, if it binds: the good records must reach it.
    fn marked_part(&self, end: &SegmentEnd) -> Result<Option<&Segment>> {
        let Some(marked) = self
            .trust
            .mark
            .as_ref()
            .and_then(|m| m.segment(&self.current_name))
        else {
            return Ok(None);
        };
        let holds_records = marked.len > FILE_HEADER_LEN as u64;
        let lost =
            end.offset < marked.len || holds_records && self.last_in_segment < Some(marked.last);
        let is_cut_off = mutant::on(Mutant::DamageEndsFile)
            || mutant::on(Mutant::DamageCutOff) && self.pending.is_empty();
        match (lost, self.trust.others_wrote) {
            (false, _) => Ok(Some(marked)),
            (true, _) if is_cut_off => Ok(None),
            (true, true) => Ok(None),
            (true, false) => {
                let why = end.defect.as_ref().map_or("the records end", |_| "");
                let kind = end
                    .defect
                    .as_ref()
                    .map_or(String::new(), |d| d.kind.to_string());
                let what = format!(
                    "{why}{kind}, but the file is known to be good up to byte {}",
                    marked.len
                );
                Err(self.damaged(end.offset, what))
            }
        }
    }

    /// Decides whether bytes behind the good records are a torn write that nobody was told about (P32), or damage.
    fn settle(&self, end: &SegmentEnd, defect: &Defect, marked: Option<&Segment>) -> Result<()> {
        let mark = self.trust.mark.as_ref();
        let is_open = marked.is_some() && marked == mark.and_then(|m| m.open.as_ref());
        let torn = if marked.is_some() && !is_open {
            // The mark says where this segment ends, and its records reach there.
            true
        } else if is_open && self.pending.is_empty() {
            let unsynced_max = UNSYNCED_MAX.max((self.payload_max + RECORD_OVERHEAD) as u64);
            defect.data_end - end.offset <= unsynced_max
        } else {
            defect.looks_torn && !defect.good_record_follows
        };
        let is_cut_off = mutant::on(Mutant::DamageEndsFile)
            || mutant::on(Mutant::DamageCutOff) && self.pending.is_empty();
        if (torn || is_cut_off) && !mutant::on(Mutant::TornTailFatal) {
            Ok(())
        } else {
            Err(self.damaged(end.offset, defect_text(defect)))
        }
    }

    /// A marked segment that is not there takes its txns with it (a lost end of an epoch shows nowhere else).
    fn check_all_marked_are_there(&self, named: &[(Zxid, String)]) -> Result<()> {
        let Some(mark) = self
            .trust
            .mark
            .as_ref()
            .filter(|_| !self.trust.others_wrote)
        else {
            return Ok(());
        };
        for segment in mark.segments() {
            let needed = segment.len > FILE_HEADER_LEN as u64 && segment.last > self.from;
            if needed && !named.iter().any(|(_, name)| *name == segment.name) {
                return Err(StorageError::Damaged {
                    path: self.dir.join(&segment.name),
                    offset: 0,
                    after: self.from,
                    what: format!(
                        "the file is missing, and held txns up to {} (to begin anew on purpose, remove zabra-mark, too)",
                        segment.last
                    ),
                });
            }
        }
        Ok(())
    }

    fn damaged(&self, offset: u64, what: String) -> StorageError {
        StorageError::Damaged {
            path: self.path(),
            offset,
            after: self.last,
            what,
        }
    }
}

/// Which of some segments, by the zxids of their names in order, is the first that is needed to read what is behind a zxid:
/// the newest that begins at or before it.
#[must_use]
pub fn first_needed(segments: impl IntoIterator<Item = Zxid>, from: Zxid) -> usize {
    let before = segments.into_iter().take_while(|first| *first <= from);
    before.count().saturating_sub(1)
}

fn defect_text(defect: &Defect) -> String {
    match defect.kind {
        kind @ DefectKind::DataBehindPadding => kind.to_string(),
        kind if defect.good_record_follows => format!("{kind}, and good records follow"),
        kind => kind.to_string(),
    }
}
