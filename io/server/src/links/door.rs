//! The listening side of a port for other servers.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};

use tracing::{info, warn};
use zabra_proto::MonoMillis;

use crate::net::{Accepted, Interest, Listener, Poller, Source};

/// Listeners by the number under which the poller reports them.
#[derive(Debug, Default)]
pub(crate) struct Door {
    listeners: BTreeMap<u32, Listener>,
    /// Set while no connection can be taken for want of descriptors (pitfalls P74).
    paused_until: Option<MonoMillis>,
}

/// At most so many connections are taken in a row.
const ACCEPTS_PER_ROUND: usize = 16;
/// How long accepting rests when descriptors have run out.
const PAUSE_MS: u64 = 100;

impl Door {
    /// Listens on one more socket.
    pub(crate) fn open(
        &mut self,
        number: u32,
        listener: Listener,
        source: Source,
        poller: &Poller,
    ) -> std::io::Result<()> {
        poller.add(&listener, source, Interest::READ)?;
        self.listeners.insert(number, listener);
        Ok(())
    }

    pub(crate) fn has(&self, number: u32) -> bool {
        self.listeners.contains_key(&number)
    }

    /// Takes connections that wait at one listener.
    pub(crate) fn accept(&mut self, number: u32, now: MonoMillis) -> Vec<(TcpStream, SocketAddr)> {
        let mut taken = Vec::new();
        let Some(listener) = self.listeners.get(&number) else {
            return taken;
        };
        while taken.len() < ACCEPTS_PER_ROUND {
            match listener.accept() {
                Accepted::Conn(stream, from) => taken.push((stream, from)),
                Accepted::Nothing => break,
                Accepted::Exhausted(error) => {
                    warn!(%error, "no connection of another server can be accepted for now");
                    self.paused_until = Some(now.after(PAUSE_MS));
                    break;
                }
            }
        }
        taken
    }

    /// Whether the listeners are not to be looked at for now.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused_until.is_some()
    }

    /// When accepting is to be taken up again.
    pub(crate) fn deadline(&self) -> Option<MonoMillis> {
        self.paused_until
    }

    /// Takes up accepting again, if it is time.
    pub(crate) fn on_time(&mut self, now: MonoMillis) -> bool {
        let is_over = self.paused_until.take_if(|until| *until <= now).is_some();
        if is_over {
            info!("connections of other servers are accepted again");
        }
        is_over
    }

    /// Has the poller watch the listeners, or not.
    pub(crate) fn watch(&self, is_watched: bool, source: fn(u32) -> Source, poller: &Poller) {
        let interest = Interest {
            read: is_watched,
            write: false,
        };
        for (number, listener) in &self.listeners {
            if let Err(error) = poller.change(listener, source(*number), interest) {
                warn!(%error, "a listener cannot be watched");
            }
        }
    }

    /// Where it listens.
    #[cfg(test)]
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.values().map(Listener::address).collect()
    }
}
