//! The disk that obeys.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Faults, Harm, Op};
use crate::vfs::{Access, DirEntry, Vfs, VfsFile};

/// A file system with faults.
#[derive(Debug)]
pub(super) struct FaultyDisk {
    under: Arc<dyn Vfs>,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultyFile {
    under: Box<dyn VfsFile>,
    path: PathBuf,
    faults: Arc<Faults>,
    /// From where to where it was written since the last sync.
    unsynced: Option<(u64, u64)>,
}

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl FaultyDisk {
    pub(super) fn new(under: Arc<dyn Vfs>, faults: Arc<Faults>) -> Self {
        Self { under, faults }
    }

    fn file(&self, path: &Path, under: Box<dyn VfsFile>) -> Box<dyn VfsFile> {
        Box::new(FaultyFile {
            under,
            path: path.to_owned(),
            faults: Arc::clone(&self.faults),
            unsynced: None,
        })
    }
}

impl Vfs for FaultyDisk {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        self.faults.check(Op::Create, path)?;
        Ok(self.file(path, self.under.create_new(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn VfsFile>> {
        Ok(self.file(path, self.under.open(path, access)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.check(Op::Rename, to)?;
        self.under.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.under.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.under.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.under.create_dir_all(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.under.exists(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.check(Op::Sync, dir)?;
        self.under.sync_dir(dir)
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        let said = self.faults.state().space;
        said.map_or_else(|| self.under.free_space(dir), Ok)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        self.under.lock(path)
    }
}

impl FaultyFile {
    fn wrote(&mut self, from: u64, len: usize) {
        let to = from + len as u64;
        let (first, last) = self.unsynced.unwrap_or((from, to));
        self.unsynced = Some((first.min(from), last.max(to)));
    }

    fn sync(&mut self, sync: fn(&mut dyn VfsFile) -> io::Result<()>) -> io::Result<()> {
        match self.faults.meet(Op::Sync, &self.path) {
            None => {
                sync(&mut *self.under)?;
                self.unsynced = None;
                Ok(())
            }
            Some(harm) => {
                if harm == Harm::Lost {
                    self.lose()?;
                }
                Err(harm.error())
            }
        }
    }

    /// As a kernel that drops the pages it could not write: what was there before the log was written is zeros.
    fn lose(&mut self) -> io::Result<()> {
        let Some((mut at, to)) = self.unsynced.take() else {
            return Ok(());
        };
        while at < to {
            let len = (to - at).min(ZEROS.len() as u64);
            self.under.write_all_at(&ZEROS[..len as usize], at)?;
            at += len;
        }
        Ok(())
    }
}

impl VfsFile for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.faults.check(Op::Read, &self.path)?;
        self.under.read_at(buf, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let half = &bytes[..bytes.len().div_ceil(2)];
        let written = match self.faults.meet(Op::Write, &self.path) {
            None => self.under.write_at(bytes, offset),
            Some(Harm::Short) => self.under.write_at(half, offset),
            Some(harm) => {
                if harm == Harm::Torn {
                    self.under.write_all_at(half, offset)?;
                }
                Err(harm.error())
            }
        }?;
        self.wrote(offset, written);
        Ok(written)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.sync(|file| file.sync_data())
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.sync(|file| file.sync_all())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.under.set_len(len)
    }

    fn preallocate(&mut self, len: u64) -> io::Result<()> {
        self.faults.check(Op::Reserve, &self.path)?;
        self.under.preallocate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.under.size()
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.under.next_data(offset)
    }
}
