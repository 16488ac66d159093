//! The watches of this session, and what is printed when one of them fires.
//!
//! Apache's shell has one watcher for everything: an event is printed once, however many watches of the path ask for it,
//! and a watch that is set twice is one watch. So what is printed comes from the one stream of the session's events, as far as a
//! watch is held here that it is for; a command that follows a subtree has a watch of its own.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use zabra_client::{Events, OneshotWatch, SessionEvent, SessionState, WatchStream, WatchedEvent};
use zabra_proto::{EventKind, RemoveWatchesKind};

use crate::screen::Screen;

/// How many events for nobody are remembered: a watch is held only after the call that set it.
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

    /// Whether a watch of this kind at `own` hears it.
    fn hears(self, own: &str, event: EventKind, path: &str) -> bool {
        let is_of_children = event == EventKind::NodeChildrenChanged;
        match self {
            Self::Data | Self::Exist => own == path && !is_of_children,
            Self::Child => own == path && (is_of_children || event == EventKind::NodeDeleted),
            Self::Persistent => own == path,
            Self::Recursive => {
                let below = path.strip_prefix(own.trim_end_matches('/'));
                !is_of_children
                    && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }

    const fn is_one_shot(self) -> bool {
        matches!(self, Self::Data | Self::Exist | Self::Child)
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
    held: Mutex<Held>,
    /// To the task that prints; none before the first session.
    flushes: Mutex<Option<UnboundedSender<oneshot::Sender<()>>>>,
}

#[derive(Default)]
struct Held {
    watches: BTreeMap<(String, Kind), Handle>,
    /// The latest events that were for none of them.
    unheard: VecDeque<WatchedEvent>,
}

/// What is dropped to end a watch.
type Handle = Box<dyn Send>;

impl Held {
    /// Takes note of an event; whether a watch is held that it is for.
    fn on_event(&mut self, kind: EventKind, path: &str) -> bool {
        let mut is_heard = false;
        self.watches.retain(|(own, watch), _| {
            let hears = watch.hears(own, kind, path);
            is_heard |= hears;
            !(hears && watch.is_one_shot())
        });
        is_heard
    }

    /// Whether a watch is held that this is for.
    fn hears(&self, event: &WatchedEvent) -> bool {
        let (Some(kind), Some(path)) = (event.kind(), event.path()) else {
            return false;
        };
        let mut keys = self.watches.keys();
        keys.any(|(own, watch)| watch.hears(own, kind, path))
    }

    /// Whether this event has gone by for nobody.
    fn take_unheard(&mut self, event: &WatchedEvent) -> bool {
        let at = self.unheard.iter().position(|other| other == event);
        at.and_then(|at| self.unheard.remove(at)).is_some()
    }
}

impl Watches {
    /// No watches yet.
    pub(crate) fn new(screen: Arc<Screen>) -> Self {
        let inner = Inner {
            screen,
            on: AtomicBool::new(true),
            held: Mutex::default(),
            flushes: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Prints what watches of a session hear from now on. Called in a runtime.
    pub(crate) fn listen(&self, events: Events) {
        let (sender, asked) = mpsc::unbounded_channel();
        *self.flushes() = Some(sender);
        tokio::spawn(self.clone().print_events(events, asked));
    }

    /// Prints events as they come, and says so to those who wait for it.
    async fn print_events(
        self,
        mut events: Events,
        mut asked: UnboundedReceiver<oneshot::Sender<()>>,
    ) {
        let mut is_over = false;
        loop {
            tokio::select! {
                biased;
                event = events.next(), if !is_over => match event {
                    Some(event) => self.on_event(event),
                    None => is_over = true,
                },
                sender = asked.recv() => match sender {
                    // All that had come before is printed. Whoever waited may have given up.
                    Some(sender) => drop(sender.send(())),
                    None => return,
                },
            }
        }
    }

    /// Waits until all events that have come are printed.
    pub(crate) async fn flush(&self) {
        let (sender, printed) = oneshot::channel();
        let asked = self.flushes().as_ref().map(|flushes| flushes.send(sender));
        if let Some(Ok(())) = asked {
            let _ = printed.await;
        }
    }

    fn flushes(&self) -> MutexGuard<'_, Option<UnboundedSender<oneshot::Sender<()>>>> {
        let flushes = self.inner.flushes.lock();
        flushes.unwrap_or_else(PoisonError::into_inner)
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
    pub(crate) fn once(&self, path: &str, kind: Kind, mut watch: OneshotWatch) {
        let mut held = self.held();
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(fired) = Pin::new(&mut watch).poll(&mut context) {
            // The event has gone by for nobody, or for another watch as well, or is still on its way to the task.
            let Ok(event) = fired else {
                return;
            };
            if held.take_unheard(&event) {
                self.print_event(event);
                return;
            }
            if held.hears(&event) {
                return;
            }
        }
        let key = (path.to_owned(), kind);
        held.watches.entry(key).or_insert_with(|| Box::new(watch));
    }

    /// Holds a watch that stays.
    pub(crate) fn lasting(&self, path: &str, kind: Kind, mut stream: WatchStream) {
        let mut held = self.held();
        while let Some(event) = stream.try_next() {
            if held.take_unheard(&event) {
                self.print_event(event);
            }
        }
        let key = (path.to_owned(), kind);
        held.watches.entry(key).or_insert_with(|| {
            let mut task = tokio::task::JoinSet::new();
            // What it hears is printed from the session's stream.
            task.spawn(async move { while stream.next().await.is_ok() {} });
            Box::new(task)
        });
    }

    /// The server has removed watches: each is forgotten, and told of.
    pub(crate) fn removed(&self, path: &str, kind: RemoveWatchesKind) {
        let gone: Vec<&'static str> = {
            let mut held = self.held();
            let meant = Kind::ALL.into_iter().filter(|own| own.is_meant_by(kind));
            let gone = meant.filter_map(|own| {
                held.watches.remove(&(path.to_owned(), own))?;
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
        *self.held() = Held::default();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.inner
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn on_event(&self, event: SessionEvent) {
        // After a loss of the connection the state is printed; Apache's shell says no more either.
        let SessionEvent::Watched(event @ WatchedEvent::Znode { .. }) = event else {
            return;
        };
        let (Some(kind), Some(path)) = (event.kind(), event.path()) else {
            return;
        };
        let mut held = self.held();
        if held.on_event(kind, path) {
            self.print_event(event);
        } else {
            held.unheard.truncate(REMEMBERED - 1);
            held.unheard.push_front(event);
        }
    }

    fn print_event(&self, event: WatchedEvent) {
        if let WatchedEvent::Znode { kind, path, zxid } = event {
            let zxid = zxid.map_or(-1, zabra_proto::Zxid::to_wire);
            self.print("SyncConnected", event_name(kind), Some(&path), zxid);
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
