//! A leader's history as it comes in behind SNAP: its snapshot, and the txns behind that, up to NEWLEADER.
//!
//! ```text
//! stream of the snapshot · PROPOSAL, COMMIT, INFORM, PING in any order · NEWLEADER
//! └─ zabra-tmp-snapshot ─┘└────────────── zabra-tmp-log ─────────────┘
//! ```
//!
//! The snapshot alone may be older than what this server has logged and acknowledged; only with what follows does it hold
//! everything that was ever committed. So both are taken in, and nothing is given up for them before both are whole:
//! until then an [`Incoming`] is a few temporary files, and may be dropped at any time (P12). [`adopt_history`] then
//! replaces the one history by the other, at once.
//!
//! What the packets mean is not judged here. They are handed out again ([`PendingHistory`]'s owner gets them from
//! [`Incoming::finish`]), for the state machine that takes them in the usual way; what it then appends to the log is found
//! to be there already ([`TxnLog::restart_adopted`]).
//!
//! [`adopt_history`]: crate::adopt_history
//! [`TxnLog::restart_adopted`]: crate::TxnLog::restart_adopted

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use zabra_jute::{Encode, Limits};
use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::Zxid;
use zabra_proto::quorum_packet::{Message, PacketReader, QuorumPacket};

use crate::dirs::DataDirs;
use crate::error::{During, Result, StorageError};
use crate::mark::Segment;
use crate::names::{Compression, log_name};
use crate::record::{LOG_HEADER, adler32, encode_record, follows, payload_zxid};
use crate::snapshot::{PendingSnapshot, Refusal, SnapshotSink, SnapshotTail, SnapshotWriter};
use crate::stream::{StreamError, StreamReader};
use crate::temp::TempFile;
use crate::vfs::{Vfs, VfsFile};

/// A history that is coming in. Dropping it removes its files.
pub struct Incoming {
    vfs: Arc<dyn Vfs>,
    log_dir: PathBuf,
    owner: String,
    stream: StreamReader,
    streams: bool,
    writer: Option<SnapshotWriter>,
    packets: PacketReader,
    log: Option<StagedLog>,
    /// The last txn that came, or the snapshot's.
    last: Zxid,
    snapshot_zxid: Zxid,
    txns: VecDeque<(Zxid, u32)>,
    /// The packets behind the stream, to be handed out again.
    rest: Vec<u8>,
    ended: bool,
}

/// Why a history does not come in. The one that was there is untouched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IncomingError {
    /// The snapshot is none.
    #[error("the leader's snapshot is not usable: {0}")]
    Stream(#[from] StreamError),
    /// What follows is not packets, or not a history.
    #[error("what the leader sent behind its snapshot is not usable: {0}")]
    Packets(String),
    /// The sink does not take it.
    #[error("the leader's snapshot is no tree: {0}")]
    Refused(#[from] Refusal),
    /// It did not come to its end.
    #[error("the leader's snapshot and what belongs to it did not come to their end: {0}")]
    Link(#[source] io::Error),
    /// It cannot be written down.
    #[error("the leader's history cannot be kept: {0}")]
    Disk(#[from] StorageError),
}

/// A history that is whole, verified and on stable storage under temporary names. Dropping it removes the files.
#[derive(Debug)]
pub struct PendingHistory {
    pub(crate) snapshot: PendingSnapshot,
    pub(crate) log: Option<PendingLog>,
    pub(crate) txns: VecDeque<(Zxid, u32)>,
}

/// A snapshot that holds everything.
impl From<PendingSnapshot> for PendingHistory {
    fn from(snapshot: PendingSnapshot) -> Self {
        Self {
            snapshot,
            log: None,
            txns: VecDeque::new(),
        }
    }
}

/// A history that has just become this server's.
#[derive(Debug)]
pub struct AdoptedHistory {
    /// The snapshot's.
    pub zxid: Zxid,
    /// The txns behind it that are in the log already, with their checksums.
    pub(crate) txns: VecDeque<(Zxid, u32)>,
}

/// At most so many bytes of packets are kept until NEWLEADER; a sane log holds far less behind a snapshot.
const REST_MAX: usize = i32::MAX as usize;

impl Incoming {
    /// Begins with the zxid of the SNAP packet. `owner` tells apart what comes in at the same time; `limits` are those of
    /// packets.
    pub fn begin(
        owner: &str,
        vfs: &Arc<dyn Vfs>,
        dirs: &DataDirs,
        zxid: Zxid,
        compression: Compression,
        limits: Limits,
    ) -> Result<Self> {
        let writer =
            SnapshotWriter::begin_as(owner, Arc::clone(vfs), dirs.snap(), zxid, compression)?;
        Ok(Self {
            vfs: Arc::clone(vfs),
            log_dir: dirs.log().to_owned(),
            owner: owner.to_owned(),
            stream: StreamReader::new(),
            streams: true,
            writer: Some(writer),
            packets: PacketReader::new(limits),
            log: None,
            last: zxid,
            snapshot_zxid: zxid,
            txns: VecDeque::new(),
            rest: Vec::new(),
            ended: false,
        })
    }

    /// Takes the next bytes of the link, in any pieces. True once NEWLEADER is among them; what is pushed from then on is
    /// kept and handed out with the rest. After an error it is of no use any more.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        sink: &mut dyn SnapshotSink,
    ) -> std::result::Result<bool, IncomingError> {
        if self.streams {
            let Some(taken) = self.stream.push(bytes, sink, self.writer.as_mut())? else {
                return Ok(false);
            };
            // The stream says nothing of what else is in it.
            sink.tail(&SnapshotTail::default())?;
            self.streams = false;
            self.ended = mutant::on(Mutant::SnapshotWithoutRest);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        if self.ended {
            self.rest.extend_from_slice(bytes);
            return Ok(true);
        }
        let mut packets = std::mem::replace(&mut self.packets, PacketReader::new(Limits::DEFAULT));
        packets.push(bytes);
        while !self.ended {
            let next = packets.next_packet();
            let Some(packet) = next.map_err(|e| IncomingError::Packets(e.to_string()))? else {
                break;
            };
            self.packet(packet)?;
        }
        if self.ended {
            self.rest.extend_from_slice(packets.rest());
        } else {
            self.packets = packets;
        }
        Ok(self.ended)
    }

    fn packet(&mut self, packet: QuorumPacket<'_>) -> std::result::Result<(), IncomingError> {
        packet.encode(&mut self.rest);
        if self.rest.len() > REST_MAX {
            return Err(IncomingError::Packets("it is too long".to_owned()));
        }
        let message = packet.message();
        match message.map_err(|e| IncomingError::Packets(e.to_string()))? {
            Message::Proposal { zxid, txn }
            | Message::Inform { zxid, txn }
            | Message::InformAndActivate { zxid, txn, .. } => self.txn(zxid, txn),
            Message::Commit { .. } | Message::CommitAndActivate { .. } | Message::Ping { .. } => {
                Ok(())
            }
            // NEWLEADER. What else may come here is judged by who gets it.
            _ => {
                self.ended = true;
                Ok(())
            }
        }
    }

    fn txn(&mut self, zxid: Zxid, txn: &[u8]) -> std::result::Result<(), IncomingError> {
        // Apache's leader may repeat what is in its snapshot (P20).
        if zxid <= self.snapshot_zxid {
            return Ok(());
        }
        if !follows(self.last, zxid) || payload_zxid(txn) != Some(zxid) {
            return Err(IncomingError::Packets(format!(
                "txn {zxid} does not follow {}",
                self.last
            )));
        }
        let log = match &mut self.log {
            Some(log) => log,
            none => none.insert(StagedLog::begin(
                &self.vfs,
                &self.log_dir,
                &self.owner,
                zxid,
            )?),
        };
        log.append(txn)?;
        self.txns.push_back((zxid, adler32(txn)));
        self.last = zxid;
        Ok(())
    }

    /// Bytes of the snapshot's stream so far.
    #[must_use]
    pub fn stream_offset(&self) -> u64 {
        self.stream.offset()
    }

    /// Verifies the files and makes them durable, once [`Self::push`] has returned true; and hands out the packets that
    /// came behind the snapshot, NEWLEADER among them, with what was pushed behind them. Takes as long as reading the
    /// snapshot back does.
    pub fn finish(mut self) -> std::result::Result<(PendingHistory, Vec<u8>), IncomingError> {
        let writer = self.writer.take().filter(|_| self.ended);
        let Some(writer) = writer else {
            return Err(IncomingError::Link(io::ErrorKind::UnexpectedEof.into()));
        };
        let last = self.last;
        let log = self.log.take().map(|log| log.finish(last)).transpose()?;
        let history = PendingHistory {
            snapshot: writer.finish_pending(&SnapshotTail::default())?,
            log,
            txns: std::mem::take(&mut self.txns),
        };
        Ok((history, std::mem::take(&mut self.rest)))
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("snapshot_zxid", &self.snapshot_zxid)
            .field("last", &self.last)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// A segment in the making, under a temporary name.
#[derive(Debug)]
struct StagedLog {
    file: Box<dyn VfsFile>,
    pending: PendingLog,
    buffer: Vec<u8>,
}

/// A whole segment on stable storage under a temporary name. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct PendingLog {
    temp: TempFile,
    segment: Segment,
}

/// Bytes after which a part of the segment is written and synced.
const WRITE_STEP: usize = 1 << 20;

impl StagedLog {
    fn begin(vfs: &Arc<dyn Vfs>, dir: &Path, owner: &str, first: Zxid) -> Result<Self> {
        let name = log_name(first);
        let (temp, file) = TempFile::create(Arc::clone(vfs), dir, &format!("{owner}{name}"))?;
        let segment = Segment {
            name,
            len: 0,
            last: Zxid::ZERO,
        };
        Ok(Self {
            file,
            pending: PendingLog { temp, segment },
            buffer: LOG_HEADER.to_vec(),
        })
    }

    fn append(&mut self, txn: &[u8]) -> Result<()> {
        encode_record(txn, &mut self.buffer);
        if self.buffer.len() < WRITE_STEP {
            return Ok(());
        }
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        let PendingLog { temp, segment } = &mut self.pending;
        self.file
            .write_all_at(&self.buffer, segment.len)
            .and_then(|()| self.file.sync_data())
            .during("write", temp.path())?;
        segment.len += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self, last: Zxid) -> Result<PendingLog> {
        self.write()?;
        self.pending.segment.last = last;
        Ok(self.pending)
    }
}

impl PendingLog {
    /// The segment as it will be, and its temporary name, which the caller will see to from here on.
    pub(crate) fn release(self) -> (Segment, String) {
        (self.segment, self.temp.release())
    }
}
