//! One link between a leader and a learner, at either end.

use std::net::SocketAddr;

use zabra_jute::Limits;
use zabra_proto::quorum_packet::PacketReader;
use zabra_proto::{MonoMillis, Sid, Zxid};
use zabra_zab::LinkId;

use super::socket::Socket;

/// A socket with the packets that come over it, and who has its directions just now.
#[derive(Debug)]
pub(crate) struct QuorumLink {
    pub(super) id: LinkId,
    pub(super) socket: Socket,
    pub(super) from: SocketAddr,
    /// Whom this server connected to; none if it was connected to.
    pub(super) dialled: Option<Sid>,
    pub(super) reader: PacketReader,
    pub(super) incoming: Incoming,
    /// A thread sends the history that the learner lacks; what the peer sends waits in the socket's output.
    pub(super) is_lent: bool,
    pub(super) is_dirty: bool,
    /// Set once the peer has closed it and only its last bytes are waited for.
    pub(super) closes_by: Option<MonoMillis>,
    /// Until then a first packet must come.
    pub(super) speaks_by: Option<MonoMillis>,
}

/// Who reads from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// The poller: packets.
    Packets,
    /// A SNAP came; nobody reads on before what the peer wants done is done.
    Paused(Zxid),
    /// A thread, which takes in a snapshot.
    Snapshot,
}

impl QuorumLink {
    pub(super) fn new(
        id: LinkId,
        socket: Socket,
        from: SocketAddr,
        dialled: Option<Sid>,
        limits: Limits,
    ) -> Self {
        Self {
            id,
            socket,
            from,
            dialled,
            reader: PacketReader::new(limits),
            incoming: Incoming::Packets,
            is_lent: false,
            is_dirty: false,
            closes_by: None,
            speaks_by: None,
        }
    }

    /// Whether packets of it still go to the peer.
    pub(super) fn is_heard(&self) -> bool {
        self.incoming == Incoming::Packets && self.closes_by.is_none()
    }

    /// Whether a thread works with its socket.
    pub(super) fn is_shared(&self) -> bool {
        self.is_lent || self.incoming == Incoming::Snapshot
    }
}
