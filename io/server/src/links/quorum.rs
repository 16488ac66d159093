//! The quorum port: links between a leader and its learners (quorum 7, 8).
//!
//! The port stays open for the whole life of the process, so that a learner that comes a moment before its leader knows
//! that it leads waits rather than being refused. What a packet means is the peer's; here are sockets, the ends of
//! packets, bounded output, and the threads that are lent a direction of a link: one that sends history from disk, one
//! that takes in a snapshot.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};
use zabra_jute::Limits;
use zabra_peer::DialId;
use zabra_proto::quorum_packet::Message;
use zabra_proto::{MonoMillis, Sid, Zxid};
use zabra_quorum::HostPort;
use zabra_zab::{LinkId, Packet};

use super::LinkLetter;
use super::dialer::{self, Cancel, DialError, Persistence};
use super::door::Door;
use super::patient::PatientStream;
use super::quorum_link::{Incoming, QuorumLink};
use super::socket::{Socket, SocketOptions};
use crate::net::{Listener, Poller, Ready, Source};
use crate::seat::Mailbox;

/// How this server behaves on its quorum port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QuorumOptions {
    /// How long values in packets may be.
    pub(crate) limits: Limits,
    /// With more output than this waiting a link is closed.
    pub(crate) out_len_max: usize,
    /// How long a learner may take for its first packet, and how long a thread waits for a link without progress, ms.
    pub(crate) silence_ms_max: u64,
    /// How connecting is tried.
    pub(crate) persistence: Persistence,
    /// How sockets are set up.
    pub(crate) socket: SocketOptions,
}

/// So much output may wait on a link, unless packets may be longer still: some seconds of a busy leader. A learner that
/// is further behind gets into step again by a new connection (pitfalls P72).
pub(crate) const OUT_LEN_MAX: usize = 64 << 20;

/// What happened to links, besides packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuorumNews {
    /// `Input::LearnerConnected`.
    Connected(LinkId),
    /// `Input::LinkClosed`.
    Closed(LinkId),
    /// `Input::Dialed`.
    Dialed {
        /// Which attempt.
        dial: DialId,
        /// The link, if it succeeded.
        link: Option<LinkId>,
    },
}

/// The quorum port and its links.
#[derive(Debug)]
pub(crate) struct QuorumPort {
    options: QuorumOptions,
    door: Door,
    /// By the low half of their ids.
    links: BTreeMap<u32, QuorumLink>,
    next_id: u64,
    dials: BTreeMap<DialId, Cancel>,
    dirty: Vec<LinkId>,
    mailbox: Arc<Mailbox>,
    news: Vec<QuorumNews>,
}

/// With more links than this that have said nothing, the oldest goes.
const UNKNOWN_MAX: usize = 128;
/// How long the last bytes of a link that the peer has closed are waited for.
const LINGER_MS: u64 = 1_000;

impl QuorumPort {
    /// A port without listeners and links.
    pub(crate) fn new(options: QuorumOptions, mailbox: Arc<Mailbox>) -> Self {
        Self {
            options,
            door: Door::default(),
            links: BTreeMap::new(),
            next_id: 0,
            dials: BTreeMap::new(),
            dirty: Vec::new(),
            mailbox,
            news: Vec::new(),
        }
    }

    /// Listens here from now on.
    pub(crate) fn listen(&mut self, listeners: Vec<Listener>, poller: &Poller) -> io::Result<()> {
        for listener in listeners {
            let LinkId(id) = self.new_id();
            let number = id as u32;
            self.door
                .open(number, listener, Source::Quorum(number), poller)?;
        }
        Ok(())
    }

    /// Listens nowhere any more.
    pub(crate) fn stop_listening(&mut self) {
        self.door = Door::default();
    }

    /// What happened since the last call, in order.
    pub(crate) fn take_news(&mut self) -> Vec<QuorumNews> {
        std::mem::take(&mut self.news)
    }

    /// Takes up what the poller reported; the link that packets may have come on.
    pub(crate) fn on_ready(
        &mut self,
        report: Ready,
        number: u32,
        scratch: &mut [u8],
        now: MonoMillis,
        poller: &Poller,
    ) -> Option<LinkId> {
        if self.door.has(number) {
            for (stream, from) in self.door.accept(number, now) {
                self.let_in(stream, from, now, poller);
            }
            if self.door.is_paused() {
                self.door.watch(false, Source::Quorum, poller);
            }
            return None;
        }
        let id = self.links.get(&number)?.id;
        if report.write {
            self.flush_link(id, poller);
        }
        let link = self.links.get_mut(&number)?;
        if !report.read {
            return None;
        }
        if !link.is_heard() {
            // Only the end of it is reported now.
            if report.gone {
                self.lose(id, &"it was closed");
            }
            return None;
        }
        match link.socket.read(scratch) {
            Ok(0) => return None,
            Ok(n) => link.reader.push(scratch.get(..n).unwrap_or_default()),
            Err(error) => {
                self.lose(id, &error);
                return None;
            }
        }
        Some(id)
    }

    /// Gives the packets that have come on a link to the peer, up to a SNAP: what is behind that is no packet. Bytes that
    /// are none otherwise close the link.
    pub(crate) fn deliver(&mut self, id: LinkId, mut peer: impl FnMut(&Message<'_>)) {
        let Some(link) = self.link(id) else { return };
        let mut broken = None;
        while link.is_heard() && broken.is_none() {
            broken = match link.reader.next_packet() {
                Ok(None) => return,
                Ok(Some(packet)) => match packet.message() {
                    Ok(message) => {
                        link.speaks_by = None;
                        if let Message::Snap { zxid } = message {
                            link.incoming = Incoming::Paused(zxid);
                        }
                        peer(&message);
                        None
                    }
                    Err(error) => Some(error.to_string()),
                },
                Err(error) => Some(error.to_string()),
            };
        }
        if let Some(why) = broken {
            self.lose(id, &why);
        }
    }

    /// Puts a packet behind what is to be sent on a link.
    pub(crate) fn send(&mut self, id: LinkId, packet: &Packet) {
        let out_len_max = self.options.out_len_max;
        let Some(link) = self.link(id).filter(|link| link.closes_by.is_none()) else {
            return;
        };
        packet.encode(link.socket.out());
        let is_new = !std::mem::replace(&mut link.is_dirty, true);
        if link.socket.unsent_len() > out_len_max {
            self.lose(id, &"it does not take what is sent to it");
        } else if is_new {
            self.dirty.push(id);
        }
    }

    /// Sends what waits: one system call for each link that has something, as a rule.
    pub(crate) fn flush(&mut self, poller: &Poller) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            self.flush_link(id, poller);
        }
        self.dirty = dirty;
    }

    /// Closes a link once its output has gone; a thread that works with it is interrupted. It is no news.
    pub(crate) fn close(&mut self, id: LinkId, now: MonoMillis, poller: &Poller) {
        let Some(link) = self.link(id).filter(|link| link.closes_by.is_none()) else {
            return;
        };
        link.closes_by = Some(now.after(LINGER_MS));
        if link.is_shared() {
            self.remove(id);
            return;
        }
        let ignored = link.socket.watch(poller, |interest| interest.read = false);
        if ignored.is_err() {
            self.remove(id);
            return;
        }
        self.flush_link(id, poller);
    }

    /// Begins to connect to a server.
    pub(crate) fn dial(&mut self, dial: DialId, to: Sid, addresses: Vec<HostPort>) {
        let cancel = Cancel::default();
        self.dials.insert(dial, cancel.clone());
        let (persistence, mailbox) = (self.options.persistence, Arc::clone(&self.mailbox));
        let post = move |mailbox: &Mailbox, result| {
            let letter = LinkLetter::QuorumDialed { dial, to, result };
            mailbox.post(|letters| letters.links.push(letter));
        };
        let begun = dialer::spawn("dial leader", {
            let mailbox = Arc::clone(&mailbox);
            move || {
                let result = dialer::connect_patiently(&addresses, persistence, &cancel);
                post(&mailbox, result);
            }
        });
        if let Err(error) = begun {
            warn!(%to, %error, "no thread to connect to the leader");
            post(&mailbox, Err(dialer::unexpected(&error)));
        }
    }

    /// Nobody waits for the attempt any more.
    pub(crate) fn stop_dialing(&mut self, dial: DialId) {
        if let Some(cancel) = self.dials.remove(&dial) {
            cancel.cancel();
        }
    }

    /// An attempt to connect has ended.
    pub(crate) fn on_dialed(
        &mut self,
        dial: DialId,
        to: Sid,
        result: Result<TcpStream, DialError>,
        poller: &Poller,
    ) {
        if self.dials.remove(&dial).is_none() {
            return;
        }
        let stream = result.map_err(|error| error.to_string());
        let link = stream.and_then(|stream| {
            let from = stream.peer_addr().map_err(|error| error.to_string())?;
            self.add(stream, from, Some(to), poller)
                .map_err(|error| error.to_string())
        });
        if let Err(error) = &link {
            info!(%to, %error, "the leader cannot be reached");
        }
        let link = link.ok();
        self.news.push(QuorumNews::Dialed { dial, link });
    }

    /// Lends the sending direction of a link to a thread, with what was to be sent before. What the peer sends from now on
    /// waits for [`Self::take_back_output`].
    pub(crate) fn lend_output(
        &mut self,
        id: LinkId,
        poller: &Poller,
    ) -> Option<(PatientStream, Vec<u8>)> {
        let patience = self.patience();
        let link = self.link(id).filter(|link| link.closes_by.is_none())?;
        let shared = link
            .socket
            .watch(poller, |interest| interest.write = false)
            .and_then(|()| link.socket.share());
        match shared {
            Ok(stream) => {
                link.is_lent = true;
                let stream = PatientStream::new(stream, Vec::new(), patience);
                Some((stream, link.socket.take_unsent()))
            }
            Err(error) => {
                self.lose(id, &error);
                None
            }
        }
    }

    /// The thread that sent history is done. With an error the link is closed, for part of it may have gone.
    pub(crate) fn take_back_output(&mut self, id: LinkId, result: Result<(), String>) {
        let Some(link) = self.link(id).filter(|link| link.is_lent) else {
            return;
        };
        link.is_lent = false;
        match result {
            Ok(()) => {
                link.is_dirty = true;
                self.dirty.push(id);
            }
            Err(why) => self.lose(id, &why),
        }
    }

    /// Links on which a snapshot follows, with the zxid of their SNAP. Only a leader sends one.
    pub(crate) fn paused(&self) -> Vec<(LinkId, Zxid)> {
        let links = self.links.values();
        let paused = links.filter_map(|link| match link.incoming {
            Incoming::Paused(zxid) if link.closes_by.is_none() => Some((link.id, zxid)),
            _ => None,
        });
        paused.collect()
    }

    /// Lends the receiving direction of a link to a thread, with what has come behind the SNAP. Nothing is reported of the
    /// link until [`Self::take_back_input`].
    pub(crate) fn lend_input(&mut self, id: LinkId, poller: &Poller) -> Option<PatientStream> {
        let patience = self.patience();
        let link = self.link(id)?;
        if link.dialled.is_none() {
            self.lose(id, &"a learner sent a snapshot");
            return None;
        }
        let before = link.reader.rest().to_vec();
        link.reader.skip(before.len());
        match link
            .socket
            .detach(poller)
            .and_then(|()| link.socket.share())
        {
            Ok(stream) => {
                link.incoming = Incoming::Snapshot;
                Some(PatientStream::new(stream, before, patience))
            }
            Err(error) => {
                self.lose(id, &error);
                None
            }
        }
    }

    /// Whether a thread still takes in a snapshot from this link.
    pub(crate) fn awaits_snapshot(&self, id: LinkId) -> bool {
        let link = self.links.get(&(id.0 as u32));
        link.is_some_and(|link| link.id == id && link.incoming == Incoming::Snapshot)
    }

    /// The snapshot is installed, or nothing comes of it: packets are read again, first these bytes. With an error the
    /// link is closed.
    pub(crate) fn take_back_input(
        &mut self,
        id: LinkId,
        result: Result<Vec<u8>, String>,
        poller: &Poller,
    ) {
        let awaits = self.awaits_snapshot(id);
        let Some(link) = self.link(id).filter(|_| awaits) else {
            return;
        };
        let back = result.and_then(|bytes| {
            link.reader.push(&bytes);
            link.incoming = Incoming::Packets;
            link.socket
                .attach(poller)
                .map_err(|error| error.to_string())
        });
        if let Err(why) = back {
            self.lose(id, &why);
        }
    }

    /// When [`Self::on_time`] has something to do.
    pub(crate) fn deadline(&self) -> Option<MonoMillis> {
        let links = self.links.values();
        let due = links.filter_map(|link| link.closes_by.or(link.speaks_by));
        due.chain(self.door.deadline()).min()
    }

    /// Ends what has lasted too long.
    pub(crate) fn on_time(&mut self, now: MonoMillis, poller: &Poller) {
        let is_over = |by: Option<MonoMillis>| by.is_some_and(|by| by <= now);
        let links = self.links.values();
        let due = links.filter(|link| is_over(link.closes_by) || is_over(link.speaks_by));
        for id in due.map(|link| link.id).collect::<Vec<_>>() {
            self.lose(id, &"nothing came in time");
        }
        if self.door.on_time(now) {
            self.door.watch(true, Source::Quorum, poller);
        }
    }

    /// Whom a link leads to, for people to read.
    pub(crate) fn remote(&self, id: LinkId) -> Option<SocketAddr> {
        let link = self.links.get(&(id.0 as u32))?;
        (link.id == id).then_some(link.from)
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.options.silence_ms_max)
    }

    fn link(&mut self, id: LinkId) -> Option<&mut QuorumLink> {
        self.links
            .get_mut(&(id.0 as u32))
            .filter(|link| link.id == id)
    }

    /// An id of which no other in use has the same low half.
    fn new_id(&mut self) -> LinkId {
        loop {
            let id = self.next_id;
            self.next_id += 1;
            let number = id as u32;
            if !self.links.contains_key(&number) && !self.door.has(number) {
                return LinkId(id);
            }
        }
    }

    fn let_in(&mut self, stream: TcpStream, from: SocketAddr, now: MonoMillis, poller: &Poller) {
        let silent = self.links.values().filter(|link| link.speaks_by.is_some());
        let ids: Vec<LinkId> = silent.map(|link| link.id).collect();
        if ids.len() >= UNKNOWN_MAX
            && let Some(oldest) = ids.into_iter().min()
        {
            self.lose(oldest, &"too many connections say nothing");
        }
        match self.add(stream, from, None, poller) {
            Ok(id) => {
                let speaks_by = now.after(self.options.silence_ms_max);
                if let Some(link) = self.link(id) {
                    link.speaks_by = Some(speaks_by);
                }
                self.news.push(QuorumNews::Connected(id));
            }
            Err(error) => warn!(%error, %from, "a connection of the quorum port cannot be used"),
        }
    }

    fn add(
        &mut self,
        stream: TcpStream,
        from: SocketAddr,
        dialled: Option<Sid>,
        poller: &Poller,
    ) -> io::Result<LinkId> {
        let id = self.new_id();
        let number = id.0 as u32;
        let socket = Socket::new(stream, Source::Quorum(number), self.options.socket, poller)?;
        let link = QuorumLink::new(id, socket, from, dialled, self.options.limits);
        self.links.insert(number, link);
        Ok(id)
    }

    fn flush_link(&mut self, id: LinkId, poller: &Poller) {
        let Some(link) = self.link(id) else { return };
        link.is_dirty = false;
        if link.is_lent {
            return;
        }
        match link.socket.flush(poller) {
            Err(error) => self.lose(id, &error),
            Ok(()) if link.closes_by.is_some() && link.socket.unsent_len() == 0 => self.remove(id),
            Ok(()) => {}
        }
    }

    /// A link is gone, or must go. It is news unless the peer has closed it.
    fn lose(&mut self, id: LinkId, why: &dyn std::fmt::Display) {
        let Some(link) = self.link(id) else { return };
        let (from, is_news) = (link.from, link.closes_by.is_none());
        let dialled = link.dialled;
        self.remove(id);
        if is_news {
            match dialled {
                Some(leader) => info!(%leader, %from, %why, "the link to the leader is gone"),
                None => info!(%from, %why, "a learner's link is gone"),
            }
            self.news.push(QuorumNews::Closed(id));
        }
    }

    fn remove(&mut self, id: LinkId) {
        if let Some(link) = self.links.remove(&(id.0 as u32)) {
            // A thread may have another handle of the socket, by which it would live on.
            link.socket.shut();
        }
    }
}

#[cfg(test)]
mod tests;
