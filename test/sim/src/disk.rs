//! A server's files: the real storage functions over a simulated disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zabra_proto::{TxnDigest, Zxid};
use zabra_serve::Replica;
use zabra_storage::{
    Compression, DataDirs, LogOptions, MarkFile, PendingHistory, PurgeOptions, Result,
    SnapshotDigest, SnapshotTail, SnapshotWriter, StorageError, TxnLog, Vfs, adopt_history, purge,
    truncate,
};
use zabra_testkit::disk::FaultyDisk;
use zabra_zab::{Entry, Epochs};

use crate::plan::Plan;

/// The files of a running server.
#[derive(Debug)]
pub struct Files {
    /// The disk.
    pub vfs: Arc<dyn Vfs>,
    /// Where on it.
    pub dirs: DataDirs,
    /// The durable mark.
    pub mark: Arc<MarkFile>,
    /// The log's writing end.
    pub log: TxnLog,
}

/// A snapshot whose content has been taken from the replica and is not on the disk yet.
#[derive(Debug, Clone)]
pub struct Image {
    /// The last txn in it.
    pub zxid: Zxid,
    content: Vec<u8>,
    digest: Option<u64>,
}

/// The image ends with the ustring `/`, which the writer sets itself.
const END_MARKER_LEN: usize = 5;

/// Where every server keeps its files.
#[must_use]
pub fn dirs() -> DataDirs {
    DataDirs::new(Path::new("/data"), None)
}

/// How every server writes its log.
#[must_use]
pub fn log_options(plan: &Plan) -> LogOptions {
    LogOptions {
        preallocate: plan.preallocate,
        segment_len_max: plan.segment_len_max,
        force_sync: true,
        // No real time comes into a simulation.
        clock: || Duration::ZERO,
    }
}

impl Image {
    /// The state as it is now. `None` while another image is made.
    pub fn of(replica: &mut Replica) -> Option<Self> {
        let sessions = replica.sessions().iter();
        let sessions = sessions.map(|(session, timeout)| (*session, *timeout));
        let mut walk = replica.tree.begin_image(sessions.collect())?;
        let mut content = Vec::new();
        while !walk.chunk(&replica.tree, 4096, &mut content) {}
        content.truncate(content.len().saturating_sub(END_MARKER_LEN));
        let image = Self {
            zxid: replica.last_zxid(),
            content,
            digest: walk.digest(),
        };
        replica.tree.end_image(walk);
        Some(image)
    }

    /// Writes it, durably.
    pub fn write(&self, vfs: &Arc<dyn Vfs>, dirs: &DataDirs, mark: &MarkFile) -> Result<()> {
        let zxid = self.zxid;
        let mut writer =
            SnapshotWriter::begin(Arc::clone(vfs), dirs.snap(), zxid, Compression::None)?;
        writer.chunk(&self.content)?;
        let tail = SnapshotTail {
            digest: self.digest.map(|value| SnapshotDigest {
                zxid,
                version: TxnDigest::VERSION,
                value,
            }),
            last_processed: Some(zxid),
        };
        writer.finish(&tail, Some(mark))?;
        Ok(())
    }
}

impl Files {
    /// Appends and syncs.
    pub fn flush(&mut self, batch: &[Entry]) -> std::result::Result<Zxid, String> {
        for entry in batch {
            let appended = self.log.append(entry.zxid, &entry.payload);
            appended.map_err(|e| e.to_string())?;
        }
        let flushed = self.log.flush().map_err(|e| e.to_string())?;
        Ok(flushed.last)
    }

    /// Makes the epochs durable.
    pub fn save_epochs(&self, epochs: Epochs) -> Result<()> {
        let Epochs { accepted, current } = epochs;
        zabra_storage::Epochs { accepted, current }.store(&*self.vfs, &self.dirs)
    }

    /// Cuts the history. False if it cannot be cut there, and nothing was changed.
    pub fn truncate(&mut self, to: Zxid) -> std::result::Result<bool, String> {
        self.log.roll().map_err(|e| e.to_string())?;
        match truncate(&self.vfs, &self.dirs, &self.mark, to) {
            Ok(()) => {
                let restarted = self.log.restart_behind(to);
                restarted.map(|()| true).map_err(|e| e.to_string())
            }
            Err(StorageError::CannotTruncate { .. }) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Replaces the history by one that came in.
    pub fn adopt(&mut self, history: PendingHistory) -> std::result::Result<(), String> {
        self.log.roll().map_err(|e| e.to_string())?;
        let adopted = adopt_history(&self.vfs, &self.dirs, &self.mark, history);
        let adopted = adopted.map_err(|e| e.to_string())?;
        self.log.restart_adopted(adopted).map_err(|e| e.to_string())
    }

    /// Removes what no recovery needs.
    pub fn purge(&self) -> Result<usize> {
        let options = PurgeOptions::default();
        let purged = purge(&self.vfs, &self.dirs, &options, Some(&self.mark))?;
        Ok(purged.removed.len())
    }
}

/// What a crash leaves of a disk: it comes at some operation between these two counts of them.
#[must_use]
pub fn crashed(disk: &FaultyDisk, range: (usize, usize), rng: &mut fastrand::Rng) -> FaultyDisk {
    let cut = rng.usize(range.0..=range.1.max(range.0));
    let subsets = zabra_testkit::disk::Subsets {
        single: 0,
        random: 2,
        seed: rng.u64(..),
    };
    disk.crash_image(cut, &subsets, |images| rng.usize(0..images))
}

/// The directory of snapshots, for a look from outside.
#[must_use]
pub fn snap_dir() -> PathBuf {
    dirs().snap().to_owned()
}
