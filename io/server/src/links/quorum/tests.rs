//! A quorum port against sockets with a script: recordings of Apache's servers at both ends, and whoever else may come.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use zabra_config::BindAt;
use zabra_proto::quorum_packet::PacketKind;

use super::*;
use crate::links::bind::bind;
use crate::seat::clock;
use crate::sync::Waker;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const SILENCE_MS: u64 = 20_000;

/// A port with the part of the seat that serves it.
struct Rig {
    poller: Poller,
    port: QuorumPort,
    mailbox: Arc<Mailbox>,
    news: Vec<QuorumNews>,
    /// What came, by link.
    heard: Vec<(LinkId, PacketKind, Zxid)>,
    /// How far the clock is ahead of the real one.
    ahead_ms: u64,
}

fn at(port: u16) -> HostPort {
    HostPort {
        host: "127.0.0.1".to_owned(),
        port,
    }
}

impl Rig {
    fn new() -> Self {
        let poller = Poller::new().unwrap();
        let mailbox = Arc::new(Mailbox::new(Waker::new(&poller).unwrap()));
        let options = QuorumOptions {
            limits: Limits::DEFAULT,
            out_len_max: 1 << 20,
            silence_ms_max: SILENCE_MS,
            persistence: Persistence {
                budget: PATIENCE,
                pause: Duration::from_millis(1),
            },
            socket: SocketOptions {
                keep_alive: false,
                unacknowledged_max: PATIENCE,
            },
        };
        let mut port = QuorumPort::new(options, Arc::clone(&mailbox));
        let listeners = bind(&[BindAt::Host(at(0))], false).unwrap();
        port.listen(listeners, &poller).unwrap();
        Self {
            poller,
            port,
            mailbox,
            news: Vec::new(),
            heard: Vec::new(),
            ahead_ms: 0,
        }
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
            let Source::Quorum(number) = report.source else {
                for letter in self.mailbox.take().links {
                    let LinkLetter::QuorumDialed { dial, to, result } = letter else {
                        panic!("nobody votes here")
                    };
                    self.port.on_dialed(dial, to, result, &self.poller);
                }
                continue;
            };
            let link = self
                .port
                .on_ready(report, number, &mut scratch, now, &self.poller);
            if let Some(link) = link {
                self.deliver(link);
            }
        }
        if self.port.deadline().is_some_and(|due| due <= now) {
            self.port.on_time(now, &self.poller);
        }
        self.port.flush(&self.poller);
        self.news.extend(self.port.take_news());
    }

    fn deliver(&mut self, link: LinkId) {
        let heard = &mut self.heard;
        self.port.deliver(link, |message| {
            heard.push((link, message.kind(), message.zxid()));
        });
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

    /// A learner that has connected.
    fn learner(&mut self) -> (TcpStream, LinkId) {
        let stream = TcpStream::connect(self.port.door.addresses()[0]).unwrap();
        stream.set_nonblocking(true).unwrap();
        let before = self.connected().len();
        let link = self.until(|rig| rig.connected().get(before).copied());
        (stream, link)
    }

    /// A leader that this server has connected to.
    fn leader(&mut self) -> (TcpStream, LinkId) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let dial = DialId(u64::from(port));
        self.port.dial(dial, Sid(3), vec![at(port)]);
        let link = self.until(|rig| rig.dialed(dial)).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        (stream, link)
    }

    fn connected(&self) -> Vec<LinkId> {
        let connected = self.news.iter().filter_map(|news| match news {
            QuorumNews::Connected(link) => Some(*link),
            _ => None,
        });
        connected.collect()
    }

    fn dialed(&self, wanted: DialId) -> Option<Option<LinkId>> {
        self.news.iter().find_map(|news| match news {
            QuorumNews::Dialed { dial, link } if *dial == wanted => Some(*link),
            _ => None,
        })
    }

    fn is_closed(&self, link: LinkId) -> bool {
        self.news.contains(&QuorumNews::Closed(link))
    }

    fn kinds(&self, link: LinkId) -> Vec<PacketKind> {
        let heard = self.heard.iter().filter(|(on, _, _)| *on == link);
        heard.map(|(_, kind, _)| *kind).collect()
    }

    fn close(&mut self, link: LinkId) {
        let now = self.now();
        self.port.close(link, now, &self.poller);
    }

    fn expect_end(&mut self, stream: &mut TcpStream) {
        let end = self.until(|_| match stream.read(&mut [0]) {
            Ok(n) => Some(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(0),
        });
        assert_eq!(end, 0);
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
}

fn recording(name: &str, side: &str) -> Vec<u8> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../core/proto/tests/vectors/quorum"
    );
    std::fs::read(format!("{folder}/{name}.{side}.bin")).unwrap()
}

fn encoded(packets: &[Packet]) -> Vec<u8> {
    let mut bytes = Vec::new();
    packets.iter().for_each(|packet| packet.encode(&mut bytes));
    bytes
}

fn ack(counter: u32) -> Packet {
    Packet::Ack(Zxid::new(1, counter))
}

#[test]
fn a_recorded_learner_is_understood_in_pieces_of_any_size() {
    let bytes = recording("10-follower-diff-empty", "c2s");
    let mut all = Vec::new();
    for piece in [1, 7, bytes.len()] {
        let mut rig = Rig::new();
        let (mut stream, link) = rig.learner();
        for piece in bytes.chunks(piece) {
            stream.write_all(piece).unwrap();
            rig.turn();
        }
        drop(stream);
        rig.until(|rig| rig.is_closed(link).then_some(()));
        all.push(rig.kinds(link));
    }
    assert_eq!(
        all[0][..3],
        [
            PacketKind::FollowerInfo,
            PacketKind::AckEpoch,
            PacketKind::Ack
        ]
    );
    assert!(all.iter().all(|kinds| *kinds == all[0]));
}

#[test]
fn what_follows_a_snap_is_lent_to_a_thread_and_packets_go_on_behind_it() {
    let bytes = recording("11-follower-snap-then-serve", "s2c");
    let mut rig = Rig::new();
    let (mut stream, link) = rig.leader();
    stream.write_all(&bytes).unwrap();
    let paused = rig.until(|rig| rig.port.paused().pop());
    assert_eq!(paused, (link, Zxid::new(1, 0)));
    assert_eq!(rig.kinds(link), [PacketKind::LeaderInfo, PacketKind::Snap]);
    let mut input = rig.port.lend_input(link, &rig.poller).unwrap();
    assert!(rig.port.awaits_snapshot(link));
    let mut got = Vec::new();
    let signature = b"BenWasHere";
    let end = loop {
        let mut scratch = [0; 100];
        let n = input.read(&mut scratch).unwrap();
        got.extend_from_slice(&scratch[..n]);
        if let Some(at) = got.windows(signature.len()).position(|w| w == signature) {
            break at + signature.len();
        }
    };
    // The leader goes on sending and nobody looks yet.
    rig.turn();
    assert_eq!(rig.kinds(link).len(), 2);
    let mut rest = got.split_off(end);
    rest.append(&mut input.take_before());
    rig.port.take_back_input(link, Ok(rest), &rig.poller);
    rig.deliver(link);
    drop(stream);
    rig.until(|rig| rig.is_closed(link).then_some(()));
    let kinds = rig.kinds(link);
    assert_eq!(kinds[2..4], [PacketKind::NewLeader, PacketKind::UpToDate]);
    assert!(kinds.contains(&PacketKind::Revalidate));
}

#[test]
fn a_snapshot_that_did_not_come_to_its_end_costs_the_link() {
    let mut rig = Rig::new();
    let (mut stream, link) = rig.leader();
    stream
        .write_all(&recording("11-follower-snap-then-serve", "s2c")[..60])
        .unwrap();
    rig.until(|rig| rig.port.paused().pop());
    let _input = rig.port.lend_input(link, &rig.poller).unwrap();
    // The end of the link is the thread's to see.
    drop(stream);
    rig.turn();
    assert!(!rig.is_closed(link));
    rig.port
        .take_back_input(link, Err("it ended".to_owned()), &rig.poller);
    rig.turn();
    assert!(rig.is_closed(link));
}

#[test]
fn a_learner_may_not_send_a_snapshot() {
    let mut rig = Rig::new();
    let (mut stream, link) = rig.learner();
    stream
        .write_all(&recording("11-follower-snap-then-serve", "s2c"))
        .unwrap();
    rig.until(|rig| rig.port.paused().pop());
    assert!(rig.port.lend_input(link, &rig.poller).is_none());
    rig.turn();
    assert!(rig.is_closed(link));
}

#[test]
fn packets_wait_behind_a_backlog_and_behind_what_had_begun() {
    let mut rig = Rig::new();
    let (mut stream, link) = rig.learner();
    rig.port.send(link, &ack(1));
    let (mut output, before) = rig.port.lend_output(link, &rig.poller).unwrap();
    rig.port.send(link, &ack(3));
    rig.turn();
    output.send(&before).unwrap();
    output.send(&encoded(&[ack(2)])).unwrap();
    rig.expect(&mut stream, &encoded(&[ack(1), ack(2)]));
    rig.port.send(link, &ack(4));
    rig.port.take_back_output(link, Ok(()));
    rig.port.send(link, &ack(5));
    rig.expect(&mut stream, &encoded(&[ack(3), ack(4), ack(5)]));
    // A backlog that fails costs the link, for part of it may have gone.
    rig.port.lend_output(link, &rig.poller).unwrap();
    rig.port.take_back_output(link, Err("no log".to_owned()));
    rig.expect_end(&mut stream);
    rig.until(|rig| rig.is_closed(link).then_some(()));
}

#[test]
fn a_link_that_the_peer_closes_first_takes_its_output_along_and_is_no_news() {
    let mut rig = Rig::new();
    let (mut stream, link) = rig.learner();
    rig.port.send(link, &ack(1));
    rig.close(link);
    rig.port.send(link, &ack(2));
    rig.expect(&mut stream, &encoded(&[ack(1)]));
    rig.expect_end(&mut stream);
    assert!(!rig.is_closed(link));
    // One that does not take its output is not waited for.
    let (_deaf, link) = rig.learner();
    while rig.port.link(link).unwrap().socket.unsent_len() == 0 {
        rig.port.send(link, &big());
        rig.port.flush(&rig.poller);
    }
    rig.close(link);
    assert!(rig.port.link(link).is_some());
    rig.ahead_ms += 2 * LINGER_MS;
    rig.turn();
    assert!(rig.port.link(link).is_none() && !rig.is_closed(link));
}

#[test]
fn closing_a_link_ends_the_wait_of_a_thread_that_works_with_it() {
    let mut rig = Rig::new();
    let (_deaf, link) = rig.learner();
    let (mut output, _) = rig.port.lend_output(link, &rig.poller).unwrap();
    let sender = std::thread::spawn(move || output.send(&vec![0; 64 << 20]));
    rig.close(link);
    assert!(sender.join().unwrap().is_err());
}

/// A large packet.
fn big() -> Packet {
    Packet::NewLeader {
        epoch: 1,
        membership: "#".repeat(300_000).into(),
    }
}

#[test]
fn a_learner_that_never_reads_is_closed_in_time_and_holds_nobody_up() {
    let mut rig = Rig::new();
    let (_deaf, deaf) = rig.learner();
    let (mut stream, link) = rig.learner();
    for round in 1..500 {
        rig.port.send(deaf, &big());
        rig.port.send(link, &ack(round));
        rig.turn();
        if rig.is_closed(deaf) {
            break;
        }
        assert!(rig.port.link(deaf).unwrap().socket.unsent_len() <= 1 << 20);
    }
    assert!(rig.is_closed(deaf), "no buffer of a socket is that large");
    rig.expect(&mut stream, &encoded(&[ack(1), ack(2)]));
}

#[test]
fn bytes_that_are_no_packet_close_only_their_own_link() {
    let mut rig = Rig::new();
    let (mut good, link) = rig.learner();
    let short_info = [
        &11_i32.to_be_bytes()[..],
        &[0; 8],
        &[0, 0, 0, 1, 9],
        &[255; 4],
    ]
    .concat();
    let too_long = [&1_i32.to_be_bytes()[..], &[0; 8], &i32::MAX.to_be_bytes()].concat();
    for bytes in [b"GET / HTTP/1.0\r\n\r\n".to_vec(), short_info, too_long] {
        let (mut stream, link) = rig.learner();
        stream.write_all(&bytes).unwrap();
        rig.expect_end(&mut stream);
        assert!(rig.is_closed(link));
    }
    good.write_all(&encoded(&[ack(1)])).unwrap();
    rig.until(|rig| rig.kinds(link).pop());
    assert!(!rig.is_closed(link));
}

#[test]
fn whoever_says_nothing_is_closed_and_whoever_has_spoken_is_not() {
    let mut rig = Rig::new();
    let (mut silent, link) = rig.learner();
    let (mut spoke, other) = rig.learner();
    spoke.write_all(&encoded(&[ack(1)])).unwrap();
    rig.until(|rig| rig.kinds(other).pop());
    rig.ahead_ms = SILENCE_MS - 5_000;
    rig.turn();
    assert!(!rig.is_closed(link));
    rig.ahead_ms = SILENCE_MS + 5_000;
    rig.expect_end(&mut silent);
    assert!(rig.is_closed(link) && !rig.is_closed(other));
}

#[test]
fn of_too_many_that_say_nothing_the_oldest_goes() {
    let mut rig = Rig::new();
    let mut silent: Vec<(TcpStream, LinkId)> = Vec::new();
    for _ in 0..=UNKNOWN_MAX {
        silent.push(rig.learner());
    }
    assert!(rig.is_closed(silent[0].1));
    assert_eq!(rig.port.links.len(), UNKNOWN_MAX);
}

#[test]
fn a_leader_that_opens_its_port_late_is_reached_and_one_that_nobody_wants_is_not() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let mut rig = Rig::new();
    rig.port.dial(DialId(1), Sid(3), vec![at(port)]);
    rig.port.dial(DialId(2), Sid(3), vec![at(port)]);
    rig.turn();
    rig.port.stop_dialing(DialId(1));
    socket.listen(4).unwrap();
    let link = rig.until(|rig| rig.dialed(DialId(2))).unwrap();
    assert_eq!(rig.dialed(DialId(1)), None);
    assert_eq!(rig.port.links.len(), 1);
    assert!(rig.port.link(link).is_some());
    // An unknown server has no address.
    rig.port.dial(DialId(3), Sid(9), Vec::new());
    assert_eq!(rig.until(|rig| rig.dialed(DialId(3))), None);
}
