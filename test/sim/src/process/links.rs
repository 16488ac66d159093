//! Quorum links of a process: byte-true streams of packets, with a snapshot in between where a SNAP says so.

use std::collections::BTreeMap;

use zabra_jute::Limits;
use zabra_peer::{Input, Now};
use zabra_proto::quorum_packet::{Message, PacketReader};
use zabra_proto::{MonoMillis, Sid, Zxid};
use zabra_storage::{Compression, Incoming};
use zabra_tree::TreeOptions;
use zabra_zab::{LinkId, Packet};

use super::jobs::{Job, Received};
use super::{Fate, Process};
use crate::disk::Files;
use crate::loader::Loader;
use crate::network::{Side, StreamId};
use crate::older::{self, Older, Seen};
use crate::phase::Phase;
use crate::say;
use crate::start::tree_options_of;
use crate::surroundings::Surroundings;
use crate::trace::Z;

/// The quorum links of a process.
#[derive(Default)]
pub(super) struct Links {
    by_id: BTreeMap<LinkId, Link>,
    of_stream: BTreeMap<StreamId, LinkId>,
    made: u64,
    /// How this server is older than others, if it is.
    pub(super) older: Option<Older>,
}

/// One of them.
pub(super) struct Link {
    stream: StreamId,
    side: Side,
    /// Whom it leads to, if that is known.
    pub(super) sid: Option<Sid>,
    /// Waits for the end of the round.
    out: Vec<u8>,
    /// Waits for the history that goes first.
    held: Option<Vec<u8>>,
    reader: PacketReader,
    /// What comes is a snapshot, or waits until one is installed.
    pub(super) intake: Option<Intake>,
    /// What a link of an older server has seen.
    seen: Seen,
}

/// A snapshot on its way in.
pub(super) enum Intake {
    /// It goes into a tree and into a file under a temporary name.
    Arrives(Box<Arriving>),
    /// It is whole, and becomes the history: nothing else is heard on the link before that is done.
    Installs { is_gone: bool },
}

pub(super) struct Arriving {
    zxid: Zxid,
    incoming: Incoming,
    loader: Loader,
    /// When anything of it came last.
    heard: MonoMillis,
}

impl Links {
    /// None yet, of a server that is as old as this.
    pub(super) fn of(older: Option<Older>) -> Self {
        Self {
            older,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, stream: StreamId, side: Side, sid: Option<Sid>) -> LinkId {
        self.made += 1;
        let id = LinkId(self.made);
        let link = Link {
            stream,
            side,
            sid,
            out: Vec::new(),
            held: None,
            reader: PacketReader::new(Limits::DEFAULT),
            intake: None,
            seen: Seen::default(),
        };
        self.by_id.insert(id, link);
        self.of_stream.insert(stream, id);
        id
    }

    pub(super) fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.by_id.get_mut(&id)
    }

    fn remove(&mut self, id: LinkId) -> Option<Link> {
        let link = self.by_id.remove(&id)?;
        self.of_stream.remove(&link.stream);
        Some(link)
    }
}

impl Files {
    /// Makes ready for a snapshot that is to come.
    fn begin_intake(
        &self,
        zxid: Zxid,
        options: TreeOptions,
        now: MonoMillis,
    ) -> Result<Arriving, String> {
        let (limits, none) = (Limits::DEFAULT, Compression::None);
        let incoming = Incoming::begin("received-", &self.vfs, &self.dirs, zxid, none, limits);
        Ok(Arriving {
            zxid,
            incoming: incoming.map_err(|e| e.to_string())?,
            loader: Loader::new(options, false),
            heard: now,
        })
    }
}

impl Link {
    /// Queues bytes, behind a history that has not gone yet.
    fn put(&mut self, packet: &Packet) {
        packet.encode(self.held.as_mut().unwrap_or(&mut self.out));
    }

    /// Queues a packet as an older server says it.
    fn put_as(&mut self, older: Older, packet: &Packet, around: &mut Surroundings) {
        let out = self.held.as_mut().unwrap_or(&mut self.out);
        if let Some(bytes) = older.introduction(packet) {
            around.check.count(older::UNKNOWING);
            if older.says_less && !matches!(packet, Packet::LeaderInfo { .. }) {
                around.check.count(older::SAYS_LESS);
            }
            return out.extend(bytes);
        }
        match packet {
            Packet::Ack(zxid) if zxid.counter() == 0 && older.acks_each => {
                let is_first = around.kernel.chance(500);
                if is_first {
                    packet.encode(out);
                }
                for zxid in std::mem::take(&mut self.seen.proposals) {
                    around.check.count(older::ACKS_EACH);
                    Packet::Ack(zxid).encode(out);
                }
                if !is_first {
                    packet.encode(out);
                }
            }
            Packet::NewLeader { epoch, .. } if older.is_eager => {
                packet.encode(out);
                around.check.count(older::PINGS_EARLY);
                let (zxid, touched) = (Zxid::new(*epoch, 0), None);
                Packet::Ping { zxid, touched }.encode(out);
            }
            Packet::UpToDate if older.is_eager => self.seen.owes_up_to_date = true,
            packet => {
                packet.encode(out);
                if matches!(packet, Packet::Commit(_)) && self.seen.owes_up_to_date {
                    around.check.count(older::COMMITS_EARLY);
                }
            }
        }
    }

    /// What is sent from here on waits for a history.
    pub(super) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// The history goes, and what waited for it.
    pub(super) fn release(&mut self, history: &[u8]) {
        self.out.extend_from_slice(history);
        self.out.extend(self.held.take().unwrap_or_default());
    }
}

impl Process {
    /// Bytes of a quorum link.
    pub(crate) fn on_link_bytes(
        &mut self,
        stream: StreamId,
        bytes: &[u8],
        around: &mut Surroundings,
    ) -> Fate {
        let Some(id) = self.links.of_stream.get(&stream).copied() else {
            return Fate::Runs;
        };
        if let Some(link) = self.links.link_mut(id) {
            link.reader.push(bytes);
        }
        self.read_link(id, around);
        self.settle(around)
    }

    /// A quorum link is gone.
    pub(crate) fn on_link_gone(&mut self, stream: StreamId, around: &mut Surroundings) -> Fate {
        let Some(id) = self.links.of_stream.get(&stream).copied() else {
            return Fate::Runs;
        };
        say!(around.kernel, "s{} link {} is gone", self.sid, id.0);
        if let Some(link) = self.links.link_mut(id)
            && let Some(Intake::Installs { is_gone }) = &mut link.intake
        {
            *is_gone = true;
            return Fate::Runs;
        }
        self.forget_link(id, around);
        self.settle(around)
    }

    pub(super) fn forget_link(&mut self, id: LinkId, around: &mut Surroundings) {
        let now = self.now(around);
        if let Some(link) = self.links.remove(id) {
            let (kernel, net) = (&mut around.kernel, &mut around.net);
            net.close(kernel, link.stream, link.side);
        }
        self.step(now, Input::LinkClosed(id));
    }

    /// A snapshot is installed: what came behind it is heard first, then the link goes on, or is gone.
    pub(super) fn go_on(&mut self, id: LinkId, rest: &[u8], around: &mut Surroundings) {
        let Some(link) = self.links.link_mut(id) else {
            return;
        };
        let later = link.reader.rest().to_vec();
        link.reader.skip(later.len());
        link.reader.push(rest);
        link.reader.push(&later);
        let is_gone = matches!(link.intake.take(), Some(Intake::Installs { is_gone: true }));
        self.read_link(id, around);
        if is_gone {
            self.forget_link(id, around);
        }
    }

    /// Gives the peer every whole packet that has come, up to a snapshot.
    pub(super) fn read_link(&mut self, id: LinkId, around: &mut Surroundings) {
        let now = self.now(around);
        loop {
            // A packet is obeyed before the next is looked at.
            if !self.effects.is_empty() {
                self.carry_out(around);
            }
            if self.fate != Fate::Runs || self.take_in(id, around) {
                return;
            }
            let Some(link) = self.links.by_id.get_mut(&id) else {
                return;
            };
            let read = match link.reader.next_packet() {
                Ok(None) => return,
                Ok(Some(packet)) => packet.message().map_err(|e| e.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let message = match read {
                Ok(message) => message,
                Err(_) if around.strange.contains(&link.stream) => {
                    return self.forget_link(id, around);
                }
                Err(why) => {
                    let text = format!("s{} cannot read link {}: {why}", self.sid, id.0);
                    return around.check.violate("wire", text);
                }
            };
            say!(
                around.kernel,
                "s{} ← {} {}",
                self.sid,
                Name(link.sid),
                Said(&message)
            );
            if let Message::FollowerInfo { learner, .. } | Message::ObserverInfo { learner, .. } =
                &message
            {
                link.sid = Some(learner.sid);
            }
            around.check.heard(self.at, &message);
            let message = match self.links.older {
                Some(_) => {
                    let learns = link.side == Side::Opener;
                    link.seen.hear(&message, (self.sid, learns), around);
                    older::blind(message)
                }
                None => message,
            };
            if let Message::Snap { zxid } = message {
                let options = tree_options_of(&self.plan, self.at);
                match self.files.begin_intake(zxid, options, now.mono) {
                    Ok(arriving) => link.intake = Some(Intake::Arrives(Box::new(arriving))),
                    Err(why) => return self.cannot_keep(id, &why, around),
                }
            }
            self.peer.step(
                now,
                Input::Packet(id, &message),
                &self.replica.tree,
                &mut self.effects,
            );
        }
    }

    /// Takes what belongs to a snapshot. Whether packets must wait.
    fn take_in(&mut self, id: LinkId, around: &mut Surroundings) -> bool {
        let now = self.now(around).mono;
        let Some(link) = self.links.by_id.get_mut(&id) else {
            return true;
        };
        let arriving = match &mut link.intake {
            None => return false,
            Some(Intake::Installs { .. }) => return true,
            Some(Intake::Arrives(arriving)) => arriving,
        };
        let bytes = link.reader.rest().to_vec();
        link.reader.skip(bytes.len());
        if !bytes.is_empty() {
            arriving.heard = now;
        }
        match arriving.incoming.push(&bytes, &mut arriving.loader) {
            Ok(false) => {}
            Ok(true) => {
                let ended = link.intake.replace(Intake::Installs { is_gone: false });
                if let Some(Intake::Arrives(arriving)) = ended {
                    self.adopt_soon(id, *arriving, around);
                }
            }
            Err(error) => self.cannot_keep(id, &error.to_string(), around),
        }
        true
    }

    /// Snapshots of which nothing has come for long are given up, as the server's thread does that takes one in.
    pub(super) fn give_up_silent_intakes(&mut self, now: Now, around: &mut Surroundings) {
        let patience = self.plan.tick_ms * u64::from(self.plan.init_limit);
        let is_silent = |link: &Link| {
            let Some(Intake::Arrives(arriving)) = &link.intake else {
                return false;
            };
            now.mono.since(arriving.heard) >= patience
        };
        let links = self.links.by_id.iter();
        let silent: Vec<LinkId> = links
            .filter(|(_, link)| is_silent(link))
            .map(|(id, _)| *id)
            .collect();
        for id in silent {
            say!(
                around.kernel,
                "s{} gives up a snapshot of which nothing comes",
                self.sid
            );
            around.check.count("snapshot given up");
            self.forget_link(id, around);
        }
    }

    fn adopt_soon(&mut self, link: LinkId, arriving: Arriving, around: &mut Surroundings) {
        let zxid = arriving.zxid;
        let finished = arriving.incoming.finish().map_err(|e| e.to_string());
        let received = finished.and_then(|(history, rest)| {
            let (replica, _) = arriving.loader.finish(zxid).map_err(|e| e.to_string())?;
            Ok(Received {
                link,
                zxid,
                replica: Box::new(replica),
                history,
                rest,
            })
        });
        match received {
            Ok(received) => self.begin_in_order(Job::Adopt(Box::new(received)), around),
            Err(why) => self.cannot_keep(link, &why, around),
        }
    }

    /// A leader's snapshot could not be written down: the history is as it was, and the link is closed.
    fn cannot_keep(&mut self, link: LinkId, why: &str, around: &mut Surroundings) {
        let text = format!("s{} cannot keep a snapshot: {why}", self.sid);
        if self.has_disk_failed() {
            say!(around.kernel, "{text}");
            self.forget_link(link, around);
        } else {
            around.check.violate("the disk does what it is told", text);
        }
    }

    pub(super) fn send_packet(&mut self, id: LinkId, packet: &Packet, around: &mut Surroundings) {
        let Some(link) = self.links.by_id.get_mut(&id) else {
            // Gone, and the peer does not know it yet.
            return;
        };
        say!(
            around.kernel,
            "s{} → {} {packet:?}",
            self.sid,
            Name(link.sid)
        );
        match self.links.older {
            Some(older) => link.put_as(older, packet, around),
            None => link.put(packet),
        }
        around.check.packet_sent(self.at, link.sid, packet);
        let begins = matches!(packet, Packet::AckEpoch { .. } | Packet::NewLeader { .. });
        if begins && self.phase == Phase::Discovery {
            self.enter(Phase::Synchronization, around);
        }
    }

    pub(super) fn close_link(&mut self, id: LinkId, around: &mut Surroundings) {
        let Some(mut link) = self.links.remove(id) else {
            return;
        };
        say!(
            around.kernel,
            "s{} closes the link to {}",
            self.sid,
            Name(link.sid)
        );
        let (kernel, net) = (&mut around.kernel, &mut around.net);
        net.send(
            kernel,
            link.stream,
            link.side,
            std::mem::take(&mut link.out),
        );
        net.close(kernel, link.stream, link.side);
    }

    /// Sends what was said in this round. A process that dies in the midst of it may have said only a part.
    pub(super) fn send_to_links(&mut self, around: &mut Surroundings) {
        let dies = self.fate != Fate::Runs;
        let owing = |link: &&mut Link| link.seen.owes_up_to_date;
        for link in self.links.by_id.values_mut().filter(owing) {
            if around.kernel.chance(500) {
                link.seen.owes_up_to_date = false;
                Packet::UpToDate.encode(link.held.as_mut().unwrap_or(&mut link.out));
            }
        }
        for link in self.links.by_id.values_mut().filter(|l| !l.out.is_empty()) {
            let mut bytes = std::mem::take(&mut link.out);
            if dies && around.kernel.chance(500) {
                bytes.truncate(around.kernel.rng.usize(0..=bytes.len()));
            }
            let (kernel, net) = (&mut around.kernel, &mut around.net);
            net.send(kernel, link.stream, link.side, bytes);
        }
    }
}

/// Whom a link leads to.
pub(super) struct Name(pub(super) Option<Sid>);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(sid) => write!(f, "s{sid}"),
            None => f.write_str("s?"),
        }
    }
}

/// A message, shortly.
struct Said<'m>(&'m Message<'m>);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Message::Proposal { zxid, .. } => write!(f, "PROPOSAL {}", Z(*zxid)),
            Message::Inform { zxid, .. } => write!(f, "INFORM {}", Z(*zxid)),
            Message::Commit { zxid } => write!(f, "COMMIT {}", Z(*zxid)),
            Message::Ack { zxid } => write!(f, "ACK {}", Z(*zxid)),
            Message::Diff { zxid } => write!(f, "DIFF {}", Z(*zxid)),
            Message::Trunc { zxid } => write!(f, "TRUNC {}", Z(*zxid)),
            Message::Snap { zxid } => write!(f, "SNAP {}", Z(*zxid)),
            Message::NewLeader { zxid, .. } => write!(f, "NEWLEADER {}", Z(*zxid)),
            Message::LeaderInfo { zxid, .. } => write!(f, "LEADERINFO {}", Z(*zxid)),
            Message::Ping { zxid, touched } => write!(f, "PING {} {touched:?}", Z(*zxid)),
            Message::AckEpoch {
                last_logged,
                current_epoch,
            } => write!(f, "ACKEPOCH {} {current_epoch:?}", Z(*last_logged)),
            Message::Request(request) => {
                let (session, cxid, op) = (request.session, request.cxid.0, request.op);
                write!(f, "REQUEST {session} #{cxid} op {op}")
            }
            other => write!(f, "{other:?}"),
        }
    }
}
