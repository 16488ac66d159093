//! A TCP link between a client and a server that is cut on demand: at once, or after so many messages more, which loses a
//! request or its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A listener whose links go to one server after the other.
pub(crate) struct Proxy {
    port: u16,
    links: Arc<Links>,
    task: tokio::task::JoinHandle<()>,
}

struct Links {
    /// Counts the cuts; a link lives in one number.
    generation: watch::Sender<u64>,
    /// Messages until the next cut.
    budget: AtomicU64,
    /// Bytes from the server that were passed on.
    answered: AtomicU64,
}

impl Proxy {
    pub(crate) async fn start(servers: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let links = Arc::new(Links {
            generation: watch::Sender::new(0),
            budget: AtomicU64::new(u64::MAX),
            answered: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(listener, servers, Arc::clone(&links)));
        Self { port, links, task }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Bytes from the server that were passed on so far.
    pub(crate) fn answered(&self) -> u64 {
        self.links.answered.load(Ordering::SeqCst)
    }

    /// Cuts all links now.
    pub(crate) fn cut(&self) {
        self.links.cut();
    }

    /// Cuts all links after so many messages; the last one is lost.
    pub(crate) fn cut_after(&self, messages: u64) {
        self.links.budget.store(messages, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.links.cut();
    }
}

impl Links {
    fn cut(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// Whether one more message may pass.
    fn pass(&self) -> bool {
        let less = |budget: u64| {
            Some(if budget == 0 {
                u64::MAX
            } else {
                budget.saturating_sub(u64::from(budget != u64::MAX))
            })
        };
        let before = self
            .budget
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        if before == Ok(0) {
            self.cut();
            return false;
        }
        true
    }
}

async fn accept(listener: TcpListener, servers: Vec<SocketAddr>, links: Arc<Links>) {
    let mut next = servers.iter().cycle();
    while let (Ok((client, _)), Some(server)) = (listener.accept().await, next.next()) {
        let generation = links.generation.subscribe();
        let Ok(server) = TcpStream::connect(server).await else {
            continue;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (there, back) = (Arc::clone(&links), Arc::clone(&links));
        tokio::spawn(carry(
            from_client,
            to_server,
            there,
            generation.clone(),
            false,
        ));
        tokio::spawn(carry(from_server, to_client, back, generation, true));
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    links: Arc<Links>,
    mut generation: watch::Receiver<u64>,
    is_answer: bool,
) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = tokio::select! {
            biased;
            _ = generation.changed() => break,
            read = from.read(&mut bytes) => read,
        };
        match read {
            Ok(length @ 1..) if links.pass() => {
                if is_answer {
                    links.answered.fetch_add(length as u64, Ordering::SeqCst);
                }
                if to.write_all(&bytes[..length]).await.is_err() {
                    break;
                }
            }
            _ => break,
        }
    }
    // The other direction ends when its socket does.
    let _ = to.shutdown().await;
}
