//! Connections between servers of Apache ZooKeeper 3.8.0, as recorded in `vectors/quorum/`: the bytes of both sides, and
//! a timeline of what the recorder made of them.

use std::fs;
use std::path::{Path, PathBuf};

use zabra_jute::{Decode, Encode, Reader, Text};
use zabra_proto::{Acl, StatPersisted};

/// Which side of a connection spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Connector,
    Acceptor,
}

pub(crate) const SIDES: [Side; 2] = [Side::Connector, Side::Acceptor];

/// What a side sent at once, by the timeline.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: usize,
    pub(crate) len: usize,
    pub(crate) text: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/quorum")
}

/// The names of all recordings of the election port, or of the quorum port.
pub(crate) fn names(election: bool) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".txt").map(str::to_owned)
        })
        .filter(|name| name.starts_with('0') == election)
        .collect();
    names.sort();
    assert!(names.len() >= 9);
    names
}

/// All that a side sent.
pub(crate) fn bytes(name: &str, side: Side) -> &'static [u8] {
    let side = match side {
        Side::Connector => "c2s",
        Side::Acceptor => "s2c",
    };
    fs::read(folder().join(format!("{name}.{side}.bin")))
        .unwrap()
        .leak()
}

/// What the recorder made of it: `ms direction @offset len n text`.
pub(crate) fn timeline(name: &str, side: Side) -> Vec<Entry> {
    let text = fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
    let mut entries: Vec<Entry> = text.lines().filter_map(|line| entry(line, side)).collect();
    entries.sort_by_key(|entry| entry.at);
    entries
}

fn entry(line: &str, side: Side) -> Option<Entry> {
    let direction = match side {
        Side::Connector => " > @",
        Side::Acceptor => " < @",
    };
    let (_, rest) = line.split_once(direction)?;
    let (at, rest) = rest.split_once(" len ")?;
    let (len, text) = rest.split_once(' ')?;
    Some(Entry {
        at: at.parse().ok()?,
        len: len.parse().ok()?,
        text: text.to_owned(),
    })
}

/// The length of the snapshot at the start of the bytes (quorum 10.1), which is read and written again.
pub(crate) fn snapshot_len(bytes: &[u8]) -> usize {
    let mut r = Reader::new(bytes);
    let mut again = Vec::new();
    let sessions = r.i32().unwrap();
    sessions.encode(&mut again);
    for _ in 0..sessions {
        r.i64().unwrap().encode(&mut again);
        r.i32().unwrap().encode(&mut again);
    }
    let lists = r.i32().unwrap();
    lists.encode(&mut again);
    for _ in 0..lists {
        r.i64().unwrap().encode(&mut again);
        Vec::<Acl<'_>>::decode(&mut r).unwrap().encode(&mut again);
    }
    loop {
        let path = Text::decode(&mut r).unwrap();
        path.encode(&mut again);
        if path == "/" {
            break;
        }
        r.buffer().unwrap().encode(&mut again);
        r.i64().unwrap().encode(&mut again);
        StatPersisted::decode(&mut r).unwrap().encode(&mut again);
    }
    let signature = Text::decode(&mut r).unwrap();
    assert_eq!(signature, "BenWasHere");
    signature.encode(&mut again);
    assert_eq!(again, bytes[..r.position()]);
    r.position()
}
