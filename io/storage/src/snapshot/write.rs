//! Writes a snapshot that counts only when it is whole, verified and durable (P46).
//!
//! The file is written under a temporary name, synced in steps (so that no single sync stalls the log's), read back and
//! verified, and renamed; then the directory is synced. A crash at any point leaves the old snapshots as they were.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use simd_adler32::Adler32;
use zabra_proto::Zxid;

use super::body::MARKER;
use super::codec::Encoder;
use super::{Discard, SnapshotError, SnapshotFile, SnapshotTail, read_snapshot};
use crate::error::{During, Result, StorageError};
use crate::mark::MarkFile;
use crate::names::{Compression, snapshot_name};
use crate::record::SNAPSHOT_HEADER;
use crate::temp::TempFile;
use crate::vfs::{Vfs, VfsFile};

/// Bytes after which a part of the file is synced: few, because a flush of the log that comes meanwhile waits until the disk
/// has taken them.
const SYNC_STEP: u64 = 256 << 10;
const BUFFER: usize = 256 * 1024;

/// A snapshot in the making. Dropping it removes what was written.
pub struct SnapshotWriter {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    zxid: Zxid,
    compression: Compression,
    temp: TempFile,
    encoder: Encoder<FileSink>,
    adler: Adler32,
    content_len: u64,
}

/// A snapshot that is whole, verified and on stable storage under a temporary name: it does not count yet. Dropping it
/// removes the file.
#[derive(Debug)]
pub struct PendingSnapshot {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    temp: TempFile,
    file: SnapshotFile,
    content_len: u64,
}

/// A snapshot that is on stable storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenSnapshot {
    /// The file.
    pub file: SnapshotFile,
    /// Bytes before compression.
    pub content_len: u64,
}

impl SnapshotWriter {
    /// Begins the snapshot of the tree as it was after `zxid`.
    pub fn begin(
        vfs: Arc<dyn Vfs>,
        snap_dir: &Path,
        zxid: Zxid,
        compression: Compression,
    ) -> Result<Self> {
        Self::begin_as("", vfs, snap_dir, zxid, compression)
    }

    /// The same with something of the caller's in the temporary name, where two may be written at a time.
    pub fn begin_as(
        owner: &str,
        vfs: Arc<dyn Vfs>,
        snap_dir: &Path,
        zxid: Zxid,
        compression: Compression,
    ) -> Result<Self> {
        let name = snapshot_name(zxid, compression);
        let (temp, file) = TempFile::create(Arc::clone(&vfs), snap_dir, &format!("{owner}{name}"))?;
        let sink = FileSink {
            file,
            buffer: Vec::with_capacity(BUFFER),
            offset: 0,
            synced: 0,
        };
        let encoder = Encoder::new(sink, compression).during("write", temp.path())?;
        let mut writer = Self {
            vfs,
            dir: snap_dir.to_owned(),
            zxid,
            compression,
            temp,
            encoder,
            adler: Adler32::new(),
            content_len: 0,
        };
        writer.chunk(&SNAPSHOT_HEADER)?;
        Ok(writer)
    }

    /// Appends encoded content: the sessions with their count, the ACL table with its count, then znodes, parents
    /// first. The end marker of the tree is written by [`Self::finish`].
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<()> {
        self.adler.write(bytes);
        self.content_len += bytes.len() as u64;
        self.encoder
            .write_all(bytes)
            .during("write", self.temp.path())
    }

    /// Bytes taken so far, before compression.
    #[must_use]
    pub fn content_len(&self) -> u64 {
        self.content_len
    }

    /// Ends the tree, writes the seals and sections, and makes the snapshot durable and visible. The mark, where the
    /// server has one, learns of it.
    pub fn finish(self, tail: &SnapshotTail, mark: Option<&MarkFile>) -> Result<WrittenSnapshot> {
        self.finish_pending(tail)?.publish(mark)
    }

    /// The same, but leaves it under its temporary name, durably.
    pub fn finish_pending(mut self, tail: &SnapshotTail) -> Result<PendingSnapshot> {
        self.chunk(&MARKER)?;
        let mut adler = self.adler.clone();
        let sections = encode_tail(tail, &mut adler);
        self.chunk(&sections)?;
        let path = self.temp.path();
        let mut sink = self
            .encoder
            .finish()
            .and_then(FileSink::flushed)
            .during("write", path)?;
        sink.file.sync_all().during("sync", path)?;
        let len = sink.offset;
        drop(sink);

        let file_named = |name: String| SnapshotFile {
            zxid: self.zxid,
            compression: self.compression,
            name,
            len,
        };
        let written = file_named(self.temp.name().to_owned());
        match read_snapshot(&*self.vfs, &self.dir, &written, &mut Discard) {
            Ok(found) if found == *tail => {}
            Ok(_) => {
                return Err(bad_snapshot(
                    path,
                    "its tail is not the one written".to_owned(),
                ));
            }
            Err(SnapshotError::Io(e)) => return Err(StorageError::io("read back", path, e)),
            Err(e) => return Err(bad_snapshot(path, e.to_string())),
        }
        Ok(PendingSnapshot {
            file: file_named(snapshot_name(self.zxid, self.compression)),
            vfs: self.vfs,
            dir: self.dir,
            temp: self.temp,
            content_len: self.content_len,
        })
    }

    /// Gives the snapshot up and removes what was written.
    pub fn abandon(self) -> Result<()> {
        drop(self.encoder);
        self.temp.remove()
    }
}

impl PendingSnapshot {
    /// The file as it will be.
    #[must_use]
    pub fn file(&self) -> &SnapshotFile {
        &self.file
    }

    /// Gives it its name.
    fn publish(self, mark: Option<&MarkFile>) -> Result<WrittenSnapshot> {
        let (name, len) = (&self.file.name, self.file.len);
        if let Some(mark) = mark {
            mark.update(|m| {
                m.snapshots.insert(name.clone(), len);
            });
        }
        self.temp.rename(&self.dir.join(name))?;
        self.vfs.sync_dir(&self.dir).during("sync", &self.dir)?;
        Ok(WrittenSnapshot {
            file: self.file,
            content_len: self.content_len,
        })
    }

    /// The file as it will be, and its temporary name, which the caller will see to from here on.
    pub(crate) fn release(self) -> (SnapshotFile, String) {
        (self.file, self.temp.release())
    }
}

fn bad_snapshot(path: &Path, what: String) -> StorageError {
    StorageError::BadRecord {
        path: path.to_owned(),
        what: format!("the snapshot just written {what}"),
    }
}

/// Everything behind the tree's end marker: first seal, sections and their seals. `adler` covers the content up to
/// and with the end marker.
#[must_use]
pub fn encode_tail(tail: &SnapshotTail, adler: &mut Adler32) -> Vec<u8> {
    let mut out = encode_seal(adler);
    let section = |adler: &mut Adler32, out: &mut Vec<u8>, bytes: &[u8]| {
        adler.write(bytes);
        out.extend_from_slice(bytes);
        out.extend_from_slice(&encode_seal(adler));
    };
    if let Some(digest) = &tail.digest {
        let mut bytes = digest.zxid.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&digest.version.to_be_bytes());
        bytes.extend_from_slice(&digest.value.to_be_bytes());
        section(adler, &mut out, &bytes);
    }
    if let Some(zxid) = tail.last_processed {
        section(adler, &mut out, &zxid.0.to_be_bytes());
    }
    out
}

/// A seal over everything in `adler`, which then covers the seal, too.
#[must_use]
pub fn encode_seal(adler: &mut Adler32) -> Vec<u8> {
    let mut seal = u64::from(adler.finish()).to_be_bytes().to_vec();
    seal.extend_from_slice(&MARKER);
    adler.write(&seal);
    seal
}

/// The compressed bytes on their way to the file.
struct FileSink {
    file: Box<dyn VfsFile>,
    buffer: Vec<u8>,
    offset: u64,
    synced: u64,
}

impl FileSink {
    fn put(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        if self.offset - self.synced >= SYNC_STEP {
            self.file.sync_data()?;
            self.synced = self.offset;
        }
        Ok(())
    }

    fn flushed(mut self) -> io::Result<Self> {
        self.put()?;
        Ok(self)
    }
}

impl Write for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() + bytes.len() > BUFFER && !self.buffer.is_empty() {
            self.put()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.put()
    }
}

impl std::fmt::Debug for SnapshotWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotWriter")
            .field("temp", &self.temp.path())
            .finish_non_exhaustive()
    }
}
