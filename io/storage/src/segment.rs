//! One log file, record by record, and an exact account of how it ends.
//!
//! This module states facts and decides nothing: whether an end is a torn tail or damage depends on the segment's
//! place in the history and on the durable mark, and is settled in [`crate::history`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use zabra_proto::Zxid;

use crate::error::{During, Result};
use crate::record::{
    END_OF_RECORD, FILE_HEADER_LEN, LOG_HEADER, RECORD_HEAD, RECORD_OVERHEAD, TXN_HEADER_LEN,
    adler32, parse_head, payload_zxid,
};
use crate::vfs::{Access, Vfs, VfsFile};
use crate::window::{FileSource, Window};

/// Reads one segment from its front.
#[derive(Debug)]
pub struct SegmentReader {
    path: PathBuf,
    window: Window<FileSource>,
    file_len: u64,
    payload_max: usize,
    current: Option<Current>,
    end: Option<SegmentEnd>,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    offset: u64,
    payload_len: usize,
    zxid: Zxid,
    checksum: u32,
}

/// A good record.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where its frame begins in the file.
    pub offset: u64,
    /// From its TxnHeader.
    pub zxid: Zxid,
    /// Adler-32 of the payload.
    pub checksum: u32,
    /// TxnHeader, body, digest.
    pub payload: &'a [u8],
}

/// Where the good records of a segment end, and what stands behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentEnd {
    /// Behind the last good record; behind the header if there is none; 0 if even the header is not there.
    pub offset: u64,
    /// What is wrong there; `None` if the file ends here or only zeros follow.
    pub defect: Option<Defect>,
}

/// Bytes that are neither a record nor padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// What is wrong with the first of them.
    pub kind: DefectKind,
    /// Behind the last byte of the file that is not zero.
    pub data_end: u64,
    /// Whether a write that was cut by a crash explains the first bad record: a sector of it was never written (is
    /// zero), its end mark is missing, or the file ends inside it.
    pub looks_torn: bool,
    /// Whether a good record is found anywhere behind.
    pub good_record_follows: bool,
}

/// What can be wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefectKind {
    /// The file does not begin with a log's header.
    Header,
    /// The file ends inside the record.
    Cut,
    /// Length 0, and something stands behind it.
    DataBehindPadding,
    /// A negative length, or one above the limit.
    Length(i32),
    /// The byte behind the payload is not `B`.
    NoEndMark,
    /// The payload does not have its checksum.
    Checksum,
    /// The payload has its checksum and is too short for a TxnHeader.
    TooShort(usize),
}

impl fmt::Display for DefectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("not the header of a transaction log"),
            Self::Cut => f.write_str("the file ends inside a record"),
            Self::DataBehindPadding => f.write_str("data stands behind zero padding"),
            Self::Length(n) => write!(f, "a record claims a length of {n}"),
            Self::NoEndMark => f.write_str("a record has no end mark"),
            Self::Checksum => f.write_str("a record has the wrong checksum"),
            Self::TooShort(n) => write!(f, "a record of {n} bytes is too short for a txn"),
        }
    }
}

impl SegmentReader {
    /// Opens a segment. Records longer than `payload_max` are defects.
    pub fn open(vfs: &dyn Vfs, path: &Path, payload_max: usize) -> Result<Self> {
        let file = vfs.open(path, Access::Read).during("open", path)?;
        let file_len = file.size().during("measure", path)?;
        let mut reader = Self {
            path: path.to_owned(),
            window: Window::new(FileSource::new(file)),
            file_len,
            payload_max,
            current: None,
            end: None,
        };
        reader.header().during("read", path)?;
        Ok(reader)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves to the next record; false at the end, and then [`Self::end`] tells about it.
    pub fn advance(&mut self) -> Result<bool> {
        self.step().during("read", &self.path)
    }

    /// The record that [`Self::advance`] found.
    #[must_use]
    pub fn record(&self) -> Option<Record<'_>> {
        let current = self.current?;
        let payload = self
            .window
            .visible(RECORD_HEAD + current.payload_len)
            .get(RECORD_HEAD..)
            .unwrap_or_default();
        Some(Record {
            offset: current.offset,
            zxid: current.zxid,
            checksum: current.checksum,
            payload,
        })
    }

    /// How the segment ends, once [`Self::advance`] has returned false.
    #[must_use]
    pub fn end(&self) -> Option<&SegmentEnd> {
        self.end.as_ref()
    }

    fn header(&mut self) -> io::Result<()> {
        if self.window.need(FILE_HEADER_LEN)? && self.window.visible(4) == &LOG_HEADER[..4] {
            // The version and the dbid are not checked, as the reference does not.
            self.window.advance(FILE_HEADER_LEN);
            return Ok(());
        }
        let begin = self.window.peek();
        let torn = begin
            .iter()
            .zip(LOG_HEADER)
            .all(|(&found, want)| found == 0 || found == want);
        self.finish(0, DefectKind::Header, torn)
    }

    fn step(&mut self) -> io::Result<bool> {
        if let Some(done) = self.current.take() {
            self.window.advance(RECORD_OVERHEAD + done.payload_len);
        }
        if self.end.is_some() {
            return Ok(false);
        }
        let offset = self.window.position();
        match self.look(offset)? {
            Ok(current) => {
                self.current = Some(current);
                Ok(true)
            }
            Err(kind) => {
                let torn = self.looks_torn(offset, kind)?;
                self.finish(offset, kind, torn)?;
                Ok(false)
            }
        }
    }

    fn look(&mut self, offset: u64) -> io::Result<std::result::Result<Current, DefectKind>> {
        if !self.window.need(RECORD_HEAD)? {
            return Ok(Err(DefectKind::Cut));
        }
        let Some((sum, len)) = parse_head(self.window.peek()) else {
            return Ok(Err(DefectKind::Cut));
        };
        let payload_len = match usize::try_from(len) {
            Ok(0) => return Ok(Err(DefectKind::DataBehindPadding)),
            Ok(n) if n <= self.payload_max => n,
            _ => return Ok(Err(DefectKind::Length(len))),
        };
        let whole = RECORD_OVERHEAD + payload_len;
        if offset + whole as u64 > self.file_len || !self.window.need(whole)? {
            return Ok(Err(DefectKind::Cut));
        }
        let bytes = self.window.visible(whole);
        let payload = bytes.get(RECORD_HEAD..whole - 1).unwrap_or_default();
        if bytes.last() != Some(&END_OF_RECORD) {
            return Ok(Err(DefectKind::NoEndMark));
        }
        let checksum = adler32(payload);
        if u64::from(checksum) != sum {
            return Ok(Err(DefectKind::Checksum));
        }
        Ok(match payload_zxid(payload) {
            Some(zxid) => Ok(Current {
                offset,
                payload_len,
                zxid,
                checksum,
            }),
            None => Err(DefectKind::TooShort(payload_len)),
        })
    }

    /// A write that a crash cut leaves whole sectors of zeros, or a file that is too short. A flipped bit does not.
    fn looks_torn(&mut self, offset: u64, kind: DefectKind) -> io::Result<bool> {
        let span = match kind {
            // In a padded file a record that claims to go beyond the end was not torn: tearing only puts zeros.
            DefectKind::Cut => {
                let data_end = data_end(self.window.file(), offset, self.file_len)?;
                return Ok(self.file_len - data_end < PADDING_MIN);
            }
            DefectKind::Header | DefectKind::Length(_) | DefectKind::TooShort(_) => {
                return Ok(false);
            }
            DefectKind::DataBehindPadding => RECORD_HEAD,
            DefectKind::NoEndMark | DefectKind::Checksum => {
                let len = parse_head(self.window.peek()).map_or(0, |(_, len)| len);
                RECORD_OVERHEAD + usize::try_from(len).unwrap_or(0)
            }
        };
        self.window.need(span)?;
        let bytes = self.window.visible(span);
        if kind == DefectKind::NoEndMark && bytes.last() == Some(&0) {
            return Ok(true);
        }
        Ok(sectors(offset, bytes).any(|sector| sector.iter().all(|&b| b == 0)))
    }

    fn finish(&mut self, offset: u64, kind: DefectKind, looks_torn: bool) -> io::Result<()> {
        let file = self.window.file();
        let data_end = data_end(file, offset, self.file_len)?;
        let defect = if data_end > offset {
            let first = offset
                + if kind == DefectKind::Header {
                    FILE_HEADER_LEN as u64
                } else {
                    1
                };
            Some(Defect {
                kind,
                data_end,
                looks_torn,
                good_record_follows: good_record_in(file, first, data_end, self.payload_max)?,
            })
        } else {
            None
        };
        self.end = Some(SegmentEnd { offset, defect });
        Ok(())
    }
}

const SECTOR: u64 = 512;
/// A padded file has at least this much padding, or nearly so: it grows before less is left.
const PADDING_MIN: u64 = 4096;
const CHUNK: usize = 64 * 1024;
/// More than this behind a bad record is never searched: no crash leaves so much.
const SEARCH_MAX: u64 = 64 << 20;
/// At most this many bytes are checksummed in a search.
const HASHED_MAX: u64 = 1 << 30;

/// The pieces of some bytes at `offset` that lie in different sectors.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = usize::try_from(SECTOR - offset % SECTOR)
        .unwrap_or(0)
        .min(bytes.len());
    let (head, rest) = bytes.split_at(first);
    std::iter::once(head).chain(rest.chunks(SECTOR as usize))
}

/// Behind the last byte that is not zero, at or behind `from`; `from` if all are zero.
fn data_end(file: &dyn VfsFile, from: u64, len: u64) -> io::Result<u64> {
    let mut end = from;
    let mut at = from;
    let mut buf = vec![0; CHUNK];
    while at < len {
        // Padding is a hole: it is not read at all.
        let Some(data) = file.next_data(at)? else {
            break;
        };
        at = data.max(at);
        let n = file.read_at(&mut buf, at)?;
        if n == 0 {
            break;
        }
        if let Some(last) = buf.iter().take(n).rposition(|&b| b != 0) {
            end = at + last as u64 + 1;
        }
        at += n as u64;
    }
    Ok(end)
}

/// Whether a good record begins anywhere in a range. True if the range is too long to tell.
fn good_record_in(file: &dyn VfsFile, from: u64, to: u64, payload_max: usize) -> io::Result<bool> {
    if from >= to {
        return Ok(false);
    }
    if to - from > SEARCH_MAX {
        return Ok(true);
    }
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(0)];
    let mut have = 0;
    while let Some(rest) = bytes.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + have as u64)? {
            0 => break,
            n => have += n,
        }
    }
    // A file made to be slow is not searched to the end.
    let mut budget = HASHED_MAX;
    for at in 0..have {
        let rest = bytes.get(at..have).unwrap_or_default();
        let Some((sum, payload)) = framed(rest, payload_max) else {
            continue;
        };
        budget = budget.saturating_sub(payload.len() as u64);
        if budget == 0 || sum == u64::from(adler32(payload)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checksum and payload of what has the outer form of a record: cheap tests that almost every position fails.
fn framed(bytes: &[u8], payload_max: usize) -> Option<(u64, &[u8])> {
    let (sum, len) = parse_head(bytes)?;
    let len = usize::try_from(len).ok()?;
    let payload = bytes.get(RECORD_HEAD..RECORD_HEAD.checked_add(len)?)?;
    let plausible = sum <= u64::from(u32::MAX)
        && (TXN_HEADER_LEN..=payload_max).contains(&len)
        && bytes.get(RECORD_HEAD + len) == Some(&END_OF_RECORD);
    plausible.then_some((sum, payload))
}
