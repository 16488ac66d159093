//! The durable mark: what is known to be on stable storage, written about once a second in the background.
//!
//! It tells a torn tail, which nobody was ever told about, from damage, which somebody may have been (P32, P33), and
//! closes what contiguity of zxids cannot see: a lost end of an epoch. It may lag behind; it must never lead. The one
//! moment at which it is written before the log goes on is the creation of a segment, so that the newest segment of
//! this server is always named in it, and one that is not named was written by Apache's server.
//!
//! ```text
//! zabra-mark 1
//! base 0                        no snapshot below this zxid may be used (a state transfer replaced what was before)
//! committed 2a                  everything up to here was committed, applied and flushed; 0 is not written
//! sealed log.1 1838 11          segment, bytes, last zxid: never written again
//! open log.12 4096 2f           the segment being written
//! snapshot snapshot.11 1113     a snapshot that this server knows, and its length
//! sum 89abcdef                  Adler-32 of the lines above
//! ```
//!
//! Entries are bound to name and length. Where the files say less than the mark and there are traces that Apache's
//! server ran in between (it truncates, and it writes snapshots), the entry is void; without such traces it is damage.
//! The base is never void: whoever ran since, no log leads from older snapshots to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zabra_proto::Zxid;

use crate::error::{During, Result};
use crate::names::{MARK, parse_log_name};
use crate::record::{FILE_HEADER_LEN, adler32};
use crate::vfs::{Vfs, read_small, replace_small};

/// What is known to be durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// No snapshot below it may be used.
    pub base: Zxid,
    /// Everything up to here was committed, applied and flushed when this was noted: recovery may apply it at once.
    pub committed: Zxid,
    /// The segment being written.
    pub open: Option<Segment>,
    /// Finished segments.
    pub sealed: Vec<Segment>,
    /// Known snapshots: name and length.
    pub snapshots: BTreeMap<String, u64>,
}

/// A segment's durable part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// File name.
    pub name: String,
    /// Durable bytes from the front: header and whole records.
    pub len: u64,
    /// The last zxid in them, or the last before the segment if it holds none.
    pub last: Zxid,
}

impl Mark {
    /// What is known of a segment.
    #[must_use]
    pub fn segment(&self, name: &str) -> Option<&Segment> {
        self.segments().find(|s| s.name == name)
    }

    /// All known segments.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.sealed.iter().chain(&self.open)
    }

    /// Whether files are there that this server did not leave: Apache's server has run on the directory since.
    pub(crate) fn others_wrote<'a>(
        &self,
        mut segments: impl Iterator<Item = &'a str>,
        unknown_snapshots: usize,
    ) -> bool {
        let newest = self
            .segments()
            .filter_map(|s| parse_log_name(&s.name))
            .max();
        unknown_snapshots > 0 || segments.any(|name| parse_log_name(name) > newest)
    }

    fn encode(&self) -> Vec<u8> {
        let mut text = format!("zabra-mark 1\nbase {:x}\n", self.base.0);
        // Writing to a string cannot fail.
        if self.committed > Zxid::ZERO {
            let _ = writeln!(text, "committed {:x}", self.committed.0);
        }
        for (kind, segments) in [("sealed", &self.sealed[..]), ("open", self.open.as_slice())] {
            for s in segments {
                let _ = writeln!(text, "{kind} {} {} {:x}", s.name, s.len, s.last.0);
            }
        }
        for (name, len) in &self.snapshots {
            let _ = writeln!(text, "snapshot {name} {len}");
        }
        seal_text(text)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let text = unseal_text(bytes)?;
        let mut lines = text.lines();
        if lines.next()? != "zabra-mark 1" {
            return None;
        }
        let mut mark = Self::default();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["base", zxid] => mark.base = hex(zxid)?,
                ["committed", zxid] => mark.committed = hex(zxid)?,
                ["sealed", name, len, last] => mark.sealed.push(segment(name, len, last)?),
                ["open", name, len, last] => mark.open = Some(segment(name, len, last)?),
                ["snapshot", name, len] => {
                    mark.snapshots.insert(name.to_owned(), len.parse().ok()?);
                }
                _ => return None,
            }
        }
        Some(mark)
    }

    /// Reads the mark of a log directory: `None` if there is none, `Some(Err)` with the reason if it is damaged.
    pub(crate) fn load(
        vfs: &dyn Vfs,
        log_dir: &Path,
    ) -> Result<Option<std::result::Result<Self, &'static str>>> {
        let path = log_dir.join(MARK);
        if !vfs.exists(&path).during("look for", &path)? {
            return Ok(None);
        }
        let bytes = read_small(vfs, &path, MARK_MAX).during("read", &path)?;
        Ok(Some(
            Self::decode(&bytes).ok_or("the durable mark is damaged and is not used"),
        ))
    }
}

const MARK_MAX: usize = 16 << 20;

fn hex(text: &str) -> Option<Zxid> {
    u64::from_str_radix(text, 16).ok().map(Zxid)
}

fn segment(name: &str, len: &str, last: &str) -> Option<Segment> {
    Some(Segment {
        name: name.to_owned(),
        len: len.parse().ok()?,
        last: hex(last)?,
    })
}

/// Appends the line that holds the checksum of the lines before it.
pub(crate) fn seal_text(mut text: String) -> Vec<u8> {
    let sum = adler32(text.as_bytes());
    let _ = writeln!(text, "sum {sum:08x}");
    text.into_bytes()
}

/// The lines before the checksum, if it agrees.
pub(crate) fn unseal_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let body_len = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let (body, last) = text.split_at(body_len);
    (last == format!("sum {:08x}\n", adler32(body.as_bytes()))).then_some(body)
}

/// The mark of a running server: kept in memory by the log, written by a background thread.
#[derive(Debug)]
pub struct MarkFile {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    state: Mutex<State>,
    /// Held over a write of the file, so that an older mark never replaces a newer one. Taken before `state`.
    writing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    mark: Mark,
    changed: bool,
}

impl MarkFile {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, log_dir: &Path, mark: Mark) -> Self {
        Self {
            vfs,
            dir: log_dir.to_owned(),
            state: Mutex::new(State {
                mark,
                changed: true,
            }),
            writing: Mutex::new(()),
        }
    }

    /// The mark of a directory that was not recovered, so that a member whose logs are damaged can adopt a leader's
    /// snapshot. A damaged or missing mark is empty.
    pub fn open(vfs: Arc<dyn Vfs>, log_dir: &Path) -> Result<Self> {
        let mark = Mark::load(&*vfs, log_dir)?.and_then(std::result::Result::ok);
        Ok(Self::new(vfs, log_dir, mark.unwrap_or_default()))
    }

    /// Writes the mark if it has changed; called about once a second from a background thread. An error loses nothing
    /// but sharpness: the mark on disk stays behind.
    pub fn save(&self) -> Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = {
            let mut state = self.state();
            if !state.changed {
                return Ok(());
            }
            state.changed = false;
            state.mark.encode()
        };
        let written = replace_small(&*self.vfs, &self.dir, "zabra-tmp-mark", MARK, &bytes);
        if written.is_err() {
            self.state().changed = true;
        }
        written.during("write the durable mark", &self.dir.join(MARK))
    }

    /// What is known at this moment.
    #[must_use]
    pub fn current(&self) -> Mark {
        self.state().mark.clone()
    }

    /// Notes that everything up to here is committed, applied and flushed. Nothing less may ever be said: what recovery
    /// takes for committed can no longer be taken back.
    pub fn committed(&self, zxid: Zxid) {
        let mut state = self.state();
        if zxid > state.mark.committed {
            state.mark.committed = zxid;
            state.changed = true;
        }
    }

    /// Changes what is known; [`Self::save`] makes it durable.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Mark)) {
        let mut state = self.state();
        change(&mut state.mark);
        state.changed = true;
    }

    /// A segment was created; durable when this returns (see the module's documentation).
    pub(crate) fn opened(&self, name: &str, last: Zxid) -> Result<()> {
        self.update(|mark| {
            mark.open = Some(Segment {
                name: name.to_owned(),
                len: FILE_HEADER_LEN as u64,
                last,
            });
        });
        self.save()
    }

    /// The open segment is durable up to here.
    pub(crate) fn flushed(&self, len: u64, last: Zxid) {
        let mut state = self.state();
        if let Some(open) = &mut state.mark.open {
            open.len = len;
            open.last = last;
        }
        state.changed = true;
    }

    /// The open segment is finished.
    pub(crate) fn sealed(&self) {
        self.update(|mark| {
            let open = mark.open.take();
            mark.sealed.extend(open);
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is a plain assignment: a panic elsewhere cannot leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Mark {
        Mark {
            base: Zxid(7),
            committed: Zxid(0x2a),
            open: Some(Segment {
                name: "log.12".into(),
                len: 4096,
                last: Zxid(0x2f),
            }),
            sealed: vec![Segment {
                name: "log.1".into(),
                len: 1838,
                last: Zxid(0x11),
            }],
            snapshots: BTreeMap::from([("snapshot.11".to_owned(), 1113)]),
        }
    }

    #[test]
    fn a_mark_survives_the_round_trip() {
        assert_eq!(Mark::decode(&sample().encode()), Some(sample()));
        assert_eq!(
            Mark::decode(&Mark::default().encode()),
            Some(Mark::default())
        );
    }

    #[test]
    fn a_mark_with_any_byte_changed_is_no_mark() {
        let good = sample().encode();
        for at in 0..good.len() {
            for flip in [1, 0x20, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                assert_eq!(Mark::decode(&bad), None, "byte {at}");
            }
            assert_eq!(Mark::decode(&good[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn an_unknown_snapshot_or_a_newer_segment_is_anothers_trace() {
        let mark = sample();
        assert!(!mark.others_wrote(["log.1", "log.12"].into_iter(), 0));
        assert!(mark.others_wrote(["log.13"].into_iter(), 0));
        assert!(mark.others_wrote([].into_iter(), 1));
    }
}
