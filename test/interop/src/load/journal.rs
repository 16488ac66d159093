//! What one worker has written, what became of it, and what must therefore be in the tree.
//!
//! Every write of a worker has a number of its own and goes to keys that nobody else writes. A write is *acknowledged* (it
//! must be there, with the zxid of its reply), *denied* (it must not be there) or *unknown* (either, and those of one lost
//! connection only as a prefix). What a verification finds settles the unknown ones for good.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};

use crate::tree::{Stat, Tree};

/// Registers of each worker: keys whose data is set over and over.
pub(super) const REGISTERS: usize = 3;

/// A znode that a worker creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Persistent.
    Plain,
    /// Persistent and sequential.
    Sequential,
    /// Ephemeral.
    Ephemeral,
}

impl Kind {
    /// The folder that holds this kind.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Plain => "c",
            Self::Sequential => "q",
            Self::Ephemeral => "e",
        }
    }

    /// The flags of create.
    pub(super) const fn flags(self) -> i32 {
        match self {
            Self::Plain => 0,
            Self::Ephemeral => 1,
            Self::Sequential => 2,
        }
    }
}

/// Whether a znode must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// It must, created at this zxid.
    Certain(i64),
    /// Its creation was not answered.
    MaybeCreated,
    /// Its deletion was not answered.
    MaybeDeleted,
}

#[derive(Clone, Debug)]
struct Znode {
    kind: Kind,
    /// Known for all but sequential ones whose creation was not answered.
    path: Option<String>,
    presence: Presence,
    session: i64,
}

/// A key that is set over and over.
#[derive(Clone, Debug, Default)]
struct Register {
    /// The newest number known to be written, and its zxid if the write was answered.
    certain: u64,
    zxid: Option<i64>,
    /// Later numbers whose writes were not answered.
    maybe: Vec<u64>,
}

/// Everything that one worker knows of its writes.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    root: String,
    number: u64,
    registers: [Register; REGISTERS],
    znodes: BTreeMap<u64, Znode>,
    /// Creations that one lost connection left unanswered, in the order in which they were sent.
    doubts: Vec<Vec<u64>>,
    /// zxids of every acknowledged write.
    pub(super) zxids: Vec<i64>,
    pub(super) denied: u64,
    pub(super) unknown: u64,
}

impl Journal {
    pub(super) fn new(root: String) -> Self {
        Self {
            root,
            number: 0,
            registers: Default::default(),
            znodes: BTreeMap::new(),
            doubts: Vec::new(),
            zxids: Vec::new(),
            denied: 0,
            unknown: 0,
        }
    }

    /// The number of the next write.
    pub(super) fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// The path of a register.
    pub(super) fn register(&self, register: usize) -> String {
        format!("{}/r/{register}", self.root)
    }

    /// The path that is asked for when creating.
    pub(super) fn path(&self, kind: Kind, number: u64) -> String {
        match kind {
            Kind::Sequential => format!("{}/q/s-", self.root),
            _ => format!("{}/{}/{number}", self.root, kind.folder()),
        }
    }

    /// A znode that is certainly there and may be deleted: the oldest, when there are more than `keep`.
    pub(super) fn oldest_beyond(&self, keep: usize, kind: Kind) -> Option<(u64, String)> {
        let certain =
            |znode: &&Znode| znode.kind == kind && matches!(znode.presence, Presence::Certain(_));
        if self.znodes.values().filter(certain).count() <= keep {
            return None;
        }
        let (number, znode) = self.znodes.iter().find(|(_, znode)| certain(znode))?;
        Some((*number, znode.path.clone()?))
    }

    pub(super) fn set_acknowledged(&mut self, register: usize, number: u64, zxid: i64) {
        self.zxids.push(zxid);
        self.registers[register] = Register {
            certain: number,
            zxid: Some(zxid),
            maybe: Vec::new(),
        };
    }

    pub(super) fn set_unknown(&mut self, register: usize, number: u64) {
        self.unknown += 1;
        self.registers[register].maybe.push(number);
    }

    pub(super) fn create_acknowledged(
        &mut self,
        kind: Kind,
        number: u64,
        path: String,
        zxid: i64,
        session: i64,
    ) -> Result<(), String> {
        self.zxids.push(zxid);
        let asked = self.path(kind, number);
        if !path.starts_with(&asked) {
            return Err(format!("asked for {asked}, was given {path}"));
        }
        let znode = Znode {
            kind,
            path: Some(path),
            presence: Presence::Certain(zxid),
            session,
        };
        self.znodes.insert(number, znode);
        Ok(())
    }

    pub(super) fn create_unknown(&mut self, kind: Kind, number: u64, session: i64) {
        self.unknown += 1;
        let path = (kind != Kind::Sequential).then(|| self.path(kind, number));
        let znode = Znode {
            kind,
            path,
            presence: Presence::MaybeCreated,
            session,
        };
        self.znodes.insert(number, znode);
    }

    pub(super) fn delete_acknowledged(&mut self, number: u64, zxid: i64) {
        self.zxids.push(zxid);
        self.znodes.remove(&number);
    }

    pub(super) fn delete_unknown(&mut self, number: u64) {
        self.unknown += 1;
        if let Some(znode) = self.znodes.get_mut(&number) {
            znode.presence = Presence::MaybeDeleted;
        }
    }

    /// Creations that one lost connection left unanswered.
    pub(super) fn doubt(&mut self, numbers: Vec<u64>) {
        if numbers.len() > 1 {
            self.doubts.push(numbers);
        }
    }

    /// The session is over, and everything that ends with it must be gone.
    pub(super) fn session_over(&mut self, session: i64) {
        self.znodes
            .retain(|_, znode| znode.kind != Kind::Ephemeral || znode.session != session);
    }

    /// A read of an own register by the session that writes it.
    pub(super) fn on_read(&mut self, register: usize, data: &[u8]) -> Result<(), String> {
        let path = self.register(register);
        self.registers[register].on_read(&path, number_in(data))
    }

    /// Holds everything against a tree that was read when nothing was under way, and settles what was unknown.
    pub(super) fn verify(&mut self, tree: &Tree) -> Result<()> {
        self.verify_registers(tree)?;
        let seen = self.verify_znodes(tree)?;
        for numbers in std::mem::take(&mut self.doubts) {
            let there = |number: &u64| seen.contains(number);
            let missing = numbers.iter().position(|number| !there(number));
            let later = missing.and_then(|at| numbers[at..].iter().find(|number| there(number)));
            if let (Some(at), Some(later)) = (missing, later) {
                bail!(
                    "{}: write {} is missing, and {later}, sent after it on one connection, is there",
                    self.root,
                    numbers[at]
                );
            }
        }
        self.settle(&seen);
        Ok(())
    }

    fn verify_registers(&mut self, tree: &Tree) -> Result<()> {
        for register in 0..REGISTERS {
            let path = self.register(register);
            let (data, stat) = decode(tree, &path)?.with_context(|| format!("{path} is lost"))?;
            let state = &mut self.registers[register];
            state
                .on_read(&path, number_in(&data))
                .map_err(anyhow::Error::msg)?;
            if let Some(zxid) = state.zxid {
                ensure!(
                    stat.mzxid == zxid,
                    "{path}: written at 0x{zxid:x}, mzxid is 0x{:x}",
                    stat.mzxid
                );
            }
            state.maybe.clear();
        }
        Ok(())
    }

    /// Everything that is there must be ours and as we wrote it; everything certain must be there.
    fn verify_znodes(&mut self, tree: &Tree) -> Result<BTreeSet<u64>> {
        let mut seen = BTreeSet::new();
        let mut phantoms = String::new();
        for kind in [Kind::Plain, Kind::Sequential, Kind::Ephemeral] {
            let folder = format!("{}/{}/", self.root, kind.folder());
            let within = tree.znodes().range(folder.clone()..);
            for (path, _) in within.take_while(|(path, _)| path.starts_with(&folder)) {
                let (data, stat) = decode(tree, path)?.context("it was just there")?;
                let number = number_in(&data);
                match self.znodes.get_mut(&number) {
                    Some(znode) if znode.kind == kind => {
                        znode.verify(path, stat)?;
                        ensure!(seen.insert(number), "{path}: a second znode of one write");
                    }
                    // Writing to a String cannot fail.
                    _ => drop(writeln!(phantoms, "  {path} (0x{:x})", stat.czxid)),
                }
            }
        }
        ensure!(
            phantoms.is_empty(),
            "never written, denied, deleted or of a session that is over, and there:\n{phantoms}"
        );
        for (number, znode) in &self.znodes {
            if let Presence::Certain(zxid) = znode.presence {
                ensure!(
                    seen.contains(number),
                    "lost: write {number} of {}, {:?}, acknowledged at 0x{zxid:x}",
                    self.root,
                    znode.path
                );
            }
        }
        Ok(seen)
    }

    fn settle(&mut self, seen: &BTreeSet<u64>) {
        self.znodes.retain(|number, _| seen.contains(number));
    }
}

impl Register {
    fn on_read(&mut self, path: &str, number: u64) -> Result<(), String> {
        if number == self.certain {
            return Ok(());
        }
        if !self.maybe.contains(&number) {
            return Err(format!(
                "{path} shows {number}; the newest known is {}, unknown are {:?}",
                self.certain, self.maybe
            ));
        }
        self.maybe.retain(|later| *later > number);
        self.certain = number;
        self.zxid = None;
        Ok(())
    }
}

impl Znode {
    fn verify(&mut self, path: &str, stat: Stat) -> Result<()> {
        if let Some(known) = &self.path {
            ensure!(known == path, "{known} is at {path}");
        }
        if let Presence::Certain(zxid) = self.presence {
            ensure!(
                stat.czxid == zxid,
                "{path}: created at 0x{zxid:x}, czxid is 0x{:x}",
                stat.czxid
            );
        }
        let owner = if self.kind == Kind::Ephemeral {
            self.session
        } else {
            0
        };
        ensure!(
            stat.ephemeral_owner == owner,
            "{path}: owner 0x{:x} instead of 0x{owner:x}",
            stat.ephemeral_owner
        );
        self.path = Some(path.to_owned());
        self.presence = Presence::Certain(stat.czxid);
        Ok(())
    }
}

fn decode(tree: &Tree, path: &str) -> Result<Option<(Vec<u8>, Stat)>> {
    tree.znodes()
        .get(path)
        .map(crate::tree::Znode::decode)
        .transpose()
}

/// The number in a znode's data; 0 in one that no worker has written.
pub(super) fn number_in(data: &[u8]) -> u64 {
    std::str::from_utf8(data)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_shows_the_newest_certain_write_or_an_unknown_one_behind_it() {
        let mut journal = Journal::new("/w".into());
        journal.set_acknowledged(0, 5, 50);
        journal.set_unknown(0, 6);
        journal.set_unknown(0, 7);
        assert!(journal.on_read(0, b"4").is_err());
        journal.on_read(0, b"5").unwrap();
        journal.on_read(0, b"6").unwrap();
        assert!(journal.on_read(0, b"5").is_err(), "it went backwards");
        journal.on_read(0, b"7").unwrap();
    }

    #[test]
    fn a_set_that_was_acknowledged_leaves_no_doubt() {
        let mut journal = Journal::new("/w".into());
        journal.set_unknown(0, 1);
        journal.set_acknowledged(0, 2, 20);
        assert!(journal.on_read(0, b"1").is_err());
        journal.on_read(0, b"2").unwrap();
    }
}
