//! A local copy of a znode or a subtree, kept up to date by one watch; the shell of [`crate::decide::mirror`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, RwLock};
use std::task::Poll;

use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use zabra_client::{AddWatchMode, Error as ClientError, ErrorCode, EventKind, Stat, WatchedEvent};

use crate::decide::mirror::{CacheEvent, Depth, Hint, Mirror, Node, Read, join};
use crate::error::{Error, Lost};
use crate::patient::is_passing;
use crate::session::{Session, Stream};
use crate::sessions::Sessions;

/// What a cache holds and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheOptions {
    /// One znode or all below it.
    pub depth: Depth,
    /// The most it may hold, in bytes: data, paths, and about 200 for each znode. More ends it with [`Error::TooLarge`].
    pub bytes_max: usize,
}

impl Default for CacheOptions {
    /// A subtree of at most 64 MiB.
    fn default() -> Self {
        Self {
            depth: Depth::Subtree,
            bytes_max: 64 << 20,
        }
    }
}

/// A local copy that follows the server; the meaning of Curator's `CuratorCache`.
///
/// - Guaranteed: what it holds was there, never goes back, and becomes what is there when changes stop; after
///   [`CacheEvent::Initialized`] everything that was there at the start has been told. After a lost connection or in a new
///   session it compares Stats: of small znodes many in one request, of others one by one and their data only if it changed.
/// - Not guaranteed: that each change is seen. Of several in a row on one znode, the last one is.
#[derive(Debug)]
pub struct Cache {
    root: String,
    nodes: Arc<RwLock<Nodes>>,
    events: broadcast::Sender<CacheEvent>,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

type Nodes = BTreeMap<String, Arc<Node>>;

#[derive(Debug, Clone)]
enum State {
    Filling,
    Initialized,
    Ended(Error),
}

/// Changes of a cache, in their order.
#[derive(Debug)]
pub struct CacheEvents(broadcast::Receiver<CacheEvent>);

impl CacheEvents {
    /// The next change. Cancel safe.
    ///
    /// # Errors
    /// [`Missed`]: so many were not taken in time that some were left out, or the cache has ended.
    pub async fn next(&mut self) -> Result<CacheEvent, Missed> {
        self.0.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(count) => Missed::Some(count),
            broadcast::error::RecvError::Closed => Missed::Ended,
        })
    }
}

/// Why the next event is not the next change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// So many changes were left out; look at [`Cache::nodes`].
    Some(u64),
    /// There will be no more.
    Ended,
}

impl Cache {
    /// Copies from now on. The events from here on can be had by calling [`Cache::events`] at once.
    #[must_use]
    pub fn start(sessions: impl Into<Sessions>, root: &str, options: CacheOptions) -> Self {
        let nodes = Arc::new(RwLock::new(Nodes::new()));
        let events = broadcast::Sender::new(EVENTS_KEPT);
        let (tell, state) = watch::channel(State::Filling);
        let filler = Filler {
            mirror: Mirror::new(root, options.depth, options.bytes_max),
            root: root.to_owned(),
            depth: options.depth,
            reads: Vec::new(),
            is_stopped: false,
            cut_short: 0,
            nodes: Arc::clone(&nodes),
            events: events.clone(),
            tell,
        };
        Self {
            root: root.to_owned(),
            nodes,
            events,
            state,
            task: tokio::spawn(filler.run(sessions.into())),
        }
    }

    /// Waits until everything that was there at the start is copied.
    ///
    /// # Errors
    /// The session has ended and there is no other, the server refuses, or the copy would be too large.
    pub async fn initialized(&self) -> Result<(), Error> {
        let mut state = self.state.clone();
        let settled = state
            .wait_for(|state| !matches!(state, State::Filling))
            .await;
        match settled.as_deref() {
            Ok(State::Ended(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Lost::Released.into()),
        }
    }

    /// Waits until it copies no more, and says why.
    pub async fn ended(&self) -> Error {
        let mut state = self.state.clone();
        match state
            .wait_for(|state| matches!(state, State::Ended(_)))
            .await
            .as_deref()
        {
            Ok(State::Ended(error)) => error.clone(),
            _ => Lost::Released.into(),
        }
    }

    /// The root of the copy.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// A znode of the copy.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Arc<Node>> {
        self.read(|nodes| nodes.get(path).cloned())
    }

    /// All znodes of the copy in the order of their paths.
    #[must_use]
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.read(|nodes| nodes.values().cloned().collect())
    }

    /// The znodes right below a path.
    #[must_use]
    pub fn children(&self, path: &str) -> Vec<Arc<Node>> {
        let begin = join(path, "");
        self.read(|nodes| {
            let below = nodes
                .range(begin.clone()..)
                .take_while(|(path, _)| path.starts_with(&begin));
            let children = below
                .filter(|(path, _)| path.len() > begin.len() && !path[begin.len()..].contains('/'));
            children.map(|(_, node)| Arc::clone(node)).collect()
        })
    }

    /// Changes from now on. At most 4,096 wait to be taken.
    #[must_use]
    pub fn events(&self) -> CacheEvents {
        CacheEvents(self.events.subscribe())
    }

    fn read<T>(&self, look: impl FnOnce(&Nodes) -> T) -> T {
        // A panic of the writer leaves a map that is whole.
        look(
            &self
                .nodes
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The answer to a read.
enum Answer {
    Whole(Option<(Vec<u8>, Stat)>),
    Probe(Option<Stat>),
    Children(Option<(Vec<String>, Stat)>),
}

type Answers = Result<Vec<(String, Answer)>, ClientError>;
type Reading = Pin<Box<dyn Future<Output = Answers> + Send>>;

/// The task that fills the copy.
struct Filler {
    mirror: Mirror,
    root: String,
    depth: Depth,
    /// Requests under way. Invariant: at most [`READS_MAX`] and one.
    reads: Vec<Reading>,
    /// Without a connection; a new pass is to come.
    is_stopped: bool,
    /// How many passes in a row were cut short.
    cut_short: u32,
    nodes: Arc<RwLock<Nodes>>,
    events: broadcast::Sender<CacheEvent>,
    tell: watch::Sender<State>,
}

impl Filler {
    async fn run(mut self, sessions: Sessions) {
        loop {
            let Err(error) = self.fill(&sessions).await;
            if let Some(Err(error)) = sessions.settled::<Infallible>(Err(error)) {
                self.tell.send_replace(State::Ended(error));
                return;
            }
        }
    }

    async fn fill(&mut self, sessions: &Sessions) -> Result<Infallible, Error> {
        let patient = sessions.patient().await?;
        let session = patient.session();
        let mode = match self.depth {
            Depth::Node => AddWatchMode::Persistent,
            Depth::Subtree => AddWatchMode::PersistentRecursive,
        };
        let mut watch = patient.stream(&self.root, mode).await?;
        self.begin_pass(session);
        loop {
            self.begin_reads(session);
            self.publish();
            match next(&mut watch, &mut self.reads).await {
                Next::Event(Err(error)) => return Err(error.into()),
                Next::Event(Ok(WatchedEvent::Missed)) => self.begin_pass(session),
                Next::Event(Ok(WatchedEvent::Znode { kind, path, .. })) => match kind {
                    EventKind::NodeCreated | EventKind::NodeDataChanged => {
                        self.mirror.on_event(&path, Hint::Set)
                    }
                    EventKind::NodeDeleted => self.mirror.on_event(&path, Hint::Gone),
                    _ => {}
                },
                Next::Answers(Ok(answers)) => {
                    for (path, answer) in answers {
                        self.take(&path, answer)?;
                    }
                }
                // The watch says when there is a connection again.
                Next::Answers(Err(ClientError::ConnectionLoss)) => self.stop_reading(),
                Next::Answers(Err(error)) if is_passing(&error) => self.begin_pass(session),
                Next::Answers(Err(error)) => return Err(error.into()),
            }
        }
    }

    fn begin_pass(&mut self, session: &Session) {
        self.reads.clear();
        self.reads.push(catch_up(session, &self.root));
        self.is_stopped = false;
        self.cut_short = match self.mirror.is_passing() {
            true => self.cut_short.saturating_add(1),
            false => 0,
        };
        self.mirror.on_gap();
    }

    fn stop_reading(&mut self) {
        self.reads.clear();
        self.is_stopped = true;
    }

    fn begin_reads(&mut self, session: &Session) {
        while !self.is_stopped && self.reads.len() < READS_MAX {
            let mut small = Vec::new();
            let other = loop {
                match self.mirror.next_read() {
                    Some(Read::Probe(path)) if self.is_batching() && self.is_small(&path) => {
                        small.push(path);
                        if small.len() == BATCH_MAX {
                            break None;
                        }
                    }
                    other => break other,
                }
            };
            if small.is_empty() && other.is_none() {
                return;
            }
            let looks = (!small.is_empty()).then(|| look_at(session, small));
            self.reads.extend(looks);
            self.reads.extend(other.map(|other| begin(session, other)));
        }
    }

    /// Whether several znodes may be looked at in one request. After some passes in vain perhaps not: znodes that have grown
    /// can make an answer too long, which costs the connection.
    const fn is_batching(&self) -> bool {
        self.cut_short < CUT_SHORT_MAX
    }

    fn is_small(&self, path: &str) -> bool {
        let node = self.mirror.nodes().get(path);
        node.is_some_and(|node| node.data.len() <= SMALL_LEN_MAX)
    }

    fn take(&mut self, path: &str, answer: Answer) -> Result<(), Error> {
        match answer {
            Answer::Whole(answer) => {
                self.mirror
                    .on_whole(path, answer)
                    .map_err(|_| Error::TooLarge {
                        path: self.root.clone(),
                    })?
            }
            Answer::Probe(answer) => self.mirror.on_probe(path, answer),
            Answer::Children(answer) => self.mirror.on_children(path, answer),
        }
        Ok(())
    }

    /// Tells what changed, first in the copy that others see.
    fn publish(&mut self) {
        while let Some(change) = self.mirror.next_change() {
            {
                let mut nodes = self
                    .nodes
                    .write()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                match &change {
                    CacheEvent::Created(node) | CacheEvent::Changed { after: node, .. } => {
                        nodes.insert(node.path.clone(), Arc::clone(node));
                    }
                    CacheEvent::Deleted(node) => drop(nodes.remove(&node.path)),
                    CacheEvent::Initialized => {}
                }
            }
            if change == CacheEvent::Initialized {
                self.tell.send_replace(State::Initialized);
            }
            // Nobody may be listening.
            let _ = self.events.send(change);
        }
    }
}

/// Reads several small znodes in one request: data of so few bytes is as soon told as that it has not changed.
fn look_at(session: &Session, paths: Vec<String>) -> Reading {
    let all = session.begin_gets(&paths);
    Box::pin(async move {
        let results = paths.into_iter().zip(all.await?);
        let answers = results.map(|(path, result)| match result {
            Ok(value) => Ok((path, Answer::Whole(Some(value)))),
            Err(ErrorCode::NO_NODE) => Ok((path, Answer::Whole(None))),
            Err(code) => Err(ClientError::Server(code, path)),
        });
        answers.collect()
    })
}

/// Makes a read; the request leaves at once.
fn begin(session: &Session, read: Read) -> Reading {
    match read {
        Read::Whole(path) => {
            let value = session.begin_get(&path);
            Box::pin(async move { Ok(vec![(path, Answer::Whole(absent(value.await)?))]) })
        }
        Read::Probe(path) => {
            let stat = session.begin_exists(&path);
            Box::pin(async move { Ok(vec![(path, Answer::Probe(stat.await?))]) })
        }
        Read::Children(path) => {
            let children = session.begin_children(&path);
            Box::pin(async move { Ok(vec![(path, Answer::Children(absent(children.await)?))]) })
        }
    }
}

/// Lets the server catch up before it answers the reads behind this: events that were heard say nothing of how far one has
/// heard (before 3.9), so that the next server may not have seen what they told.
fn catch_up(session: &Session, root: &str) -> Reading {
    let synced = session.begin_sync(root);
    Box::pin(async move { synced.await.map(|()| Vec::new()) })
}

fn absent<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is(ErrorCode::NO_NODE) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What comes next: an event, or the answer to a request.
enum Next {
    Event(Result<WatchedEvent, ClientError>),
    Answers(Answers),
}

/// Events first: an event that came before an answer is taken before it.
async fn next(watch: &mut Stream, reads: &mut Vec<Reading>) -> Next {
    let answer = std::future::poll_fn(|cx| {
        for at in 0..reads.len() {
            if let Poll::Ready(answers) = reads[at].as_mut().poll(cx) {
                drop(reads.remove(at));
                return Poll::Ready(Next::Answers(answers));
            }
        }
        Poll::Pending
    });
    tokio::select! {
        biased;
        event = watch.next() => Next::Event(event),
        answer = answer => answer,
    }
}

/// Requests under way at a time.
const READS_MAX: usize = 64;
/// After so many passes in vain znodes are looked at one by one.
const CUT_SHORT_MAX: u32 = 3;
/// Znodes in one request, and the longest data of each. Together far below what a frame may hold.
const BATCH_MAX: usize = 64;
const SMALL_LEN_MAX: usize = 256;
/// Changes that wait for a listener.
const EVENTS_KEPT: usize = 4_096;
