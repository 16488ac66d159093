//! A log that is damaged where it was durable, mended with the very txns that stood there.
//!
//! A server that has acknowledged a txn and cannot read it any more must not take part as if it had never had it (P34).
//! But its log can be made what it was: a zxid names one txn for ever, with the same bytes in every log of the ensemble,
//! so any other member's copy of the damaged record is the record. What may be written is proved by what is left:
//!
//! ```text
//!   good records ‥ 1:4 │ damaged bytes │ 1:7 ‥ good records ‥ │ where the mark says that 1:9 ends
//!                      └ 1:5 and 1:6 of others must fill exactly this, and 1:7 must follow them
//! ```
//!
//! The txns taken must continue the zxids before the damage without a hole, and end at the very byte at which a good
//! record begins that continues them, or at which the durable mark says that its last zxid ends. Nothing is written
//! before they do. So a mended log is the old one byte for byte, and a server that has mended itself may vote again:
//! nothing that it ever said has become untrue. Where no member has a copy nothing can be written, and the server stops
//! as before. What no mark covers is not mended: there nobody can tell damage from a write that a crash cut.
//!
//! Who is asked for copies, and how, is not known here (`zabra-server`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zabra_proto::Zxid;

use crate::dirs::DataDirs;
use crate::error::{During, Result, StorageError};
use crate::history::{LogReader, PAYLOAD_MAX_ANY};
use crate::mark::Mark;
use crate::names::parse_log_name;
use crate::record::{
    END_OF_RECORD, FILE_HEADER_LEN, LOG_HEADER, RECORD_HEAD, RECORD_OVERHEAD, adler32,
    encode_record, follows, parse_head, payload_zxid,
};
use crate::segment::SegmentReader;
use crate::vfs::{Access, Vfs, VfsFile};

/// Damage in a log: what is missing, and what was found of it elsewhere.
#[derive(Debug)]
pub struct Wound {
    path: PathBuf,
    /// Where the first damaged byte belongs to.
    from: u64,
    /// The last txn before `from`.
    before: Zxid,
    /// What shall be written at `from`.
    fill: Vec<u8>,
    /// The last txn before the damage or in `fill`.
    last: Zxid,
    /// Up to where the file was durable, and the last txn up to there.
    end: u64,
    up_to: Zxid,
}

/// What came of a txn, or of a look at what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Healing {
    /// More is needed; the txn, if there was one, was not that which is missing next.
    Lacks,
    /// The txn was taken, and the next one is needed.
    Took,
    /// What was taken cannot be what stood here: it is forgotten.
    Misfit,
    /// The log is whole here, durably.
    Closed,
}

impl Wound {
    /// The damage that an error of recovery tells of; `None` if it is not of a kind that can be mended.
    pub fn of(error: &StorageError, vfs: &dyn Vfs, dirs: &DataDirs) -> Result<Option<Self>> {
        let StorageError::Damaged { path, .. } = error else {
            return Ok(None);
        };
        let Some(Ok(mark)) = Mark::load(vfs, dirs.log())? else {
            return Ok(None);
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let known = name.and_then(|name| Some((mark.segment(name)?, parse_log_name(name)?)));
        let Some((marked, first)) = known else {
            return Ok(None);
        };
        let (from, last) = good_part(vfs, path)?;
        if from >= marked.len {
            return Ok(None);
        }
        // Checked by what must fit behind it, as the name alone proves nothing (P39).
        let before = last.unwrap_or(Zxid(first.0.saturating_sub(1)));
        let mut wound = Self {
            path: path.clone(),
            from,
            before,
            fill: Vec::new(),
            last: before,
            end: marked.len,
            up_to: marked.last,
        };
        wound.forget();
        Ok(Some(wound))
    }

    /// Behind which txn something is missing, and up to which one at most.
    #[must_use]
    pub fn lacks(&self) -> (Zxid, Zxid) {
        (self.last, self.up_to)
    }

    /// Takes the payload of a txn, if it is the next that is missing, and mends the log with all that was taken as soon as
    /// that fits.
    pub fn take(&mut self, payload: &[u8], vfs: &dyn Vfs) -> Result<Healing> {
        let next = payload_zxid(payload).filter(|z| follows(self.last, *z) && *z <= self.up_to);
        let Some(zxid) = next else {
            return Ok(Healing::Lacks);
        };
        let room = (self.end - self.from).saturating_sub(self.fill.len() as u64);
        if (RECORD_OVERHEAD + payload.len()) as u64 > room {
            self.forget();
            return Ok(Healing::Misfit);
        }
        encode_record(payload, &mut self.fill);
        self.last = zxid;
        self.close(vfs)
    }

    /// Mends the log if what was taken fits: where only the header is damaged, nothing need be taken.
    pub fn close(&mut self, vfs: &dyn Vfs) -> Result<Healing> {
        let at = self.from + self.fill.len() as u64;
        if at == self.end && self.last != self.up_to {
            self.forget();
            return Ok(Healing::Misfit);
        }
        let fits = at == self.end || {
            let next = good_record_at(vfs, &self.path, at, self.end).during("read", &self.path)?;
            next.is_some_and(|next| follows(self.last, next) && next <= self.up_to)
        };
        if !fits {
            return Ok(Healing::Took);
        }
        self.write(vfs).during("mend", &self.path)?;
        Ok(Healing::Closed)
    }

    fn forget(&mut self) {
        self.last = self.before;
        self.fill.clear();
        if self.from == 0 {
            self.fill.extend_from_slice(&LOG_HEADER);
        }
    }

    /// A crash in the midst of it leaves damage, which is mended again.
    fn write(&self, vfs: &dyn Vfs) -> io::Result<()> {
        let is_new = !vfs.exists(&self.path)?;
        let mut file = if is_new {
            vfs.create_new(&self.path)?
        } else {
            vfs.open(&self.path, Access::Write)?
        };
        file.write_all_at(&self.fill, self.from)?;
        file.sync_all()?;
        match self.path.parent().filter(|_| is_new) {
            Some(dir) => vfs.sync_dir(dir),
            None => Ok(()),
        }
    }
}

/// Hands out the good txns of a log behind one and up to another, in order, until `take` says false or the log shows any
/// defect: what another member may mend its log with.
pub fn intact_behind(
    vfs: &Arc<dyn Vfs>,
    dirs: &DataDirs,
    (behind, up_to): (Zxid, Zxid),
    mut take: impl FnMut(Zxid, &[u8]) -> bool,
) -> Result<()> {
    let mut reader = LogReader::open(Arc::clone(vfs), dirs.log(), behind, PAYLOAD_MAX_ANY)?;
    while reader.advance()? {
        let Some(record) = reader.record().filter(|record| record.zxid <= up_to) else {
            break;
        };
        if !take(record.zxid, record.payload) {
            break;
        }
    }
    Ok(())
}

/// Where the good records from the front of a segment end, and the last of them.
fn good_part(vfs: &dyn Vfs, path: &Path) -> Result<(u64, Option<Zxid>)> {
    if !vfs.exists(path).during("look for", path)? {
        return Ok((0, None));
    }
    let mut reader = SegmentReader::open(vfs, path, PAYLOAD_MAX_ANY)?;
    let mut last = None;
    while reader.advance()? {
        last = reader.record().map(|record| record.zxid).or(last);
    }
    let end = reader.end().map_or(0, |end| end.offset);
    Ok((end, last))
}

/// The zxid of the good record that begins at a byte of a file and ends at or before another; `None` if there is none.
fn good_record_at(vfs: &dyn Vfs, path: &Path, at: u64, end: u64) -> io::Result<Option<Zxid>> {
    if at < FILE_HEADER_LEN as u64 || !vfs.exists(path)? {
        return Ok(None);
    }
    let file = vfs.open(path, Access::Read)?;
    let mut head = [0; RECORD_HEAD];
    if !read_exact_at(&*file, &mut head, at)? {
        return Ok(None);
    }
    let Some((sum, len)) = parse_head(&head) else {
        return Ok(None);
    };
    // A length is believed as far as the file reaches.
    let end = end.min(file.size()?);
    let whole = usize::try_from(len).ok().map(|len| RECORD_OVERHEAD + len);
    let Some(whole) = whole.filter(|whole| at + *whole as u64 <= end) else {
        return Ok(None);
    };
    let mut body = vec![0; whole - RECORD_HEAD];
    if !read_exact_at(&*file, &mut body, at + RECORD_HEAD as u64)? {
        return Ok(None);
    }
    let payload = body.strip_suffix(&[END_OF_RECORD]);
    let good = payload.filter(|payload| u64::from(adler32(payload)) == sum);
    Ok(good.and_then(payload_zxid))
}

/// Fills a buffer; false if the file ends before.
fn read_exact_at(file: &dyn VfsFile, mut buf: &mut [u8], mut at: u64) -> io::Result<bool> {
    while !buf.is_empty() {
        let n = file.read_at(buf, at)?;
        if n == 0 {
            return Ok(false);
        }
        buf = buf.get_mut(n..).unwrap_or_default();
        at += n as u64;
    }
    Ok(true)
}
