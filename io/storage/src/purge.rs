//! Removing snapshots and logs that no recovery needs any more.
//!
//! What stays: the newest snapshots up to the wanted number that were read and found good just before, everything newer
//! than the oldest of them, and every log from the one that holds the txn behind it (P44). A snapshot that cannot be
//! read does not count, and if there are too few good ones, nothing is removed (P46, ZOOKEEPER-3082).

use std::path::PathBuf;
use std::sync::Arc;

use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::Zxid;

use crate::dirs::DataDirs;
use crate::error::{During, Result};
use crate::history::PAYLOAD_MAX_ANY;
use crate::mark::MarkFile;
use crate::names::parse_log_name;
use crate::record::follows;
use crate::segment::SegmentReader;
use crate::snapshot::{Discard, list_snapshots, read_snapshot};
use crate::vfs::{DirEntry, Vfs};

/// What to keep.
#[derive(Debug, Clone, Copy)]
pub struct PurgeOptions {
    /// How many good snapshots stay (`autopurge.snapRetainCount`, at least 3 by configuration).
    pub keep: usize,
    /// Logs behind this zxid are being read for a learner and stay, too.
    pub leased: Option<Zxid>,
    /// Only say what would be removed.
    pub dry_run: bool,
}

impl Default for PurgeOptions {
    fn default() -> Self {
        Self {
            keep: 3,
            leased: None,
            dry_run: false,
        }
    }
}

/// What was removed, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purged {
    /// Snapshots and logs with their paths, oldest first.
    pub removed: Vec<(PathBuf, DirEntry)>,
    /// Good snapshots that were found; nothing is removed if they are fewer than wanted.
    pub good_snapshots: usize,
}

/// Removes what is not needed to recover from the newest `keep` good snapshots.
pub fn purge(
    vfs: &Arc<dyn Vfs>,
    dirs: &DataDirs,
    options: &PurgeOptions,
    mark: Option<&Arc<MarkFile>>,
) -> Result<Purged> {
    let vfs = &**vfs;
    let mut purged = Purged::default();
    let keep = options.keep.max(1);
    let base = mark.map_or(Zxid::ZERO, |m| m.current().base);
    let mut oldest = None;
    for file in list_snapshots(vfs, dirs.snap())? {
        let is_readable = || read_snapshot(vfs, dirs.snap(), &file, &mut Discard).is_ok();
        let is_good = file.zxid >= base && (mutant::on(Mutant::PurgeUnverified) || is_readable());
        purged.good_snapshots += usize::from(is_good);
        if purged.good_snapshots == keep {
            oldest = Some(file.zxid);
            break;
        }
    }
    let Some(oldest) = oldest else {
        return Ok(purged);
    };

    let entries = vfs.list(dirs.snap()).during("list", dirs.snap())?;
    let zxid_of = |name: &str| crate::names::parse_snapshot_name(name).map(|(zxid, _)| zxid);
    let mut doomed: Vec<(Zxid, PathBuf, DirEntry)> = entries
        .into_iter()
        .filter_map(|e| Some((zxid_of(&e.name)?, dirs.snap().join(&e.name), e)))
        .filter(|(zxid, ..)| *zxid < oldest)
        .collect();
    doomed.sort_by_key(|(zxid, ..)| *zxid);
    let needed_from = options.leased.map_or(oldest, |leased| leased.min(oldest));
    doomed.extend(logs_before(vfs, dirs, needed_from)?);

    if !options.dry_run {
        for (_, path, _) in &doomed {
            vfs.remove(path).during("remove", path)?;
        }
        for dir in dirs.each() {
            vfs.sync_dir(dir).during("sync", dir)?;
        }
        if let Some(mark) = mark {
            let gone = |name: &str| doomed.iter().any(|(_, _, e)| e.name == name);
            mark.update(|m| {
                m.sealed.retain(|s| !gone(&s.name));
                m.snapshots.retain(|name, _| !gone(name));
            });
        }
    }
    purged.removed = doomed
        .into_iter()
        .map(|(_, path, entry)| (path, entry))
        .collect();
    Ok(purged)
}

/// The logs that are not needed to go on from a zxid, oldest first. A name proves nothing (P39): the first log that
/// stays is looked into, and if it does not begin early enough, an older one stays as well.
fn logs_before(
    vfs: &dyn Vfs,
    dirs: &DataDirs,
    zxid: Zxid,
) -> Result<Vec<(Zxid, PathBuf, DirEntry)>> {
    let entries = vfs.list(dirs.log()).during("list", dirs.log())?;
    let mut logs: Vec<(Zxid, PathBuf, DirEntry)> = entries
        .into_iter()
        .filter_map(|e| Some((parse_log_name(&e.name)?, dirs.log().join(&e.name), e)))
        .collect();
    logs.sort_by_key(|(first, ..)| *first);
    let mut stay = logs
        .partition_point(|(first, ..)| *first <= zxid)
        .saturating_sub(1);
    while stay > 0 {
        let Some((_, path, _)) = logs.get(stay) else {
            break;
        };
        let mut reader = SegmentReader::open(vfs, path, PAYLOAD_MAX_ANY)?;
        let begins = if reader.advance()? {
            reader.record().map(|r| r.zxid)
        } else {
            None
        };
        if begins.is_some_and(|first| first <= zxid || follows(zxid, first)) {
            break;
        }
        stay -= 1;
    }
    logs.truncate(stay);
    Ok(logs)
}
