//! The servers of the model: one history, and for each session a server that has seen so much of it.
//!
//! Requests of a session are served in their order: writes at the end of the history, reads from what the session's server has
//! seen. Replies and events come back in one order, and are lost with the connection. On the next connection a client says
//! which watches it has and up to which zxid it has heard, and is told what it missed as a server tells it: by comparing Stats.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use zabra_client::{CreateMode, Error as ClientError, ErrorCode, SessionState, Stat, WatchedEvent};

use super::streams::{Stream, Tell};
use super::tree::{Change, Tree, Txn, parent};
use crate::session::{Got, Write};

/// All servers.
#[derive(Debug)]
pub(crate) struct Ensemble {
    pub(crate) tree: Tree,
    /// Before the first txn.
    base: Tree,
    log: Vec<Txn>,
    lines: BTreeMap<i64, Line>,
    /// Whether `sync` waits for what the leader has, as it must.
    pub(crate) syncs: bool,
    /// Whether clients with a new connection are told what they missed, as they must be.
    pub(crate) tells_missed: bool,
    /// Whether clients know from an event how far they have heard, as from 3.9 on.
    pub(crate) event_zxids: bool,
    /// Whether sessions begin on servers that have not seen all there is, as local ones may.
    pub(crate) local_sessions: bool,
    /// How long znodes with a time to live may be childless and unmodified.
    pub(crate) ttl: Duration,
    /// When each of these was modified last.
    modified: BTreeMap<String, Instant>,
    /// What clients take for the timeout of their sessions.
    pub(crate) told_timeout: Duration,
    /// Everything that happened, for comparing two runs.
    pub(crate) history: String,
}

/// A session: its client, its server, and what is on the way between them.
#[derive(Debug)]
pub(crate) struct Line {
    id: i64,
    pub(crate) link: Link,
    /// Whether the servers know the session.
    pub(crate) is_alive: bool,
    /// When a server heard the client last, while there is no link that works.
    pub(crate) heard: Instant,
    /// How long after that the client finds no server.
    pub(crate) away: Duration,
    /// What the client knows.
    pub(crate) state: SessionState,
    pub(crate) states: broadcast::Sender<SessionState>,
    asked: VecDeque<Request>,
    answers: VecDeque<Answer>,
    /// What the session's server has seen.
    seen: Tree,
    /// The zxid of the last reply that came to the client.
    heard_zxid: i64,
    watchers: BTreeMap<u64, Watcher>,
    streams: BTreeMap<u64, Stream>,
}

/// The connection between client and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Up,
    /// Nothing passes, and the client has not noticed.
    Silent,
    Down,
    /// The client knows that its session has ended.
    Over,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) op: Op,
    pub(crate) tell: oneshot::Sender<Result<Reply, ClientError>>,
}

#[derive(Debug)]
pub(crate) enum Op {
    Children {
        path: String,
        watch: bool,
    },
    Get {
        path: String,
        watch: bool,
    },
    Exists {
        path: String,
        watch: bool,
    },
    /// Data of several, one by one.
    GetAll(Vec<String>),
    /// A watch that stays.
    Watch {
        path: String,
        is_recursive: bool,
    },
    Sync,
    Create {
        path: String,
        data: Vec<u8>,
        mode: CreateMode,
    },
    Write(Vec<OwnedWrite>),
}

/// A set, with data and version, or a delete.
#[derive(Debug)]
pub(crate) struct OwnedWrite {
    pub(crate) path: String,
    pub(crate) set: Option<(Vec<u8>, i32)>,
}

#[derive(Debug)]
pub(crate) enum Reply {
    Children(Vec<String>, Stat, oneshot::Receiver<()>),
    Data(Vec<u8>, Stat, oneshot::Receiver<()>),
    Exists(Option<Stat>, oneshot::Receiver<()>),
    All(Vec<Got>),
    Watching(mpsc::UnboundedReceiver<Result<WatchedEvent, ClientError>>),
    Created(String, Stat),
    Written(Option<Stat>),
    Synced,
}

#[derive(Debug)]
enum Answer {
    Reply {
        tell: oneshot::Sender<Result<Reply, ClientError>>,
        reply: Result<Reply, ClientError>,
        zxid: i64,
    },
    Event(u64),
    Streamed {
        stream: u64,
        event: WatchedEvent,
        zxid: i64,
    },
}

#[derive(Debug)]
struct Watcher {
    path: String,
    what: Watched,
    is_armed: bool,
    tell: oneshot::Sender<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    /// The data of a znode that is there.
    Data,
    /// A znode that is not there.
    Absent,
    Children,
}

impl Ensemble {
    pub(crate) fn new(tree: Tree) -> Self {
        Self {
            base: tree.clone(),
            tree,
            log: Vec::new(),
            lines: BTreeMap::new(),
            syncs: true,
            tells_missed: true,
            event_zxids: true,
            local_sessions: false,
            ttl: SESSION_TIMEOUT,
            modified: BTreeMap::new(),
            told_timeout: SESSION_TIMEOUT,
            history: String::new(),
        }
    }

    /// A znode that was always there; before anything else happens.
    pub(crate) fn plant(&mut self, path: &str, data: &[u8], counter: i64) {
        self.base.plant(path, data, counter);
        self.tree = self.base.clone();
        for line in self.lines.values_mut() {
            line.seen = self.base.clone();
        }
    }

    /// A session that is connected.
    pub(crate) fn open(&mut self) -> i64 {
        let id = 1 + self.lines.len() as i64;
        let seen = match self.local_sessions {
            true => self.as_of(fastrand::i64(0..=self.tree.zxid)),
            false => self.tree.clone(),
        };
        let line = Line {
            id,
            link: Link::Up,
            is_alive: true,
            heard: Instant::now(),
            away: Duration::ZERO,
            state: SessionState::Connected,
            states: broadcast::Sender::new(64),
            asked: VecDeque::new(),
            answers: VecDeque::new(),
            heard_zxid: seen.zxid,
            seen,
            watchers: BTreeMap::new(),
            streams: BTreeMap::new(),
        };
        self.lines.insert(id, line);
        id
    }

    pub(crate) fn line(&self, id: i64) -> &Line {
        &self.lines[&id]
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.values()
    }

    fn line_mut(&mut self, id: i64) -> &mut Line {
        self.lines.get_mut(&id).expect("sessions are kept")
    }

    /// The client makes a request. Without a connection it waits for the next one.
    pub(crate) fn ask(&mut self, id: i64, request: Request) {
        let line = self.line_mut(id);
        if line.link == Link::Over {
            drop(request.tell.send(Err(ClientError::SessionExpired)));
        } else {
            line.asked.push_back(request);
        }
    }

    /// The session's server serves its next request.
    pub(crate) fn serve(&mut self, id: i64) {
        let Some(Request { op, tell }) = self.line_mut(id).asked.pop_front() else {
            return;
        };
        self.note(id, &op);
        let reply = match &op {
            Op::Create { path, data, mode } => {
                let decided = self.tree.decide_create(path, data, *mode, id);
                if decided.is_ok() && mode.has_ttl() {
                    self.modified.insert(path.clone(), Instant::now());
                }
                self.write(id, decided.map(|(path, change)| (path, vec![change])))
                    .map(|path| {
                        let stat = self.line(id).seen.stat(&path);
                        Reply::Created(path, stat.unwrap_or_default())
                    })
                    .map_err(|code| ClientError::Server(code, path.clone()))
            }
            Op::Write(writes) => self.write_all(id, writes),
            Op::Sync => {
                if self.syncs {
                    self.catch_up(id);
                }
                Ok(Reply::Synced)
            }
            Op::Children { path, watch } => self.line_mut(id).read(path, *watch, Watched::Children),
            Op::Get { path, watch } => self.line_mut(id).read(path, *watch, Watched::Data),
            Op::Exists { path, watch } => self.line_mut(id).read(path, *watch, Watched::Absent),
            Op::GetAll(paths) => Ok(Reply::All(self.line(id).read_all(paths))),
            Op::Watch { path, is_recursive } => {
                let (tell, told) = mpsc::unbounded_channel();
                self.line_mut(id).stream(path, *is_recursive, tell);
                Ok(Reply::Watching(told))
            }
        };
        let line = self.line_mut(id);
        let zxid = line.seen.zxid;
        line.answers.push_back(Answer::Reply { tell, reply, zxid });
    }

    fn write_all(&mut self, id: i64, writes: &[OwnedWrite]) -> Result<Reply, ClientError> {
        let mut scratch = self.tree.clone();
        let mut changes = Vec::new();
        for (at, OwnedWrite { path, set }) in writes.iter().enumerate() {
            let write = match set {
                Some((data, version)) => Write::Set {
                    path,
                    data,
                    version: *version,
                },
                None => Write::Delete { path },
            };
            match scratch.decide_write(&write) {
                Ok(change) => {
                    scratch.apply(&Txn(vec![change.clone()]));
                    changes.push(change);
                }
                Err(code) => {
                    self.catch_up(id);
                    let mut codes = vec![ErrorCode::OK; at];
                    codes.push(code);
                    codes.resize(writes.len(), ErrorCode::RUNTIME_INCONSISTENCY);
                    return Err(ClientError::Transaction {
                        failed: at,
                        path: path.clone(),
                        codes,
                    });
                }
            }
        }
        let last = writes.last().map(|write| write.path.clone());
        let path = last.unwrap_or_default();
        let written = self.write(id, Ok((path, changes)));
        Ok(Reply::Written(
            written.ok().and_then(|path| self.line(id).seen.stat(&path)),
        ))
    }

    /// Makes a change that was decided. Its reply, also that it was refused, comes after all before it was seen.
    fn write(
        &mut self,
        id: i64,
        decided: Result<(String, Vec<Change>), ErrorCode>,
    ) -> Result<String, ErrorCode> {
        let made = decided.map(|(path, changes)| {
            self.commit(Txn(changes));
            path
        });
        self.catch_up(id);
        made
    }

    fn commit(&mut self, txn: Txn) {
        for change in &txn.0 {
            match change {
                Change::Set { path, .. } if self.modified.contains_key(path) => {
                    self.modified.insert(path.clone(), Instant::now());
                }
                Change::Delete { path } => drop(self.modified.remove(path)),
                _ => {}
            }
        }
        self.tree.apply(&txn);
        self.log.push(txn);
    }

    /// The session's server sees all there is.
    fn catch_up(&mut self, id: i64) {
        while self.advance(id) {}
    }

    /// The session's server sees one txn more; whether there was one.
    pub(crate) fn advance(&mut self, id: i64) -> bool {
        let Some(line) = self.lines.get_mut(&id) else {
            return false;
        };
        // The first zxid is 1, at the log's place 0.
        let Some(txn) = self.log.get(line.seen.zxid as usize) else {
            return false;
        };
        line.seen.apply(txn);
        if line.link == Link::Up {
            line.fire(txn, self.event_zxids);
        }
        true
    }

    /// The next answer arrives.
    pub(crate) fn deliver(&mut self, id: i64) {
        let line = self.line_mut(id);
        match line.answers.pop_front() {
            Some(Answer::Reply { tell, reply, zxid }) => {
                line.heard_zxid = line.heard_zxid.max(zxid);
                // Nobody waits any more when the call was dropped.
                drop(tell.send(reply));
            }
            Some(Answer::Event(watcher)) => {
                if let Some(watcher) = line.watchers.remove(&watcher) {
                    let _ = watcher.tell.send(());
                }
            }
            Some(Answer::Streamed {
                stream,
                event,
                zxid,
            }) => {
                line.heard_zxid = line.heard_zxid.max(zxid);
                if let Some(stream) = line.streams.get(&stream) {
                    stream.tell(Ok(event));
                }
            }
            None => {}
        }
        self.history.push_str(&format!("{id} hears\n"));
    }

    /// For so long after the next fault the client finds no server.
    pub(crate) fn keep_away(&mut self, id: i64, away: Duration) {
        self.line_mut(id).away = away;
    }

    /// The connection breaks after so many more requests were served; their answers are lost.
    pub(crate) fn cut(&mut self, id: i64, served: usize) {
        self.go_silent(id, served);
        let line = self.line_mut(id);
        line.link = Link::Down;
        line.tell_state(SessionState::Suspended);
        for answer in std::mem::take(&mut line.answers) {
            if let Answer::Reply { tell, .. } = answer {
                drop(tell.send(Err(ClientError::ConnectionLoss)));
            }
        }
        for request in std::mem::take(&mut line.asked) {
            drop(request.tell.send(Err(ClientError::ConnectionLoss)));
        }
    }

    /// Nothing passes any more after so many requests, and the client does not know.
    pub(crate) fn go_silent(&mut self, id: i64, served: usize) {
        self.history.push_str(&format!("{id} is cut off\n"));
        if self.line(id).link == Link::Up {
            for _ in 0..served {
                self.serve(id);
            }
            let line = self.line_mut(id);
            line.heard = Instant::now();
            line.link = Link::Silent;
        }
    }

    /// The client has a connection again, to a server that has seen all up to this zxid; or hears that its session has ended.
    pub(crate) fn reconnect(&mut self, id: i64, zxid: i64) {
        self.history.push_str(&format!("{id} is back\n"));
        let seen = self.as_of(zxid);
        let tells_missed = self.tells_missed;
        let line = self.line_mut(id);
        if line.is_alive {
            line.seen = seen;
            line.link = Link::Up;
            line.set_watches(tells_missed);
            line.tell_state(SessionState::Connected);
            return;
        }
        line.link = Link::Over;
        line.watchers.clear();
        for stream in std::mem::take(&mut line.streams).values() {
            stream.tell(Err(ClientError::SessionExpired));
        }
        line.tell_state(SessionState::Expired);
        for request in std::mem::take(&mut line.asked) {
            drop(request.tell.send(Err(ClientError::SessionExpired)));
        }
    }

    /// What a server has that has seen all up to this zxid.
    fn as_of(&self, zxid: i64) -> Tree {
        let mut seen = self.base.clone();
        for txn in &self.log[..zxid as usize] {
            seen.apply(txn);
        }
        seen
    }

    /// The session ends, and its ephemerals go.
    pub(crate) fn expire(&mut self, id: i64) {
        self.history.push_str(&format!("{id} ends\n"));
        if self.line(id).link != Link::Down {
            self.cut(id, 0);
        }
        let paths = self.tree.ephemerals(Some(id));
        self.delete(paths);
        self.line_mut(id).is_alive = false;
    }

    /// Somebody deletes znodes.
    pub(crate) fn delete(&mut self, paths: Vec<String>) {
        let changes = paths.into_iter().map(|path| Change::Delete { path });
        self.commit(Txn(changes.collect()));
    }

    /// What the passing of time does: silent links are given up after two thirds of the timeout, sessions end after all of it.
    pub(crate) fn pass_time(&mut self) {
        let due = |line: &Line, share: Duration| line.heard.elapsed() >= share;
        let silent = |line: &&Line| line.link == Link::Silent;
        let lost: Vec<i64> = self
            .lines()
            .filter(silent)
            .filter(|line| due(line, SESSION_TIMEOUT * 2 / 3))
            .map(|line| line.id)
            .collect();
        for id in lost {
            self.cut(id, 0);
        }
        let cut_off =
            |line: &&Line| line.is_alive && matches!(line.link, Link::Silent | Link::Down);
        let ended: Vec<i64> = self
            .lines()
            .filter(cut_off)
            .filter(|line| due(line, SESSION_TIMEOUT))
            .map(|line| line.id)
            .collect();
        for id in ended {
            self.expire(id);
        }
        self.delete_outlived();
    }

    /// Znodes with a time to live go when it is over, the lowest first.
    fn delete_outlived(&mut self) {
        let is_outlived = |path: &String| {
            let stat = self.tree.stat(path);
            stat.is_some_and(|stat| stat.num_children == 0)
        };
        let ttl = self.ttl;
        let over = self.modified.iter().filter(|(_, at)| at.elapsed() > ttl);
        let paths: Vec<String> = over.map(|(path, _)| path.clone()).collect();
        let paths: Vec<String> = paths.into_iter().filter(is_outlived).collect();
        if !paths.is_empty() {
            self.delete(paths);
        }
    }

    fn note(&mut self, id: i64, op: &Op) {
        let text = match op {
            Op::Children { path, .. } => format!("children {path}"),
            Op::Get { path, .. } => format!("get {path}"),
            Op::Exists { path, .. } => format!("exists {path}"),
            Op::GetAll(paths) => format!("get {paths:?}"),
            Op::Watch { path, .. } => format!("watch {path}"),
            Op::Sync => "sync".to_owned(),
            Op::Create { path, .. } => format!("create {path}"),
            Op::Write(writes) => format!("write {writes:?}"),
        };
        self.history.push_str(&format!("{id} {text}\n"));
    }
}

impl Line {
    pub(crate) const fn id(&self) -> i64 {
        self.id
    }

    pub(crate) fn has_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    pub(crate) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.len()
    }

    /// Whether its server has not seen all there is.
    pub(crate) const fn lags(&self, tree: &Tree) -> bool {
        self.seen.zxid < tree.zxid
    }

    /// What the client has heard of: it connects to no server that has seen less.
    pub(crate) const fn heard_zxid(&self) -> i64 {
        self.heard_zxid
    }

    fn tell_state(&mut self, state: SessionState) {
        self.state = state;
        // Nobody may be listening.
        drop(self.states.send(state));
    }

    fn read(&mut self, path: &str, watch: bool, what: Watched) -> Result<Reply, ClientError> {
        let stat = self.seen.stat(path);
        let (tell, told) = oneshot::channel();
        let absent = || ClientError::Server(ErrorCode::NO_NODE, path.to_owned());
        let reply = match what {
            Watched::Children => {
                Reply::Children(self.seen.children(path), stat.ok_or_else(absent)?, told)
            }
            Watched::Data => {
                let data = self.seen.data(path).unwrap_or_default().to_vec();
                Reply::Data(data, stat.ok_or_else(absent)?, told)
            }
            Watched::Absent => Reply::Exists(stat, told),
        };
        if watch {
            let what = match (what, stat) {
                // A watch of a znode that is there is one of its data.
                (Watched::Absent, Some(_)) => Watched::Data,
                (what, _) => what,
            };
            let number = self
                .watchers
                .last_key_value()
                .map_or(0, |(last, _)| last + 1);
            let watcher = Watcher {
                path: path.to_owned(),
                what,
                is_armed: true,
                tell,
            };
            self.watchers.insert(number, watcher);
        }
        Ok(reply)
    }

    fn read_all(&self, paths: &[String]) -> Vec<Got> {
        let read = |path: &String| {
            let data = self.seen.data(path).map(<[u8]>::to_vec);
            let found = data.zip(self.seen.stat(path));
            found.ok_or(ErrorCode::NO_NODE)
        };
        paths.iter().map(read).collect()
    }

    fn stream(&mut self, path: &str, is_recursive: bool, tell: Tell) {
        let last = self.streams.last_key_value();
        let number = last.map_or(0, |(last, _)| last + 1);
        let stream = Stream::new(path, is_recursive, tell);
        self.streams.insert(number, stream);
    }

    /// Events of a txn that this session watches for.
    fn fire(&mut self, txn: &Txn, event_zxids: bool) {
        let zxid = if event_zxids { self.seen.zxid } else { 0 };
        for (number, stream) in &self.streams {
            for event in stream.events(txn) {
                self.answers.push_back(Answer::Streamed {
                    stream: *number,
                    event,
                    zxid,
                });
            }
        }
        let answers = &mut self.answers;
        for (number, watcher) in &mut self.watchers {
            let fires = |change: &Change| {
                let (path, is_set) = match change {
                    Change::Create { path, .. } | Change::Delete { path } => (path, false),
                    Change::Set { path, .. } => (path, true),
                };
                match watcher.what {
                    Watched::Data | Watched::Absent => *path == watcher.path,
                    Watched::Children => {
                        let is_gone =
                            matches!(change, Change::Delete { .. }) && *path == watcher.path;
                        is_gone || (!is_set && parent(path) == watcher.path)
                    }
                }
            };
            if watcher.is_armed && txn.0.iter().any(fires) {
                watcher.is_armed = false;
                answers.push_back(Answer::Event(*number));
            }
        }
    }

    /// The client names its watches on a new connection, and is told what it missed.
    fn set_watches(&mut self, tells_missed: bool) {
        // Whose answer was lost, or who was dropped, is not known to the client.
        self.watchers.retain(|_, watcher| !watcher.tell.is_closed());
        self.streams.retain(|_, stream| !stream.is_closed());
        for number in self.streams.keys().filter(|_| tells_missed) {
            self.answers.push_back(Answer::Streamed {
                stream: *number,
                event: WatchedEvent::Missed,
                zxid: 0,
            });
        }
        for (number, watcher) in &mut self.watchers {
            let stat = self.seen.stat(&watcher.path);
            let missed = match (watcher.what, stat) {
                (Watched::Absent, stat) => stat.is_some(),
                (_, None) => true,
                (Watched::Data, Some(stat)) => stat.mzxid > self.heard_zxid,
                (Watched::Children, Some(stat)) => stat.pzxid > self.heard_zxid,
            };
            watcher.is_armed = !missed;
            if missed && tells_missed {
                self.answers.push_back(Answer::Event(*number));
            }
        }
    }
}

/// How long a session outlives its connection.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_millis(60);
