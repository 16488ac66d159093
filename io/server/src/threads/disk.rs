//! The test kit's disk, at which threads can be interrupted.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shuttle::rand::Rng;
use zabra_storage::{Access, DirEntry, Vfs, VfsFile};
use zabra_testkit::disk::FaultyDisk;

use crate::seat::PATIENCE;
use crate::sync::{Condvar, Mutex, pass};

/// A disk whose syncs of the log take as long as the schedule wants.
#[derive(Debug, Clone)]
pub(super) struct SlowDisk {
    disk: FaultyDisk,
    log: Arc<LogDisk>,
}

/// What happens to the log.
#[derive(Debug, Default)]
pub(super) struct LogDisk {
    syncing: AtomicBool,
    hangs: Mutex<bool>,
    freed: Condvar,
}

impl LogDisk {
    /// Syncs hang from now on, or go on.
    pub(super) fn hang(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
        self.freed.notify_all();
    }

    fn sync(&self) {
        let was = self.syncing.swap(true, Ordering::Relaxed);
        assert!(!was, "two threads flush");
        let hangs = self.hangs.lock().unwrap();
        let hangs = self.freed.wait_while(hangs, |hangs| *hangs).unwrap();
        drop(hangs);
        pass(PATIENCE * shuttle::rand::thread_rng().gen_range(0..3));
        self.syncing.store(false, Ordering::Relaxed);
    }
}

impl SlowDisk {
    pub(super) fn new(disk: FaultyDisk) -> Self {
        Self {
            disk,
            log: Arc::default(),
        }
    }

    pub(super) fn log(&self) -> Arc<LogDisk> {
        Arc::clone(&self.log)
    }

    fn file(&self, path: &Path, file: Box<dyn VfsFile>) -> Box<dyn VfsFile> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with("log.") {
            return file;
        }
        let log = self.log();
        Box::new(LogFile { file, log })
    }
}

impl Vfs for SlowDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        Ok(self.file(path, self.disk.create_new(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn VfsFile>> {
        Ok(self.file(path, self.disk.open(path, access)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        self.disk.free_space(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        self.disk.lock(path)
    }
}

/// A segment of the log.
#[derive(Debug)]
struct LogFile {
    file: Box<dyn VfsFile>,
    log: Arc<LogDisk>,
}

impl VfsFile for LogFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.log.sync();
        self.file.sync_data()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn preallocate(&mut self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.file.next_data(offset)
    }
}
