//! Watches of the model that stay: each txn below their path is an event, and what happens without a connection is not told.

use tokio::sync::mpsc;
use zabra_client::{Error as ClientError, EventKind, WatchedEvent};

use super::tree::{Change, Txn};

/// How a client hears of it.
pub(crate) type Tell = mpsc::UnboundedSender<Result<WatchedEvent, ClientError>>;

/// A watch that stays.
#[derive(Debug)]
pub(crate) struct Stream {
    path: String,
    is_recursive: bool,
    tell: Tell,
}

impl Stream {
    pub(crate) fn new(path: &str, is_recursive: bool, tell: Tell) -> Self {
        Self {
            path: path.to_owned(),
            is_recursive,
            tell,
        }
    }

    /// What it says of a txn.
    pub(crate) fn events(&self, txn: &Txn) -> Vec<WatchedEvent> {
        let event = |change: &Change| {
            let (kind, path) = match change {
                Change::Create { path, .. } => (EventKind::NodeCreated, path),
                Change::Set { path, .. } => (EventKind::NodeDataChanged, path),
                Change::Delete { path } => (EventKind::NodeDeleted, path),
            };
            let event = WatchedEvent::Znode {
                kind,
                path: path.clone(),
                zxid: None,
            };
            self.covers(path).then_some(event)
        };
        txn.0.iter().filter_map(event).collect()
    }

    fn covers(&self, path: &str) -> bool {
        match path.strip_prefix(&self.path) {
            Some("") => true,
            Some(below) => self.is_recursive && below.starts_with('/'),
            None => false,
        }
    }

    /// Whether the client has dropped it.
    pub(crate) fn is_closed(&self) -> bool {
        self.tell.is_closed()
    }

    pub(crate) fn tell(&self, event: Result<WatchedEvent, ClientError>) {
        // Whether anybody listens is the client's affair.
        drop(self.tell.send(event));
    }
}
