//! A link that can be cut and held up: between a client and whatever server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to a server, as long as it likes.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    refuses: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    /// Connections from before the last cut are over.
    cuts: u32,
    /// What servers say is kept back.
    is_held: bool,
}

impl Proxy {
    pub(crate) async fn to(server: &str) -> Self {
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, watched) = watch::channel(State::default());
        let refuses = Arc::new(AtomicBool::new(false));
        let refusing = Arc::clone(&refuses);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if refusing.load(Ordering::Relaxed) {
                    continue;
                }
                if let Ok(server) = TcpStream::connect(&server).await {
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::spawn(pass(from_client, to_server, watched.clone(), false));
                    tokio::spawn(pass(from_server, to_client, watched.clone(), true));
                }
            }
        });
        Self {
            address,
            state,
            refuses,
        }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Whether new connections are ended at once.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Keeps back what servers say.
    pub(crate) fn hold(&self, is_held: bool) {
        self.state.send_modify(|state| state.is_held = is_held);
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    may_be_held: bool,
) {
    let cuts = state.borrow_and_update().cuts;
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let len = tokio::select! {
            read = from.read(&mut bytes) => match read {
                Ok(len @ 1..) => len,
                _ => return,
            },
            _ = state.wait_for(|now| now.cuts != cuts) => return,
        };
        // What was read before it was held up is held up, too.
        let freed = state.wait_for(|now| now.cuts != cuts || !(may_be_held && now.is_held));
        match freed.await.map(|now| now.cuts) {
            Ok(now) if now == cuts => {}
            _ => return,
        }
        if to.write_all(&bytes[..len]).await.is_err() {
            return;
        }
    }
}
