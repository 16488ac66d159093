//! The files of the history, and who works on them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use zabra_jute::Limits;
use zabra_proto::Zxid;
use zabra_storage::{Compression, DataDirs, MarkFile, Vfs};
use zabra_tree::TreeOptions;

use crate::links::Donor;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// How history is kept.
#[derive(Debug, Clone, Copy)]
pub struct HistoryOptions {
    /// How received snapshots are written.
    pub compression: Compression,
    /// What packets of a leader may be as long as.
    pub packet_limits: Limits,
    /// What trees are made with.
    pub tree: TreeOptions,
    /// A learner gets transactions from the log as long as that is no longer than this part of a snapshot
    /// (`snapshotSizeFactor`); below 0 it never does.
    pub snapshot_size_factor: f64,
}

/// The files of the history. Snapshots, purge, truncation and installation share them by it.
#[derive(Debug)]
pub struct HistoryFiles {
    pub(super) vfs: Arc<dyn Vfs>,
    pub(super) dirs: DataDirs,
    pub(super) mark: Arc<MarkFile>,
    pub(super) options: HistoryOptions,
    /// Held by whoever adds or removes files of the history, except the log.
    changing: Mutex<()>,
    generation: AtomicU64,
    leases: Mutex<BTreeMap<u64, Zxid>>,
    numbers: AtomicU64,
}

/// Tells histories apart: it changes when one is cut or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u64);

/// While it is held, no log behind its zxid is purged.
#[derive(Debug)]
pub struct Lease<'a> {
    files: &'a HistoryFiles,
    number: u64,
}

impl HistoryFiles {
    /// The files in `dirs`, with the mark that recovery returned.
    #[must_use]
    pub fn new(
        vfs: Arc<dyn Vfs>,
        dirs: DataDirs,
        mark: Arc<MarkFile>,
        options: HistoryOptions,
    ) -> Self {
        Self {
            vfs,
            dirs,
            mark,
            options,
            changing: Mutex::default(),
            generation: AtomicU64::new(0),
            leases: Mutex::default(),
            numbers: AtomicU64::new(0),
        }
    }

    /// Who gives other members copies of what is here.
    pub(crate) fn donor(&self) -> Donor {
        Donor::new(Arc::clone(&self.vfs), self.dirs.clone())
    }

    /// The present history. Whoever reads it for long looks whether it is still the same.
    #[must_use]
    pub fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::SeqCst))
    }

    /// To be held over adding or removing snapshots and over a purge, so that no truncation is under way meanwhile: what
    /// a truncation has not named when it began makes it void after a crash.
    pub fn change(&self) -> MutexGuard<'_, ()> {
        // It guards files, which a panic elsewhere does not change.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the logs behind a zxid from being purged.
    pub fn lease(&self, behind: Zxid) -> Lease<'_> {
        let number = self.next_number();
        self.leases().insert(number, behind);
        Lease {
            files: self,
            number,
        }
    }

    /// The lowest zxid behind which logs are needed, for the purge.
    #[must_use]
    pub fn leased(&self) -> Option<Zxid> {
        self.leases().values().min().copied()
    }

    /// Says that what was read of the history so far may not be so any more.
    pub(super) fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn leases(&self) -> MutexGuard<'_, BTreeMap<u64, Zxid>> {
        // Every change is one call: a panic elsewhere cannot leave it half done.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.files.leases().remove(&self.number);
    }
}
