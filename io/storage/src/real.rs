//! The operating system's file system.

use std::any::Any;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use crate::vfs::{Access, DirEntry, Vfs, VfsFile};

/// Files of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealVfs;

#[derive(Debug)]
struct RealFile {
    file: File,
    /// Of a file that was preallocated.
    reserved: Option<Reserved>,
}

/// The end of a preallocated file.
///
/// File systems note which reserved blocks were never written. The first write of each makes the next flush change that
/// note, too: a commit of the journal, or a write of the inode, beside the data. So zeros are written ahead, a step at a
/// time, and one flush in many pays for it.
#[derive(Debug, Clone, Copy)]
struct Reserved {
    /// Nothing was ever written from here on.
    written: u64,
    end: u64,
}

/// How far zeros are written ahead. A flush takes them along in less than a millisecond.
const AHEAD: u64 = 512 << 10;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl RealFile {
    fn new(file: File) -> Self {
        Self {
            file,
            reserved: None,
        }
    }

    /// Writes zeros behind what was written up to `end`, if that has come to the last of them.
    fn write_ahead(&mut self, end: u64) {
        let Some(reserved) = self.reserved.filter(|reserved| reserved.written < end) else {
            return;
        };
        let to = (end + AHEAD).min(reserved.end).max(end);
        // They make later flushes faster, and nothing depends on them.
        self.reserved = self.write_zeros(end, to).ok().map(|()| Reserved {
            written: to,
            ..reserved
        });
    }

    fn write_zeros(&self, from: u64, to: u64) -> io::Result<()> {
        let mut at = from;
        while at < to {
            let len = (to - at).min(ZEROS.len() as u64);
            self.file.write_all_at(&ZEROS[..len as usize], at)?;
            at += len;
        }
        Ok(())
    }
}

impl Vfs for RealVfs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Box::new(RealFile::new(file)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn VfsFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(access == Access::Write)
            .open(path)?;
        Ok(Box::new(RealFile::new(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours or Apache's.
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let meta = match fs::metadata(entry.path()) {
                Ok(meta) if meta.is_file() => meta,
                Ok(_) => continue,
                // Removed by somebody between the two calls, or a link to nowhere.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            let modified_ms = meta
                .modified()
                .ok()
                .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
                .and_then(|d| i64::try_from(d.as_millis()).ok())
                .unwrap_or(0);
            entries.push(DirEntry {
                name,
                len: meta.len(),
                modified_ms,
            });
        }
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

impl VfsFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buf, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let written = self.file.write_at(bytes, offset)?;
        self.write_ahead(offset + written as u64);
        Ok(written)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.reserved = None;
        self.file.set_len(len)
    }

    fn preallocate(&mut self, len: u64) -> io::Result<()> {
        let from = self.size()?;
        if from >= len {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), from, len - from) {
            Ok(()) => {}
            // Not every file system can reserve; a sparse tail reads the same.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.file.set_len(len)?,
            Err(e) => return Err(e.into()),
        }
        let written = self.reserved.map_or(from, |reserved| reserved.written);
        self.reserved = Some(Reserved { written, end: len });
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        self.file.metadata().map(|m| m.len())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        let len = self.size()?;
        if offset >= len {
            return Ok(None);
        }
        match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            // Not known here: somebody has to read it.
            Err(_) => Ok(Some(offset)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u64 = 2 << 20;

    fn preallocated(dir: &Path) -> Box<dyn VfsFile> {
        let mut file = RealVfs.create_new(&dir.join("log")).unwrap();
        file.write_all_at(b"header", 0).unwrap();
        file.preallocate(LEN).unwrap();
        file
    }

    #[test]
    fn the_first_write_of_a_preallocated_file_takes_zeros_along() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = preallocated(dir.path());
        file.write_all_at(b"record", 6).unwrap();
        let ahead = 12 + AHEAD - 1;
        assert_eq!(file.next_data(ahead).unwrap(), Some(ahead));
        assert_eq!(file.size().unwrap(), LEN);
    }

    #[test]
    fn zeros_written_ahead_are_never_over_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = preallocated(dir.path());
        let mut expected = b"header".to_vec();
        // Short ones, some longer than a step, and beyond the first reservation.
        let lens = [1_usize, 4095, 700_000, 1, 600_000, 300_000, 900_000, 12];
        for (record, len) in (1..).zip(lens) {
            if (expected.len() + len) as u64 > LEN {
                file.preallocate(2 * LEN).unwrap();
            }
            let bytes = vec![record; len];
            file.write_all_at(&bytes, expected.len() as u64).unwrap();
            expected.extend(bytes);
        }
        // Back in the middle, as no log does.
        file.write_all_at(b"again", 5_000).unwrap();
        expected[5_000..5_005].copy_from_slice(b"again");
        expected.resize(2 * LEN as usize, 0);
        let found = fs::read(dir.path().join("log")).unwrap();
        assert!(found == expected);
    }

    #[test]
    fn a_file_that_was_cut_grows_only_by_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = preallocated(dir.path());
        file.write_all_at(b"record", 6).unwrap();
        file.set_len(6).unwrap();
        file.write_all_at(b"other", 6).unwrap();
        assert_eq!(file.size().unwrap(), 11);
    }
}
