//! A client: real protocol bytes both ways, one session after the other, any server.
//!
//! It writes, reads and watches at random, leaves servers that do not answer, takes its session along, and tells the
//! checks everything it is told. What it was not answered it takes for unknown.

mod ask;
mod fading;
mod guarded;
mod lasting;
mod reply;
mod twins;
mod watched;

use std::collections::VecDeque;

use zabra_jute::Encode;
use zabra_proto::client::ConnectRequest;
use zabra_proto::{SessionId, Zxid};

use crate::check::Watching;
use crate::event::{ClientAt, Event, ServerAt};
use crate::kernel::Micros;
use crate::network::{Node, Side, StreamId};
use crate::say;
use crate::surroundings::Surroundings;

use ask::Waiting;
use watched::Moving;

/// A client of the world.
pub struct Client {
    /// Its place in the world.
    pub at: ClientAt,
    session: Option<Session>,
    seen: Zxid,
    conn: Option<Connection>,
    /// What was watched on the connection before, for the next one of the session.
    left: Watching,
    /// The attempt to connect that is under way.
    attempt: Option<u64>,
    attempts: u64,
    /// An attempt beside the connection, given up as soon as the session was asked for.
    stray: Option<u64>,
    is_stray: bool,
    written: u64,
    /// Counts on over connections, as Java's client does, or begins anew, as kazoo does (P86).
    next_xid: i32,
    /// Faults have ended: only the last write is still asked for.
    is_calm: bool,
    /// The last write was answered, or the sync behind it.
    is_served: bool,
    /// Only the sync behind the last write is still asked for.
    has_last_sync: bool,
    /// What became of it, for people to read.
    pub tally: Tally,
}

/// What became of a client's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Writes that succeeded.
    pub writes: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Events.
    pub events: u64,
    /// Sessions that were lost.
    pub lost_sessions: u64,
    /// Connections that ended.
    pub disconnects: u64,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    id: SessionId,
    password: [u8; 16],
    timeout_ms: u64,
}

/// A connection to a server.
struct Connection {
    stream: StreamId,
    is_open: bool,
    input: Vec<u8>,
    /// What waits for its reply.
    asked: VecDeque<Waiting>,
    /// What a voter must show to each of these at least (I-27).
    required: VecDeque<Zxid>,
    /// Whom it asks.
    to: ServerAt,
    heard: Micros,
    said: Micros,
    /// The zxid of the last reply.
    last: Zxid,
    /// The zxid of the last event.
    event: Zxid,
    watches: Watching,
    /// Watches of the connection before, until the server has them.
    moving: Option<Moving>,
}

impl Client {
    /// A client that has not connected.
    #[must_use]
    pub fn new(at: ClientAt) -> Self {
        Self {
            at,
            session: None,
            seen: Zxid::ZERO,
            conn: None,
            left: Watching::default(),
            attempt: None,
            attempts: 0,
            stray: None,
            is_stray: false,
            written: 0,
            next_xid: 0,
            is_calm: false,
            is_served: false,
            has_last_sync: false,
            tally: Tally::default(),
        }
    }

    /// Its place in the network.
    #[must_use]
    pub fn node(&self) -> Node {
        Node::Client(self.at)
    }

    /// Its stream, if it is connected.
    #[must_use]
    pub fn stream(&self) -> Option<StreamId> {
        self.conn.as_ref().map(|conn| conn.stream)
    }

    /// Faults have ended: it makes one more write, and keeps its session.
    pub fn calm_down(&mut self) {
        self.is_calm = true;
        self.is_served = false;
    }

    /// Asks to sync, if it is connected.
    pub fn sync(&mut self, around: &mut Surroundings) {
        self.ask_sync("/", around);
    }

    /// Everybody's last write was answered: only a sync is still asked for.
    pub fn ask_last_sync(&mut self) {
        self.has_last_sync = true;
        self.is_served = false;
    }

    /// Whether that is so.
    #[must_use]
    pub fn has_last_sync(&self) -> bool {
        self.has_last_sync
    }

    /// Whether its last write was answered, and the sync if that was asked for, and a server serves it now: one that is on its
    /// way between servers may still lose its session.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.is_served && self.conn.as_ref().is_some_and(|conn| conn.is_open)
    }

    /// The clock.
    pub fn on_timer(&mut self, around: &mut Surroundings) {
        let now = around.kernel.now();
        let next = if self.is_calm {
            // Often enough that its session is never in doubt.
            (around.plan.tick_ms * 1000).min(self.timeout_us(around) / 8)
        } else {
            around.kernel.spread(around.plan.think_us) + 1
        };
        around.kernel.after(next, Event::ClientTimer(self.at));
        let timeout_us = self.timeout_us(around);
        match &self.conn {
            None if self.attempt.is_none() => self.begin_to_connect(around),
            None => {}
            Some(conn) if now.since(conn.heard) > self.patience_us(timeout_us, around) => {
                say!(around.kernel, "c{} hears nothing", self.at);
                self.leave(around);
            }
            Some(conn) if conn.is_open => self.be_busy(around),
            Some(_) => {}
        }
    }

    /// Who is impatient leaves a server that is only slow.
    fn patience_us(&self, timeout_us: u64, around: &Surroundings) -> u64 {
        if around.plan.is_impatient && !self.is_calm {
            timeout_us / 5
        } else {
            timeout_us * 2 / 3
        }
    }

    fn timeout_us(&self, around: &Surroundings) -> u64 {
        let default = around.plan.timeout_ticks.0 * around.plan.tick_ms;
        self.session.map_or(default, |session| session.timeout_ms) * 1000
    }

    fn begin_to_connect(&mut self, around: &mut Surroundings) {
        self.attempts += 1;
        self.attempt = Some(self.attempts);
        let delay = around.net.delay(&mut around.kernel);
        let event = Event::ClientConnect(self.at, self.attempts);
        around.kernel.after(delay, event);
    }

    /// Asks another server for the session, and thinks better of it.
    pub(super) fn stray(&mut self, around: &mut Surroundings) {
        self.attempts += 1;
        self.stray = Some(self.attempts);
        let delay = around.net.delay(&mut around.kernel);
        let event = Event::ClientConnect(self.at, self.attempts);
        around.kernel.after(delay, event);
    }

    /// Whom to connect to, if this attempt still counts.
    pub fn choose(&mut self, attempt: u64, around: &mut Surroundings) -> Option<ServerAt> {
        self.is_stray = self.stray.take_if(|stray| *stray == attempt).is_some();
        if self.is_stray {
            return Some(around.kernel.rng.usize(0..around.plan.servers()));
        }
        if self.attempt != Some(attempt) {
            return None;
        }
        self.attempt = None;
        Some(around.kernel.rng.usize(0..around.plan.servers()))
    }

    /// Connected: says which session it wants.
    pub fn on_connected(&mut self, stream: StreamId, to: ServerAt, around: &mut Surroundings) {
        let now = around.kernel.now();
        say!(
            around.kernel,
            "c{} → s{} connects, seen {}",
            self.at,
            to + 1,
            crate::trace::Z(self.seen)
        );
        if self.is_stray {
            let frame = self.connect_request(around);
            let (kernel, net) = (&mut around.kernel, &mut around.net);
            net.send(kernel, stream, Side::Opener, frame);
            return net.close(kernel, stream, Side::Opener);
        }
        if around.plan.xids_begin_anew {
            self.next_xid = 0;
        }
        self.conn = Some(Connection {
            stream,
            is_open: false,
            input: Vec::new(),
            asked: VecDeque::new(),
            required: VecDeque::new(),
            to,
            heard: now,
            said: now,
            last: Zxid::ZERO,
            event: Zxid::ZERO,
            watches: Watching::default(),
            moving: None,
        });
        let frame = self.connect_request(around);
        let (kernel, net) = (&mut around.kernel, &mut around.net);
        net.send(kernel, stream, Side::Opener, frame);
    }

    /// Which session it wants, as a frame.
    fn connect_request(&self, around: &mut Surroundings) -> Vec<u8> {
        let ticks = around.kernel.between(around.plan.timeout_ticks);
        let wanted = i32::try_from(around.plan.tick_ms * ticks).unwrap_or(i32::MAX);
        let (session, password) = self
            .session
            .map_or((SessionId::NONE, [0; 16]), |s| (s.id, s.password));
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.seen,
            timeout_ms: wanted,
            session,
            password: &password,
            read_only: Some(false),
        };
        if let Some(session) = self.session {
            around.check.asked_timeout(session.id, wanted);
        }
        let mut body = Vec::new();
        request.encode(&mut body);
        framed(&body)
    }

    fn send(&mut self, body: &[u8], around: &mut Surroundings) {
        let Some(conn) = &mut self.conn else { return };
        conn.said = around.kernel.now();
        let frame = framed(body);
        let (kernel, net) = (&mut around.kernel, &mut around.net);
        net.send(kernel, conn.stream, Side::Opener, frame);
    }

    /// Closes the connection and looks for another server.
    fn leave(&mut self, around: &mut Surroundings) {
        if let Some(mut conn) = self.conn.take() {
            self.tally.disconnects += 1;
            let session = self.session.map_or(SessionId::NONE, |session| session.id);
            around.check.hears_no_more(session, &mut conn.watches);
            // What was on its way there, nobody knows of.
            self.left = match conn.moving {
                None => conn.watches,
                Some(_) => Watching::default(),
            };
            let (kernel, net) = (&mut around.kernel, &mut around.net);
            net.close(kernel, conn.stream, Side::Opener);
        }
    }

    /// The connection has ended.
    pub fn on_gone(&mut self, stream: StreamId, around: &mut Surroundings) {
        if self.stream() == Some(stream) {
            say!(around.kernel, "c{} is disconnected", self.at);
            self.leave(around);
            // Some turn to another server at once, while their requests are on their way there.
            if self.attempt.is_none() && around.kernel.chance(500) {
                self.begin_to_connect(around);
            }
        }
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}
