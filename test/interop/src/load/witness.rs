//! Sessions that share everything and note everything: registers that all write, ephemeral znodes, watches, a lock. What
//! they noted is judged at the end by `zabra-history`, which knows nothing of servers.
//!
//! The other workers of a load know what must be in the tree because each writes its own keys; these do not know, and find out
//! whether there is any explanation for what all of them were told together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use zabra_history::{
    Answer, Ask, Change, Entry, History, Path, Rule, Shown, Value, Verdict, What, judge,
};
use zabra_jute::Reader;

use super::link::{Heard, Joined, Link};
use super::watches::{Watched, Watches};
use crate::tree::Stat;
use crate::wire::{Body, Frame, Hello, Wire, XID_SET_WATCHES, op};

/// Sessions that take notes.
const WITNESSES: usize = 4;
/// Registers that all of them write.
const REGISTERS: u64 = 3;
/// Ephemeral znodes of each.
const EPHEMERALS: u64 = 3;
/// Between two requests, so that a history can be judged whole.
const PAUSE: Duration = Duration::from_millis(4);
/// Turns between two ends of a session.
const TURNS: u32 = 1500;
const LONG: Duration = Duration::from_secs(40);
const SHORT: Duration = Duration::from_secs(6);

/// How long they may take to come to rest.
const REST_LIMIT: Duration = Duration::from_secs(60);

const TOP: &str = "/witness";
const LOCK: &str = "/witness/lock";
const GUARDED: &str = "/witness/guarded";
const NURSERY: &str = "/witness/e";

mod code {
    pub(super) const SYSTEM_ERROR: i32 = -1;
    pub(super) const CONNECTION_LOSS: i32 = -4;
    pub(super) const NO_NODE: i32 = -101;
    pub(super) const NODE_EXISTS: i32 = -110;
    pub(super) const SESSION_EXPIRED: i32 = -112;
    pub(super) const SESSION_MOVED: i32 = -118;
}

/// The witnesses of a load.
#[derive(Debug)]
pub struct Witnesses {
    orders: Arc<Orders>,
    threads: Vec<JoinHandle<Witness>>,
    /// The last write before they began.
    since: i64,
}

/// What they are to do, and how many of them rest.
#[derive(Debug, Default)]
struct Orders {
    stop: AtomicBool,
    rest: AtomicBool,
    at_rest: AtomicUsize,
}

impl Witnesses {
    /// Lays the ground and sets them to work.
    ///
    /// # Errors
    /// The ground cannot be laid.
    pub fn start(addrs: &[SocketAddr]) -> Result<Self> {
        let since = lay_ground(addrs[0]).context("lay the ground of the witnesses")?;
        let orders = Arc::new(Orders::default());
        let began = Instant::now();
        let addrs: Arc<[SocketAddr]> = addrs.into();
        let threads = (0..WITNESSES).map(|id| {
            let timeout = if id % 2 == 0 { LONG } else { SHORT };
            let mut witness = Witness {
                id: id as u64,
                link: Link::new(Arc::clone(&addrs), id, timeout),
                watches: Watches::default(),
                rng: fastrand::Rng::with_seed(1000 + id as u64),
                began,
                entries: Vec::new(),
                calls: 0,
                values: 0,
                wrong: Vec::new(),
            };
            let orders = Arc::clone(&orders);
            thread::spawn(move || {
                while !orders.stop.load(Ordering::SeqCst) {
                    if orders.rest.load(Ordering::SeqCst) {
                        witness.rest(&orders);
                    } else {
                        witness.turn();
                        thread::sleep(PAUSE);
                    }
                }
                witness
            })
        });
        Ok(Self {
            threads: threads.collect(),
            orders,
            since,
        })
    }

    /// Brings them to rest, with nothing under way, while something is looked at.
    ///
    /// # Errors
    /// That of what is done, or they do not come to rest.
    pub fn while_they_rest(&self, look: impl FnOnce() -> Result<()>) -> Result<()> {
        self.orders.rest.store(true, Ordering::SeqCst);
        let began = Instant::now();
        while self.orders.at_rest.load(Ordering::SeqCst) < WITNESSES {
            ensure!(
                began.elapsed() < REST_LIMIT,
                "the witnesses do not come to rest within {REST_LIMIT:?}"
            );
            thread::sleep(Duration::from_millis(5));
        }
        let looked = look();
        self.orders.rest.store(false, Ordering::SeqCst);
        looked
    }

    /// Ends them and judges what they noted. Apache's leader answers `sync` without asking whether it still leads, so reads
    /// behind one may be stale unless all members are ours.
    ///
    /// # Errors
    /// What they noted cannot be.
    pub fn judge(mut self, is_pure: bool) -> Result<Verdict> {
        self.orders.stop.store(true, Ordering::SeqCst);
        let mut entries = Vec::new();
        let mut wrong = Vec::new();
        for thread in self.threads.drain(..) {
            let witness = thread
                .join()
                .map_err(|_| anyhow::anyhow!("a witness panicked"))?;
            entries.extend(witness.entries);
            wrong.extend(witness.wrong);
        }
        // Stable: what one session noted keeps its order.
        entries.sort_by_key(|entry| entry.at);
        let mut verdict = judge(&History {
            entries,
            since: self.since,
        });
        if !is_pure {
            let stale = [Rule::StaleSync, Rule::NotLinearizable];
            verdict
                .violations
                .retain(|violation| !stale.contains(&violation.rule));
        }
        wrong.extend(verdict.violations.iter().map(ToString::to_string));
        ensure!(
            wrong.is_empty(),
            "{} times no correct service does so:\n  {}",
            wrong.len(),
            wrong[..wrong.len().min(10)].join("\n  ")
        );
        Ok(verdict)
    }
}

impl Drop for Witnesses {
    fn drop(&mut self) {
        self.orders.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // A witness that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

/// One of them.
#[derive(Debug)]
struct Witness {
    id: u64,
    link: Link,
    watches: Watches,
    rng: fastrand::Rng,
    began: Instant,
    entries: Vec<Entry>,
    calls: u64,
    values: u64,
    /// What went against the protocol itself.
    wrong: Vec<String>,
}

impl Witness {
    fn note(&mut self, what: What) {
        self.note_of(self.link.session(), what);
    }

    fn note_of(&mut self, session: i64, what: What) {
        let at = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.entries.push(Entry { session, at, what });
    }

    /// Writes once more, so that nothing sent before is under way, and then only keeps its session alive.
    fn rest(&mut self, orders: &Orders) {
        let value = self.value();
        let path: Path = format!("{TOP}/r0").into();
        let is_up = self.link.is_up() || self.join();
        if !is_up || !matches!(self.one(Ask::Set { path, value }), Some((_, Answer::Done))) {
            return thread::sleep(PAUSE);
        }
        orders.at_rest.fetch_add(1, Ordering::SeqCst);
        let goes_on = || !orders.rest.load(Ordering::SeqCst) || orders.stop.load(Ordering::SeqCst);
        while !goes_on() {
            self.link.ping();
            let until = Instant::now() + self.link.granted() / 8;
            while !goes_on() && Instant::now() < until {
                thread::sleep(PAUSE);
            }
        }
        orders.at_rest.fetch_sub(1, Ordering::SeqCst);
    }

    /// One thing after the other; a connection first, if there is none.
    fn turn(&mut self) {
        if !self.link.is_up() && !self.join() {
            return;
        }
        let register = format!("{TOP}/r{}", self.rng.u64(0..REGISTERS));
        let shared = format!("{TOP}/c{}", self.rng.u64(0..REGISTERS));
        let mine = format!("{NURSERY}/{}-{}", self.id, self.rng.u64(0..EPHEMERALS));
        let other = self.rng.u64(0..WITNESSES as u64);
        let theirs = format!("{NURSERY}/{other}-{}", self.rng.u64(0..EPHEMERALS));
        let value = self.value();
        let (register, shared): (Path, Path) = (register.into(), shared.into());
        let (mine, theirs): (Path, Path) = (mine.into(), theirs.into());
        let read = |path: Path, watch| Ask::Read { path, watch };
        let create = |path: Path, ephemeral| Ask::Create {
            path,
            value,
            ephemeral,
        };
        let path = register;
        let asks = match self.rng.u32(0..18) {
            0..4 => vec![Ask::Set { path, value }],
            4..7 => vec![Ask::Sync, read(path, false)],
            7 => {
                let again = read(path.clone(), false);
                vec![Ask::Set { path, value }, again]
            }
            8 => vec![read(path, true)],
            9 => vec![create(shared, false)],
            10 => vec![Ask::Delete { path: shared }],
            11 => vec![read(shared, true)],
            12 => vec![create(mine, true)],
            13 => vec![Ask::Delete { path: mine }],
            14 => vec![Ask::Sync, read(theirs, true)],
            15 => {
                let path = NURSERY.into();
                vec![Ask::Children { path, watch: true }]
            }
            _ => Vec::new(),
        };
        if asks.is_empty() {
            self.hold();
        } else {
            self.all(asks);
        }
        if self.rng.u32(0..TURNS) == 0 && self.link.is_up() {
            self.close();
        }
    }

    /// A value that nobody writes again.
    fn value(&mut self) -> Value {
        self.values += 1;
        self.values * WITNESSES as u64 + self.id
    }

    /// Takes the lock if it is free, does something under it, and gives it back.
    fn hold(&mut self) {
        let (lock, guarded): (Path, Path) = (LOCK.into(), GUARDED.into());
        let value = self.value();
        let taken = self.one(Ask::Create {
            path: lock.clone(),
            value,
            ephemeral: true,
        });
        match taken {
            Some((token, Answer::Done)) => {
                let held = lock.clone();
                self.note(What::Holds { lock: held, token });
                let value = self.value();
                let set = self.one(Ask::Set {
                    path: guarded,
                    value,
                });
                if let Some((zxid, Answer::Done)) = set {
                    let lock = lock.clone();
                    self.note(What::Guarded { lock, token, zxid });
                }
            }
            // It may be this session's own, from before a connection broke.
            Some((_, Answer::Present)) => {
                let shown = self.one(Ask::Read {
                    path: lock.clone(),
                    watch: false,
                });
                let session = self.link.session();
                let is_mine = matches!(shown, Some((_, Answer::Data(it))) if it.owner == session);
                if !is_mine {
                    return;
                }
            }
            _ => return,
        }
        if self.link.is_up() {
            self.note(What::Frees { lock: lock.clone() });
            self.one(Ask::Delete { path: lock });
        }
    }

    fn one(&mut self, ask: Ask) -> Option<(i64, Answer)> {
        if !self.link.is_up() {
            return None;
        }
        self.all(vec![ask]).pop()
    }

    /// Sends requests and reads their answers, as far as they come.
    fn all(&mut self, asks: Vec<Ask>) -> Vec<(i64, Answer)> {
        let mut sent = Vec::new();
        let session = self.link.session();
        for ask in asks {
            self.calls += 1;
            let call = self.calls;
            // Noted first: what is sent later may have been seen by others when it is noted.
            self.note(What::Asked {
                call,
                ask: ask.clone(),
            });
            let (op, body) = request(&ask);
            let Some(xid) = self.link.send(op, &body) else {
                self.note_of(session, What::Disconnected);
                return Vec::new();
            };
            sent.push((xid, call, ask));
        }
        let mut answers = Vec::new();
        for (xid, call, ask) in sent {
            let Some(frame) = self.reply() else {
                self.note_of(session, What::Disconnected);
                return answers;
            };
            if frame.xid != xid {
                self.wrong
                    .push(format!("xid {} instead of {xid} for {ask:?}", frame.xid));
            }
            match answer(&ask, &frame) {
                Ok(answer) => {
                    let zxid = frame.zxid;
                    self.note(What::Told { call, zxid, answer });
                    self.arm(&ask, answer);
                    answers.push((zxid, answer));
                    if answer == Answer::Refused {
                        self.link.drop_connection();
                        self.note_of(session, What::Disconnected);
                        return answers;
                    }
                }
                Err(text) => self.wrong.push(format!("{ask:?}: {text}")),
            }
        }
        answers
    }

    /// The next reply, events noted on the way; `None` when the connection is over.
    fn reply(&mut self) -> Option<Frame> {
        loop {
            match self.link.receive() {
                Heard::Reply(frame) if frame.xid == crate::wire::XID_PING => {}
                Heard::Reply(frame) => return Some(frame),
                Heard::Event(frame) => self.on_event(&frame),
                Heard::Wrong(text) => self.wrong.push(text),
                Heard::Nothing | Heard::Lost => return None,
            }
        }
    }

    fn on_event(&mut self, frame: &Frame) {
        // Only what must be set again is kept here; what an event means is judged later.
        let _ = self.watches.on_event(&frame.body);
        let mut r = Reader::new(&frame.body);
        let (Ok(kind), Ok(_), Ok(Some(path))) = (r.i32(), r.i32(), r.string()) else {
            return self.wrong.push("an event that cannot be read".to_owned());
        };
        let change = match kind {
            2 => Change::Deleted,
            3 => Change::Data,
            4 => Change::Children,
            _ => {
                return self
                    .wrong
                    .push(format!("an event of type {kind} for {path}"));
            }
        };
        let zxid = (frame.zxid > 0).then_some(frame.zxid);
        let path = path.as_ref().into();
        self.note(What::Event { path, change, zxid });
    }

    fn arm(&mut self, ask: &Ask, answer: Answer) {
        let (watched, path) = match ask {
            Ask::Read { path, watch: true } => (Watched::Data, path),
            Ask::Children { path, watch: true } => (Watched::Children, path),
            _ => return,
        };
        let seen = match answer {
            Answer::Data(shown) => shown.mzxid,
            Answer::Children(pzxid) => pzxid,
            _ => return,
        };
        let _ = self.watches.on_read(watched, path, seen);
    }

    /// Has a connection, with the watches of before; whether it came to that.
    fn join(&mut self) -> bool {
        let before = self.link.session();
        match self.link.join() {
            Joined::Refused => false,
            Joined::Expired { .. } => {
                self.note_of(before, What::Expired);
                self.watches.clear();
                false
            }
            Joined::Opened => true,
            Joined::Kept => self.set_watches(),
        }
    }

    fn set_watches(&mut self) -> bool {
        if self.watches.is_empty() {
            return true;
        }
        let body = self.watches.body(self.link.last_zxid());
        self.link.send_as(XID_SET_WATCHES, op::SET_WATCHES, &body);
        let reply = self.reply();
        reply.is_some_and(|frame| frame.xid == XID_SET_WATCHES)
    }

    /// Ends the session in good order.
    fn close(&mut self) {
        let session = self.link.session();
        let sent = self.link.send(op::CLOSE_SESSION, &Body::new());
        let closed = sent
            .and_then(|_| self.reply())
            .filter(|frame| frame.err == 0);
        if let Some(frame) = closed {
            self.note_of(session, What::Closed(frame.zxid));
        } else {
            self.note_of(session, What::Disconnected);
        }
        self.watches.clear();
        self.link.forget_session();
    }
}

fn request(ask: &Ask) -> (i32, Body) {
    let any = [(31, "world", "anyone")];
    let bytes = |value: &Value| value.to_string().into_bytes();
    match ask {
        Ask::Create {
            path,
            value,
            ephemeral,
        } => {
            let body = Body::new().string(path).buffer(Some(&bytes(value)));
            (op::CREATE, body.acl(&any).i32(i32::from(*ephemeral)))
        }
        Ask::Set { path, value } => {
            let body = Body::new().string(path).buffer(Some(&bytes(value)));
            (op::SET_DATA, body.i32(-1))
        }
        Ask::Delete { path } => (op::DELETE, Body::new().string(path).i32(-1)),
        Ask::Read { path, watch } => (op::GET_DATA, Body::new().string(path).bool(*watch)),
        Ask::Children { path, watch } => (op::GET_CHILDREN2, Body::new().string(path).bool(*watch)),
        Ask::Sync => (op::SYNC, Body::new().string("/")),
    }
}

fn answer(ask: &Ask, frame: &Frame) -> Result<Answer> {
    match frame.err {
        0 => {}
        code::NO_NODE => return Ok(Answer::Absent),
        code::NODE_EXISTS => return Ok(Answer::Present),
        code::CONNECTION_LOSS | code::SESSION_EXPIRED | code::SESSION_MOVED => {
            return Ok(Answer::Refused);
        }
        // The disk is nearly full. That nobody says so without need the load sees to.
        code::SYSTEM_ERROR => return Ok(Answer::Refused),
        error => anyhow::bail!("error {error}"),
    }
    let mut r = Reader::new(&frame.body);
    Ok(match ask {
        Ask::Read { .. } => {
            let data = r.buffer()?.unwrap_or_default();
            let value = std::str::from_utf8(data)?.parse()?;
            let stat = Stat::read(&mut r)?;
            Answer::Data(Shown {
                value,
                czxid: stat.czxid,
                mzxid: stat.mzxid,
                owner: stat.ephemeral_owner,
            })
        }
        Ask::Children { .. } => {
            for _ in 0..r.count()?.unwrap_or(0) {
                r.string()?;
            }
            Answer::Children(Stat::read(&mut r)?.pzxid)
        }
        _ => Answer::Done,
    })
}

/// Creates what is always there. Each value is one that no witness writes.
fn lay_ground(addr: SocketAddr) -> Result<i64> {
    let (mut wire, _) =
        Wire::connect(addr, &Hello::new(30_000))?.context("closed at the handshake")?;
    let registers = (0..REGISTERS).map(|register| format!("{TOP}/r{register}"));
    let fixed = [TOP, GUARDED, NURSERY].map(str::to_owned).into_iter();
    for (path, xid) in fixed.chain(registers).zip(1..) {
        let body = Body::new()
            .string(&path)
            .buffer(Some(b"0"))
            .acl(&[(31, "world", "anyone")])
            .i32(0);
        let created = wire.call(xid, op::CREATE, &body)?;
        ensure!(created.err == 0, "create {path}: error {}", created.err);
    }
    let closed = wire.call(0, op::CLOSE_SESSION, &Body::new())?;
    Ok(closed.zxid)
}
