//! The door to the disk: every operation that a crash can cut goes through [`Vfs`].
//!
//! [`RealVfs`](crate::RealVfs) is the operating system's file system; the simulated disk of the test kit is another.
//! What the trait promises is what POSIX promises after a power cut, and no more:
//!
//! - bytes and lengths of a file are durable after [`VfsFile::sync_data`] or [`VfsFile::sync_all`] returned `Ok`;
//! - names (created, renamed, removed) are durable after [`Vfs::sync_dir`] returned `Ok`;
//! - everything else may be lost, each effect on its own and bytes by the sector.
//!
//! After an error of a sync nothing may be assumed about the file, not even by syncing once more (pitfalls P29).

use std::any::Any;
use std::fmt;
use std::io;
use std::path::Path;

use zabra_mutant::{self as mutant, Mutant};

/// A file system as storage needs it.
pub trait Vfs: Send + Sync + fmt::Debug {
    /// Creates a file that must not exist yet (`O_EXCL`), open for reading and writing.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn VfsFile>>;

    /// Opens an existing file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn VfsFile>>;

    /// Gives a file another name, replacing what bore it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The regular files of a directory, in no particular order.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Creates a directory and its missing parents.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Whether a file or directory of this name is there.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Bytes that an unprivileged process may still write on the directory's file system.
    fn free_space(&self, dir: &Path) -> io::Result<u64>;

    /// Takes the lock of this file (created if missing) for this process, or fails with `WouldBlock`.
    /// Dropping the value gives it back.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>>;
}

/// An open file.
pub trait VfsFile: Send + fmt::Debug {
    /// Reads at an offset; 0 is the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset and says how much of it was written.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the bytes durable, and what is needed to find them again (the length).
    fn sync_data(&mut self) -> io::Result<()>;

    /// Makes bytes and all metadata durable.
    fn sync_all(&mut self) -> io::Result<()>;

    /// Cuts or lengthens the file; new bytes are zero.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Lengthens the file to `len` with zeros that have their place on the disk reserved, where the file system can.
    /// Fails if there is no room.
    fn preallocate(&mut self, len: u64) -> io::Result<()>;

    /// The length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Where the next byte that may differ from zero is, at or behind `offset`; `None` if there is none.
    /// A file system that does not know answers `offset`.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok((offset < self.size()?).then_some(offset))
    }

    /// Writes all of `bytes` at an offset.
    fn write_all_at(&mut self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    bytes = bytes.get(n..).unwrap_or_default();
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

/// A file found in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name, without the directory.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last changed, in ms since 1970; 0 if not known. Only for people to read.
    pub modified_ms: i64,
}

/// Reads a small file whole; one longer than `limit` is an error (R13).
pub(crate) fn read_small(vfs: &dyn Vfs, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = vfs.open(path, Access::Read)?;
    let mut bytes = Vec::new();
    let mut buf = [0u8; 4096];
    loop {
        let n = file.read_at(&mut buf, bytes.len() as u64)?;
        if n == 0 {
            return Ok(bytes);
        }
        bytes.extend_from_slice(buf.get(..n).unwrap_or_default());
        if bytes.len() > limit {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "file is too long",
            ));
        }
    }
}

/// Replaces a small file so that after a crash either the old or the new content is there: temporary file, fsync,
/// rename, directory fsync. `temp` must be in the same directory and is nobody else's.
pub(crate) fn replace_small(
    vfs: &dyn Vfs,
    dir: &Path,
    temp: &str,
    name: &str,
    bytes: &[u8],
) -> io::Result<()> {
    let temp = dir.join(temp);
    match vfs.remove(&temp) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let mut file = vfs.create_new(&temp)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()?;
    drop(file);
    vfs.rename(&temp, &dir.join(name))?;
    if mutant::on(Mutant::DirectoryUnsynced) {
        return Ok(());
    }
    vfs.sync_dir(dir)
}
