//! Where the files are: dataDir and, if configured apart, dataLogDir.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{During, Result, StorageError};
use crate::names::{
    INITIALIZE, LOCK, TEMP_PREFIX, VERSION_DIR, parse_log_name, parse_snapshot_name,
};
use crate::vfs::Vfs;

/// The directories of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDirs {
    data: PathBuf,
    data_log: PathBuf,
    snap: PathBuf,
    log: PathBuf,
}

/// Says that this process alone uses the directories, until dropped.
#[derive(Debug)]
pub struct DirsLock {
    _held: Vec<Box<dyn Any + Send>>,
}

impl DataDirs {
    /// dataDir and dataLogDir as configured; without the second, logs are kept with the snapshots.
    #[must_use]
    pub fn new(data_dir: &Path, data_log_dir: Option<&Path>) -> Self {
        let data_log = data_log_dir.unwrap_or(data_dir);
        Self {
            data: data_dir.to_owned(),
            data_log: data_log.to_owned(),
            snap: data_dir.join(VERSION_DIR),
            log: data_log.join(VERSION_DIR),
        }
    }

    /// dataDir.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The directory of snapshots and epoch files.
    #[must_use]
    pub fn snap(&self) -> &Path {
        &self.snap
    }

    /// The directory of the transaction logs and of our own records about them.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Both, once each.
    pub fn each(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.snap()).chain((self.snap != self.log).then_some(self.log()))
    }

    /// Creates what is missing, durably.
    pub fn create(&self, vfs: &dyn Vfs) -> Result<()> {
        for dir in self.each() {
            if vfs.exists(dir).during("look for", dir)? {
                continue;
            }
            vfs.create_dir_all(dir).during("create", dir)?;
            for parent in dir.ancestors().skip(1).take(2) {
                let is_here = parent.as_os_str().is_empty();
                let parent = if is_here { Path::new(".") } else { parent };
                vfs.sync_dir(parent).during("sync", parent)?;
            }
        }
        Ok(())
    }

    /// Locks the directories for this process.
    pub fn lock(&self, vfs: &dyn Vfs) -> Result<DirsLock> {
        let mut held = Vec::new();
        for dir in self.each() {
            let path = dir.join(LOCK);
            match vfs.lock(&path) {
                Ok(lock) => held.push(lock),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return Err(StorageError::Locked { path });
                }
                Err(e) => return Err(StorageError::io("lock", &path, e)),
            }
        }
        Ok(DirsLock { _held: held })
    }

    /// The smaller of the two directories' free space, for the low-water mark below which writes are refused (P38).
    pub fn free_space(&self, vfs: &dyn Vfs) -> Result<u64> {
        let mut least = u64::MAX;
        for dir in self.each() {
            least = least.min(
                vfs.free_space(dir)
                    .during("measure the free space of", dir)?,
            );
        }
        Ok(least)
    }

    /// Files of the wrong kind in one of two separate directories mean that they were exchanged or merged.
    pub(crate) fn check_separation(&self, vfs: &dyn Vfs) -> Result<()> {
        if self.snap == self.log {
            return Ok(());
        }
        let find = |dir: &Path, wrong: fn(&str) -> bool| -> Result<Option<String>> {
            let entries = vfs.list(dir).during("list", dir)?;
            Ok(entries.into_iter().map(|e| e.name).find(|name| wrong(name)))
        };
        if let Some(example) = find(&self.log, |n| parse_snapshot_name(n).is_some())? {
            return Err(StorageError::SnapshotsInLogDir {
                dir: self.log.clone(),
                example,
            });
        }
        if let Some(example) = find(&self.snap, |n| parse_log_name(n).is_some())? {
            return Err(StorageError::LogsInSnapshotDir {
                dir: self.snap.clone(),
                example,
            });
        }
        Ok(())
    }

    /// Removes what crashes left unfinished.
    pub(crate) fn remove_temporaries(&self, vfs: &dyn Vfs) -> Result<()> {
        for dir in self.each() {
            for entry in vfs.list(dir).during("list", dir)? {
                if entry.name.starts_with(TEMP_PREFIX) {
                    let path = dir.join(&entry.name);
                    vfs.remove(&path).during("remove", &path)?;
                }
            }
        }
        Ok(())
    }

    /// The files that mark an empty database as a valid start. Apache's server looks in dataLogDir, its script writes
    /// in dataDir: both count.
    fn initialize_files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let apart = self.data != self.data_log;
        std::iter::once(&self.data)
            .chain(apart.then_some(&self.data_log))
            .map(|d| d.join(INITIALIZE))
    }

    pub(crate) fn is_marked_initial(&self, vfs: &dyn Vfs) -> Result<bool> {
        for path in self.initialize_files() {
            if vfs.exists(&path).during("look for", &path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes the `initialize` marker. For a new database only after its first snapshot is durable, so that a crash
    /// in between does not leave a directory that may neither start nor be initialized (I-18).
    pub fn remove_initialize(&self, vfs: &dyn Vfs) -> Result<()> {
        for path in self.initialize_files() {
            match vfs.remove(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(StorageError::io("remove", &path, e)),
            }
        }
        Ok(())
    }
}
