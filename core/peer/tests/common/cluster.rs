//! Members that talk to each other in one value: links deliver in order when the test says so, disks are durable when it
//! says so. What is random and what is torn is the simulator's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use zabra_election::{LinkFact, Received};
use zabra_jute::Limits;
use zabra_peer::{
    Ask, Effect, Input, Note, Now, Origin, Peer, PeerOptions, Restored, RestoredHistory,
    WriteRequest,
};
use zabra_proto::notification::ServerState;
use zabra_proto::txn::Payload;
use zabra_proto::{
    ConnId, ErrorCode, MonoMillis, OpCode, ServerId, SessionId, Sid, WallMillis, Xid, Zxid,
};
use zabra_quorum::Membership;
use zabra_tree::{DataTree, TreeOptions};
use zabra_zab::{Backlog, Entry, Epochs, LinkId, Packet};

use super::say::Request;

/// One server: its peer, its disk, its tree.
pub struct Server {
    pub peer: Peer,
    pub tree: DataTree,
    pub sessions: BTreeMap<SessionId, i32>,
    /// What is durable: all entries, the epochs, and up to where the tree's snapshot goes.
    pub disk: Disk,
    /// Given to the disk and not durable yet.
    pub unflushed: Vec<Entry>,
    /// Applied, in order.
    pub applied: Vec<Entry>,
    pub replies: Vec<(u64, ErrorCode)>,
    pub granted: Vec<SessionId>,
    pub resumed: Vec<(ConnId, bool)>,
    pub serves: bool,
    pub notes: Vec<Note>,
    pub halted: bool,
    pub stopped: bool,
    seq: u64,
}

#[derive(Debug, Default, Clone)]
pub struct Disk {
    pub log: Vec<Entry>,
    pub epochs: Epochs,
}

/// The servers and the wires between them.
pub struct Cluster {
    pub servers: BTreeMap<Sid, Server>,
    pub now: Now,
    pub down: BTreeSet<Sid>,
    /// Servers whose disk waits for [`Cluster::flush`].
    pub slow_disks: BTreeSet<Sid>,
    /// Servers whose log cannot be cut and whose disk has no room for a snapshot.
    pub full_disks: BTreeSet<Sid>,
    /// Each link: its two ends.
    links: BTreeMap<LinkId, (Sid, Sid)>,
    /// What waits to be delivered, in order per pair.
    wires: BTreeMap<(Sid, Sid), VecDeque<Parcel>>,
    membership: Membership,
    next_link: u64,
    /// Every packet that was delivered, for assertions: from, to, what.
    pub seen: Vec<(Sid, Sid, Packet)>,
}

enum Parcel {
    Vote(Received),
    Packet(LinkId, Packet),
    Backlog(LinkId, Backlog),
    Closed(LinkId),
}

pub fn text(voters: i64, observers: i64) -> String {
    let line = |sid: i64, role: &str| format!("server.{sid}=h{sid}:2888:3888:{role}\n");
    let voters_text: String = (1..=voters).map(|sid| line(sid, "participant")).collect();
    let observers = (voters + 1)..=(voters + observers);
    let observers: String = observers.map(|sid| line(sid, "observer")).collect();
    format!("{voters_text}{observers}version=0")
}

impl Cluster {
    pub fn new(voters: i64, observers: i64) -> Self {
        let membership = Membership::parse(&text(voters, observers)).unwrap();
        let mut cluster = Self {
            servers: BTreeMap::new(),
            now: Now {
                mono: MonoMillis(1_000_000),
                wall: WallMillis(1_700_000_000_000),
            },
            down: BTreeSet::new(),
            slow_disks: BTreeSet::new(),
            full_disks: BTreeSet::new(),
            links: BTreeMap::new(),
            wires: BTreeMap::new(),
            membership,
            next_link: 0,
            seen: Vec::new(),
        };
        for sid in 1..=(voters + observers) {
            cluster.boot(Sid(sid), Disk::default());
        }
        cluster
    }

    /// Starts a server on this disk: an empty tree, everything logged undecided.
    pub fn boot(&mut self, sid: Sid, disk: Disk) {
        let options = PeerOptions {
            server: ServerId(sid.0 as u8),
            ..super::options()
        };
        let role = self.membership.role(sid).unwrap();
        let ensemble = super::ensemble_options(sid, role, self.membership.clone());
        let restored = Restored {
            last_zxid: Zxid::ZERO,
            sessions: Vec::new(),
        };
        let history = RestoredHistory {
            tail: disk.log.clone(),
            epochs: disk.epochs,
            has_history: true,
        };
        self.down.remove(&sid);
        let peer = Peer::member(options, ensemble, &restored, history, self.now);
        let server = Server {
            peer,
            tree: DataTree::new(TreeOptions::default()),
            sessions: BTreeMap::new(),
            disk,
            unflushed: Vec::new(),
            applied: Vec::new(),
            replies: Vec::new(),
            granted: Vec::new(),
            resumed: Vec::new(),
            serves: false,
            notes: Vec::new(),
            halted: false,
            stopped: false,
            seq: 0,
        };
        self.servers.insert(sid, server);
        self.step(sid, Input::Tick);
    }

    /// Ends a server without a word; what was not durable is lost. Its disk is returned.
    pub fn kill(&mut self, sid: Sid) -> Disk {
        self.down.insert(sid);
        self.wires
            .retain(|(from, to), _| *from != sid && *to != sid);
        let ended: Vec<(LinkId, Sid)> = self
            .links
            .iter()
            .filter_map(|(link, (a, b))| match (*a == sid, *b == sid) {
                (true, _) => Some((*link, *b)),
                (_, true) => Some((*link, *a)),
                _ => None,
            })
            .collect();
        for (link, other) in ended {
            self.links.remove(&link);
            self.step(other, Input::LinkClosed(link));
        }
        let others: Vec<Sid> = self.up();
        for other in others {
            self.step(other, Input::ElectionLink(sid, LinkFact::Reset));
        }
        self.servers.remove(&sid).unwrap().disk
    }

    pub fn up(&self) -> Vec<Sid> {
        let sids = self.servers.keys().copied();
        sids.filter(|sid| !self.down.contains(sid)).collect()
    }

    pub fn step(&mut self, sid: Sid, input: Input<'_>) {
        let mut effects = Vec::new();
        let Some(server) = self.servers.get_mut(&sid) else {
            return;
        };
        server
            .peer
            .step(self.now, input, &server.tree, &mut effects);
        for effect in effects {
            self.perform(sid, effect);
        }
    }

    fn perform(&mut self, sid: Sid, effect: Effect) {
        let server = self.servers.get_mut(&sid).unwrap();
        match effect {
            Effect::Append { zxid, payload } => {
                server.unflushed.push(Entry { zxid, payload });
                if !self.slow_disks.contains(&sid) {
                    self.flush(sid);
                }
            }
            Effect::Commit(commit) => {
                apply(server, commit.zxid, &commit.payload);
                if let Some(origin) = commit.origin {
                    let payload = decode(&commit.payload);
                    match origin.ask {
                        Ask::Session => server.granted.push(payload.header.session),
                        Ask::Op(_) => server.replies.push((origin.seq, code_of(&commit.payload))),
                    }
                }
                self.step(sid, Input::Applied(commit.zxid));
            }
            Effect::Reply(origin, code) => server.replies.push((origin.seq, code)),
            Effect::SessionResumed { conn, .. } => server.resumed.push((conn, true)),
            Effect::SessionRefused(conn) => server.resumed.push((conn, false)),
            Effect::StartServing => server.serves = true,
            Effect::StopServing => server.serves = false,
            Effect::ListSessions => {
                let sessions: Vec<_> = server.sessions.iter().map(|(s, t)| (*s, *t)).collect();
                self.step(sid, Input::Sessions(&sessions));
            }
            Effect::SaveEpochs(epochs) => {
                assert!(server.unflushed.is_empty(), "the history comes first (P03)");
                server.disk.epochs = epochs;
                self.step(sid, Input::EpochsSaved(epochs));
            }
            Effect::Truncate(_) if self.full_disks.contains(&sid) => {
                self.step(sid, Input::CannotTruncate);
            }
            Effect::Truncate(zxid) => {
                server.disk.log.retain(|entry| entry.zxid <= zxid);
                self.step(sid, Input::Truncated(zxid));
            }
            Effect::Halt(_) => server.halted = true,
            Effect::Stopped => server.stopped = true,
            Effect::Note(note) => server.notes.push(note),
            other => self.perform_on_links(sid, other),
        }
    }

    fn perform_on_links(&mut self, sid: Sid, effect: Effect) {
        match effect {
            Effect::Notify { to, notification } => {
                let config = self.membership.to_string();
                let message = notification.to_message(&config);
                let vote = Received::new(sid, &message);
                self.post(sid, to, Parcel::Vote(vote));
            }
            Effect::Dial { dial, to } => {
                let link = (!self.down.contains(&to)).then(|| {
                    self.next_link += 1;
                    let link = LinkId(self.next_link);
                    self.links.insert(link, (sid, to));
                    link
                });
                if let Some(link) = link {
                    self.step(to, Input::LearnerConnected(link));
                    self.step(
                        sid,
                        Input::Dialed {
                            dial,
                            link: Some(link),
                        },
                    );
                }
            }
            Effect::Send { link, packet } => {
                if let Some(to) = self.other_end(link, sid) {
                    self.post(sid, to, Parcel::Packet(link, packet));
                }
            }
            Effect::SendBacklog { link, backlog } => {
                if let Some(to) = self.other_end(link, sid) {
                    self.post(sid, to, Parcel::Backlog(link, backlog));
                }
            }
            Effect::Close(link) => {
                if let Some(to) = self.other_end(link, sid) {
                    self.post(sid, to, Parcel::Closed(link));
                }
            }
            Effect::StopDialing(_)
            | Effect::SetConfig(_)
            | Effect::AdoptConfig(_)
            | Effect::QuotaExceeded(_)
            | Effect::HangUp(_) => {}
            other => panic!("{other:?}"),
        }
    }

    fn other_end(&self, link: LinkId, sid: Sid) -> Option<Sid> {
        let (a, b) = self.links.get(&link)?;
        Some(if *a == sid { *b } else { *a })
    }

    fn post(&mut self, from: Sid, to: Sid, parcel: Parcel) {
        if !self.down.contains(&to) && self.servers.contains_key(&to) {
            self.wires.entry((from, to)).or_default().push_back(parcel);
        }
    }

    /// Makes everything durable that was given to a disk.
    pub fn flush(&mut self, sid: Sid) {
        let server = self.servers.get_mut(&sid).unwrap();
        let batch = std::mem::take(&mut server.unflushed);
        let Some(last) = batch.last().map(|entry| entry.zxid) else {
            return;
        };
        server.disk.log.extend(batch);
        self.step(sid, Input::Flushed(last));
    }

    /// Delivers the first parcel of one wire. False if there was none.
    pub fn deliver(&mut self, from: Sid, to: Sid) -> bool {
        let wire = self.wires.get_mut(&(from, to));
        let Some(parcel) = wire.and_then(VecDeque::pop_front) else {
            return false;
        };
        match parcel {
            Parcel::Vote(vote) => self.step(to, Input::Vote(&vote)),
            Parcel::Packet(link, packet) if self.links.contains_key(&link) => {
                self.seen.push((from, to, packet.clone()));
                self.step(to, Input::Packet(link, &packet.message()));
            }
            Parcel::Backlog(link, backlog) => self.send_backlog(from, to, link, backlog),
            Parcel::Closed(link) => {
                if self.links.remove(&link).is_some() {
                    self.step(to, Input::LinkClosed(link));
                }
            }
            Parcel::Packet(..) => {}
        }
        true
    }

    /// As a server would do it whose only snapshot is the empty one.
    fn send_backlog(&mut self, from: Sid, to: Sid, link: LinkId, backlog: Backlog) {
        let (Backlog::Behind { up_to, .. } | Backlog::Snapshot { up_to }) = backlog;
        let log = self.servers[&from].disk.log.clone();
        let snap = zabra_proto::quorum_packet::Message::Snap { zxid: Zxid::ZERO };
        self.step(to, Input::Packet(link, &snap));
        if self.full_disks.contains(&to) {
            self.links.remove(&link);
            self.step(from, Input::LinkClosed(link));
            return self.step(to, Input::LinkClosed(link));
        }
        let server = self.servers.get_mut(&to).unwrap();
        server.tree = DataTree::new(TreeOptions::default());
        server.sessions.clear();
        server.applied.clear();
        server.disk.log.clear();
        self.step(to, Input::SnapshotInstalled(Zxid::ZERO));
        for entry in log.into_iter().filter(|entry| entry.zxid <= up_to) {
            for packet in [Packet::Proposal(entry.clone()), Packet::Commit(entry.zxid)] {
                self.step(to, Input::Packet(link, &packet.message()));
            }
        }
    }

    /// Delivers everything until nothing is on its way.
    pub fn settle(&mut self) {
        loop {
            let wires: Vec<(Sid, Sid)> = self.wires.keys().copied().collect();
            let mut moved = false;
            for (from, to) in wires {
                moved |= self.deliver(from, to);
            }
            if !moved {
                return;
            }
        }
    }

    /// Time passes in steps, with everything delivered in between.
    pub fn advance(&mut self, millis: u64) {
        let end = self.now.mono.after(millis);
        while self.now.mono < end {
            self.now.mono = self.now.mono.after(10);
            self.now.wall = WallMillis(self.now.wall.0 + 10);
            for sid in self.up() {
                let due = self.servers[&sid].peer.next_deadline();
                if due.is_some_and(|due| due <= self.now.mono) {
                    self.step(sid, Input::Tick);
                }
            }
            self.settle();
        }
    }

    pub fn leader(&self) -> Option<Sid> {
        let leads = |sid: &Sid| {
            let peer = &self.servers[sid].peer;
            peer.state() == Some(ServerState::Leading) && peer.is_serving()
        };
        self.up().into_iter().find(leads)
    }

    /// Waits until every server serves.
    pub fn form(&mut self) -> Sid {
        for _ in 0..400 {
            if self.up().iter().all(|sid| self.servers[sid].serves) {
                return self.leader().expect("somebody leads");
            }
            self.advance(100);
        }
        panic!("no ensemble was formed: {:?}", self.states());
    }

    pub fn states(&self) -> Vec<(Sid, Option<ServerState>, Vec<Note>)> {
        let servers = self.servers.iter();
        servers
            .map(|(sid, s)| (*sid, s.peer.state(), s.notes.clone()))
            .collect()
    }

    /// A client of a server opens a session.
    pub fn open(&mut self, sid: Sid) -> SessionId {
        self.step(
            sid,
            Input::OpenSession {
                conn: super::CONN,
                timeout_ms: 10_000,
            },
        );
        self.settle();
        *self.servers[&sid]
            .granted
            .last()
            .expect("a session is granted")
    }

    /// A client of a server writes; the number of its request.
    pub fn write(&mut self, sid: Sid, session: SessionId, request: &Request) -> u64 {
        let server = self.servers.get_mut(&sid).unwrap();
        server.seq += 1;
        let seq = server.seq;
        let op = OpCode::from_code(request.op).unwrap();
        let origin = Origin {
            conn: super::CONN,
            seq,
            xid: Xid(seq as i32),
            ask: Ask::Op(op),
        };
        self.step(
            sid,
            Input::Write(WriteRequest {
                origin,
                op,
                session,
                body: &request.body,
                identities: &[],
            }),
        );
        seq
    }

    pub fn sync(&mut self, sid: Sid, session: SessionId) -> u64 {
        let server = self.servers.get_mut(&sid).unwrap();
        server.seq += 1;
        let seq = server.seq;
        let origin = Origin {
            conn: super::CONN,
            seq,
            xid: Xid(seq as i32),
            ask: Ask::Op(OpCode::Sync),
        };
        self.step(sid, Input::Sync { origin, session });
        seq
    }

    /// What a server has answered to a request.
    pub fn reply(&self, sid: Sid, seq: u64) -> Option<ErrorCode> {
        let replies = self.servers[&sid].replies.iter();
        replies
            .rev()
            .find(|(s, _)| *s == seq)
            .map(|(_, code)| *code)
    }

    /// Every server has applied the same, byte for byte, one perhaps less than another (I-3).
    pub fn assert_agreement(&self) {
        let all: Vec<&Vec<Entry>> = self.servers.values().map(|s| &s.applied).collect();
        for one in &all {
            for other in &all {
                let n = one.len().min(other.len());
                assert_eq!(one[..n], other[..n]);
            }
        }
    }
}

fn decode(payload: &[u8]) -> Payload<'_> {
    let limits = Limits {
        value_len_max: payload.len(),
    };
    Payload::decode(payload, limits).unwrap()
}

fn code_of(payload: &[u8]) -> ErrorCode {
    match decode(payload).txn {
        zabra_proto::Txn::Error(code) => code,
        _ => ErrorCode::OK,
    }
}

fn apply(server: &mut Server, zxid: Zxid, bytes: &Arc<[u8]>) {
    let payload = decode(bytes);
    match &payload.txn {
        zabra_proto::Txn::CreateSession(t) => {
            server.sessions.insert(payload.header.session, t.timeout_ms);
        }
        zabra_proto::Txn::CloseSession(_) => {
            server.sessions.remove(&payload.header.session);
        }
        _ => {}
    }
    server.tree.apply(&payload.header, &payload.txn, &mut ());
    server.applied.push(Entry {
        zxid,
        payload: Arc::clone(bytes),
    });
}
