//! What a learner lacks, read from the log and the snapshots on disk (quorum 9.3, 9.4): what the server's history module
//! does, in one piece.

use std::fmt;
use std::sync::Arc;

use zabra_jute::Encode;
use zabra_proto::Zxid;
use zabra_proto::quorum_packet::Message;
use zabra_storage::{LogReader, PAYLOAD_MAX_DEFAULT, list_snapshots, send_snapshot};
use zabra_zab::{Backlog, Entry, Packet, Step, Verdict, Walk};

use crate::disk::Files;
use crate::trace::Z;

/// A history as it goes over the wire.
pub(super) struct Sent {
    pub(super) how: How,
    pub(super) bytes: Vec<u8>,
}

/// How a learner is brought into step.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    Diff(Zxid),
    Trunc(Zxid),
    Snap(Zxid),
}

/// Reads what a learner lacks.
pub(super) fn read(files: &Files, backlog: Backlog) -> Result<Sent, String> {
    match backlog {
        Backlog::Behind { learner, up_to } => match behind(files, learner, up_to) {
            Some(sent) => Ok(sent),
            None => snapshot(files, up_to),
        },
        Backlog::Snapshot { up_to } => snapshot(files, up_to),
    }
}

/// DIFF or TRUNC, if the log reaches back to the learner and up to the end.
fn behind(files: &Files, learner: Zxid, up_to: Zxid) -> Option<Sent> {
    // A log whose older part was purged does not follow its beginning.
    let history = entries(files, Zxid::ZERO, up_to).ok()?;
    if history.last().map(|entry| entry.zxid) != Some(up_to) {
        return None;
    }
    let mut walk = Walk::new(learner);
    let mut bytes = Vec::new();
    for entry in history {
        match walk.on(entry.zxid) {
            Step::Skip => {}
            Step::Send => put(entry, &mut bytes),
            Step::GiveUp => return None,
        }
    }
    let (how, first) = match walk.end() {
        Verdict::Diff => (How::Diff(up_to), Packet::Diff(up_to)),
        Verdict::TruncTo(zxid) => (How::Trunc(zxid), Packet::Trunc(zxid)),
        Verdict::Snap => return None,
    };
    let mut all = Vec::new();
    first.encode(&mut all);
    all.extend(bytes);
    Some(Sent { how, bytes: all })
}

/// SNAP with the newest snapshot, and what is behind it.
fn snapshot(files: &Files, up_to: Zxid) -> Result<Sent, String> {
    let dir = files.dirs.snap();
    let snapshots = list_snapshots(&*files.vfs, dir).map_err(|e| e.to_string())?;
    let newest = snapshots.into_iter().find(|file| file.zxid <= up_to);
    let file = newest.ok_or("no snapshot is as old")?;
    let mut bytes = Vec::new();
    Message::Snap { zxid: file.zxid }.encode(&mut bytes);
    let mut link = |part: &[u8]| {
        bytes.extend_from_slice(part);
        Ok(())
    };
    send_snapshot(&*files.vfs, dir, &file, &mut link).map_err(|e| e.to_string())?;
    let history = entries(files, file.zxid, up_to)?;
    let last = history.last().map_or(file.zxid, |entry| entry.zxid);
    if last != up_to {
        return Err(format!("the log ends with {}", Z(last)));
    }
    for entry in history {
        put(entry, &mut bytes);
    }
    let how = How::Snap(file.zxid);
    Ok(Sent { how, bytes })
}

fn put(entry: Entry, bytes: &mut Vec<u8>) {
    let zxid = entry.zxid;
    Packet::Proposal(entry).encode(bytes);
    Packet::Commit(zxid).encode(bytes);
}

fn entries(files: &Files, behind: Zxid, up_to: Zxid) -> Result<Vec<Entry>, String> {
    let dir = files.dirs.log();
    let vfs = Arc::clone(&files.vfs);
    let reader = LogReader::open(vfs, dir, behind, PAYLOAD_MAX_DEFAULT);
    let mut reader = reader.map_err(|e| e.to_string())?;
    let mut entries = Vec::new();
    while reader.advance().map_err(|e| e.to_string())? {
        let Some(record) = reader.record().filter(|record| record.zxid <= up_to) else {
            break;
        };
        entries.push(Entry {
            zxid: record.zxid,
            payload: record.payload.into(),
        });
    }
    Ok(entries)
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Diff(zxid) => write!(f, "DIFF {} from disk", Z(*zxid)),
            Self::Trunc(zxid) => write!(f, "TRUNC {} from disk", Z(*zxid)),
            Self::Snap(zxid) => write!(f, "SNAP {} from disk", Z(*zxid)),
        }
    }
}
