//! Taking in the snapshot that a leader sends behind SNAP.

use std::fmt;
use std::io::{self, Read};

use thiserror::Error;
use zabra_proto::Zxid;
use zabra_serve::Replica;
use zabra_storage::{
    PendingSnapshot, Refusal, SnapshotSink, SnapshotTail, SnapshotWriter, StorageError,
    StreamError, StreamReader,
};

use super::HistoryFiles;
use crate::run::SnapshotLoader;

/// A snapshot that is coming in: into a tree, and into a file under a temporary name. Nothing that is there is touched.
/// Dropping it removes the file.
pub struct Intake {
    zxid: Zxid,
    reader: StreamReader,
    loader: SnapshotLoader,
    writer: Option<SnapshotWriter>,
    ended: bool,
}

/// How far an intake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All bytes were taken, and more belong to it.
    More,
    /// The snapshot ended after so many of the bytes; what follows are packets.
    Ended(usize),
}

/// A snapshot that was taken in to its end, verified, and made durable under a temporary name. Dropping it removes that.
pub struct Received {
    zxid: Zxid,
    replica: Box<Replica>,
    snapshot: PendingSnapshot,
}

/// Why a snapshot was not taken in. The history on disk is as it was.
#[derive(Debug, Error)]
pub enum IntakeError {
    /// What the leader sent is no snapshot of a tree.
    #[error("the leader's snapshot is not usable: {0}")]
    Stream(#[from] StreamError),
    /// It is no tree.
    #[error("the leader's snapshot is no tree: {0}")]
    NoTree(#[from] Refusal),
    /// The link broke.
    #[error("the leader's snapshot did not come to its end: {0}")]
    Link(#[source] io::Error),
    /// It cannot be written down.
    #[error("the leader's snapshot cannot be kept: {0}")]
    Disk(#[from] StorageError),
}

impl Intake {
    /// Begins with the zxid of the SNAP packet.
    pub fn begin(files: &HistoryFiles, zxid: Zxid) -> Result<Self, IntakeError> {
        let name = format!("received-{}", files.next_number());
        let writer = SnapshotWriter::begin_as(
            &name,
            files.vfs.clone(),
            files.dirs.snap(),
            zxid,
            files.options.compression,
        )?;
        Ok(Self {
            zxid,
            reader: StreamReader::new(),
            loader: SnapshotLoader::new(files.options.tree),
            writer: Some(writer),
            ended: false,
        })
    }

    /// Takes the next bytes of the link.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Progress, IntakeError> {
        if self.ended {
            return Ok(Progress::Ended(0));
        }
        let end = self
            .reader
            .push(bytes, &mut self.loader, self.writer.as_mut())?;
        self.ended = end.is_some();
        Ok(end.map_or(Progress::More, Progress::Ended))
    }

    /// Verifies and keeps it, once [`Progress::Ended`] was returned. Takes as long as reading the file back does.
    pub fn finish(mut self) -> Result<Received, IntakeError> {
        let writer = self.writer.take().filter(|_| self.ended);
        let Some(writer) = writer else {
            return Err(IntakeError::Link(io::ErrorKind::UnexpectedEof.into()));
        };
        // The stream says nothing of what else is in it, and neither does the file, so that whoever loads it knows no
        // more than we do.
        let tail = SnapshotTail::default();
        let snapshot = writer.finish_pending(&tail)?;
        self.loader.tail(&tail)?;
        let replica = self.loader.finish(self.zxid)?;
        Ok(Received {
            zxid: self.zxid,
            replica: Box::new(replica),
            snapshot,
        })
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // If the file cannot be removed now, the next start will.
            let _ = writer.abandon();
        }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("zxid", &self.zxid)
            .field("offset", &self.reader.offset())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("zxid", &self.zxid)
            .finish_non_exhaustive()
    }
}

impl Received {
    /// The zxid of the SNAP packet.
    #[must_use]
    pub fn zxid(&self) -> Zxid {
        self.zxid
    }

    pub(super) fn into_parts(self) -> (Zxid, Box<Replica>, PendingSnapshot) {
        (self.zxid, self.replica, self.snapshot)
    }
}

/// Takes in a whole snapshot from a link that blocks, which should give up reading after a time in which nothing came.
/// Returns with it what was read behind it: the beginning of the next packets.
pub fn receive_snapshot(
    files: &HistoryFiles,
    zxid: Zxid,
    link: &mut dyn Read,
) -> Result<(Received, Vec<u8>), IntakeError> {
    let mut intake = Intake::begin(files, zxid)?;
    let mut buf = vec![0; READ_LEN];
    loop {
        let n = match link.read(&mut buf) {
            Ok(0) => return Err(IntakeError::Link(io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(IntakeError::Link(e)),
        };
        let bytes = buf.get(..n).unwrap_or_default();
        if let Progress::Ended(at) = intake.push(bytes)? {
            let rest = bytes.get(at..).unwrap_or_default().to_vec();
            return Ok((intake.finish()?, rest));
        }
    }
}

const READ_LEN: usize = 256 << 10;
