//! All that happens to a session, in one order.

use std::sync::Arc;

use zabra_cnxn::{SessionState, Watched};

use crate::chroot::Chroot;
use crate::queue::Queue;
use crate::watch::WatchedEvent;

/// Something that happened to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// Its state has changed.
    State(SessionState),
    /// Something happened that it watches: told once, however many of its watches it is for. [`WatchedEvent::Missed`] means that
    /// more happened than was taken from the stream; that a connection was lost is told by the states.
    Watched(WatchedEvent),
}

/// A stream of all that happens to a session, in the order in which its connection saw it: an event of a watch comes before a
/// later change of state, and two events come in the order of the server, whichever watches they are for.
///
/// It watches nothing by itself: that is done by the watches, which must be kept. Up to 65,536 events wait to be taken.
#[derive(Debug)]
pub struct Events(pub(crate) Arc<Feed>);

/// Events on their way to a stream.
#[derive(Debug)]
pub(crate) struct Feed {
    chroot: Chroot,
    queue: Queue<SessionEvent, ()>,
}

impl Events {
    /// The next event; `None` after a final state. Cancel-safe: a future that is dropped takes no event.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        std::future::poll_fn(|cx| self.0.queue.poll(cx)).await.ok()
    }

    /// An event that has come already. What came before the answer to a call is there when the call ends.
    pub fn try_next(&mut self) -> Option<SessionEvent> {
        self.0.queue.take()
    }
}

impl Feed {
    pub(crate) fn new(chroot: Chroot) -> Self {
        Self {
            chroot,
            queue: Queue::default(),
        }
    }

    pub(crate) fn on_watched(&self, event: Watched) {
        self.put(SessionEvent::Watched(WatchedEvent::new(
            event,
            &self.chroot,
        )));
    }

    pub(crate) fn on_state(&self, state: SessionState) {
        self.put(SessionEvent::State(state));
        if state.is_final() {
            self.queue.end(());
        }
    }

    fn put(&self, event: SessionEvent) {
        let missed = || SessionEvent::Watched(WatchedEvent::Missed);
        self.queue.put(event, missed);
    }
}
