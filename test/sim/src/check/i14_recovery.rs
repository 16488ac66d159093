//! I-14: recovery finds what was durable, and perhaps more of what was appended.

use std::collections::BTreeMap;

use zabra_proto::Zxid;

use super::disks::Disk;
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-14 recovery";

/// A server was started from a disk that holds this for certain, and finds a snapshot and these txns behind it.
pub(super) fn found(
    disk: &Disk,
    at: ServerAt,
    snapshot: Zxid,
    found: &BTreeMap<Zxid, u64>,
) -> Verdict {
    let mut behind = disk.log.iter().filter(|(zxid, _)| **zxid > snapshot);
    if let Some((zxid, _)) = behind.find(|(zxid, hash)| found.get(zxid) != Some(hash)) {
        let text = format!("s{} had {} on its disk and lost it", at + 1, Z(*zxid));
        return fails(NAME, text);
    }
    if snapshot.max(disk.last()) < disk.base {
        let text = format!("s{} had {} by snapshot and lost it", at + 1, Z(disk.base));
        return fails(NAME, text);
    }
    Ok(())
}
