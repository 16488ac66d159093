//! Client connections of a process.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use zabra_peer::Input;
use zabra_proto::{ConnId, SessionId};
use zabra_serve::Conn;

use super::{Fate, Process};
use crate::network::{Side, StreamId};
use crate::surroundings::Surroundings;

/// Which connection is on which stream.
#[derive(Debug, Default)]
pub(super) struct Conns {
    of_stream: BTreeMap<StreamId, ConnId>,
    of_conn: BTreeMap<ConnId, StreamId>,
    /// Those with output that their clients do not take.
    untaken: BTreeSet<ConnId>,
}

impl Conns {
    fn forget(&mut self, conn: ConnId) -> Option<StreamId> {
        self.untaken.remove(&conn);
        let stream = self.of_conn.remove(&conn)?;
        self.of_stream.remove(&stream);
        Some(stream)
    }
}

impl Process {
    /// A client connected.
    pub(crate) fn on_client(&mut self, stream: StreamId, around: &mut Surroundings) {
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
        let conn = self.clients.accept(remote, self.now(around).mono);
        self.conns.of_stream.insert(stream, conn);
        self.conns.of_conn.insert(conn, stream);
    }

    /// Whether the stream is a client's.
    pub(crate) fn has_client(&self, stream: StreamId) -> bool {
        self.conns.of_stream.contains_key(&stream)
    }

    /// Bytes of a client.
    pub(crate) fn on_client_bytes(
        &mut self,
        stream: StreamId,
        bytes: &[u8],
        around: &mut Surroundings,
    ) -> Fate {
        let now = self.now(around);
        let Some(conn) = self.conns.of_stream.get(&stream).copied() else {
            return Fate::Runs;
        };
        let Self {
            clients,
            peer,
            effects,
            replica,
            ..
        } = self;
        let mut upstream = |input: Input<'_>| peer.step(now, input, &replica.tree, effects);
        clients.on_bytes(conn, bytes, replica, now.mono, &mut upstream);
        let session = clients.conn(conn).map(|conn| conn.session());
        if let Some(session) = session.filter(|session| *session != SessionId::NONE) {
            around.check.heard_of(self.at, session, around.kernel.now());
        }
        self.settle(around)
    }

    /// A client's connection is gone.
    pub(crate) fn on_client_gone(&mut self, stream: StreamId, around: &mut Surroundings) -> Fate {
        let Some(conn) = self.conns.of_stream.get(&stream).copied() else {
            return Fate::Runs;
        };
        self.conns.forget(conn);
        self.clients.remove(conn);
        around.net.close(&mut around.kernel, stream, Side::Acceptor);
        self.settle(around)
    }

    pub(super) fn resume_conns(&mut self, around: &mut Surroundings) {
        let now = self.now(around);
        let Self {
            clients,
            peer,
            effects,
            replica,
            ..
        } = self;
        let mut upstream = |input: Input<'_>| peer.step(now, input, &replica.tree, effects);
        clients.resume(replica, now.mono, &mut upstream);
    }

    /// Sends what there is for clients, and closes what is to be closed. Whether there was anything.
    pub(super) fn send_to_clients(&mut self, around: &mut Surroundings) -> bool {
        let mut todo = self.clients.take_dirty();
        let is_any = !todo.is_empty();
        todo.extend(std::mem::take(&mut self.conns.untaken));
        for conn in &todo {
            let stream = self.conns.of_conn.get(conn);
            let is_closing = self.clients.conn(*conn).and_then(Conn::closing).is_some();
            if !is_closing && stream.is_some_and(|stream| around.slow_readers.contains(stream)) {
                self.conns.untaken.insert(*conn);
                continue;
            }
            let bytes = self.clients.output(*conn).to_vec();
            self.clients.sent(*conn, bytes.len());
            if let Some(stream) = self.conns.of_conn.get(conn) {
                let (kernel, net) = (&mut around.kernel, &mut around.net);
                net.send(kernel, *stream, Side::Acceptor, bytes);
            }
            if is_closing {
                self.clients.remove(*conn);
                if let Some(stream) = self.conns.forget(*conn) {
                    let (kernel, net) = (&mut around.kernel, &mut around.net);
                    net.close(kernel, stream, Side::Acceptor);
                }
            }
        }
        is_any
    }
}
