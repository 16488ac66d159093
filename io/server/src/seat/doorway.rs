//! Connections coming in, bytes going out, connections going away.

use std::net::TcpStream;

use tracing::{info, warn};
use zabra_proto::{ConnId, MonoMillis};
use zabra_serve::Clients;

use crate::net::{
    Accepted, AddressLimits, Admission, Interest, Listener, Poller, SendOutcome, Sockets, Source,
};

/// The listeners and the sockets, beside the [`Clients`] whose bytes they move.
#[derive(Debug)]
pub(crate) struct Doorway {
    pub(crate) sockets: Sockets,
    listeners: Vec<Listener>,
    limits: AddressLimits,
    /// Set while no connection can be taken for want of descriptors.
    paused_until: Option<MonoMillis>,
    /// Connections refused for a limit.
    pub(crate) rejected: u64,
    /// Connections that ended.
    pub(crate) dropped: u64,
}

/// At most so many connections are accepted in a row: those that are there come first.
const ACCEPTS_PER_ROUND: usize = 128;
/// How long accepting rests when descriptors have run out.
const PAUSE_MS: u64 = 100;
/// How long the last bytes of a closing connection are waited for.
const LINGER_MS: u64 = 5_000;

impl Doorway {
    /// Watches the listeners.
    pub(crate) fn new(
        poller: Poller,
        listeners: Vec<Listener>,
        admission: Admission,
    ) -> std::io::Result<Self> {
        for (listener, number) in listeners.iter().zip(0..) {
            poller.add(listener, Source::Listener(number), Interest::READ)?;
        }
        Ok(Self {
            sockets: Sockets::new(poller),
            listeners,
            limits: AddressLimits::new(admission),
            paused_until: None,
            rejected: 0,
            dropped: 0,
        })
    }

    /// Accepts what waits at a listener.
    pub(crate) fn accept(&mut self, number: u32, clients: &mut Clients, now: MonoMillis) {
        for _ in 0..ACCEPTS_PER_ROUND {
            let Some(listener) = self.listeners.get(number as usize) else {
                return;
            };
            match listener.accept() {
                Accepted::Conn(stream, peer) => self.let_in(stream, peer, clients, now),
                Accepted::Nothing => return,
                Accepted::Exhausted(error) => {
                    warn!(%error, "no connection can be accepted for now");
                    self.paused_until = Some(now.after(PAUSE_MS));
                    self.watch_listeners(false);
                    return;
                }
            }
        }
    }

    fn let_in(
        &mut self,
        stream: TcpStream,
        peer: std::net::SocketAddr,
        clients: &mut Clients,
        now: MonoMillis,
    ) {
        if let Err(refused) = self.limits.admit(peer.ip()) {
            warn!("{refused}");
            self.rejected += 1;
            return;
        }
        let conn = clients.accept(peer, now);
        if let Err(error) = self.sockets.insert(conn, stream, peer.ip()) {
            warn!(%error, %peer, "a connection cannot be watched and is closed");
            clients.remove(conn);
            self.limits.release(peer.ip());
        }
    }

    /// Starts counting anew (`srst`).
    pub(crate) fn reset_counters(&mut self) {
        self.rejected = 0;
        self.dropped = 0;
    }

    /// When accepting is to be taken up again.
    pub(crate) fn paused_until(&self) -> Option<MonoMillis> {
        self.paused_until
    }

    /// Accepts no more: the server stops.
    pub(crate) fn stop_listening(&mut self) {
        self.listeners.clear();
    }

    fn watch_listeners(&self, read: bool) {
        for (listener, number) in self.listeners.iter().zip(0..) {
            let interest = Interest { read, write: false };
            if let Err(error) =
                self.sockets
                    .poller()
                    .change(listener, Source::Listener(number), interest)
            {
                warn!(%error, "a listener cannot be watched");
            }
        }
    }

    /// Sends what there is for the connections that have output, and closes those that are done.
    pub(crate) fn send_all(&mut self, clients: &mut Clients, now: MonoMillis) {
        for conn in clients.take_dirty() {
            self.send(conn, clients, now);
        }
    }

    /// Sends what there is for one connection.
    pub(crate) fn send(&mut self, conn: ConnId, clients: &mut Clients, now: MonoMillis) {
        let output = clients.output(conn);
        if !output.is_empty() {
            match self.sockets.send(conn, output) {
                SendOutcome::Sent(n) => clients.sent(conn, n),
                SendOutcome::Ended => return self.forget(conn, clients),
            }
        }
        let left = !clients.output(conn).is_empty();
        if clients
            .conn(conn)
            .is_some_and(|conn| conn.closing().is_some())
        {
            if !left {
                self.sockets.finish(conn);
                return self.forget(conn, clients);
            }
            self.sockets.linger(conn, now.after(LINGER_MS));
        }
        self.watch(conn, clients, |interest| interest.write = left);
    }

    /// Has the poller watch for something else. A connection that cannot be watched is closed.
    pub(crate) fn watch(
        &mut self,
        conn: ConnId,
        clients: &mut Clients,
        change: impl FnOnce(&mut Interest),
    ) {
        if let Err(error) = self.sockets.watch(conn, change) {
            warn!(%error, "a connection cannot be watched and is closed");
            self.forget(conn, clients);
        }
    }

    /// Closes a connection's socket and forgets it. Its session lives on until it expires.
    pub(crate) fn forget(&mut self, conn: ConnId, clients: &mut Clients) {
        if let Some(reason) = clients.conn(conn).and_then(|conn| conn.closing()) {
            tracing::debug!(?reason, "a connection is closed");
        }
        clients.remove(conn);
        if let Some(address) = self.sockets.remove(conn) {
            self.limits.release(address);
            self.dropped += 1;
            self.resume_accepting();
        }
    }

    /// Closes what has waited long enough, and accepts again after a pause.
    pub(crate) fn housekeep(&mut self, clients: &mut Clients, now: MonoMillis) {
        for conn in self.sockets.lingered_out(now) {
            self.forget(conn, clients);
        }
        if self.paused_until.is_some_and(|until| until <= now) {
            self.resume_accepting();
        }
    }

    fn resume_accepting(&mut self) {
        if self.paused_until.take().is_some() {
            info!("connections are accepted again");
            self.watch_listeners(true);
        }
    }
}
