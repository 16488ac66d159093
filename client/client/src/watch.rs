//! Watches: one event, or a stream of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use zabra_cnxn::{CallError, Watched, WatcherId};
use zabra_proto::{EventKind, Zxid};

use crate::Error;
use crate::chroot::Chroot;
use crate::queue::Queue;
use crate::shared::Shared;

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchedEvent {
    /// Something happened to a znode.
    Znode {
        /// What.
        kind: EventKind,
        /// To which, below the chroot of the client.
        path: String,
        /// The transaction that did it, where the server tells: from 3.9 on, and not of what happened while there was no
        /// connection.
        zxid: Option<Zxid>,
    },
    /// Only on streams: there was no connection for a while, or more happened than was taken from the stream. Changes may
    /// have gone by untold: read again what matters.
    Missed,
}

impl WatchedEvent {
    pub(crate) fn new(event: Watched, chroot: &Chroot) -> Self {
        match event {
            Watched::Znode { kind, path, zxid } => Self::Znode {
                kind,
                path: chroot.strip(path),
                zxid,
            },
            Watched::Missed => Self::Missed,
        }
    }

    /// The znode; none of [`WatchedEvent::Missed`].
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Znode { path, .. } => Some(path),
            Self::Missed => None,
        }
    }

    /// What happened; none of [`WatchedEvent::Missed`].
    #[must_use]
    pub fn kind(&self) -> Option<EventKind> {
        match self {
            Self::Znode { kind, .. } => Some(*kind),
            Self::Missed => None,
        }
    }
}

/// Events on their way from the session to a watch.
#[derive(Debug)]
pub(crate) struct Sink {
    /// Of whom it is for.
    chroot: Chroot,
    /// Ends with the session's end, or without if the watch was removed.
    queue: Queue<WatchedEvent, Option<CallError>>,
}

impl Sink {
    pub(crate) fn new(chroot: Chroot) -> Self {
        Self {
            chroot,
            queue: Queue::default(),
        }
    }

    pub(crate) fn put(&self, event: Watched) {
        let event = WatchedEvent::new(event, &self.chroot);
        self.queue.put(event, || WatchedEvent::Missed);
    }

    pub(crate) fn end(&self, error: Option<CallError>) {
        self.queue.end(error);
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Result<WatchedEvent, Option<CallError>>> {
        self.queue.poll(cx)
    }
}

/// A watch that a call has asked for, from the call on. When it is dropped, the session forgets it.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sink: Arc<Sink>,
    pub(crate) watcher: WatcherId,
    /// As the server knows it.
    pub(crate) full_path: String,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.unwatch(&self.full_path, self.watcher);
    }
}

/// A watch for one event: a future of it.
///
/// It survives the loss of a connection; what happened in between is told as soon as there is one again. It fails with
/// [`Error::SessionExpired`], [`Error::AuthFailed`] or [`Error::Closed`] when the session ends, and with [`Error::Closed`] when it
/// was removed by [`Client::remove_watches`](crate::Client::remove_watches). Dropping it cancels the watch.
#[derive(Debug)]
#[must_use = "dropping it cancels the watch"]
pub struct OneshotWatch(pub(crate) Registered);

impl Future for OneshotWatch {
    type Output = Result<WatchedEvent, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.sink.poll(cx).map_err(ended)
    }
}

/// A watch that stays: a stream of events.
///
/// It survives the loss of a connection. Servers do not tell what happened in between, so the stream says
/// [`WatchedEvent::Missed`] then, and likewise if more than 65,536 events were not taken from it. Dropping it cancels the
/// watch; the server is told if it was the last one of this client at its path.
#[derive(Debug)]
#[must_use = "dropping it cancels the watch"]
pub struct WatchStream(pub(crate) Registered);

impl WatchStream {
    /// The next event. Cancel-safe: a future that is dropped takes no event.
    ///
    /// # Errors
    ///
    /// How the session ended; [`Error::Closed`] also when the watch was removed. Every later call says the same.
    pub async fn next(&mut self) -> Result<WatchedEvent, Error> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next event, as a poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<WatchedEvent, Error>> {
        self.0.sink.poll(cx).map_err(ended)
    }

    /// An event that has come already.
    pub fn try_next(&mut self) -> Option<WatchedEvent> {
        self.0.sink.queue.take()
    }
}

fn ended(error: Option<CallError>) -> Error {
    error.map_or(Error::Closed, |error| Error::of_call(error, ""))
}
