//! The watches of this session, and what is printed when one of them fires.
//!
//! Apache's shell has one watcher for everything: an event is printed once, however many watches of the path ask for it,
//! and a watch that is set twice is one watch. Here each watch is a handle of its own, so both are seen to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::task::AbortHandle;
use zabra_client::{OneshotWatch, SessionState, WatchStream, WatchedEvent};
use zabra_proto::{EventKind, RemoveWatchesKind, Zxid};

use crate::screen::Screen;

/// How many printed events are remembered, to print each once.
const REMEMBERED: usize = 64;

/// A kind of watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Data of a znode that exists.
    Data,
    /// The creation of a znode.
    Exist,
    /// The children of a znode.
    Child,
    /// Everything at a path.
    Persistent,
    /// Everything at a path and below.
    Recursive,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Data,
        Self::Exist,
        Self::Child,
        Self::Persistent,
        Self::Recursive,
    ];

    fn is_meant_by(self, kind: RemoveWatchesKind) -> bool {
        match kind {
            RemoveWatchesKind::Any => true,
            RemoveWatchesKind::Data => matches!(self, Self::Data | Self::Exist),
            RemoveWatchesKind::Children => self == Self::Child,
            RemoveWatchesKind::Persistent => self == Self::Persistent,
            RemoveWatchesKind::PersistentRecursive => self == Self::Recursive,
        }
    }

    /// What is told when a watch of this kind is removed.
    const fn removal_name(self) -> &'static str {
        match self {
            Self::Data | Self::Exist => "DataWatchRemoved",
            Self::Child => "ChildWatchRemoved",
            Self::Persistent | Self::Recursive => "PersistentWatchRemoved",
        }
    }
}

/// The watches of a session. Clones are the same.
#[derive(Clone)]
pub(crate) struct Watches {
    inner: Arc<Inner>,
}

struct Inner {
    screen: Arc<Screen>,
    /// `printwatches`.
    on: AtomicBool,
    held: Mutex<BTreeMap<(String, Kind), AbortHandle>>,
    /// What was printed last. Events of servers that tell no zxid are not among them: they cannot be told apart.
    printed: Mutex<VecDeque<(EventKind, String, Zxid)>>,
}

impl Watches {
    /// No watches yet.
    pub(crate) fn new(screen: Arc<Screen>) -> Self {
        let inner = Inner {
            screen,
            on: AtomicBool::new(true),
            held: Mutex::default(),
            printed: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Whether events are printed.
    pub(crate) fn is_on(&self) -> bool {
        self.inner.on.load(Ordering::Relaxed)
    }

    /// Says whether events are printed.
    pub(crate) fn set_on(&self, on: bool) {
        self.inner.on.store(on, Ordering::Relaxed);
    }

    /// Holds a watch for one event.
    pub(crate) fn once(&self, path: &str, kind: Kind, watch: OneshotWatch) {
        self.hold(path, kind, |watches, key| async move {
            if let Ok(event) = watch.await {
                watches.held().remove(&key);
                watches.on_event(&event);
            }
        });
    }

    /// Holds a watch that stays.
    pub(crate) fn lasting(&self, path: &str, kind: Kind, mut stream: WatchStream) {
        self.hold(path, kind, |watches, _| async move {
            while let Ok(event) = stream.next().await {
                watches.on_event(&event);
            }
        });
    }

    fn hold<F: Future<Output = ()> + Send + 'static>(
        &self,
        path: &str,
        kind: Kind,
        run: impl FnOnce(Self, (String, Kind)) -> F,
    ) {
        let key = (path.to_owned(), kind);
        let mut held = self.held();
        if held.get(&key).is_none_or(AbortHandle::is_finished) {
            let task = tokio::spawn(run(self.clone(), key.clone()));
            held.insert(key, task.abort_handle());
        }
    }

    /// The server has removed watches: each is forgotten, and told of.
    pub(crate) fn removed(&self, path: &str, kind: RemoveWatchesKind) {
        let gone: Vec<&'static str> = {
            let mut held = self.held();
            let meant = Kind::ALL.into_iter().filter(|own| own.is_meant_by(kind));
            let gone = meant.filter_map(|own| {
                let task = held.remove(&(path.to_owned(), own))?;
                task.abort();
                Some(own.removal_name())
            });
            gone.collect()
        };
        for name in gone {
            self.print("SyncConnected", name, Some(path), -1);
        }
    }

    /// The session has ended, and its watches with it.
    pub(crate) fn clear(&self) {
        for (_, task) in std::mem::take(&mut *self.held()) {
            task.abort();
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<(String, Kind), AbortHandle>> {
        self.inner
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn on_event(&self, event: &WatchedEvent) {
        // After a loss of the connection the state is printed; Apache's shell says no more either.
        let WatchedEvent::Znode { kind, path, zxid } = event else {
            return;
        };
        if let Some(zxid) = zxid {
            let mut printed = self
                .inner
                .printed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let this = (*kind, path.clone(), *zxid);
            if printed.contains(&this) {
                return;
            }
            printed.truncate(REMEMBERED - 1);
            printed.push_front(this);
        }
        self.print(
            "SyncConnected",
            event_name(*kind),
            Some(path),
            zxid.map_or(-1, Zxid::to_wire),
        );
    }

    /// The session's state has changed.
    pub(crate) fn on_state(&self, state: SessionState) {
        let name = match state {
            SessionState::Connected => "SyncConnected",
            SessionState::ReadOnly => "ConnectedReadOnly",
            SessionState::Suspended => "Disconnected",
            SessionState::Expired => "Expired",
            SessionState::AuthFailed => "AuthFailed",
            SessionState::Closed => "Closed",
            SessionState::Connecting | SessionState::Lost => return,
        };
        self.print(name, "None", None, -1);
    }

    fn print(&self, state: &str, name: &str, path: Option<&str>, zxid: i64) {
        if !self.is_on() {
            return;
        }
        let at = path.unwrap_or("null");
        let text =
            format!("\nWATCHER::\n\nWatchedEvent state:{state} type:{name} path:{at} zxid: {zxid}");
        let mut value = event_json(name, path, zxid);
        value["event"]["state"] = json!(state);
        self.inner.screen.event(&text, &value);
    }
}

/// Apache's name of an event.
pub(crate) const fn event_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::NodeCreated => "NodeCreated",
        EventKind::NodeDeleted => "NodeDeleted",
        EventKind::NodeDataChanged => "NodeDataChanged",
        EventKind::NodeChildrenChanged => "NodeChildrenChanged",
    }
}

/// An event for programs.
pub(crate) fn event_json(name: &str, path: Option<&str>, zxid: i64) -> Value {
    json!({ "event": { "type": name, "path": path, "zxid": crate::json::hex(zxid) } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_means_some_kinds() {
        let meant = |kind| -> Vec<Kind> {
            Kind::ALL
                .into_iter()
                .filter(|own| own.is_meant_by(kind))
                .collect()
        };
        assert_eq!(meant(RemoveWatchesKind::Any), Kind::ALL);
        assert_eq!(meant(RemoveWatchesKind::Data), [Kind::Data, Kind::Exist]);
        assert_eq!(
            meant(RemoveWatchesKind::PersistentRecursive),
            [Kind::Recursive]
        );
    }
}
