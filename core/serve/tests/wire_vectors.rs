//! A recorded conversation with Apache ZooKeeper 3.8.0, held again with ours: every frame that the server sent, byte for
//! byte, less what must differ between two runs.
//!
//! `vectors/wire-vectors.txt` holds one frame a line: `id connection direction hex`, C from client to server. The
//! differences between 3.8.0 and 3.9, which ours follows, are listed below with their reasons.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, VecDeque};

use zabra_proto::{ConnId, SessionId, password};
use zabra_testkit::solo::Solo;

const VECTORS: &str = include_str!("vectors/wire-vectors.txt");

/// The first session of the recording; the others follow.
const FIRST_SESSION: i64 = 0x0100_0031_5473_0000;

/// Frames that list things in an order that is nobody's business.
const UNORDERED: [&str; 4] = ["W15.2", "W16.2", "W33.2", "W43.2"];

/// Frames whose zxid is one lower with us: 3.8 spends a number on a request that it cannot decode (W44), 3.9 and ours
/// do not.
const WITHOUT_W44: [&str; 2] = ["W44.4", "W49.2"];

/// Session ids are made from the time of the start; later times cannot be mistaken for them.
const DELAY_MS: u64 = 86_400_000_000;

struct Frame<'v> {
    id: &'v str,
    conn: &'v str,
    from_client: bool,
    bytes: Vec<u8>,
}

fn frames() -> Vec<Frame<'static>> {
    let parse = |line: &'static str| {
        let mut words = line.split_whitespace();
        let (id, conn, direction, hex) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        let byte = |i| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok();
        let bytes = (0..hex.len())
            .step_by(2)
            .map(byte)
            .collect::<Option<Vec<u8>>>()?;
        Some(Frame {
            id,
            conn,
            from_client: direction == "C",
            bytes,
        })
    };
    VECTORS
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| parse(line).unwrap())
        .collect()
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    for at in 0..bytes.len().saturating_sub(from.len() - 1) {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
}

/// Session ids and passwords of one run in place of the other's.
fn translate(bytes: &mut [u8], from: i64, to: i64) {
    for n in 0..8 {
        let (a, b) = (SessionId(from + n), SessionId(to + n));
        replace(bytes, &a.0.to_be_bytes(), &b.0.to_be_bytes());
        replace(bytes, &password::of(a), &password::of(b));
    }
}

/// Times, and the zxid of notifications (−1 up to 3.8), are left out.
fn mask(frame: &mut [u8]) {
    let our_time = (Solo::STARTED.0 + DELAY_MS.cast_signed()).to_be_bytes();
    for at in 0..frame.len().saturating_sub(7) {
        if frame[at..at + 8] == our_time || frame[at..].starts_with(&[0, 0, 1, 0xa2, 1]) {
            frame[at..at + 8].fill(0xee);
        }
    }
    if frame.len() > 16 && frame[4..8] == [0xff; 4] {
        frame[8..16].fill(0xee);
    }
}

fn split(bytes: &[u8]) -> VecDeque<Vec<u8>> {
    let mut frames = VecDeque::new();
    let mut rest = bytes;
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*head) as usize;
        frames.push_back(rest[..4 + len].to_vec());
        rest = &tail[len..];
    }
    frames
}

struct Conversation {
    server: Solo,
    conns: BTreeMap<&'static str, ConnId>,
    sent: BTreeMap<&'static str, VecDeque<Vec<u8>>>,
    our_first: i64,
}

impl Conversation {
    fn say(&mut self, frame: &Frame<'static>) {
        let server = &mut self.server;
        let conn = *self
            .conns
            .entry(frame.conn)
            .or_insert_with(|| server.accept());
        let mut bytes = frame.bytes.clone();
        translate(&mut bytes, FIRST_SESSION, self.our_first);
        self.server.send(conn, &bytes);
        for (name, conn) in &self.conns {
            let out = self.server.receive(*conn);
            self.sent.entry(name).or_default().append(&mut split(&out));
        }
        if self.our_first == 0 {
            self.our_first = self.server.replica.sessions().keys().next().unwrap().0;
        }
    }

    fn hear(&mut self, frame: &Frame<'static>) {
        let heard = self.sent.get_mut(frame.conn).and_then(VecDeque::pop_front);
        let mut ours = heard.unwrap_or_else(|| panic!("{}: nothing was sent", frame.id));
        let mut theirs = frame.bytes.clone();
        mask(&mut ours);
        translate(&mut ours, self.our_first, FIRST_SESSION);
        mask(&mut theirs);
        if WITHOUT_W44.contains(&frame.id) {
            theirs[15] -= 1;
        }
        if UNORDERED.contains(&frame.id) {
            ours.sort_unstable();
            theirs.sort_unstable();
        }
        assert_eq!(hex(&ours), hex(&theirs), "{}", frame.id);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn every_recorded_frame_is_answered_as_apache_answered_it() {
    let mut talk = Conversation {
        server: Solo::new(),
        conns: BTreeMap::new(),
        sent: BTreeMap::new(),
        our_first: 0,
    };
    talk.server.advance(DELAY_MS);
    // From W50 on the recording has four-letter words, which are the server's, and another server.
    let frames: Vec<Frame<'static>> = frames()
        .into_iter()
        .take_while(|frame| !frame.id.starts_with("W50"))
        .collect();
    assert_eq!(frames.len(), 114);
    for frame in &frames {
        if frame.from_client {
            talk.say(frame)
        } else {
            talk.hear(frame)
        }
    }
    assert!(
        talk.sent.values().all(VecDeque::is_empty),
        "more was sent than recorded: {:?}",
        talk.sent
    );
}
