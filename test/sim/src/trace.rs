//! What happened, a line per event, and the hash of all lines.
//!
//! Both are made on demand, since they cost a third of the time: a failing seed is run once more to see its lines, and
//! that a seed gives the same hash again is a test of its own (`tests/determinism.rs`).

use std::fmt::{self, Write as _};

use zabra_proto::Zxid;

use crate::kernel::Micros;

/// What is kept of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing: only what is checked matters.
    Nothing,
    /// Their hash.
    Hash,
    /// Their hash and they themselves.
    Lines,
}

/// The trace of one world.
#[derive(Debug)]
pub struct Trace {
    keeps: Keeps,
    hash: u64,
    lines: Vec<String>,
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

impl Trace {
    /// An empty trace.
    #[must_use]
    pub fn new(keeps: Keeps) -> Self {
        Self {
            keeps,
            hash: FNV_BASIS,
            lines: Vec::new(),
        }
    }

    /// Adds a line.
    pub fn line(&mut self, now: Micros, text: fmt::Arguments<'_>) {
        if self.keeps == Keeps::Nothing {
            return;
        }
        // Writing into this cannot fail.
        let _ = writeln!(Hashing(&mut self.hash), "{} {text}", now.0);
        self.aside(now, text);
    }

    /// Whether lines are kept.
    #[must_use]
    pub fn keeps_lines(&self) -> bool {
        self.keeps == Keeps::Lines
    }

    /// Adds a line that is only for people: it is not part of the hash.
    pub fn aside(&mut self, now: Micros, text: fmt::Arguments<'_>) {
        if self.keeps_lines() {
            self.lines.push(line_of(now, text));
        }
    }

    /// The hash of all lines, if it is made.
    #[must_use]
    pub fn hash(&self) -> Option<u64> {
        (self.keeps != Keeps::Nothing).then_some(self.hash)
    }

    /// The lines, if they are kept.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

fn line_of(now: Micros, text: fmt::Arguments<'_>) -> String {
    let (s, micros) = (now.0 / 1_000_000, now.0 % 1_000_000);
    format!("{s:>4}.{micros:06} {text}")
}

struct Hashing<'h>(&'h mut u64);

impl fmt::Write for Hashing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        *self.0 = hash_onto(*self.0, text.as_bytes());
        Ok(())
    }
}

fn hash_onto(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

/// A hash of bytes that is the same everywhere.
#[must_use]
pub fn hash_of(bytes: &[u8]) -> u64 {
    hash_onto(FNV_BASIS, bytes)
}

/// A zxid as `epoch:counter`.
#[derive(Debug, Clone, Copy)]
pub struct Z(pub Zxid);

impl fmt::Display for Z {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Zxid(u64::MAX) {
            return f.write_str("-1");
        }
        write!(f, "{}:{}", self.0.epoch(), self.0.counter())
    }
}
