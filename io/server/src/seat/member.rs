//! What a member of an ensemble has besides: links to the others, and the jobs on its history.
//!
//! Here the peer's effects on links and files are carried out, and what comes of them goes back as inputs. What any of it
//! means is in `zabra-peer`; the sockets are in [`crate::links`], the jobs in [`crate::history`].

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tracing::{debug, error, info, warn};
use zabra_config::{BindAt, MembershipFiles};
use zabra_peer::{Effect, Halt, Input, Note, Now, Peer};
use zabra_proto::{MonoMillis, Sid, Zxid};
use zabra_quorum::{ConfigVersion, HostPort, Membership, PeerAddress};
use zabra_serve::{Clients, Replica};
use zabra_zab::{Backlog, LinkId};

use super::{Fatal, Mailbox, Seat, effects};
use crate::history::{
    HistoryFiles, How, Job, Jobs, Outcome, Received, Sent, receive_snapshot, send_backlog,
};
use crate::links::{
    BindError, ElectionNews, ElectionOptions, ElectionPort, LinkLetter, QuorumNews, QuorumOptions,
    QuorumPort, SocketOptions, bind_patiently, spawn,
};
use crate::net::{Listener, Poller, Ready};
use crate::sync::{Mutex, RwLock, RwLockWriteGuard};

/// What does not change with the membership.
#[derive(Debug, Clone)]
pub(crate) struct MemberOptions {
    pub(crate) me: Sid,
    /// `multiAddress.enabled`.
    pub(crate) multi_address: bool,
    /// `quorumListenOnAllIPs`.
    pub(crate) listens_everywhere: bool,
    pub(crate) keep_alive: bool,
    pub(crate) bind_attempts: Option<u32>,
    /// How long opening an election connection may take.
    pub(crate) connect_timeout: Duration,
    /// How long the other side of an election connection may take to introduce itself.
    pub(crate) election_silence_max: Duration,
    pub(crate) quorum: QuorumOptions,
    /// Where memberships are written, if there is a configuration file.
    pub(crate) files: Option<MembershipFiles>,
}

/// The part of the seat that only a member has.
#[derive(Debug)]
pub(crate) struct Member {
    options: MemberOptions,
    election: ElectionPort,
    quorum: QuorumPort,
    membership: Membership,
    last_seen: Option<Membership>,
    /// The membership's text, as votes carry it.
    text: String,
    history: Arc<HistoryFiles>,
    jobs: Arc<Jobs>,
    mailbox: Arc<Mailbox>,
    /// The link whose snapshot is being made the history, with what came behind the snapshot.
    installing: Option<(LinkId, Vec<u8>)>,
    /// Whether the tree is that of an ensemble that goes on: then it may be written down.
    in_step: bool,
    /// The version of the membership that was written last.
    saved: Arc<Mutex<ConfigVersion>>,
    /// Binds of an older membership are closed again (R12).
    bind_number: u64,
}

/// What other threads tell a member.
#[derive(Debug)]
pub(crate) enum MemberLetter {
    /// A job on the history is done.
    Job(Outcome),
    /// A learner was sent its history.
    BacklogSent(LinkId, Result<Sent, String>),
    /// A leader's snapshot came in.
    SnapshotReceived(LinkId, Result<Box<(Received, Vec<u8>)>, String>),
    /// Ports of a new membership are open.
    Bound {
        number: u64,
        listeners: Result<Listeners, BindError>,
    },
}

/// The sockets on which a member listens for others.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) election: Vec<Listener>,
    pub(crate) quorum: Vec<Listener>,
}

/// What a member's effects reach.
pub(super) struct Around<'a, 'r> {
    pub(super) clients: &'a mut Clients,
    pub(super) peer: &'a mut Peer,
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) guard: &'a mut Option<RwLockWriteGuard<'r, Replica>>,
    pub(super) replica: &'r RwLock<Replica>,
    pub(super) poller: &'a Poller,
    pub(super) now: Now,
}

/// What remains for the seat to do.
#[derive(Debug)]
pub(super) enum Left {
    Nothing,
    /// The stop that was asked for is complete.
    Stop,
    End(Fatal),
}

impl Member {
    pub(crate) fn new(
        options: MemberOptions,
        membership: Membership,
        last_seen: Option<Membership>,
        history: (Arc<HistoryFiles>, Arc<Jobs>),
        mailbox: Arc<Mailbox>,
    ) -> io::Result<Self> {
        let election = election_options(&options, &membership, last_seen.as_ref());
        let (history, jobs) = history;
        let donor = Arc::new(history.donor());
        Ok(Self {
            election: ElectionPort::new(election, Arc::clone(&mailbox), donor)
                .map_err(io::Error::other)?,
            quorum: QuorumPort::new(options.quorum, Arc::clone(&mailbox)),
            text: membership.to_string(),
            saved: Arc::new(Mutex::new(membership.version())),
            membership,
            last_seen,
            history,
            jobs,
            mailbox,
            installing: None,
            in_step: false,
            bind_number: 0,
            options,
        })
    }

    /// Listens on these from now on.
    pub(crate) fn listen(&mut self, listeners: Listeners, poller: &Poller) -> io::Result<()> {
        self.election.listen(listeners.election, poller)?;
        self.quorum.listen(listeners.quorum, poller)
    }

    /// Whether the tree may be written down as a snapshot.
    pub(super) fn is_in_step(&self) -> bool {
        self.in_step
    }

    pub(super) fn deadline(&self) -> Option<MonoMillis> {
        let deadlines = [self.election.deadline(), self.quorum.deadline()];
        deadlines.into_iter().flatten().min()
    }

    pub(super) fn on_time(&mut self, now: MonoMillis, poller: &Poller) {
        self.election.on_time(now, poller);
        self.quorum.on_time(now, poller);
    }

    /// Sends what waits on all links.
    pub(super) fn flush(&mut self, now: MonoMillis, poller: &Poller) {
        self.quorum.flush(poller);
        self.election.flush(now, poller);
    }

    /// Carries out what only a member is asked for.
    pub(super) fn carry_out(&mut self, effect: Effect, around: Around<'_, '_>) -> Left {
        let Around {
            clients,
            peer,
            effects,
            guard,
            replica,
            poller,
            now,
        } = around;
        match effect {
            Effect::Send { link, packet } => self.quorum.send(link, &packet),
            Effect::Notify { to, notification } => {
                let mut frame = Vec::new();
                match notification.to_message(&self.text).encode_frame(&mut frame) {
                    Ok(()) => self.election.post(to, frame, now.mono),
                    Err(error) => error!(%to, %error, "a vote cannot be sent"),
                }
            }
            Effect::StartServing => {
                self.in_step = true;
                let replica = guard.get_or_insert_with(|| effects::write(replica));
                // What a leader's snapshot held beyond its zxid has been applied by now.
                replica.set_fuzzy_up_to(Zxid::ZERO);
                clients.start_serving();
            }
            Effect::StopServing => clients.stop_serving(),
            Effect::ListSessions => {
                self.in_step = true;
                let replica = guard.get_or_insert_with(|| effects::write(replica));
                replica.set_fuzzy_up_to(Zxid::ZERO);
                let sessions: Vec<_> = replica.sessions().iter().map(|(s, t)| (*s, *t)).collect();
                peer.step(now, Input::Sessions(&sessions), &replica.tree, effects);
            }
            Effect::SetConfig(membership) => {
                let replica = guard.get_or_insert_with(|| effects::write(replica));
                let version = Zxid::from_wire(membership.version().0);
                let text = membership.to_string();
                let tree = &mut replica.tree;
                tree.set_local_config(text.as_bytes(), version, now.wall);
            }
            Effect::SaveEpochs(epochs) => self.jobs.ask(Job::SaveEpochs(epochs)),
            Effect::Truncate(to) => self.jobs.ask(Job::Truncate(to)),
            Effect::SendBacklog { link, backlog } => self.send_backlog(link, backlog, poller),
            Effect::Dial { dial, to } => {
                let addresses = self.addresses(to, |address| address.quorum_port);
                self.quorum.dial(dial, to, addresses);
            }
            Effect::StopDialing(dial) => self.quorum.stop_dialing(dial),
            Effect::Close(link) => self.quorum.close(link, now.mono, poller),
            Effect::AdoptConfig(membership) => self.adopt(*membership),
            Effect::Note(note) => self.note(&note),
            Effect::Halt(halt) => return Left::End(fatal(halt)),
            Effect::Stopped => return Left::Stop,
            other => error!(?other, "nobody carries this out"),
        }
        Left::Nothing
    }

    /// Where a server can be reached, by the memberships that are known.
    fn addresses(&self, sid: Sid, port: fn(&PeerAddress) -> u16) -> Vec<HostPort> {
        let known = [Some(&self.membership), self.last_seen.as_ref()];
        let mut members = known.into_iter().flatten();
        let member = members.find_map(|membership| membership.member(sid));
        member.map_or_else(Vec::new, |member| host_ports(&member.addresses, port))
    }

    fn send_backlog(&mut self, link: LinkId, backlog: Backlog, poller: &Poller) {
        let Some((mut stream, before)) = self.quorum.lend_output(link, poller) else {
            return;
        };
        let (files, mailbox) = (Arc::clone(&self.history), Arc::clone(&self.mailbox));
        let begun = spawn("backlog", move || {
            let begun = stream.send(&before).map_err(|error| error.to_string());
            let sent = begun.and_then(|()| {
                let sent = send_backlog(&files, backlog, &mut |bytes| stream.send(bytes));
                sent.map_err(|error| error.to_string())
            });
            mailbox.post(|letters| {
                letters.member.push(MemberLetter::BacklogSent(link, sent));
            });
        });
        if let Err(error) = begun {
            self.quorum.take_back_output(link, Err(error.to_string()));
        }
    }

    /// Begins to take in the snapshots that follow on links.
    fn take_snapshots(&mut self, poller: &Poller) {
        for (link, zxid) in self.quorum.paused() {
            let Some(mut stream) = self.quorum.lend_input(link, poller) else {
                continue;
            };
            info!(%zxid, "the leader sends a snapshot");
            let (files, mailbox) = (Arc::clone(&self.history), Arc::clone(&self.mailbox));
            let begun = spawn("snapshot intake", move || {
                let received = receive_snapshot(&files, zxid, &mut stream);
                let received = received.map(|received| Box::new((received, stream.take_before())));
                let received = received.map_err(|error| error.to_string());
                mailbox.post(|letters| {
                    let letter = MemberLetter::SnapshotReceived(link, received);
                    letters.member.push(letter);
                });
            });
            if let Err(error) = begun {
                let nothing = Err(error.to_string());
                self.quorum.take_back_input(link, nothing, poller);
            }
        }
    }

    /// A snapshot came in whole, or not at all. If its leader is still followed it becomes the history.
    fn on_snapshot(
        &mut self,
        link: LinkId,
        received: Result<Box<(Received, Vec<u8>)>, String>,
        poller: &Poller,
    ) {
        match received {
            Ok(received) if self.quorum.awaits_snapshot(link) => {
                let (received, rest) = *received;
                self.installing = Some((link, rest));
                self.jobs.ask(Job::Adopt(received));
            }
            Ok(_) => debug!("a snapshot came in that nobody waits for any more"),
            Err(why) => self.quorum.take_back_input(link, Err(why), poller),
        }
    }

    /// Another membership is in force.
    fn adopt(&mut self, membership: Membership) {
        let is_same = membership.has_same_members(&self.membership);
        info!(version = %membership.version(), "a newer membership is in force");
        self.text = membership.to_string();
        self.save(&membership);
        let before = std::mem::replace(&mut self.membership, membership);
        if is_same {
            return;
        }
        let own = |membership: &Membership| {
            let line = membership.member(self.options.me);
            line.map(|line| line.addresses.clone())
        };
        let (old, new) = (own(&before), own(&self.membership));
        let moves = new.is_some() && new != old;
        let mut options =
            election_options(&self.options, &self.membership, self.last_seen.as_ref());
        if new.is_none() {
            // It is in no role any more, and stays where it is.
            options.own = host_ports(&old.unwrap_or_default(), |address| address.election_port);
        }
        if let Err(error) = self.election.rebuild(options, !moves) {
            error!(%error, "the election port cannot go on under the newer membership");
        }
        if moves {
            self.quorum.stop_listening();
            self.bind();
        }
    }

    /// Opens the ports of the membership, off the poller: names are resolved.
    fn bind(&mut self) {
        self.bind_number += 1;
        let (number, mailbox) = (self.bind_number, Arc::clone(&self.mailbox));
        let options = self.options.clone();
        let addresses = self.membership.member(options.me);
        let addresses = addresses.map_or_else(Vec::new, |line| line.addresses.clone());
        let begun = spawn("bind", move || {
            let listeners = listen(&options, &addresses);
            let letter = MemberLetter::Bound { number, listeners };
            mailbox.post(|letters| letters.member.push(letter));
        });
        if let Err(error) = begun {
            error!(%error, "no thread to open the ports of the newer membership");
        }
    }

    /// Writes the membership down, off the poller.
    fn save(&self, membership: &Membership) {
        let Some(files) = self.options.files.clone() else {
            return;
        };
        let last_seen = self.last_seen.as_ref();
        let last_seen = last_seen.map_or(membership.version(), Membership::version);
        let (membership, me) = (membership.clone(), self.options.me);
        let saved = Arc::clone(&self.saved);
        let begun = spawn("save membership", move || {
            let mut saved = saved.lock().unwrap_or_else(PoisonError::into_inner);
            if *saved < membership.version() {
                *saved = membership.version();
                if let Err(error) = files.save_committed(&membership, me, last_seen) {
                    error!(%error, "the newer membership cannot be written down; a restart begins with an older one");
                }
            }
        });
        if let Err(error) = begun {
            error!(%error, "no thread to write down the newer membership");
        }
    }

    fn note(&mut self, note: &Note) {
        match note {
            Note::Looking => info!("looking for a leader"),
            Note::Elected { leader } if *leader == self.options.me => info!("elected to lead"),
            Note::Elected { leader } => info!(%leader, "a leader is elected"),
            Note::InStep { leader, epoch } => info!(%leader, epoch, "in step with the ensemble"),
            Note::Left { why } => {
                self.in_step = false;
                warn!(%why, "without a leader");
            }
            Note::LearnerLeft { sid, why } => {
                let sid = sid.map_or_else(|| "unknown".to_owned(), |sid| sid.to_string());
                info!(%sid, %why, "a learner has left");
            }
            Note::LearnerInStep { sid } => info!(%sid, "a learner is in step"),
        }
    }
}

impl Seat {
    /// A socket of the election port is ready.
    pub(super) fn on_election_ready(&mut self, number: u32, report: Ready, now: Now) {
        let poller = self.doorway.sockets.poller();
        if let Some(member) = &mut self.member {
            let scratch = &mut self.scratch;
            member
                .election
                .on_ready(report, number, scratch, now.mono, poller);
            self.take_news(now);
        }
    }

    /// A socket of the quorum port is ready.
    pub(super) fn on_quorum_ready(&mut self, number: u32, report: Ready, now: Now) {
        let poller = self.doorway.sockets.poller();
        if let Some(member) = &mut self.member {
            let scratch = &mut self.scratch;
            let link = member
                .quorum
                .on_ready(report, number, scratch, now.mono, poller);
            self.take_news(now);
            if let Some(link) = link {
                self.deliver(link, now);
            }
        }
    }

    /// Gives the packets that have come to the peer.
    fn deliver(&mut self, link: LinkId, now: Now) {
        let Self {
            member: Some(member),
            peer,
            effects,
            replica,
            ..
        } = self
        else {
            return;
        };
        let replica = effects::read(replica);
        member.quorum.deliver(link, |message| {
            let input = Input::Packet(link, message);
            peer.step(now, input, &replica.tree, effects);
        });
        drop(replica);
        self.take_news(now);
    }

    /// Tells the peer what happened to links. Whether there was anything.
    pub(super) fn take_news(&mut self, now: Now) -> bool {
        let Self {
            member: Some(member),
            peer,
            effects,
            replica,
            ..
        } = self
        else {
            return false;
        };
        let (votes, links) = (member.election.take_news(), member.quorum.take_news());
        if votes.is_empty() && links.is_empty() {
            return false;
        }
        let replica = effects::read(replica);
        let mut step = |input: Input<'_>| peer.step(now, input, &replica.tree, effects);
        for news in votes {
            match news {
                ElectionNews::Vote(vote) => step(Input::Vote(&vote)),
                ElectionNews::Link(sid, fact) => step(Input::ElectionLink(sid, fact)),
            }
        }
        for news in links {
            step(match news {
                QuorumNews::Connected(link) => Input::LearnerConnected(link),
                QuorumNews::Closed(link) => Input::LinkClosed(link),
                QuorumNews::Dialed { dial, link } => Input::Dialed { dial, link },
            });
        }
        true
    }

    /// Sends what waits on links, and begins to take in snapshots. Whether the peer should hear of something.
    pub(super) fn send_links(&mut self, now: Now) -> bool {
        let poller = self.doorway.sockets.poller();
        let Some(member) = &mut self.member else {
            return false;
        };
        member.take_snapshots(poller);
        member.flush(now.mono, poller);
        self.take_news(now)
    }

    /// What the threads that connect have to say.
    pub(super) fn on_link_letters(&mut self, letters: Vec<LinkLetter>, now: Now) {
        let poller = self.doorway.sockets.poller();
        let Some(member) = &mut self.member else {
            return;
        };
        for letter in letters {
            match letter {
                LinkLetter::ElectionDialed {
                    to,
                    attempt,
                    result,
                } => member
                    .election
                    .on_dialed(to, attempt, result, now.mono, poller),
                LinkLetter::QuorumDialed { dial, to, result } => {
                    member.quorum.on_dialed(dial, to, result, poller);
                }
            }
        }
        self.take_news(now);
    }

    /// What the threads that work on the history have to say.
    pub(super) fn on_member_letter(&mut self, letter: MemberLetter, now: Now) {
        let poller = self.doorway.sockets.poller();
        let Some(member) = &mut self.member else {
            return;
        };
        match letter {
            MemberLetter::Job(outcome) => return self.on_job(outcome, now),
            MemberLetter::BacklogSent(link, sent) => {
                if let Some(stats) = &mut self.desk.member {
                    let was_snapshot = sent.as_ref().ok().map(|s| matches!(s.how, How::Snap(_)));
                    stats.on_backlog(link, was_snapshot, &mut self.metrics);
                }
                if let Ok(sent) = &sent {
                    let to = member.quorum.remote(link);
                    info!(?to, how = ?sent.how, txns = sent.txns, bytes = sent.bytes, "history sent to a learner");
                }
                member.quorum.take_back_output(link, sent.map(drop));
            }
            MemberLetter::SnapshotReceived(link, received) => {
                member.on_snapshot(link, received, poller);
            }
            MemberLetter::Bound { number, .. } if number != member.bind_number => {}
            MemberLetter::Bound { listeners, .. } => {
                let listening = match listeners {
                    Ok(listeners) => member.listen(listeners, poller).map_err(Fatal::Loop),
                    Err(error) => Err(Fatal::ElectionPort(error)),
                };
                if let Err(error) = listening {
                    self.fatal.get_or_insert(error);
                }
            }
        }
        self.take_news(now);
    }

    fn on_job(&mut self, outcome: Outcome, now: Now) {
        let done = match outcome {
            Outcome::EpochsSaved(epochs) => Input::EpochsSaved(epochs),
            Outcome::Truncated(zxid) => Input::Truncated(zxid),
            Outcome::CannotTruncate { to, why } => {
                warn!(%to, %why, "the history cannot be cut where the leader asks");
                Input::CannotTruncate
            }
            Outcome::Failed(failure) => {
                self.fatal.get_or_insert(Fatal::History(failure));
                return;
            }
            Outcome::Installed {
                zxid,
                replica,
                rest,
            } => return self.on_installed(zxid, replica, rest, now),
        };
        self.tell_peer(now, done);
    }

    fn tell_peer(&mut self, now: Now, input: Input<'_>) {
        let replica = effects::read(&self.replica);
        self.peer.step(now, input, &replica.tree, &mut self.effects);
    }

    /// A leader's history is this server's. What the leader sent behind the snapshot is in the log with it, so the peer
    /// hears of that before anything else.
    fn on_installed(&mut self, zxid: Zxid, replica: Box<Replica>, mut rest: Vec<u8>, now: Now) {
        self.replace_replica(replica);
        self.tell_peer(now, Input::SnapshotInstalled(zxid));
        let poller = self.doorway.sockets.poller();
        let Some(member) = &mut self.member else {
            return;
        };
        if let Some((link, mut more)) = member.installing.take() {
            info!(%zxid, "the leader's snapshot is installed");
            if !member.quorum.awaits_snapshot(link) {
                self.fatal.get_or_insert(Fatal::HistoryMoved);
                return;
            }
            rest.append(&mut more);
            member.quorum.take_back_input(link, Ok(rest), poller);
            self.deliver(link, now);
        }
    }

    /// Serves another tree from here on. The old one is taken apart elsewhere: that takes as long as it is large.
    fn replace_replica(&mut self, new: Box<Replica>) {
        let old = {
            let mut replica = effects::write(&self.replica);
            self.replaced.note();
            std::mem::replace(&mut *replica, *new)
        };
        // Without a thread it is done here.
        let _ = spawn("drop tree", move || drop(old));
    }
}

/// Opens the ports for other servers. The election port is tried again and again, for that is what the setting says; the
/// other with it.
pub(crate) fn listen(
    options: &MemberOptions,
    addresses: &[PeerAddress],
) -> Result<Listeners, BindError> {
    let binds = |port: fn(&PeerAddress) -> u16| -> Vec<BindAt> {
        let binds = addresses
            .iter()
            .map(|address| match options.listens_everywhere {
                true => BindAt::Everywhere(port(address)),
                false => BindAt::Host(HostPort {
                    host: address.host.clone(),
                    port: port(address),
                }),
            });
        binds.collect()
    };
    let bind = |at: Vec<BindAt>| bind_patiently(&at, options.keep_alive, options.bind_attempts);
    Ok(Listeners {
        election: bind(binds(|address| address.election_port))?,
        quorum: bind(binds(|address| address.quorum_port))?,
    })
}

fn election_options(
    options: &MemberOptions,
    membership: &Membership,
    last_seen: Option<&Membership>,
) -> ElectionOptions {
    let mut others = BTreeMap::new();
    let known = [Some(membership), last_seen];
    for member in known
        .into_iter()
        .flatten()
        .flat_map(|m| m.members().values())
    {
        if member.sid != options.me {
            let election = host_ports(&member.addresses, |address| address.election_port);
            others.entry(member.sid).or_insert(election);
        }
    }
    let own = membership.member(options.me);
    ElectionOptions {
        me: options.me,
        own: own.map_or_else(Vec::new, |line| {
            host_ports(&line.addresses, |address| address.election_port)
        }),
        tells_all: options.multi_address,
        others,
        connect_timeout: options.connect_timeout,
        introduction_ms_max: options.election_silence_max.as_millis() as u64,
        socket: SocketOptions {
            keep_alive: options.keep_alive,
            unacknowledged_max: options.election_silence_max,
        },
    }
}

fn host_ports(addresses: &[PeerAddress], port: fn(&PeerAddress) -> u16) -> Vec<HostPort> {
    let at = addresses.iter().map(|address| HostPort {
        host: address.host.clone(),
        port: port(address),
    });
    at.collect()
}

fn fatal(halt: Halt) -> Fatal {
    match halt {
        Halt::CommitOutOfOrder {
            committed,
            expected,
        } => Fatal::CommitOutOfOrder {
            committed,
            expected,
        },
        Halt::CannotSync(why) => Fatal::CannotSync(why),
        Halt::HistoryMoved => Fatal::HistoryMoved,
    }
}
