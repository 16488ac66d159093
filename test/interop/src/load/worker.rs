//! One session at work: it writes its own keys, reads and watches, and holds every reply against what was promised.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use zabra_jute::Reader;

use super::journal::{Journal, Kind, REGISTERS, number_in};
use super::link::{Heard, Joined, Link};
use super::shared::{Orders, Shared};
use super::watches::{Watched, Watches};
use crate::tree::Stat;
use crate::wire::{Body, Frame, XID_SET_WATCHES, op};

/// Requests of a batch at most; they are sent before the first reply is read.
const BATCH: usize = 8;
/// Between two batches, so that the load leaves the servers some of the processor.
const PAUSE: Duration = Duration::from_millis(1);
/// Znodes of each kind that a worker keeps.
const KEPT: usize = 40;
/// Ephemeral znodes that a worker keeps.
const KEPT_EPHEMERALS: usize = 6;
/// Batches between two sessions that are given up without a word.
const LAPSE_EVERY: u32 = 400;

/// Error codes that say nothing against the server when its ensemble changes.
mod code {
    /// Also: the disk is nearly full.
    pub(super) const SYSTEM_ERROR: i32 = -1;
    pub(super) const CONNECTION_LOSS: i32 = -4;
    pub(super) const SESSION_EXPIRED: i32 = -112;
    pub(super) const SESSION_MOVED: i32 = -118;
}

/// A worker's thread and what it will hand back.
pub(super) type Handle = JoinHandle<()>;

/// What a worker is.
#[derive(Debug)]
pub(super) struct Worker {
    id: usize,
    link: Link,
    watches: Watches,
    rng: fastrand::Rng,
    shared: Arc<Shared>,
    /// Whether it gives up sessions now and then.
    lapses: bool,
}

/// A request of a batch.
#[derive(Clone, Debug)]
enum Ask {
    Create(Kind, u64),
    Set(usize, u64),
    Delete(u64, String),
    /// With the zxid that was acknowledged to somebody before it was sent, and the number that a neighbour's register
    /// had reached.
    Sync(i64, u64),
    ReadOwn(usize),
    /// A neighbour's data or children, with a watch.
    ReadNear(Watched, String),
}

impl Ask {
    const fn is_write(&self) -> bool {
        matches!(self, Self::Create(..) | Self::Set(..) | Self::Delete(..))
    }
}

impl Worker {
    pub(super) fn new(id: usize, link: Link, lapses: bool, shared: Arc<Shared>) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(id as u64),
            id,
            link,
            watches: Watches::default(),
            shared,
            lapses,
        }
    }

    pub(super) fn spawn(mut self) -> Handle {
        thread::spawn(move || self.run())
    }

    fn run(&mut self) {
        while self.shared.orders() != Orders::Stop {
            if !self.join() {
                continue;
            }
            match self.shared.orders() {
                Orders::Work => {
                    self.batch(None);
                    thread::sleep(PAUSE);
                    if self.lapses && self.rng.u32(0..LAPSE_EVERY) == 0 {
                        self.lapse();
                    }
                }
                Orders::Settle => self.settle(),
                Orders::Stop => {}
            }
        }
    }

    fn violation(&self, text: &str) {
        self.shared.violation(format!(
            "worker {} (session 0x{:x} at {}): {text}",
            self.id,
            self.link.session(),
            self.link.addr()
        ));
    }

    fn with_journal<T>(&self, run: impl FnOnce(&mut Journal) -> T) -> T {
        run(&mut self.shared.journal(self.id))
    }

    /// Has a connection with its watches set again; `false` when this attempt came to nothing.
    fn join(&mut self) -> bool {
        if self.link.is_up() {
            return true;
        }
        let session = self.link.session();
        let addr = self.link.addr();
        let joined = self.link.join();
        self.shared.met(self.id, format!("{joined:?} at {addr}"));
        match joined {
            Joined::Refused => false,
            Joined::Expired { silence, early } => {
                if early {
                    self.violation(&format!(
                        "0x{session:x} was expired after {silence:?} of {:?}",
                        self.link.granted()
                    ));
                }
                self.shared.expired.fetch_add(1, Ordering::SeqCst);
                self.over(session);
                false
            }
            Joined::Opened => {
                self.shared.live(self.id, self.link.session());
                true
            }
            Joined::Kept => {
                self.shared.kept.fetch_add(1, Ordering::SeqCst);
                self.set_watches()
            }
        }
    }

    /// A session has ended, or will end by itself.
    fn over(&mut self, session: i64) {
        self.shared.live(self.id, 0);
        self.watches.clear();
        self.with_journal(|journal| journal.session_over(session));
    }

    /// Leaves the session to its time-out, as a client does that dies.
    fn lapse(&mut self) {
        let granted = self.link.granted();
        let session = self.link.forget_session();
        self.shared.lapsed(session, Instant::now() + granted);
        self.over(session);
    }

    fn set_watches(&mut self) -> bool {
        if self.watches.is_empty() {
            return true;
        }
        let body = self.watches.body(self.link.last_zxid());
        self.link.send_as(XID_SET_WATCHES, op::SET_WATCHES, &body);
        loop {
            match self.reply() {
                Some(frame) if frame.xid == XID_SET_WATCHES => {
                    if frame.err != 0 {
                        self.violation(&format!("setWatches: error {}", frame.err));
                    }
                    return true;
                }
                Some(frame) => self.violation(&format!("a reply to nothing: {frame:?}")),
                None => return false,
            }
        }
    }

    /// The next reply, events taken on the way; `None` when the connection is over.
    fn reply(&mut self) -> Option<Frame> {
        loop {
            match self.link.receive() {
                Heard::Reply(frame) if frame.xid == crate::wire::XID_PING => {}
                Heard::Reply(frame) => return Some(frame),
                Heard::Event(frame) => self.on_event(&frame),
                Heard::Wrong(text) => self.violation(&text),
                Heard::Nothing | Heard::Lost => return None,
            }
        }
    }

    fn on_event(&mut self, frame: &Frame) {
        if let Err(text) = self.watches.on_event(&frame.body) {
            self.violation(&text);
        }
        self.shared
            .events
            .fetch_add(std::mem::take(&mut self.watches.events), Ordering::SeqCst);
    }

    /// Writes until one write is acknowledged, then only keeps the session alive until there are other orders.
    fn settle(&mut self) {
        if !self.shared.is_settled(self.id) {
            let number = self.with_journal(Journal::next);
            if !self.batch(Some(Ask::Set(0, number))) {
                return;
            }
            self.shared.settled(self.id);
        }
        while self.rests() && self.link.is_up() {
            self.link.ping();
            let until = Instant::now() + self.link.granted() / 4;
            while self.rests() && Instant::now() < until {
                match self.link.receive_within(Duration::from_millis(20)) {
                    Heard::Event(frame) => self.on_event(&frame),
                    Heard::Wrong(text) => self.violation(&text),
                    Heard::Reply(_) | Heard::Nothing => {}
                    Heard::Lost => break,
                }
            }
        }
    }

    /// Whether it has come to rest and shall stay so.
    fn rests(&self) -> bool {
        self.shared.orders() == Orders::Settle && self.shared.is_settled(self.id)
    }

    /// Sends some requests, or the one that is given, and reads the replies. Whether all were answered well.
    fn batch(&mut self, only: Option<Ask>) -> bool {
        let asks = match only {
            Some(ask) => vec![ask],
            None => self.plan(),
        };
        let floor = self.shared.acknowledged.load(Ordering::SeqCst);
        let mut sent = Vec::new();
        for ask in &asks {
            let (op, body) = self.request(ask);
            let ask = match ask {
                Ask::Sync(..) => Ask::Sync(
                    self.shared.acknowledged.load(Ordering::SeqCst),
                    self.shared.certain(self.neighbour()),
                ),
                other => other.clone(),
            };
            // A request that could not be sent whole may have been sent in part: its outcome is unknown too.
            let xid = self.link.send(op, &body);
            sent.push((xid.unwrap_or(0), ask));
            if xid.is_none() {
                break;
            }
        }
        self.take_replies(&sent, floor)
    }

    fn take_replies(&mut self, sent: &[(i32, Ask)], floor: i64) -> bool {
        let session = self.link.session();
        let mut fine = true;
        let mut synced = None;
        for (at, (xid, ask)) in sent.iter().enumerate() {
            let Some(frame) = self.reply() else {
                self.shared.met(self.id, format!("no reply to {ask:?}"));
                self.unknown(&sent[at..], session);
                return false;
            };
            if frame.xid != *xid {
                self.violation(&format!("xid {} instead of {xid} for {ask:?}", frame.xid));
                self.link.drop_connection();
                self.unknown(&sent[at..], session);
                return false;
            }
            fine &= frame.err == 0;
            let judged = match frame.err {
                0 => self.answered(ask, &frame, floor, &mut synced),
                code::SESSION_MOVED | code::SESSION_EXPIRED | code::CONNECTION_LOSS => {
                    let denied = format!("{ask:?} at {}: error {}", self.link.addr(), frame.err);
                    self.shared.met(self.id, denied);
                    if ask.is_write() {
                        self.with_journal(|journal| journal.denied += 1);
                    }
                    Ok(())
                }
                code::SYSTEM_ERROR if ask.is_write() => {
                    self.shared.refused.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                }
                error => Err(format!("{ask:?}: error {error}")),
            };
            if let Err(text) = judged {
                self.violation(&text);
            }
        }
        if !fine {
            self.link.drop_connection();
        }
        fine
    }

    /// The connection ended before these were answered.
    fn unknown(&self, sent: &[(i32, Ask)], session: i64) {
        let mut journal = self.shared.journal(self.id);
        let mut doubtful = Vec::new();
        for (_, ask) in sent {
            match ask {
                Ask::Create(kind, number) => {
                    journal.create_unknown(*kind, *number, session);
                    if *kind != Kind::Ephemeral {
                        doubtful.push(*number);
                    }
                }
                Ask::Set(register, number) => journal.set_unknown(*register, *number),
                Ask::Delete(number, _) => journal.delete_unknown(*number),
                Ask::Sync(..) | Ask::ReadOwn(_) | Ask::ReadNear(..) => {}
            }
        }
        journal.doubt(doubtful);
    }

    /// A reply without an error: what it promises is written down, what it shows is checked.
    fn answered(
        &mut self,
        ask: &Ask,
        frame: &Frame,
        floor: i64,
        synced: &mut Option<(i64, u64)>,
    ) -> Result<(), String> {
        if ask.is_write() {
            self.shared.acknowledge(self.id, frame.zxid);
            if frame.zxid <= floor {
                return Err(format!(
                    "{ask:?} was given 0x{:x} after 0x{floor:x} had been acknowledged to somebody",
                    frame.zxid
                ));
            }
        }
        let session = self.link.session();
        let mut r = Reader::new(&frame.body);
        match ask {
            Ask::Create(kind, number) => {
                let path = r.string().map_err(text)?.unwrap_or_default().into_owned();
                self.with_journal(|journal| {
                    journal.create_acknowledged(*kind, *number, path, frame.zxid, session)
                })
            }
            Ask::Set(register, number) => {
                let stat = Stat::read(&mut r).map_err(text)?;
                self.with_journal(|journal| {
                    journal.set_acknowledged(*register, *number, frame.zxid);
                });
                if *register == 0 {
                    self.shared.certain_is(self.id, *number);
                }
                same(stat.mzxid, frame.zxid, ask)
            }
            Ask::Delete(number, _) => {
                self.with_journal(|journal| journal.delete_acknowledged(*number, frame.zxid));
                Ok(())
            }
            Ask::Sync(zxid, number) => {
                *synced = Some((*zxid, *number));
                Ok(())
            }
            Ask::ReadOwn(register) => {
                let data = r.buffer().map_err(text)?.unwrap_or_default();
                self.with_journal(|journal| journal.on_read(*register, data))
            }
            Ask::ReadNear(watched, path) => self.near(*watched, path, r, frame.zxid, *synced),
        }
    }

    fn near(
        &mut self,
        watched: Watched,
        path: &str,
        mut r: Reader<'_>,
        zxid: i64,
        synced: Option<(i64, u64)>,
    ) -> Result<(), String> {
        let seen = match watched {
            Watched::Data => {
                let number = number_in(r.buffer().map_err(text)?.unwrap_or_default());
                if let Some((floor, least)) = synced
                    && (zxid < floor || number < least)
                {
                    self.shared.stale(format!(
                        "{path} shows {number} at {} as of 0x{zxid:x} after a sync that was asked for when {least} \
                         and 0x{floor:x} were acknowledged",
                        self.link.addr()
                    ));
                }
                Stat::read(&mut r).map_err(text)?.mzxid
            }
            Watched::Children => {
                for _ in 0..r.count().map_err(text)?.unwrap_or(0) {
                    r.string().map_err(text)?;
                }
                Stat::read(&mut r).map_err(text)?.pzxid
            }
        };
        self.watches.on_read(watched, path, seen)
    }

    /// Whose keys this worker watches.
    fn neighbour(&self) -> usize {
        (self.id + 1) % self.shared.workers
    }

    /// A batch of any requests.
    fn plan(&mut self) -> Vec<Ask> {
        let mut asks = Vec::new();
        let near = super::root(self.neighbour());
        let mut deleting = None;
        for _ in 0..self.rng.usize(1..=BATCH) {
            let number = self.with_journal(Journal::next);
            match self.rng.u32(0..32) {
                0..8 => asks.push(Ask::Create(Kind::Plain, number)),
                8..12 => asks.push(Ask::Create(Kind::Sequential, number)),
                12..14 => asks.push(Ask::Create(Kind::Ephemeral, number)),
                14..26 => asks.push(Ask::Set(self.rng.usize(0..REGISTERS), number)),
                26 => asks.extend([
                    Ask::Sync(0, 0),
                    Ask::ReadNear(Watched::Data, format!("{near}/r/0")),
                ]),
                27 => asks.push(Ask::ReadNear(Watched::Data, format!("{near}/r/0"))),
                28 => asks.push(Ask::ReadNear(Watched::Children, format!("{near}/e"))),
                29 => asks.push(Ask::ReadNear(Watched::Children, format!("{near}/q"))),
                _ => asks.push(Ask::ReadOwn(self.rng.usize(0..REGISTERS))),
            }
            // One of each batch at most: what is deleted must not be chosen twice.
            if deleting.is_none() {
                deleting = self.with_journal(|journal| {
                    journal
                        .oldest_beyond(KEPT, Kind::Plain)
                        .or_else(|| journal.oldest_beyond(KEPT, Kind::Sequential))
                        .or_else(|| journal.oldest_beyond(KEPT_EPHEMERALS, Kind::Ephemeral))
                });
                asks.extend(
                    deleting
                        .clone()
                        .map(|(number, path)| Ask::Delete(number, path)),
                );
            }
        }
        asks
    }

    fn request(&self, ask: &Ask) -> (i32, Body) {
        let journal = self.shared.journal(self.id);
        let any = [(31, "world", "anyone")];
        match ask {
            Ask::Create(kind, number) => {
                let body = Body::new()
                    .string(&journal.path(*kind, *number))
                    .buffer(Some(number.to_string().as_bytes()))
                    .acl(&any)
                    .i32(kind.flags());
                (op::CREATE, body)
            }
            Ask::Set(register, number) => {
                let body = Body::new()
                    .string(&journal.register(*register))
                    .buffer(Some(number.to_string().as_bytes()))
                    .i32(-1);
                (op::SET_DATA, body)
            }
            Ask::Delete(_, path) => (op::DELETE, Body::new().string(path).i32(-1)),
            Ask::Sync(..) => (op::SYNC, Body::new().string("/")),
            Ask::ReadOwn(register) => {
                let path = journal.register(*register);
                (op::GET_DATA, Body::new().string(&path).bool(false))
            }
            Ask::ReadNear(Watched::Data, path) => {
                (op::GET_DATA, Body::new().string(path).bool(true))
            }
            Ask::ReadNear(Watched::Children, path) => {
                (op::GET_CHILDREN2, Body::new().string(path).bool(true))
            }
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    format!("a reply cannot be read: {error}")
}

fn same(there: i64, zxid: i64, ask: &Ask) -> Result<(), String> {
    if there == zxid {
        return Ok(());
    }
    Err(format!(
        "{ask:?}: mzxid 0x{there:x} in a reply with 0x{zxid:x}"
    ))
}
