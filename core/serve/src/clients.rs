//! The connections of one poller, and what they watch.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use hashbrown::HashMap;
use zabra_mutant::{self as mutant, Mutant};
use zabra_peer::{Input, Origin};
use zabra_proto::{ConnId, ErrorCode, MonoMillis, SessionId};
use zabra_session::TimeoutBounds;
use zabra_tree::acl::AclRules;
use zabra_tree::{WatchTable, Watcher};

use crate::audit::{AuditEntry, AuditTrail};
use crate::conn::{State, Wait};
use crate::late::Verdict;
use crate::load::{ConnectBucket, LoadLimits};
use crate::reads::Reading;
use crate::{CloseReason, Conn, Latencies, Replica, ServerStats};

/// How clients are served.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Which session timeouts are granted.
    pub timeouts: TimeoutBounds,
    /// Longest frame that a client may send (`jute.maxbuffer`).
    pub frame_len_max: usize,
    /// With more requests than this at the peer, connections that have some there are not read (SB-03).
    pub outstanding_max: usize,
    /// A connection with this much output waiting is not read.
    pub out_len_pause: usize,
    /// A connection with more output than this waiting is closed.
    pub out_len_max: usize,
    /// A connection without a session is closed after this, ms.
    pub greeting_ms_max: u64,
    /// Schemes and switches of ACL checks.
    pub acl: AclRules,
    /// `super:<digest>`, if there is a super user.
    pub super_digest: Option<String>,
    /// The names of this ensemble, for clients that say which one they look for; none without the scheme `ensemble`,
    /// and no name if every one will do (AC-23).
    pub ensemble: Option<Vec<String>>,
    /// What is not taken on.
    pub load: LoadLimits,
}

/// Where inputs for the peer go.
pub trait Upstream {
    /// Takes one.
    fn input(&mut self, input: Input<'_>);
}

impl<F: FnMut(Input<'_>)> Upstream for F {
    fn input(&mut self, input: Input<'_>) {
        self(input);
    }
}

/// The first four bytes of a connection that begins with no frame: a four-letter word, or nonsense.
pub type Word = [u8; 4];

/// A word that a client says instead of a connect request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordRequest {
    /// Who says it.
    pub conn: ConnId,
    /// The word.
    pub word: Word,
    /// The number behind it, which `stmk` alone has.
    pub argument: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Slot {
    generation: u32,
    pub(crate) conn: Option<Box<Conn>>,
}

/// The connections of one poller.
///
/// The caller moves bytes: it gives what it read to [`Self::on_bytes`], sends what [`Self::output`] holds for each of
/// [`Self::take_dirty`], and tells of the end with [`Self::remove`].
pub struct Clients {
    pub(crate) options: ServeOptions,
    pub(crate) slots: Vec<Slot>,
    free: Vec<u32>,
    open: usize,
    pub(crate) by_session: HashMap<SessionId, ConnId>,
    pub(crate) watches: WatchTable,
    pub(crate) dirty: Vec<ConnId>,
    pub(crate) resumable: Vec<ConnId>,
    pub(crate) throttled: Vec<ConnId>,
    /// Whose next request waits for others to finish, in the order of their turns.
    pub(crate) held: BTreeSet<(u64, ConnId)>,
    pub(crate) next_ticket: u64,
    /// Who may have large requests in flight.
    pub(crate) large_holders: Vec<ConnId>,
    pub(crate) connects: Option<ConnectBucket>,
    words: Vec<WordRequest>,
    /// Output buffers that no connection needs just now: an idle connection holds none.
    pub(crate) spare: Vec<Vec<u8>>,
    pub(crate) outstanding: usize,
    pub(crate) stats: ServerStats,
    pub(crate) latencies: Latencies,
    /// Sessions that were heard of on connections that are gone, with their timeouts and when: not yet reported.
    pub(crate) last_heard: BTreeMap<SessionId, (i32, MonoMillis)>,
    /// Whether sessions are opened at all.
    pub(crate) serving: bool,
    /// Who changes what, if that is to be told.
    pub(crate) audit: Option<AuditTrail>,
}

/// Longest connect request: one is 45 bytes and the rest of an odd password. Nobody can make the server hold more
/// before there is a session (P119).
const CONNECT_LEN_MAX: usize = 4096;

/// The word with a mask of eight bytes behind it.
const SET_TRACE_MASK: Word = *b"stmk";

impl Clients {
    /// No connections. The seed is for the watch table's hashes, and for whom a connect throttle drops.
    #[must_use]
    pub fn new(options: ServeOptions, hash_seed: u64) -> Self {
        let bucket = |throttle| ConnectBucket::new(throttle, hash_seed);
        Self {
            connects: options.load.connects.map(bucket),
            options,
            slots: Vec::new(),
            free: Vec::new(),
            open: 0,
            by_session: HashMap::new(),
            watches: WatchTable::new(hash_seed),
            dirty: Vec::new(),
            resumable: Vec::new(),
            throttled: Vec::new(),
            held: BTreeSet::new(),
            next_ticket: 0,
            large_holders: Vec::new(),
            words: Vec::new(),
            spare: Vec::new(),
            outstanding: 0,
            stats: ServerStats::default(),
            latencies: Latencies::default(),
            last_heard: BTreeMap::new(),
            serving: true,
            audit: None,
        }
    }

    /// Keeps an audit trail from here on: [`Self::take_audit`].
    pub fn keep_audit(&mut self) {
        self.audit.get_or_insert_default();
    }

    /// The changes whose outcome has become known since the last call, in order.
    pub fn take_audit(&mut self) -> Vec<AuditEntry> {
        self.audit
            .as_mut()
            .map_or_else(Vec::new, AuditTrail::take_done)
    }

    /// Opens sessions from here on, and answers.
    pub fn start_serving(&mut self) {
        self.serving = true;
    }

    /// Ends every connection that has asked for a session, and opens none: this server cannot promise anything now. A
    /// connection that has said nothing yet may still say a four-letter word.
    pub fn stop_serving(&mut self) {
        self.serving = false;
        if let Some(audit) = &mut self.audit {
            audit.on_lost();
        }
        let asked = |conn: &&Conn| conn.state != State::Greeting && conn.closing().is_none();
        let ids: Vec<ConnId> = self.iter().filter(asked).map(Conn::id).collect();
        for id in ids {
            self.close(id, CloseReason::NotServing);
        }
    }

    /// Whether sessions are opened.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.serving
    }

    /// Takes in a new connection.
    pub fn accept(&mut self, remote: SocketAddr, now: MonoMillis) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                conn: None,
            });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        let id = ConnId((u64::from(slot.generation) << 32) | u64::from(index));
        slot.conn = Some(Box::new(Conn::new(id, remote, now)));
        self.open += 1;
        id
    }

    /// Forgets a connection whose socket is gone. Its session lives on until it expires; its watches end at once
    /// (P92).
    pub fn remove(&mut self, id: ConnId) {
        let Some(slot) = self.slots.get_mut(id.0 as u32 as usize) else {
            return;
        };
        if slot.conn.as_ref().is_none_or(|conn| conn.id != id) {
            return;
        }
        let Some(conn) = slot.conn.take() else { return };
        if conn.held && conn.closing().is_none() {
            self.on_held_end();
        }
        let is_kept = conn.touched && !mutant::on(Mutant::TouchLostWithConnection);
        if is_kept && conn.session != SessionId::NONE {
            let heard = (conn.timeout_ms, conn.heard);
            self.last_heard.insert(conn.session, heard);
        }
        self.free.push(id.0 as u32);
        self.open -= 1;
        self.outstanding -= conn.parked.len();
        self.watches.drop_watcher(Watcher(id.0));
        if self.by_session.get(&conn.session) == Some(&id) {
            self.by_session.remove(&conn.session);
        }
        self.ease();
    }

    /// A connection, if it is still there.
    #[must_use]
    pub fn conn(&self, id: ConnId) -> Option<&Conn> {
        self.slots
            .get(id.0 as u32 as usize)?
            .conn
            .as_deref()
            .filter(|conn| conn.id == id)
    }

    pub(crate) fn conn_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slots
            .get_mut(id.0 as u32 as usize)?
            .conn
            .as_deref_mut()
            .filter(|conn| conn.id == id)
    }

    /// All connections.
    pub fn iter(&self) -> impl Iterator<Item = &Conn> {
        self.slots.iter().filter_map(|slot| slot.conn.as_deref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Conn> {
        self.slots
            .iter_mut()
            .filter_map(|slot| slot.conn.as_deref_mut())
    }

    /// Number of connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// Requests that wait for an answer, on all connections.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// What is watched.
    #[must_use]
    pub fn watches(&self) -> &WatchTable {
        &self.watches
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> &ServerStats {
        &self.stats
    }

    /// Latencies since the last call that took them.
    pub fn latencies(&mut self) -> &mut Latencies {
        &mut self.latencies
    }

    /// Starts counting anew (`srst`).
    pub fn reset_stats(&mut self) {
        self.stats = ServerStats::default();
    }

    /// Counts a word as a frame that came. What is no word is none.
    pub fn count_word(&mut self, id: ConnId) {
        self.stats.received += 1;
        if let Some(conn) = self.conn_mut(id) {
            conn.stats.received += 1;
        }
    }

    /// Starts counting anew for each connection (`crst`).
    pub fn reset_conn_stats(&mut self) {
        for conn in self.iter_mut() {
            conn.stats = crate::ConnStats::new(conn.stats.established);
        }
    }

    /// Takes bytes that came from a client: answers reads, parks what must wait, hands writes on.
    pub fn on_bytes(
        &mut self,
        id: ConnId,
        bytes: &[u8],
        replica: &Replica,
        now: MonoMillis,
        upstream: &mut impl Upstream,
    ) {
        let Some(conn) = self.conn_mut(id).filter(|conn| conn.closing().is_none()) else {
            return;
        };
        conn.heard = now;
        conn.came = now;
        conn.touched = true;
        if !conn.input.is_empty() {
            conn.input.extend_from_slice(bytes);
            return self.consume_input(id, replica, now, upstream);
        }
        let used = self.consume(id, bytes, replica, now, upstream);
        if let Some(conn) = self.conn_mut(id).filter(|conn| conn.closing().is_none()) {
            conn.input
                .extend_from_slice(bytes.get(used..).unwrap_or_default());
        }
    }

    /// Goes on with what came earlier.
    pub(crate) fn consume_input(
        &mut self,
        id: ConnId,
        replica: &Replica,
        now: MonoMillis,
        upstream: &mut impl Upstream,
    ) {
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        let mut input = std::mem::take(&mut conn.input);
        let used = self.consume(id, &input, replica, now, upstream);
        if let Some(conn) = self.conn_mut(id).filter(|conn| conn.closing().is_none())
            && used < input.len()
        {
            input.drain(..used);
            conn.input = input;
        }
    }

    /// Handles whole frames; returns how many bytes they were.
    fn consume(
        &mut self,
        id: ConnId,
        bytes: &[u8],
        replica: &Replica,
        now: MonoMillis,
        upstream: &mut impl Upstream,
    ) -> usize {
        let mut used = 0;
        loop {
            let Some(conn) = self.conn(id) else {
                return used;
            };
            if !self.may_read(conn) {
                return used;
            }
            let rest = bytes.get(used..).unwrap_or_default();
            let Some((head, rest)) = rest.split_first_chunk::<4>() else {
                return used;
            };
            let len_max = match conn.state {
                State::Greeting => self.options.frame_len_max.min(CONNECT_LEN_MAX),
                _ => self.options.frame_len_max,
            };
            let len = usize::try_from(i32::from_be_bytes(*head))
                .ok()
                .filter(|n| *n <= len_max);
            let Some(len) = len else {
                let argument = rest
                    .first_chunk::<8>()
                    .map(|mask| i64::from_be_bytes(*mask));
                if *head == SET_TRACE_MASK && argument.is_none() && conn.state == State::Greeting {
                    return used;
                }
                self.on_bad_length(id, *head, argument);
                return bytes.len();
            };
            if !self.admits_frame(id, len) {
                return bytes.len();
            }
            let (Some(frame), Some(conn)) = (rest.get(..len), self.conn(id)) else {
                return used;
            };
            if self.must_hold(conn, frame) {
                self.hold(id);
                return used;
            }
            let parked = conn.parked.len();
            used += 4 + len;
            match self.judge(id, frame, now) {
                Verdict::Run => self.on_frame(id, frame, replica, now, upstream),
                Verdict::Refuse => self.refuse_throttled(id, frame, replica, now),
                Verdict::Drop => self.close(id, CloseReason::Stale),
            }
            self.on_frame_handled(id, len, parked);
        }
    }

    /// No legal length: at the start of a connection a four-letter word, all of which are larger than any frame
    /// (protocol 17); later, the end.
    fn on_bad_length(&mut self, id: ConnId, head: Word, argument: Option<i64>) {
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        if conn.state == State::Greeting {
            self.words.push(WordRequest {
                conn: id,
                word: head,
                argument: argument.filter(|_| head == SET_TRACE_MASK),
            });
        } else {
            self.close(id, CloseReason::BadLength);
        }
    }

    fn on_frame(
        &mut self,
        id: ConnId,
        frame: &[u8],
        replica: &Replica,
        now: MonoMillis,
        upstream: &mut impl Upstream,
    ) {
        self.stats.received += 1;
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        conn.stats.received += 1;
        conn.ticket = None;
        match conn.state {
            State::Greeting => self.on_connect_request(id, frame, replica, now, upstream),
            State::Open => self.on_request(id, frame, replica, now, upstream),
            State::Connecting { .. } | State::Closing(_) => {}
        }
    }

    /// Four-letter words that came since the last call. Answer each with [`Self::answer_word`].
    pub fn take_words(&mut self) -> Vec<WordRequest> {
        std::mem::take(&mut self.words)
    }

    /// Sends a word's answer as it is, then closes. No answer closes at once.
    pub fn answer_word(&mut self, id: ConnId, text: &[u8]) {
        // What says nothing is not sent.
        self.stats.sent += u64::from(!text.is_empty());
        self.ready_to_write(id);
        let greeting = |conn: &&mut Conn| conn.state == State::Greeting;
        if let Some(conn) = self.conn_mut(id).filter(greeting) {
            conn.out.extend_from_slice(text);
            self.close(id, CloseReason::WordAnswered);
        }
    }

    /// Closes a connection once its output is sent. What it still waits for is done, but answered to nobody; its watches
    /// end at once.
    pub fn close(&mut self, id: ConnId, reason: CloseReason) {
        let Some(conn) = self.conn_mut(id).filter(|conn| conn.closing().is_none()) else {
            return;
        };
        let was_held = conn.held && reason != CloseReason::Stale;
        let waiting = conn.close(reason);
        if let (Some(audit), CloseReason::SessionGone) = (&mut self.audit, reason) {
            audit.on_refused(id);
        }
        if was_held {
            self.on_held_end();
        }
        self.outstanding -= waiting;
        self.watches.drop_watcher(Watcher(id.0));
        self.mark(id);
        self.ease();
    }

    /// Closes all connections: the server stops.
    pub fn close_all(&mut self) {
        let ids: Vec<ConnId> = self.iter().map(Conn::id).collect();
        for id in ids {
            self.close(id, CloseReason::Shutdown);
        }
    }

    /// The peer has answered a request that became no transaction.
    pub fn on_reply(
        &mut self,
        origin: Origin,
        error: ErrorCode,
        replica: &Replica,
        now: MonoMillis,
    ) {
        if let Some(audit) = &mut self.audit {
            audit.on_reply(&origin, error.is_ok());
        }
        let Some(conn) = self.conn_mut(origin.conn).filter(|c| c.closing().is_none()) else {
            return self.on_late_reply(origin.ask);
        };
        let answered = conn
            .parked
            .iter_mut()
            .find(|parked| parked.is_with_peer(origin.seq));
        if let Some(parked) = answered
            && let Wait::Peer { echo, .. } = &mut parked.wait
        {
            let echo = echo.take();
            parked.wait = Wait::Answered { error, echo };
            self.serve_parked(origin.conn, replica, now);
            self.ease();
        }
    }

    /// Answers the parked requests whose turn has come: all up to the next that the peer has.
    pub(crate) fn serve_parked(&mut self, id: ConnId, replica: &Replica, now: MonoMillis) {
        let out_len_max = self.options.out_len_max;
        let mut served = 0;
        let Some((conn, mut reading)) = self.reading(id, replica, now) else {
            return;
        };
        // Its client is slow if all this is too much; the bound holds while the answers are made (P118).
        while conn.unsent_len() <= out_len_max
            && let Some(parked) = conn.next_in_turn()
        {
            reading.answer_parked(conn, parked);
            served += 1;
        }
        self.outstanding -= served;
        if served > 0 {
            self.mark(id);
        }
    }

    /// A connection and what answering a read takes, borrowed side by side.
    pub(crate) fn reading<'c>(
        &'c mut self,
        id: ConnId,
        replica: &'c Replica,
        now: MonoMillis,
    ) -> Option<(&'c mut Conn, Reading<'c>)> {
        self.ready_to_write(id);
        let conn = self
            .slots
            .get_mut(id.0 as u32 as usize)?
            .conn
            .as_deref_mut()
            .filter(|conn| conn.id == id)?;
        let reading = Reading {
            replica,
            watches: &mut self.watches,
            options: &self.options,
            stats: &mut self.stats,
            latencies: &mut self.latencies,
            now,
        };
        Some((conn, reading))
    }
}
