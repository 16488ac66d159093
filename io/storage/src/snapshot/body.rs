//! What snapshot files and the streams between servers have in common: sessions, ACL table, znodes, end marker.
//!
//! A [`Body`] is pushed forward record by record over bytes that may still be arriving. It says how many it wants to see,
//! which is never more than a record that is plausible so far, and keeps none of them.

use std::borrow::Cow;

use zabra_proto::{Acl, Perms, SessionId, StatPersisted};

use super::{Refusal, SnapshotSink};

/// The ustring `/`: ends the tree, and stands behind each seal's sum.
pub(crate) const MARKER: [u8; 5] = *b"\0\0\0\x01/";

/// Longest path, znode data or ACL text that is believed. No request is as long.
const VALUE_MAX: usize = 256 << 20;
/// Behind a znode's data: ACL key and Stat.
const ACL_KEY_AND_STAT_LEN: usize = 8 + 60;
/// A session: id and timeout.
const SESSION_LEN: usize = 8 + 4;

/// Where the reading of a body stands.
#[derive(Debug)]
pub(crate) struct Body {
    stage: Stage,
}

/// What is expected next.
#[derive(Debug)]
enum Stage {
    SessionCount,
    Sessions(usize),
    ListCount,
    /// An ACL list's key and count; so many lists are left.
    List(usize),
    Entries {
        lists_left: usize,
        key: i64,
        entries_left: usize,
        list: Vec<Acl<'static>>,
    },
    Nodes,
    Ended,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many bytes must be visible from here before anything can be said.
    Need(usize),
    /// So many bytes were a record, and are done with.
    Took(usize),
    /// The end marker stands here.
    Ended,
}

/// What is wrong with a body.
#[derive(Debug)]
pub(crate) enum BodyError {
    Damaged(&'static str),
    Refused(Refusal),
}

impl From<Refusal> for BodyError {
    fn from(why: Refusal) -> Self {
        Self::Refused(why)
    }
}

type Result<T> = std::result::Result<T, BodyError>;

impl Body {
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::SessionCount,
        }
    }

    /// Looks at the bytes that follow what was taken, and takes one record if it is whole.
    pub(crate) fn step(&mut self, bytes: &[u8], sink: &mut dyn SnapshotSink) -> Result<Step> {
        match &mut self.stage {
            Stage::SessionCount => Ok(self.count(bytes, Stage::sessions)),
            Stage::Sessions(left) => {
                let Some(record) = bytes.get(..SESSION_LEN) else {
                    return Ok(Step::Need(SESSION_LEN));
                };
                sink.session(SessionId(long(record, 0)), int(record, 8))?;
                self.stage = Stage::sessions(*left - 1);
                Ok(Step::Took(SESSION_LEN))
            }
            Stage::ListCount => Ok(self.count(bytes, Stage::lists)),
            Stage::List(left) => {
                let Some(head) = bytes.get(..12) else {
                    return Ok(Step::Need(12));
                };
                let lists_left = *left - 1;
                self.stage = Stage::Entries {
                    lists_left,
                    key: long(head, 0),
                    entries_left: count(int(head, 8)),
                    list: Vec::new(),
                };
                self.end_list(sink)?;
                Ok(Step::Took(12))
            }
            Stage::Entries {
                entries_left, list, ..
            } => {
                let (acl, len) = match entry(bytes)? {
                    Ok(entry) => entry,
                    Err(need) => return Ok(need),
                };
                list.push(acl);
                *entries_left -= 1;
                self.end_list(sink)?;
                Ok(Step::Took(len))
            }
            Stage::Nodes => self.node(bytes, sink),
            Stage::Ended => Ok(Step::Ended),
        }
    }

    /// A vector's count: a claim only, so nothing is reserved by it.
    fn count(&mut self, bytes: &[u8], next: fn(usize) -> Stage) -> Step {
        let Some(record) = bytes.get(..4) else {
            return Step::Need(4);
        };
        self.stage = next(count(int(record, 0)));
        Step::Took(4)
    }

    /// Hands an ACL list over when it is whole.
    fn end_list(&mut self, sink: &mut dyn SnapshotSink) -> Result<()> {
        if let Stage::Entries {
            lists_left,
            key,
            entries_left: 0,
            list,
        } = &mut self.stage
        {
            sink.acl(*key, std::mem::take(list))?;
            self.stage = Stage::lists(*lists_left);
        }
        Ok(())
    }

    fn node(&mut self, bytes: &[u8], sink: &mut dyn SnapshotSink) -> Result<Step> {
        if bytes.len() < 4 {
            return Ok(Step::Need(4));
        }
        let path_len = int(bytes, 0);
        if path_len < 0 {
            return Err(BodyError::Damaged("a path has a negative length"));
        }
        let path_len = checked(path_len)?;
        let Some(path) = bytes.get(4..4 + path_len) else {
            return Ok(Step::Need(4 + path_len));
        };
        if path == b"/" {
            self.stage = Stage::Ended;
            return Ok(Step::Ended);
        }
        let data_at = 4 + path_len + 4;
        if bytes.len() < data_at {
            return Ok(Step::Need(data_at));
        }
        let claimed = int(bytes, data_at - 4);
        if claimed < -1 {
            return Err(BodyError::Damaged("a znode's data has a negative length"));
        }
        let data_len = checked(claimed)?;
        let whole = data_at + data_len + ACL_KEY_AND_STAT_LEN;
        let Some(record) = bytes.get(..whole) else {
            return Ok(Step::Need(whole));
        };
        let (data, rest) = record.get(data_at..).unwrap_or_default().split_at(data_len);
        let path = String::from_utf8_lossy(path);
        let (acl_key, stat) = acl_key_and_stat(rest);
        sink.node(&path, (claimed >= 0).then_some(data), acl_key, &stat)?;
        Ok(Step::Took(whole))
    }
}

impl Stage {
    fn sessions(left: usize) -> Self {
        if left == 0 {
            Self::ListCount
        } else {
            Self::Sessions(left)
        }
    }

    fn lists(left: usize) -> Self {
        if left == 0 {
            Self::Nodes
        } else {
            Self::List(left)
        }
    }
}

/// An entry of an ACL list and its length, or how many bytes it takes to know.
fn entry(bytes: &[u8]) -> Result<std::result::Result<(Acl<'static>, usize), Step>> {
    let mut at = 4;
    let mut texts = [Cow::Borrowed(""), Cow::Borrowed("")];
    for text in &mut texts {
        if bytes.len() < at + 4 {
            return Ok(Err(Step::Need(at + 4)));
        }
        let len = checked(int(bytes, at))?;
        at += 4;
        let Some(found) = bytes.get(at..at + len) else {
            return Ok(Err(Step::Need(at + len)));
        };
        *text = String::from_utf8_lossy(found);
        at += len;
    }
    let [scheme, id] = texts.map(|text| text.into_owned().into());
    let perms = Perms(int(bytes, 0));
    Ok(Ok((Acl { perms, scheme, id }, at)))
}

/// A length, as long as values may be. Null and other negatives are empty.
fn checked(len: i32) -> Result<usize> {
    let len = count(len);
    if len > VALUE_MAX {
        return Err(BodyError::Damaged("a length is out of bounds"));
    }
    Ok(len)
}

fn count(claimed: i32) -> usize {
    usize::try_from(claimed).unwrap_or(0)
}

/// The fixed part behind a znode's data.
fn acl_key_and_stat(bytes: &[u8]) -> (i64, StatPersisted) {
    let stat = StatPersisted {
        czxid: long(bytes, 8),
        mzxid: long(bytes, 16),
        ctime: long(bytes, 24),
        mtime: long(bytes, 32),
        version: int(bytes, 40),
        cversion: int(bytes, 44),
        aversion: int(bytes, 48),
        ephemeral_owner: long(bytes, 52),
        pzxid: long(bytes, 60),
    };
    (long(bytes, 0), stat)
}

/// The int at an offset; the caller has made sure that it is there.
fn int(bytes: &[u8], at: usize) -> i32 {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found.map_or(0, |b| i32::from_be_bytes(*b))
}

/// The long at an offset, likewise.
fn long(bytes: &[u8], at: usize) -> i64 {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    found.map_or(0, |b| i64::from_be_bytes(*b))
}
