//! Taking in the history that a leader sends with SNAP.

use std::fmt;
use std::io::{self, Read};

use zabra_proto::Zxid;
use zabra_serve::Replica;
use zabra_storage::{Incoming, IncomingError, PendingHistory};

use super::HistoryFiles;
use crate::run::SnapshotLoader;

/// A history that is coming in behind SNAP: the snapshot into a tree and a temporary file, the transactions up to NEWLEADER
/// into another one. Nothing that is there is touched; dropping it removes the files.
///
/// It ends with NEWLEADER and not with the snapshot, since that may be older than what this server has acknowledged: see
/// [`Incoming`].
pub struct Intake {
    zxid: Zxid,
    incoming: Incoming,
    loader: SnapshotLoader,
}

/// A history that was taken in to its end, verified, and made durable under temporary names. Dropping it removes them.
pub struct Received {
    zxid: Zxid,
    replica: Box<Replica>,
    history: Box<PendingHistory>,
    rest: Vec<u8>,
}

impl Intake {
    /// Begins with the zxid of the SNAP packet.
    pub fn begin(files: &HistoryFiles, zxid: Zxid) -> Result<Self, IncomingError> {
        let owner = format!("received-{}-", files.next_number());
        let options = &files.options;
        let incoming = Incoming::begin(
            &owner,
            &files.vfs,
            &files.dirs,
            zxid,
            options.compression,
            options.packet_limits,
        )?;
        Ok(Self {
            zxid,
            incoming,
            loader: SnapshotLoader::new(options.tree),
        })
    }

    /// Takes the next bytes of the link, all of them. True once NEWLEADER is among them: then comes [`Self::finish`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool, IncomingError> {
        self.incoming.push(bytes, &mut self.loader)
    }

    /// Verifies and keeps it. Takes as long as reading the snapshot back does.
    pub fn finish(mut self) -> Result<Received, IncomingError> {
        let (history, rest) = self.incoming.finish()?;
        Ok(Received {
            zxid: self.zxid,
            replica: Box::new(self.loader.finish(self.zxid)?),
            history: Box::new(history),
            rest,
        })
    }
}

impl Received {
    /// The zxid of the SNAP packet.
    #[must_use]
    pub fn zxid(&self) -> Zxid {
        self.zxid
    }

    pub(super) fn into_parts(self) -> (PendingHistory, Box<Replica>, Vec<u8>) {
        (*self.history, self.replica, self.rest)
    }
}

/// Takes in a whole history from a link that blocks, which should give up reading after a time in which nothing came.
/// Everything that was read from the link comes out again with [`Outcome::Installed`](super::Outcome::Installed).
pub fn receive_snapshot(
    files: &HistoryFiles,
    zxid: Zxid,
    link: &mut dyn Read,
) -> Result<Received, IncomingError> {
    let mut intake = Intake::begin(files, zxid)?;
    let mut buf = vec![0; READ_LEN];
    loop {
        match link.read(&mut buf) {
            Ok(0) => return Err(IncomingError::Link(io::ErrorKind::UnexpectedEof.into())),
            Ok(n) if intake.push(buf.get(..n).unwrap_or_default())? => return intake.finish(),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(IncomingError::Link(e)),
        }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("incoming", &self.incoming)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("zxid", &self.zxid)
            .field("rest", &self.rest.len())
            .finish_non_exhaustive()
    }
}

const READ_LEN: usize = 256 << 10;
