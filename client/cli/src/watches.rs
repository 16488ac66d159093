//! The watches of this session, and what is printed when one of them fires.
//!
//! Apache's shell has one watcher for everything: an event is printed once, however many watches of the path ask for it,
//! and a watch that is set twice is one watch. Here each watch is a handle of its own, so both are seen to, and the
//! order of the events is found again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use zabra_client::{OneshotWatch, SessionState, WatchStream, WatchedEvent};
use zabra_proto::{EventKind, RemoveWatchesKind, Zxid};

use crate::screen::Screen;

/// How many printed events are remembered, to print each once.
const REMEMBERED: usize = 64;

/// How long further events are waited for after one, to print them in their order.
const GATHERING: Duration = Duration::from_millis(5);

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
    /// To the task that prints.
    news: UnboundedSender<News>,
}

/// What the task that prints is told.
enum News {
    Event(Event),
    /// Somebody waits until all before it is printed.
    Flush(oneshot::Sender<()>),
}

/// An event of a znode.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    /// Servers before 3.9 do not tell it.
    zxid: Option<Zxid>,
    kind: EventKind,
    path: String,
}

impl Event {
    /// In the order of the transactions; of one transaction, what happened to the znode before what its parent sees.
    fn order(&self) -> (Option<Zxid>, bool) {
        (self.zxid, self.kind == EventKind::NodeChildrenChanged)
    }
}

impl Watches {
    /// No watches yet. Called in a runtime.
    pub(crate) fn new(screen: Arc<Screen>) -> Self {
        let (news, received) = mpsc::unbounded_channel();
        let inner = Inner {
            screen,
            on: AtomicBool::new(true),
            held: Mutex::default(),
            news,
        };
        let watches = Self {
            inner: Arc::new(inner),
        };
        tokio::spawn(watches.clone().print_events(received));
        watches
    }

    /// Prints events as they come, in their order, each once.
    async fn print_events(self, mut received: UnboundedReceiver<News>) {
        // Events of servers that tell no zxid cannot be told apart, and are not among these.
        let mut printed = VecDeque::with_capacity(REMEMBERED);
        while let Some(first) = received.recv().await {
            if matches!(first, News::Event(_)) {
                tokio::time::sleep(GATHERING).await;
            }
            let (mut events, mut waiting) = (Vec::new(), Vec::new());
            let mut next = Some(first);
            while let Some(news) = next {
                match news {
                    News::Event(event) => events.push(event),
                    News::Flush(sender) => waiting.push(sender),
                }
                next = received.try_recv().ok();
            }
            events.sort_by_key(Event::order);
            for event in events {
                if printed.contains(&event) {
                    continue;
                }
                let zxid = event.zxid.map_or(-1, Zxid::to_wire);
                self.print(
                    "SyncConnected",
                    event_name(event.kind),
                    Some(&event.path),
                    zxid,
                );
                if event.zxid.is_some() {
                    printed.truncate(REMEMBERED - 1);
                    printed.push_front(event);
                }
            }
            for sender in waiting {
                // Whoever waited may have given up.
                let _ = sender.send(());
            }
        }
    }

    /// Waits until all events that have come are printed.
    pub(crate) async fn flush(&self) {
        // The tasks of watches that were woken come before this one.
        let _ = tokio::spawn(async {}).await;
        let (sender, printed) = oneshot::channel();
        if self.inner.news.send(News::Flush(sender)).is_ok() {
            let _ = printed.await;
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
                watches.on_event(event);
            }
        });
    }

    /// Holds a watch that stays.
    pub(crate) fn lasting(&self, path: &str, kind: Kind, mut stream: WatchStream) {
        self.hold(path, kind, |watches, _| async move {
            while let Ok(event) = stream.next().await {
                watches.on_event(event);
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

    fn on_event(&self, event: WatchedEvent) {
        // After a loss of the connection the state is printed; Apache's shell says no more either.
        if let WatchedEvent::Znode { kind, path, zxid } = event {
            // The task that prints ends with the program.
            let _ = self
                .inner
                .news
                .send(News::Event(Event { zxid, kind, path }));
        }
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
        let is_expected = matches!(name, "SyncConnected" | "ConnectedReadOnly" | "Closed");
        // A program that reads values wants those of its commands, and to hear what goes wrong.
        if !(is_expected && self.inner.screen.is_json()) {
            self.print(name, "None", None, -1);
        }
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

/// An event for programs; -1 is no zxid.
pub(crate) fn event_json(name: &str, path: Option<&str>, zxid: i64) -> Value {
    let zxid = (zxid != -1).then(|| crate::json::hex(zxid));
    json!({ "event": { "type": name, "path": path, "zxid": zxid } })
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
