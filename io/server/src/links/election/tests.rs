//! An election port against sockets with a script: recordings of Apache's servers in both roles, and whoever else may
//! come.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::time::Instant;

use zabra_config::BindAt;
use zabra_election::ServerState;
use zabra_storage::{DataDirs, RealVfs};

use super::*;
use crate::links::bind::bind;
use crate::seat::clock;
use crate::sync::Waker;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A port with the part of the seat that serves it.
struct Rig {
    poller: Poller,
    port: ElectionPort,
    mailbox: Arc<Mailbox>,
    news: Vec<ElectionNews>,
    /// How far the clock is ahead of the real one.
    ahead_ms: u64,
}

fn at(port: u16) -> HostPort {
    HostPort {
        host: "127.0.0.1".to_owned(),
        port,
    }
}

fn options(me: i64) -> ElectionOptions {
    ElectionOptions {
        me: Sid(me),
        own: vec![at(31_030 + me as u16)],
        tells_all: false,
        others: BTreeMap::new(),
        connect_timeout: PATIENCE,
        introduction_ms_max: 10_000,
        socket: SocketOptions {
            keep_alive: false,
            unacknowledged_max: PATIENCE,
        },
    }
}

impl Rig {
    fn new(options: ElectionOptions) -> Self {
        let poller = Poller::new().unwrap();
        let mailbox = Arc::new(Mailbox::new(Waker::new(&poller).unwrap()));
        let nothing = DataDirs::new(Path::new("/nowhere"), None);
        let donor = Arc::new(Donor::new(Arc::new(RealVfs), nothing));
        let mut port = ElectionPort::new(options, Arc::clone(&mailbox), donor).unwrap();
        let listeners = bind(&[BindAt::Host(at(0))], false).unwrap();
        port.listen(listeners, &poller).unwrap();
        Self {
            poller,
            port,
            mailbox,
            news: Vec::new(),
            ahead_ms: 0,
        }
    }

    /// One that knows this server at this address.
    fn knowing(me: i64, other: i64, address: HostPort) -> Self {
        let mut options = options(me);
        options.others.insert(Sid(other), vec![address]);
        Self::new(options)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.port.door.addresses()[0]).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }

    fn now(&self) -> MonoMillis {
        clock::now().mono.after(self.ahead_ms)
    }

    fn turn(&mut self) {
        let mut ready = VecDeque::new();
        let wait = Duration::from_millis(1);
        self.poller.wait(&mut ready, Some(wait)).unwrap();
        let (now, mut scratch) = (self.now(), vec![0; 1 << 16]);
        for report in ready {
            match report.source {
                Source::Election(number) => {
                    self.port
                        .on_ready(report, number, &mut scratch, now, &self.poller);
                }
                _ => {
                    for letter in self.mailbox.take().links {
                        let LinkLetter::ElectionDialed {
                            to,
                            attempt,
                            result,
                        } = letter
                        else {
                            panic!("nobody dials a leader here")
                        };
                        self.port.on_dialed(to, attempt, result, now, &self.poller);
                    }
                }
            }
        }
        if self.port.deadline().is_some_and(|due| due <= now) {
            self.port.on_time(now, &self.poller);
        }
        self.news.extend(self.port.take_news());
        self.port.flush(now, &self.poller);
    }

    /// Goes on until this gives something.
    fn until<T>(&mut self, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{:?}", self.news);
            self.turn();
        }
    }

    /// Reads exactly these bytes from the other end.
    fn expect(&mut self, stream: &mut TcpStream, bytes: &[u8]) {
        let mut got = Vec::new();
        self.until(|_| {
            let mut scratch = vec![0; bytes.len() - got.len()];
            if let Ok(n) = stream.read(&mut scratch) {
                assert!(n > 0, "closed after {} bytes", got.len());
                got.extend_from_slice(&scratch[..n]);
            }
            (got.len() == bytes.len()).then_some(())
        });
        assert_eq!(got, bytes);
    }

    /// Goes on until the other end was closed without another byte.
    fn expect_end(&mut self, stream: &mut TcpStream) {
        let end = self.until(|_| match stream.read(&mut [0]) {
            Ok(n) => Some(n),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
            Err(_) => Some(0),
        });
        assert_eq!(end, 0);
    }

    fn post(&mut self, to: i64, frame: &[u8]) {
        let now = self.now();
        self.port.post(Sid(to), frame.to_vec(), now);
    }

    fn is_up(&self, sid: i64) -> bool {
        let line = self.port.lines.get(&Sid(sid));
        line.is_some_and(|line| line.wire.is_some())
    }

    fn facts(&self) -> Vec<(i64, LinkFact)> {
        let facts = self.news.iter().filter_map(|news| match news {
            ElectionNews::Link(sid, fact) => Some((sid.0, *fact)),
            ElectionNews::Vote(_) => None,
        });
        facts.collect()
    }

    fn votes(&self) -> Vec<Received> {
        let votes = self.news.iter().filter_map(|news| match news {
            ElectionNews::Vote(vote) => Some((**vote).clone()),
            ElectionNews::Link(..) => None,
        });
        votes.collect()
    }
}

/// A connection between two servers of Apache ZooKeeper 3.8.0.
struct Recording {
    name: &'static str,
    connector: i64,
    acceptor: i64,
    c2s: Vec<u8>,
    s2c: Vec<u8>,
}

fn recording(name: &'static str, connector: i64, acceptor: i64) -> Recording {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../core/proto/tests/vectors/quorum"
    );
    let read = |side: &str| std::fs::read(format!("{folder}/{name}.{side}.bin")).unwrap();
    Recording {
        name,
        connector,
        acceptor,
        c2s: read("c2s"),
        s2c: read("s2c"),
    }
}

/// Those of which the connector has the larger id, so that they carry votes.
fn recordings() -> Vec<Recording> {
    vec![
        recording("01-election-first-round", 2, 1),
        recording("02-election-late-joiner", 3, 2),
        recording("03-election-observer", 4, 2),
        recording("04b-election-connect-back", 3, 2),
        recording("05a-election-joiner-learns-config", 4, 1),
        recording("05b-election-joiner-as-nonvoter", 4, 1),
        recording("06-election-multiaddress", 2, 1),
    ]
}

impl Recording {
    fn introduction_len(&self) -> usize {
        InitialMessage::decode(&self.c2s).unwrap().unwrap().1
    }

    fn introduction(&self) -> &[u8] {
        &self.c2s[..self.introduction_len()]
    }

    fn told_by_connector(&self) -> Vec<&[u8]> {
        frames(&self.c2s[self.introduction_len()..])
    }

    fn told_by_acceptor(&self) -> Vec<&[u8]> {
        frames(&self.s2c)
    }

    fn options_of_connector(&self) -> ElectionOptions {
        let (message, _) = InitialMessage::decode(&self.c2s).unwrap().unwrap();
        let own = message.addresses.iter().map(|address| HostPort {
            host: address.host.to_string(),
            port: address.port,
        });
        ElectionOptions {
            own: own.collect(),
            tells_all: message.form == InitialForm::List,
            ..options(self.connector)
        }
    }
}

/// The frames with their lengths.
fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((_, len)) = frame(bytes).unwrap() {
        frames.push(&bytes[..len]);
        bytes = &bytes[len..];
    }
    assert_eq!(bytes, []);
    frames
}

fn votes(sender: i64, frames: &[&[u8]]) -> Vec<Received> {
    let vote =
        |bytes: &&[u8]| Received::new(Sid(sender), &Notification::decode(&bytes[4..]).unwrap());
    frames.iter().map(vote).collect()
}

/// The bytes with another port in them, which has as many digits.
fn with_port(bytes: &[u8], from: u16, to: u16) -> Vec<u8> {
    let (from, to) = (from.to_string(), to.to_string());
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    while let Some(found) = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes())
    {
        bytes[found..found + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

/// A socket in the role of another server, which is told where to connect back.
fn other_server() -> (TcpListener, u16) {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if port >= 10_000 {
            listener.set_nonblocking(true).unwrap();
            return (listener, port);
        }
    }
}

fn accept(rig: &mut Rig, listener: &TcpListener) -> TcpStream {
    let (stream, _) = rig.until(|_| listener.accept().ok());
    stream.set_nonblocking(true).unwrap();
    stream
}

#[test]
fn a_recorded_connector_is_understood_in_pieces_of_any_size() {
    for piece in [1, 7, usize::MAX] {
        for recording in recordings() {
            let mut rig = Rig::new(options(recording.acceptor));
            let mut server = rig.connect();
            for piece in recording.c2s.chunks(piece.min(recording.c2s.len())) {
                server.write_all(piece).unwrap();
                rig.turn();
            }
            let told = votes(recording.connector, &recording.told_by_connector());
            rig.until(|rig| (rig.votes().len() == told.len()).then_some(()));
            assert_eq!(rig.votes(), told, "{}", recording.name);
            assert_eq!(rig.facts(), [(recording.connector, LinkFact::Up)]);
            for frame in recording.told_by_acceptor() {
                rig.post(recording.connector, frame);
                rig.expect(&mut server, frame);
            }
        }
    }
}

#[test]
fn as_connector_it_says_what_was_recorded_and_hears_the_answers() {
    for recording in recordings() {
        let (listener, port) = other_server();
        let mut options = recording.options_of_connector();
        options
            .others
            .insert(Sid(recording.acceptor), vec![at(port)]);
        let mut rig = Rig::new(options);
        let told = recording.told_by_connector();
        rig.post(recording.acceptor, told[0]);
        let mut server = accept(&mut rig, &listener);
        rig.expect(&mut server, recording.introduction());
        rig.expect(&mut server, told[0]);
        for frame in &told[1..] {
            rig.post(recording.acceptor, frame);
            rig.expect(&mut server, frame);
        }
        server.write_all(&recording.s2c).unwrap();
        let heard = votes(recording.acceptor, &recording.told_by_acceptor());
        rig.until(|rig| (rig.votes().len() == heard.len()).then_some(()));
        assert_eq!(rig.votes(), heard, "{}", recording.name);
        assert_eq!(rig.facts(), [(recording.acceptor, LinkFact::Up)]);
    }
}

#[test]
fn a_recorded_ring_at_the_door_is_answered_by_connecting_back() {
    let ring = recording("04a-election-lower-sid-dropped", 2, 3);
    let back = recording("04b-election-connect-back", 3, 2);
    let (listener, port) = other_server();
    // The configuration knows another address: the announced one counts.
    let (nobody, wrong) = other_server();
    let mut rig = Rig::knowing(3, 2, at(wrong));
    let mut door = rig.connect();
    door.write_all(&with_port(&ring.c2s, 31_032, port)).unwrap();
    rig.expect_end(&mut door);
    let mut server = accept(&mut rig, &listener);
    rig.expect(&mut server, back.introduction());
    for frame in back.told_by_connector() {
        rig.post(2, frame);
        rig.expect(&mut server, frame);
    }
    assert_eq!(rig.facts(), [(2, LinkFact::Up)]);
    assert!(nobody.accept().is_err());
}

#[test]
fn a_ring_at_a_larger_server_is_as_recorded_and_is_not_repeated_at_once() {
    let ring = recording("04a-election-lower-sid-dropped", 2, 3);
    let (listener, port) = other_server();
    let mut rig = Rig::knowing(2, 3, at(port));
    rig.post(3, b"\0\0\0\x01v");
    let mut door = accept(&mut rig, &listener);
    rig.expect(&mut door, &ring.c2s);
    rig.expect_end(&mut door);
    rig.post(3, b"\0\0\0\x01w");
    for _ in 0..5 {
        rig.turn();
        assert!(listener.accept().is_err());
    }
    // It connects back, and what waited is told.
    let mut back = rig.connect();
    back.write_all(recording("02-election-late-joiner", 3, 2).introduction())
        .unwrap();
    rig.expect(&mut back, b"\0\0\0\x01w");
    assert_eq!(rig.facts(), [(3, LinkFact::Up)]);
}

#[test]
fn a_larger_server_that_does_not_connect_back_is_rung_up_again_later() {
    let (listener, port) = other_server();
    let mut rig = Rig::knowing(2, 3, at(port));
    for _ in 0..2 {
        rig.post(3, b"\0\0\0\x01v");
        let mut door = accept(&mut rig, &listener);
        rig.until(|_| door.read(&mut [0; 64]).ok());
        rig.ahead_ms += 2_000;
    }
}

#[test]
fn a_newer_link_replaces_an_older_one_and_is_no_break() {
    let first = recording("01-election-first-round", 2, 1);
    let mut rig = Rig::new(options(1));
    let mut older = rig.connect();
    older.write_all(first.introduction()).unwrap();
    rig.until(|rig| rig.is_up(2).then_some(()));
    rig.post(2, b"\0\0\0\x01v");
    rig.expect(&mut older, b"\0\0\0\x01v");
    let mut newer = rig.connect();
    newer.write_all(&first.c2s).unwrap();
    rig.expect_end(&mut older);
    // What may have been lost with the older one comes first.
    rig.expect(&mut newer, b"\0\0\0\x01v");
    assert_eq!(rig.facts(), [(2, LinkFact::Up), (2, LinkFact::Up)]);
    drop(newer);
    rig.until(|rig| (!rig.is_up(2)).then_some(()));
    rig.turn();
    assert_eq!(rig.facts().last(), Some(&(2, LinkFact::Reset)));
}

#[test]
fn an_old_server_says_only_its_number() {
    let first = recording("01-election-first-round", 2, 1);
    let mut rig = Rig::new(options(1));
    let mut server = rig.connect();
    server.write_all(&2i64.to_be_bytes()).unwrap();
    server.write_all(first.told_by_connector()[0]).unwrap();
    rig.until(|rig| rig.votes().pop());
    assert_eq!(rig.facts(), [(2, LinkFact::Up)]);
}

#[test]
fn nobody_listening_is_told_as_a_refusal() {
    let (listener, port) = other_server();
    drop(listener);
    let mut rig = Rig::knowing(2, 1, at(port));
    rig.post(1, b"\0\0\0\x01v");
    let fact = rig.until(|rig| rig.facts().pop());
    assert_eq!(fact, (1, LinkFact::Refused));
}

#[test]
fn bytes_of_no_server_close_only_their_own_connection() {
    let good = recording("01-election-first-round", 2, 1);
    let too_long = [good.introduction(), &(524_289_u32.to_be_bytes())].concat();
    let negative = [good.introduction(), &(-1_i32).to_be_bytes()].concat();
    let mut own = good.introduction().to_vec();
    own[15] = 1;
    let mut anonymous = good.introduction().to_vec();
    anonymous[8..16].copy_from_slice(&i64::MAX.to_be_bytes());
    let mut nameless = good.introduction().to_vec();
    nameless[16..20].copy_from_slice(&0_u32.to_be_bytes());
    let mut endless = good.introduction().to_vec();
    endless[16..20].copy_from_slice(&2049_u32.to_be_bytes());
    let http = b"\xff\xff\xff\xffGET / HTTP/1.0\r\n\r\n".to_vec();
    let mut rig = Rig::new(options(1));
    let mut server = rig.connect();
    server.write_all(good.introduction()).unwrap();
    rig.until(|rig| rig.is_up(2).then_some(()));
    // They come in the name of another server, so that its link is not replaced.
    for bytes in [too_long, negative, own, anonymous, nameless, endless, http] {
        let mut bytes = bytes;
        if bytes[15] == 2 {
            bytes[15] = 3;
        }
        let mut stranger = rig.connect();
        stranger.write_all(&bytes).unwrap();
        rig.expect_end(&mut stranger);
    }
    // A body that is no vote costs only itself.
    server.write_all(b"\0\0\0\x03abc").unwrap();
    server.write_all(good.told_by_connector()[0]).unwrap();
    let vote = rig.until(|rig| rig.votes().pop());
    assert_eq!(vote.state, Some(ServerState::Looking));
    assert!(rig.is_up(2));
}

#[test]
fn whoever_says_nothing_is_closed_after_a_while_and_holds_nobody_up() {
    let mut rig = Rig::new(options(1));
    let mut silent = rig.connect();
    let mut half = rig.connect();
    half.write_all(&recording("01-election-first-round", 2, 1).c2s[..20])
        .unwrap();
    let mut server = rig.connect();
    server
        .write_all(&recording("03-election-observer", 4, 2).c2s)
        .unwrap();
    rig.until(|rig| rig.votes().pop());
    rig.ahead_ms = 9_000;
    rig.turn();
    assert_eq!(rig.port.wires.len(), 3);
    rig.ahead_ms = 11_000;
    rig.expect_end(&mut silent);
    rig.expect_end(&mut half);
    assert!(rig.is_up(4));
}

#[test]
fn a_server_that_never_reads_is_kept_waiting_alone_and_told_only_the_newest() {
    let mut rig = Rig::new(options(1));
    let mut deaf = rig.connect();
    deaf.write_all(recording("02-election-late-joiner", 3, 2).introduction())
        .unwrap();
    let mut server = rig.connect();
    server
        .write_all(recording("01-election-first-round", 2, 1).introduction())
        .unwrap();
    rig.until(|rig| (rig.is_up(2) && rig.is_up(3)).then_some(()));
    let mut large = vec![b'x'; 400_000];
    large[..4].copy_from_slice(&399_996_u32.to_be_bytes());
    let stuck = (0..200).any(|_| {
        rig.post(3, &large);
        rig.turn();
        let line = &rig.port.lines[&Sid(3)];
        rig.port.wires[&line.wire.unwrap()].socket.unsent_len() > 0
    });
    assert!(stuck, "no buffer of a socket is that large");
    rig.post(3, b"\0\0\0\x01old");
    rig.post(3, b"\0\0\0\x01z");
    rig.post(2, b"\0\0\0\x01v");
    rig.expect(&mut server, b"\0\0\0\x01v");
    // Once it reads, the frame that had begun is whole and the newest follows.
    let mut all = Vec::new();
    rig.until(|_| {
        let mut scratch = vec![0; 1 << 20];
        if let Ok(n) = deaf.read(&mut scratch) {
            all.extend_from_slice(&scratch[..n]);
        }
        all.ends_with(b"\0\0\0\x01z").then_some(())
    });
    assert_eq!((all.len() - 5) % large.len(), 0);
}

#[test]
fn a_stranger_is_talked_to_but_not_any_number_of_them() {
    let mut rig = Rig::new(options(1));
    let mut strangers = Vec::new();
    let len = STRANGERS_MAX as i64;
    for sid in 2..2 + len {
        let mut stranger = rig.connect();
        stranger.write_all(&sid.to_be_bytes()).unwrap();
        rig.until(|rig| rig.is_up(sid).then_some(()));
        strangers.push(stranger);
    }
    let mut one_too_many = rig.connect();
    one_too_many.write_all(&(2 + len).to_be_bytes()).unwrap();
    rig.expect_end(&mut one_too_many);
    // When one leaves there is room again.
    strangers[0].shutdown(Shutdown::Both).unwrap();
    rig.until(|rig| (!rig.is_up(2)).then_some(()));
    let mut next = rig.connect();
    next.write_all(&(2 + len).to_be_bytes()).unwrap();
    rig.until(|rig| rig.is_up(2 + len).then_some(()));
}

#[test]
fn of_too_many_that_say_nothing_the_oldest_goes() {
    let mut rig = Rig::new(options(1));
    let mut silent = Vec::new();
    for _ in 0..=UNKNOWN_MAX {
        silent.push(rig.connect());
        rig.turn();
    }
    rig.expect_end(&mut silent[0]);
    rig.turn();
    assert_eq!(rig.port.wires.len(), UNKNOWN_MAX);
}

#[test]
fn under_another_membership_every_link_is_made_anew() {
    let (listener, port) = other_server();
    let mut rig = Rig::knowing(3, 2, at(port));
    rig.post(2, b"\0\0\0\x01v");
    let mut server = accept(&mut rig, &listener);
    let introduction = recording("02-election-late-joiner", 3, 2);
    rig.expect(&mut server, introduction.introduction());
    let (elsewhere, port) = other_server();
    let mut options = options(3);
    options.others.insert(Sid(2), vec![at(port)]);
    rig.port.rebuild(options, true).unwrap();
    let mut stale = server;
    rig.until(|_| match stale.read(&mut [0; 64]) {
        Ok(0) => Some(()),
        _ => None,
    });
    rig.post(2, b"\0\0\0\x01w");
    let mut server = accept(&mut rig, &elsewhere);
    rig.expect(&mut server, introduction.introduction());
    rig.expect(&mut server, b"\0\0\0\x01w");
}
