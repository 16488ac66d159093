//! The thread for what takes long: snapshots, purge, the durable mark, the watch over free space.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tracing::{error, info, warn};
use zabra_proto::Zxid;
use zabra_serve::Replica;
use zabra_storage::{
    Compression, DataDirs, MarkFile, PurgeOptions, SnapshotDigest, SnapshotTail, SnapshotWriter,
    StorageError, Vfs, purge,
};
use zabra_tree::ImageWalk;

use crate::history::HistoryFiles;
use crate::seat::Mailbox;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Condvar, Instant, Mutex, MutexGuard, RwLock, Slip, slips};

/// What the background thread works on.
pub(crate) struct Work {
    pub(crate) replica: Arc<RwLock<Replica>>,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) dirs: DataDirs,
    pub(crate) mark: Arc<MarkFile>,
    pub(crate) compression: Compression,
    /// Whether snapshots end in the last zxid (`serializeLastProcessedZxid.enabled`).
    pub(crate) writes_last_zxid: bool,
    /// Tells when the replica was replaced in the middle of a snapshot.
    pub(crate) replaced: Replaced,
    /// Whom the files are shared with, in a member of an ensemble.
    pub(crate) history: Option<Arc<HistoryFiles>>,
    pub(crate) purge_interval: Option<Duration>,
    pub(crate) snap_retain_count: usize,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("dirs", &self.dirs)
            .finish_non_exhaustive()
    }
}

/// How often the replica was replaced by another, as a leader's snapshot does. It changes under the replica's lock.
#[derive(Debug, Clone, Default)]
pub struct Replaced(Arc<AtomicU64>);

impl Replaced {
    /// The replica is being replaced.
    pub fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What it is asked to do.
#[derive(Debug, Default)]
pub struct Background {
    asked: Mutex<Asked>,
    bell: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Asked {
    snapshot: bool,
    stop: bool,
}

/// How often the durable mark is written.
const MARK_INTERVAL: Duration = Duration::from_secs(1);
/// How often free space is looked at.
const SPACE_INTERVAL: Duration = Duration::from_secs(5);
/// Below this much free space writes are refused; above twice as much they are taken again.
const SPACE_MIN: u64 = 128 << 20;
/// How much of the tree is encoded under one read guard.
const CHUNK_LEN: usize = 64 << 10;
/// The image ends with the ustring `/` (protocol 13).
const END_MARKER_LEN: usize = 5;
/// Snapshots are written no faster than this, bytes per second, so that the log has the disk and clients the processors. A
/// million znodes of 100 bytes take three seconds.
const RATE_MAX: f64 = 64e6;

impl Background {
    /// Asks for a snapshot.
    pub fn ask_for_snapshot(&self) {
        self.asked().snapshot = true;
        self.bell.notify_one();
    }

    /// Asks the thread to end. A snapshot in the making is given up.
    pub fn stop(&self) {
        self.asked().stop = true;
        self.bell.notify_one();
    }

    /// The thread's life.
    pub(crate) fn work(&self, work: &Work, mailbox: &Mailbox) {
        let mut space_due = Instant::now();
        let mut space_low = false;
        let mut purge_due = work.purge_interval.map(|_| Instant::now());
        loop {
            let asked = self.wait();
            work.mark.committed(applied(work));
            if let Err(error) = work.mark.save() {
                warn!(%error, "the durable mark could not be written; it stays behind");
            }
            if asked.stop {
                return;
            }
            if asked.snapshot {
                let written = self.snapshot(work);
                mailbox.post(|letters| letters.snapshot = Some(written));
            }
            if Instant::now() >= space_due {
                space_due = Instant::now() + SPACE_INTERVAL;
                space_low = watch_space(work, mailbox, space_low);
            }
            if let (Some(due), Some(interval)) = (purge_due, work.purge_interval)
                && Instant::now() >= due
            {
                purge_due = Some(Instant::now() + interval);
                purge_old(work);
            }
        }
    }

    fn snapshot(&self, work: &Work) -> Result<Duration, ()> {
        let began = Instant::now();
        match write_snapshot(work, |pause| self.pause(pause)) {
            Ok(Some(zxid)) => {
                info!(%zxid, took = ?began.elapsed(), "snapshot written");
                Ok(began.elapsed())
            }
            Ok(None) => Err(()),
            Err(error) => {
                error!(%error, "no snapshot could be written; the log goes on");
                Err(())
            }
        }
    }

    /// Waits for the next thing to do.
    fn wait(&self) -> Asked {
        let asked = self.asked();
        if !asked.snapshot && !asked.stop {
            let waited = self.bell.wait_timeout(asked, MARK_INTERVAL);
            let (mut asked, _) = waited.unwrap_or_else(PoisonError::into_inner);
            return Asked {
                snapshot: std::mem::take(&mut asked.snapshot),
                stop: asked.stop,
            };
        }
        let mut asked = asked;
        Asked {
            snapshot: std::mem::take(&mut asked.snapshot),
            stop: asked.stop,
        }
    }

    /// Rests so long between two chunks. False when the server stops.
    pub(crate) fn pause(&self, pause: Duration) -> bool {
        let asked = self.asked();
        if asked.stop || pause.is_zero() {
            return !asked.stop;
        }
        let (asked, _) = self
            .bell
            .wait_timeout(asked, pause)
            .unwrap_or_else(PoisonError::into_inner);
        !asked.stop
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        // Every change is a plain assignment: a panic elsewhere cannot leave it half done.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is applied is committed and flushed (design 2.6), so that a member need not wait for it again after a restart.
fn applied(work: &Work) -> Zxid {
    let replica = work.replica.read().unwrap_or_else(PoisonError::into_inner);
    replica.last_zxid()
}

/// A snapshot of a tree that stays the same tree.
struct Image {
    walk: ImageWalk,
    /// What [`Replaced`] said when it began.
    of: u64,
}

/// Writes a snapshot of the tree as it is now, in chunks between which the poller changes it. Its zxid, or nothing if
/// `go_on` said no, or if the history is another one meanwhile.
pub(crate) fn write_snapshot(
    work: &Work,
    mut go_on: impl FnMut(Duration) -> bool,
) -> Result<Option<Zxid>, StorageError> {
    let history = work.history.as_deref();
    let generation = history.map(HistoryFiles::generation);
    let Some(mut image) = begin_image(work) else {
        return Ok(None);
    };
    let zxid = image.walk.zxid();
    let tail = SnapshotTail {
        digest: image.walk.digest().map(|value| SnapshotDigest {
            zxid,
            version: zabra_proto::TxnDigest::VERSION,
            value,
        }),
        last_processed: work.writes_last_zxid.then_some(zxid),
    };
    let written = write_image(work, &mut image, &mut go_on);
    let mut replica = work.replica.write().unwrap_or_else(PoisonError::into_inner);
    if work.replaced.count() == image.of {
        replica.tree.end_image(image.walk);
    }
    drop(replica);
    let Some(writer) = written? else {
        return Ok(None);
    };
    let _changing = history.map(HistoryFiles::change);
    if history.map(HistoryFiles::generation) != generation && !slips(Slip::CutUnseen) {
        // What was written goes with the writer.
        return Ok(None);
    }
    writer.finish(&tail, Some(&work.mark))?;
    Ok(Some(zxid))
}

fn begin_image(work: &Work) -> Option<Image> {
    let mut replica = work.replica.write().unwrap_or_else(PoisonError::into_inner);
    let sessions = replica
        .sessions()
        .iter()
        .map(|(session, timeout)| (*session, *timeout))
        .collect();
    let walk = replica.tree.begin_image(sessions)?;
    let of = work.replaced.count();
    Some(Image { walk, of })
}

/// Writes the image. Nothing if it was given up.
fn write_image(
    work: &Work,
    image: &mut Image,
    go_on: &mut impl FnMut(Duration) -> bool,
) -> Result<Option<SnapshotWriter>, StorageError> {
    let began = Instant::now();
    let mut writer = SnapshotWriter::begin(
        Arc::clone(&work.vfs),
        work.dirs.snap(),
        image.walk.zxid(),
        work.compression,
    )?;
    let mut chunk = Vec::with_capacity(2 * CHUNK_LEN);
    loop {
        chunk.clear();
        let is_last = {
            let replica = work.replica.read().unwrap_or_else(PoisonError::into_inner);
            let is_there = work.replaced.count() == image.of || slips(Slip::ReplacedUnseen);
            is_there.then(|| image.walk.chunk(&replica.tree, CHUNK_LEN, &mut chunk))
        };
        let Some(is_last) = is_last else {
            return Ok(None);
        };
        if is_last {
            // The tree's end marker is the writer's to set.
            chunk.truncate(chunk.len().saturating_sub(END_MARKER_LEN));
        }
        writer.chunk(&chunk)?;
        if is_last {
            return Ok(Some(writer));
        }
        let planned = Duration::from_secs_f64(writer.content_len() as f64 / RATE_MAX);
        let _held = slips(Slip::ReplicaHeld).then(|| work.replica.read());
        if !go_on(planned.saturating_sub(began.elapsed())) {
            // What was written goes with the writer.
            return Ok(None);
        }
    }
}

/// Whether the disk is low, told to the poller when it changes.
fn watch_space(work: &Work, mailbox: &Mailbox, was_low: bool) -> bool {
    let free = match work.dirs.free_space(&*work.vfs) {
        Ok(free) => free,
        Err(error) => {
            warn!(%error, "free space cannot be measured");
            return was_low;
        }
    };
    let is_low = free < if was_low { 2 * SPACE_MIN } else { SPACE_MIN };
    if is_low != was_low {
        if is_low {
            error!(
                free,
                "the disk is almost full: writes are refused, reads go on; free some space or purge"
            );
        } else {
            info!(free, "there is space again, writes are taken");
        }
        mailbox.post(|letters| letters.disk_low = Some(is_low));
    }
    is_low
}

fn purge_old(work: &Work) {
    let history = work.history.as_deref();
    let _changing = history.map(HistoryFiles::change);
    let options = PurgeOptions {
        keep: work.snap_retain_count,
        leased: history.and_then(HistoryFiles::leased),
        ..PurgeOptions::default()
    };
    match purge(&work.vfs, &work.dirs, &options, Some(&work.mark)) {
        Ok(purged) => info!(
            removed = purged.removed.len(),
            "old snapshots and logs are purged"
        ),
        Err(error) => warn!(%error, "old snapshots and logs could not be purged"),
    }
}
