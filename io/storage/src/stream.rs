//! The snapshot that a leader sends a learner behind SNAP (quorum 10.1): a snapshot file's body and a signature, without
//! header, seals and sections.
//!
//! Nothing in the stream says how long it is or that it came over whole, but for its end marker and signature. So what
//! [`StreamReader`] hands on counts only once it has seen both, and [`send_snapshot`] writes both only after the seals of
//! the file that it reads have proved right.

use std::io;
use std::path::Path;

use thiserror::Error;

use crate::error::StorageError;
use crate::snapshot::{
    Body, BodyError, Discard, MARKER, Refusal, SnapshotError, SnapshotFile, SnapshotSink,
    SnapshotTail, SnapshotWriter, Step, read_snapshot_raw,
};
use crate::vfs::Vfs;

/// What stands behind the end marker: the ustring `BenWasHere`.
const SIGNATURE: [u8; 14] = *b"\0\0\0\x0aBenWasHere";

/// Takes a snapshot from bytes as they arrive, in any pieces.
#[derive(Debug)]
pub struct StreamReader {
    body: Body,
    /// The beginning of a record that has not arrived in full.
    held: Vec<u8>,
    /// With fewer bytes than this held nothing more can be said.
    need: usize,
    /// Bytes of the stream that are done with.
    offset: u64,
    /// Set with the end marker: how much of the signature was seen.
    signature: Option<usize>,
}

/// Why a stream is no snapshot, or cannot be kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// It is not as a server would have written it.
    #[error("it is damaged at byte {offset}: {what}")]
    Damaged {
        /// Offset in the stream.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The sink does not take it.
    #[error("it is not accepted at byte {offset}: {why}")]
    Refused {
        /// Offset in the stream.
        offset: u64,
        /// The sink's words.
        why: Refusal,
    },
    /// The writer failed.
    #[error(transparent)]
    Writer(#[from] StorageError),
}

impl Default for StreamReader {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamReader {
    /// At the first byte behind the SNAP packet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            body: Body::new(),
            held: Vec::new(),
            need: 0,
            offset: 0,
            signature: None,
        }
    }

    /// Takes bytes. What they complete goes to the sink, and its bytes to the writer, if there is one; its end marker is
    /// the writer's own to set. Once the stream has ended, says how many of these bytes belonged to it.
    ///
    /// Memory grows with what has arrived of one record only, never with what a length claims (R13). After an error
    /// nothing can be made of the rest.
    pub fn push(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn SnapshotSink,
        mut writer: Option<&mut SnapshotWriter>,
    ) -> Result<Option<usize>, StreamError> {
        let before = self.held.len();
        self.held.extend_from_slice(bytes);
        if self.held.len() < self.need {
            return Ok(None);
        }
        let held = std::mem::take(&mut self.held);
        let mut at = 0;
        if self.signature.is_none() {
            let (body_len, ended) = self.body(&held, sink)?;
            if let Some(writer) = &mut writer {
                writer.chunk(held.get(..body_len).unwrap_or_default())?;
            }
            at = body_len;
            if ended {
                at += MARKER.len();
                self.offset += MARKER.len() as u64;
                self.signature = Some(0);
            }
        }
        let rest = held.get(at..).unwrap_or_default();
        if let Some(seen) = self.signature {
            let seen = self.signature(seen, rest)?;
            self.signature = Some(seen.total);
            // What was held before belonged to the stream: only of the new bytes can some be left.
            return Ok((seen.total == SIGNATURE.len()).then(|| at + seen.taken - before));
        }
        self.held = rest.to_vec();
        Ok(None)
    }

    /// Takes whole records from the front; how many bytes they are, and whether the end marker follows.
    fn body(
        &mut self,
        bytes: &[u8],
        sink: &mut dyn SnapshotSink,
    ) -> Result<(usize, bool), StreamError> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match self.body.step(rest, sink) {
                Ok(Step::Need(n)) => {
                    self.need = n;
                    return Ok((at, false));
                }
                Ok(Step::Took(n)) => {
                    at += n;
                    self.offset += n as u64;
                }
                Ok(Step::Ended) => {
                    self.need = 0;
                    return Ok((at, true));
                }
                Err(error) => return Err(self.error(error)),
            }
        }
    }

    fn signature(&mut self, seen: usize, bytes: &[u8]) -> Result<Seen, StreamError> {
        let missing = SIGNATURE.get(seen..).unwrap_or_default();
        let same = missing.iter().zip(bytes).take_while(|(a, b)| a == b);
        let taken = same.count();
        self.offset += taken as u64;
        if taken < missing.len().min(bytes.len()) {
            return Err(self.error(BodyError::Damaged("the signature is wrong")));
        }
        Ok(Seen {
            taken,
            total: seen + taken,
        })
    }

    fn error(&self, error: BodyError) -> StreamError {
        let offset = self.offset;
        match error {
            BodyError::Damaged(what) => StreamError::Damaged { offset, what },
            BodyError::Refused(why) => StreamError::Refused { offset, why },
        }
    }

    /// Bytes of the stream so far, without those of a record that has not arrived in full.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

/// How much of the signature there is.
struct Seen {
    taken: usize,
    total: usize,
}

/// Why a snapshot was not sent to its end. What was sent of it is no snapshot to whoever receives it.
#[derive(Debug, Error)]
pub enum SendError {
    /// The file is not good.
    #[error("the snapshot {0}")]
    Snapshot(#[from] SnapshotError),
    /// The link does not take it.
    #[error(transparent)]
    Link(io::Error),
}

/// Sends a snapshot file as a stream, record by record: `link` sees small pieces. The end marker and the signature go only
/// when the whole file has proved good.
pub fn send_snapshot(
    vfs: &dyn Vfs,
    dir: &Path,
    file: &SnapshotFile,
    link: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<SnapshotTail, SendError> {
    let mut broken = None;
    let sent = read_snapshot_raw(vfs, dir, file, &mut Discard, &mut |bytes| {
        link(bytes).map_err(|error| {
            let kind = error.kind();
            broken = Some(error);
            kind.into()
        })
    });
    if let Some(error) = broken {
        return Err(SendError::Link(error));
    }
    let tail = sent?;
    link(&MARKER).map_err(SendError::Link)?;
    link(&SIGNATURE).map_err(SendError::Link)?;
    Ok(tail)
}
