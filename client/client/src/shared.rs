//! What a client's handles and its task have in common.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use tokio::sync::{broadcast, oneshot};
use tokio::time::Instant;
use tracing::field::display;
use tracing::info;
use zabra_cnxn::{After, CallError, Cnxn, Output, Reply, SessionState, Watched, WatcherId};
use zabra_jute::Encode;
use zabra_proto::{MonoMillis, OpCode};

use crate::events::Feed;
use crate::resolver::Resolver;
use crate::trace::Caller;
use crate::watch::Sink;

/// What a call waits for.
pub(crate) type Answer = oneshot::Receiver<Result<Reply, CallError>>;

/// The session, and the way to the task that carries its bytes.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What the session's milliseconds count from.
    start: Instant,
    inner: Mutex<Inner>,
    /// Wakes the task. Beside the rest, so that it is woken under no lock that it needs.
    waker: Mutex<Waker>,
    /// Whether it matters when a call was made: reading the clock for each is not for nothing.
    are_calls_timed: bool,
    /// How names of servers become addresses.
    pub(crate) resolver: Resolver,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) cnxn: Cnxn<Caller>,
    pub(crate) sinks: HashMap<WatcherId, Arc<Sink>>,
    pub(crate) states: broadcast::Sender<SessionState>,
    /// Who takes all events in their order.
    pub(crate) feeds: Vec<Weak<Feed>>,
    /// The server of the present link.
    pub(crate) server: Option<SocketAddr>,
    /// Whether the task must be woken to see what has changed.
    pub(crate) is_asleep: bool,
}

impl Shared {
    pub(crate) fn new(
        are_calls_timed: bool,
        resolver: Resolver,
        cnxn: impl FnOnce(MonoMillis) -> Cnxn<Caller>,
    ) -> Self {
        let inner = Inner {
            cnxn: cnxn(MonoMillis(0)),
            sinks: HashMap::new(),
            states: broadcast::Sender::new(STATES_KEPT),
            feeds: Vec::new(),
            server: None,
            is_asleep: false,
        };
        Self {
            start: Instant::now(),
            inner: Mutex::new(inner),
            waker: Mutex::new(Waker::noop().clone()),
            are_calls_timed,
            resolver,
        }
    }

    pub(crate) fn now(&self) -> MonoMillis {
        MonoMillis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn instant(&self, at: MonoMillis) -> Instant {
        // Rounded up: whoever wakes up then finds the deadline reached.
        self.start + std::time::Duration::from_millis(at.0)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves a session that is as good as one whose link broke.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request behind all earlier ones.
    pub(crate) fn call(
        &self,
        op: OpCode,
        path: &str,
        body: &impl Encode,
        after: impl FnOnce(&mut Inner) -> After,
    ) -> Result<Answer, CallError> {
        let (caller, answer, trace) = Caller::new(op, path);
        let now = if self.are_calls_timed {
            self.now()
        } else {
            MonoMillis(0)
        };
        let mut inner = self.lock();
        let after = after(&mut inner);
        match inner.cnxn.call(now, op, body, after, caller) {
            Ok(xid) => {
                let session = trace.is_on().then(|| inner.cnxn.session().0);
                self.wake(inner);
                if let Some(session) = session {
                    trace.made(xid, session);
                }
                Ok(answer)
            }
            Err((caller, error)) => {
                drop(inner);
                caller.tell(Err(error));
                Err(error)
            }
        }
    }

    /// Does something that the task must act upon.
    pub(crate) fn change<R>(&self, f: impl FnOnce(&mut Inner, MonoMillis) -> R) -> R {
        let now = self.now();
        let mut inner = self.lock();
        let result = f(&mut inner, now);
        self.wake(inner);
        result
    }

    /// Forgets a watch.
    pub(crate) fn unwatch(&self, path: &str, watcher: WatcherId) {
        self.change(|inner, now| {
            if inner.sinks.remove(&watcher).is_some() {
                inner.cnxn.unwatch(now, path, watcher);
            }
        });
    }
}

impl Shared {
    fn wake(&self, mut inner: MutexGuard<'_, Inner>) {
        let is_asleep = std::mem::take(&mut inner.is_asleep);
        drop(inner);
        if is_asleep {
            let waker = self.waker.lock();
            waker.unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
    }

    /// Takes the waker of the task, which is another one hardly ever.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut held = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone_from(waker);
    }

    /// Delivers outputs in their order; returns the servers that are to be asked whether they take writes.
    pub(crate) fn deliver(&self, outputs: &mut Vec<Output<Caller>>) -> Vec<zabra_cnxn::HostPort> {
        let mut probes = Vec::new();
        for output in outputs.drain(..) {
            match output {
                Output::Done { call, result } => call.tell(result),
                Output::Event { watchers, event } => self.event(&watchers, &event),
                Output::Unwatched { watcher, error } => {
                    let sink = self.lock().sinks.remove(&watcher);
                    if let Some(sink) = sink {
                        sink.end(error);
                    }
                }
                Output::State(state) => self.state(state),
                Output::Probe(host) => probes.push(host),
            }
        }
        probes
    }

    fn state(&self, state: SessionState) {
        let mut inner = self.lock();
        // Nobody may be listening.
        let _ = inner.states.send(state);
        inner.each_feed(|feed| feed.on_state(state));
        let (session, server) = (inner.cnxn.session().0, inner.server);
        let timeout_ms = inner.cnxn.timing().session_ms();
        drop(inner);
        let server = server.filter(|_| state.is_connected()).map(display);
        info!(?state, %session, timeout_ms, server, "the session's state");
    }

    fn event(&self, watchers: &[WatcherId], event: &Watched) {
        let mut inner = self.lock();
        if *event != Watched::Missed {
            inner.each_feed(|feed| feed.on_watched(event.clone()));
        }
        let sinks = watchers.iter().filter_map(|id| inner.sinks.get(id));
        let sinks: Vec<_> = sinks.cloned().collect();
        drop(inner);
        for sink in sinks {
            sink.put(event.clone());
        }
    }
}

impl Inner {
    fn each_feed(&mut self, f: impl Fn(&Feed)) {
        self.feeds.retain(|feed| {
            let feed = feed.upgrade();
            feed.inspect(|feed| f(feed)).is_some()
        });
    }
}

/// So many changes of state wait for a listener that does not listen; then the oldest are merged.
const STATES_KEPT: usize = 64;
