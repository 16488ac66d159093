//! The election port: votes to and from every other server, at all times (quorum 4).
//!
//! One link for each other server. What is to be told waits in a slot of one, in which a newer vote replaces an older.
//! Which connection of two survives is decided in `correspondent`; here are the sockets.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};
use zabra_election::{LinkFact, Received};
use zabra_proto::notification::{
    ElectionAddress, InitialError, InitialForm, InitialMessage, Notification, frame,
};
use zabra_proto::{MonoMillis, Sid};
use zabra_quorum::HostPort;

use super::LinkLetter;
use super::correspondent::{Connected, Correspondent, Introduced};
use super::dialer::{self, DialError};
use super::donor::{Asked, Donor};
use super::door::Door;
use super::socket::{Socket, SocketOptions};
use crate::net::{Listener, Poller, Ready, Source};
use crate::seat::Mailbox;

/// How this server behaves on its election port.
#[derive(Debug, Clone)]
pub(crate) struct ElectionOptions {
    /// This server.
    pub(crate) me: Sid,
    /// Where it listens, as it tells the others.
    pub(crate) own: Vec<HostPort>,
    /// Whether it tells all its addresses (`multiAddress.enabled`); servers of 3.5 do not understand that.
    pub(crate) tells_all: bool,
    /// The other servers' configured addresses.
    pub(crate) others: BTreeMap<Sid, Vec<HostPort>>,
    /// How long opening a connection may take.
    pub(crate) connect_timeout: Duration,
    /// How long the other side may take to introduce itself, ms.
    pub(crate) introduction_ms_max: u64,
    /// How sockets are set up.
    pub(crate) socket: SocketOptions,
}

/// What came from other servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ElectionNews {
    /// A vote.
    Vote(Box<Received>),
    /// The link to a server changed.
    Link(Sid, LinkFact),
}

/// The election port and its links.
#[derive(Debug)]
pub(crate) struct ElectionPort {
    options: ElectionOptions,
    introduction: Vec<u8>,
    door: Door,
    lines: BTreeMap<Sid, Line>,
    wires: BTreeMap<u32, Wire>,
    next_number: u32,
    next_attempt: u64,
    mailbox: Arc<Mailbox>,
    /// Answers members whose logs are damaged.
    donor: Arc<Donor>,
    news: Vec<ElectionNews>,
    /// Whether something waits that was not tried to be sent.
    is_dirty: bool,
}

/// Another server.
#[derive(Debug)]
struct Line {
    correspondent: Correspondent,
    /// The socket of its link.
    wire: Option<u32>,
    /// Where it said that it listens.
    announced: Vec<HostPort>,
    /// The last attempt to connect to it; what comes of an older one is dropped (R12).
    attempt: u64,
}

/// A socket on this port.
#[derive(Debug)]
struct Wire {
    socket: Socket,
    inbox: Vec<u8>,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It connected and has not said who it is.
    Unknown { from: SocketAddr, until: MonoMillis },
    /// It is the link of this server.
    Link(Sid),
}

/// Servers that no configuration names are talked to as well (quorum 4.2), but not to any number of them.
const STRANGERS_MAX: usize = 64;
/// With more connections than this that have not said who they are, the oldest goes.
const UNKNOWN_MAX: usize = 128;

impl ElectionPort {
    /// A port without listeners and links.
    pub(crate) fn new(
        options: ElectionOptions,
        mailbox: Arc<Mailbox>,
        donor: Arc<Donor>,
    ) -> Result<Self, InitialError> {
        Ok(Self {
            introduction: introduction(&options)?,
            options,
            door: Door::default(),
            lines: BTreeMap::new(),
            wires: BTreeMap::new(),
            next_number: 0,
            next_attempt: 0,
            mailbox,
            donor,
            news: Vec::new(),
            is_dirty: false,
        })
    }

    /// Listens here from now on.
    pub(crate) fn listen(
        &mut self,
        listeners: Vec<Listener>,
        poller: &Poller,
    ) -> std::io::Result<()> {
        for listener in listeners {
            let number = self.number();
            self.door
                .open(number, listener, Source::Election(number), poller)?;
        }
        Ok(())
    }

    /// What came since the last call.
    pub(crate) fn take_news(&mut self) -> Vec<ElectionNews> {
        std::mem::take(&mut self.news)
    }

    /// Tells a server something, in place of what it was not told yet; connects to it if there is no link.
    pub(crate) fn post(&mut self, to: Sid, frame: Vec<u8>, now: MonoMillis) {
        let Some(line) = self.line(to) else { return };
        let dials = line.correspondent.post(frame, now);
        self.is_dirty = true;
        if dials {
            let configured = self.options.others.get(&to).cloned();
            self.dial(to, configured);
        }
    }

    /// Takes up what the poller reported.
    pub(crate) fn on_ready(
        &mut self,
        report: Ready,
        number: u32,
        scratch: &mut [u8],
        now: MonoMillis,
        poller: &Poller,
    ) {
        if self.door.has(number) {
            for (stream, from) in self.door.accept(number, now) {
                self.let_in(stream, from, now, poller);
            }
            if self.door.is_paused() {
                self.door.watch(false, Source::Election, poller);
            }
            return;
        }
        if report.write {
            self.flush_wire(number, now, poller);
        }
        if report.read {
            self.read(number, scratch, now, poller);
        }
    }

    /// An attempt to connect has ended.
    pub(crate) fn on_dialed(
        &mut self,
        to: Sid,
        attempt: u64,
        result: Result<TcpStream, DialError>,
        now: MonoMillis,
        poller: &Poller,
    ) {
        let Some(line) = self.lines.get_mut(&to) else {
            return;
        };
        if line.attempt != attempt {
            return;
        }
        let stream = match result {
            Ok(stream) => stream,
            Err(error) => {
                debug!(%to, %error, "no election link");
                let failed = line.correspondent.on_connect_failed(error.is_refused);
                self.tell(to, failed.fact);
                if failed.dials {
                    self.dial(to, None);
                }
                return self.forget_if_idle(to);
            }
        };
        match line.correspondent.on_connected(now) {
            Connected::Keep => self.keep_connected(to, stream, now, poller),
            Connected::IntroduceAndClose => self.ring(to, stream, poller),
            Connected::Close => {}
        }
    }

    /// Sends what waits, as far as the sockets have room.
    pub(crate) fn flush(&mut self, now: MonoMillis, poller: &Poller) {
        if !std::mem::take(&mut self.is_dirty) {
            return;
        }
        let numbers: Vec<u32> = self.lines.values().filter_map(|line| line.wire).collect();
        for number in numbers {
            self.flush_wire(number, now, poller);
        }
    }

    /// When [`Self::on_time`] has something to do.
    pub(crate) fn deadline(&self) -> Option<MonoMillis> {
        let unknown = self.wires.values().filter_map(|wire| match wire.role {
            Role::Unknown { until, .. } => Some(until),
            Role::Link(_) => None,
        });
        let lines = self.lines.values();
        let waiting = lines.filter_map(|line| line.correspondent.deadline());
        unknown.chain(waiting).chain(self.door.deadline()).min()
    }

    /// Ends what has lasted too long.
    pub(crate) fn on_time(&mut self, now: MonoMillis, poller: &Poller) {
        self.wires.retain(|_, wire| match wire.role {
            Role::Unknown { from, until } if until <= now => {
                info!(%from, "a connection to the election port said nothing and is closed");
                false
            }
            _ => true,
        });
        let sids: Vec<Sid> = self.lines.keys().copied().collect();
        for sid in sids {
            let line = self.lines.get_mut(&sid);
            let fact = line.and_then(|line| line.correspondent.on_time(now));
            self.tell(sid, fact);
            self.forget_if_idle(sid);
        }
        if self.door.on_time(now) {
            self.door.watch(true, Source::Election, poller);
        }
    }

    /// Closes all links, and goes on under another membership; a new set of listeners if there is one.
    pub(crate) fn rebuild(
        &mut self,
        options: ElectionOptions,
        keeps_listeners: bool,
    ) -> Result<(), InitialError> {
        self.introduction = introduction(&options)?;
        self.options = options;
        self.lines.clear();
        self.wires.clear();
        self.news.clear();
        if !keeps_listeners {
            self.door = Door::default();
        }
        Ok(())
    }

    fn number(&mut self) -> u32 {
        loop {
            let number = self.next_number;
            self.next_number = number.wrapping_add(1);
            if !self.wires.contains_key(&number) && !self.door.has(number) {
                return number;
            }
        }
    }

    /// What is known of another server; nothing if it is one stranger too many, or this server itself.
    fn line(&mut self, sid: Sid) -> Option<&mut Line> {
        let me = self.options.me;
        let is_new = !self.lines.contains_key(&sid);
        let others = &self.options.others;
        if is_new && !others.contains_key(&sid) {
            let strangers = self.lines.keys().filter(|sid| !others.contains_key(sid));
            if strangers.count() >= STRANGERS_MAX {
                warn!(%sid, "too many servers that no configuration names; one is not talked to");
                return None;
            }
        }
        (sid != me).then(|| {
            self.lines.entry(sid).or_insert_with(|| Line {
                correspondent: Correspondent::new(me, sid),
                wire: None,
                announced: Vec::new(),
                attempt: 0,
            })
        })
    }

    fn forget_if_idle(&mut self, sid: Sid) {
        let is_stranger = !self.options.others.contains_key(&sid);
        let line = self.lines.get(&sid);
        if is_stranger && line.is_some_and(|line| line.correspondent.is_idle()) {
            self.lines.remove(&sid);
        }
    }

    fn tell(&mut self, sid: Sid, fact: Option<LinkFact>) {
        self.news
            .extend(fact.map(|fact| ElectionNews::Link(sid, fact)));
    }

    /// Begins an attempt: at the given addresses, otherwise where it said that it listens, otherwise where it is
    /// configured.
    fn dial(&mut self, to: Sid, addresses: Option<Vec<HostPort>>) {
        self.next_attempt += 1;
        let attempt = self.next_attempt;
        let Some(line) = self.lines.get_mut(&to) else {
            return;
        };
        line.attempt = attempt;
        let announced = (!line.announced.is_empty()).then(|| line.announced.clone());
        let configured = || self.options.others.get(&to).cloned();
        let addresses = addresses.or(announced).or_else(configured);
        let timeout = self.options.connect_timeout;
        let mailbox = Arc::clone(&self.mailbox);
        let post = move |mailbox: &Mailbox, result| {
            let letter = LinkLetter::ElectionDialed {
                to,
                attempt,
                result,
            };
            mailbox.post(|letters| letters.links.push(letter));
        };
        let begun = dialer::spawn("dial election", {
            let mailbox = Arc::clone(&mailbox);
            move || {
                let result = dialer::connect(&addresses.unwrap_or_default(), timeout);
                post(&mailbox, result);
            }
        });
        if let Err(error) = begun {
            warn!(%to, %error, "no thread to connect to another server");
            post(&mailbox, Err(dialer::unexpected(&error)));
        }
    }

    /// A connection came.
    fn let_in(&mut self, stream: TcpStream, from: SocketAddr, now: MonoMillis, poller: &Poller) {
        let unknown = |wire: &Wire| matches!(wire.role, Role::Unknown { .. });
        let mut waiting = self.wires.iter().filter(|(_, wire)| unknown(wire));
        if let Some((oldest, _)) = waiting.next()
            && waiting.count() + 1 >= UNKNOWN_MAX
        {
            let oldest = *oldest;
            self.wires.remove(&oldest);
        }
        let until = now.after(self.options.introduction_ms_max);
        self.add_wire(stream, Role::Unknown { from, until }, poller);
    }

    fn add_wire(&mut self, stream: TcpStream, role: Role, poller: &Poller) -> Option<u32> {
        let number = self.number();
        let source = Source::Election(number);
        match Socket::new(stream, source, self.options.socket, poller) {
            Ok(socket) => {
                let wire = Wire {
                    socket,
                    inbox: Vec::new(),
                    role,
                };
                self.wires.insert(number, wire);
                Some(number)
            }
            Err(error) => {
                warn!(%error, "a connection of the election port cannot be used");
                None
            }
        }
    }

    /// This server connected, and has the larger id.
    fn keep_connected(&mut self, to: Sid, stream: TcpStream, now: MonoMillis, poller: &Poller) {
        let Some(number) = self.add_wire(stream, Role::Link(to), poller) else {
            return;
        };
        if let Some(wire) = self.wires.get_mut(&number) {
            // In one segment (quorum 4.1): the socket is new and empty.
            wire.socket.out().extend_from_slice(&self.introduction);
            if let Err(error) = wire.socket.flush(poller) {
                debug!(%to, %error, "an election link broke at once");
                self.wires.remove(&number);
                return;
            }
        }
        self.set_up(to, number, now);
    }

    /// This server connected, and has the smaller id: the other side closes this and connects back.
    fn ring(&mut self, to: Sid, stream: TcpStream, poller: &Poller) {
        let Some(number) = self.add_wire(stream, Role::Link(to), poller) else {
            return;
        };
        if let Some(mut wire) = self.wires.remove(&number) {
            wire.socket.out().extend_from_slice(&self.introduction);
            if let Err(error) = wire.socket.flush(poller) {
                debug!(%to, %error, "a server could not be asked to connect back");
            }
        }
    }

    /// The link to a server stands; an older one is closed.
    fn set_up(&mut self, sid: Sid, number: u32, now: MonoMillis) {
        let Some(line) = self.lines.get_mut(&sid) else {
            self.wires.remove(&number);
            return;
        };
        if let Some(older) = line.wire.replace(number) {
            self.wires.remove(&older);
        }
        let fact = line.correspondent.on_up();
        self.is_dirty = true;
        debug!(%sid, "an election link stands");
        self.tell(sid, Some(fact));
        // What came behind the introduction.
        self.take_frames(number, sid, now);
    }

    fn read(&mut self, number: u32, scratch: &mut [u8], now: MonoMillis, poller: &Poller) {
        let Some(wire) = self.wires.get_mut(&number) else {
            return;
        };
        match wire.socket.read(scratch) {
            Ok(n) => wire
                .inbox
                .extend_from_slice(scratch.get(..n).unwrap_or_default()),
            Err(error) => return self.lose(number, &error, now),
        }
        match wire.role {
            Role::Unknown { from, .. } => match Asked::begins(&wire.inbox) {
                None => {}
                Some(true) => self.give(number, poller),
                Some(false) => self.take_introduction(number, from, now),
            },
            Role::Link(sid) => self.take_frames(number, sid, now),
        }
    }

    /// A member mends its log: it is answered on a thread of its own.
    fn give(&mut self, number: u32, poller: &Poller) {
        let Some(mut wire) = self.wires.remove(&number) else {
            return;
        };
        let asked = Asked::decode(&wire.inbox);
        let stream = wire
            .socket
            .detach(poller)
            .and_then(|()| wire.socket.share());
        match (stream, asked) {
            (Ok(stream), Some(asked)) => self.donor.answer(stream, asked),
            (Err(error), _) => warn!(%error, "a server that mends its log cannot be answered"),
            (Ok(_), None) => {}
        }
    }

    /// Reads who connected, and does as the ids say.
    fn take_introduction(&mut self, number: u32, from: SocketAddr, now: MonoMillis) {
        let Some(wire) = self.wires.get_mut(&number) else {
            return;
        };
        let (sid, announced) = match InitialMessage::decode(&wire.inbox) {
            Ok(None) => return,
            Ok(Some((message, len))) => {
                let reachable = message.reachable().map(|address| HostPort {
                    host: address.host.to_string(),
                    port: address.port,
                });
                let introduced = (message.sid, reachable.collect::<Vec<_>>());
                wire.inbox.drain(..len);
                introduced
            }
            Err(error) => {
                info!(%from, %error, "a connection to the election port is closed");
                self.wires.remove(&number);
                return;
            }
        };
        let has_address = !announced.is_empty() || self.options.others.contains_key(&sid);
        let Some(line) = self.line(sid) else {
            self.wires.remove(&number);
            return;
        };
        line.announced = announced;
        match line.correspondent.on_introduced() {
            Introduced::Keep => {
                if let Some(wire) = self.wires.get_mut(&number) {
                    wire.role = Role::Link(sid);
                }
                self.set_up(sid, number, now);
            }
            Introduced::ConnectBack { dials } => {
                let older = line.wire.take();
                self.wires.remove(&number);
                if let Some(older) = older {
                    self.wires.remove(&older);
                }
                if dials && has_address {
                    self.dial(sid, None);
                } else if dials {
                    debug!(%sid, %from, "a server without an address cannot be connected back");
                    self.lines.remove(&sid);
                }
            }
            Introduced::Close => {
                info!(%from, %sid, "a connection to the election port is of no other server");
                self.wires.remove(&number);
                self.forget_if_idle(sid);
            }
        }
    }

    fn take_frames(&mut self, number: u32, sid: Sid, now: MonoMillis) {
        let Some(wire) = self.wires.get_mut(&number) else {
            return;
        };
        let mut used = 0;
        let broken = loop {
            match frame(wire.inbox.get(used..).unwrap_or_default()) {
                Ok(Some((body, len))) => {
                    match Notification::decode(body) {
                        Ok(vote) => {
                            let received = Box::new(Received::new(sid, &vote));
                            self.news.push(ElectionNews::Vote(received));
                        }
                        // It costs this message and nothing else (pitfalls P62).
                        Err(error) => info!(%sid, %error, "a vote is dropped"),
                    }
                    used += len;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        wire.inbox.drain(..used);
        if wire.inbox.is_empty() {
            wire.inbox = Vec::new();
        }
        if let Some(error) = broken {
            self.lose(number, &error, now);
        }
    }

    /// Writes what a socket has room for: what it had begun, then what waits.
    fn flush_wire(&mut self, number: u32, now: MonoMillis, poller: &Poller) {
        let Some(wire) = self.wires.get_mut(&number) else {
            return;
        };
        let Role::Link(sid) = wire.role else { return };
        let mut flushed = wire.socket.flush(poller);
        // A frame that has begun is finished first; the next one waits where a newer may replace it.
        if wire.socket.unsent_len() == 0
            && let Some(line) = self.lines.get_mut(&sid)
            && let Some(frame) = line.correspondent.take_unsent()
        {
            wire.socket.out().extend_from_slice(frame);
            flushed = flushed.and_then(|()| wire.socket.flush(poller));
        }
        if let Err(error) = flushed {
            self.lose(number, &error, now);
        }
    }

    /// A socket is gone, or said what no server says.
    fn lose(&mut self, number: u32, why: &dyn std::fmt::Display, now: MonoMillis) {
        let Some(wire) = self.wires.remove(&number) else {
            return;
        };
        let sid = match wire.role {
            Role::Unknown { from, .. } => {
                return debug!(%from, %why, "a connection to the election port ended");
            }
            Role::Link(sid) => sid,
        };
        if let Some(line) = self.lines.get_mut(&sid)
            && line.wire == Some(number)
        {
            info!(%sid, %why, "an election link is gone");
            line.wire = None;
            let fact = line.correspondent.on_lost(now);
            self.tell(sid, fact);
            self.forget_if_idle(sid);
        }
    }
}

/// The initial message of this server.
fn introduction(options: &ElectionOptions) -> Result<Vec<u8>, InitialError> {
    let told = if options.tells_all {
        options.own.len()
    } else {
        1
    };
    let addresses = options.own.iter().take(told).map(|at| ElectionAddress {
        host: at.host.as_str().into(),
        port: at.port,
    });
    let message = InitialMessage {
        form: if options.tells_all {
            InitialForm::List
        } else {
            InitialForm::Single
        },
        sid: options.me,
        addresses: addresses.collect(),
    };
    let mut bytes = Vec::new();
    message.encode(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
