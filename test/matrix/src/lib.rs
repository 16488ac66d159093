//! Three servers with the same log of four entries, and every combination of good and damaged ones (P34, I-9, I-19).
//!
//! The servers are those of the simulator, with the real recovery, storage and peer; what they ask each other for while
//! their logs are damaged is asked here without sockets, by the same code. `tests/matrix.rs` enumerates, and says what
//! must come of each combination:
//!
//! | There is | It must |
//! |---|---|
//! | an intact copy of each entry on some server | become on every server the very bytes that it was |
//! | an entry without an intact copy | stop every server, each with a message that says where |
//!
//! The servers' sockets are in `zabra-server`, and tested there.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zabra_proto::Zxid;
use zabra_sim::disk::dirs;
use zabra_sim::loader::Loader;
use zabra_sim::plan::Plan;
use zabra_sim::script::Script;
use zabra_sim::start::tree_options;
use zabra_storage::{
    Healing, RecoverOptions, Recovered, SegmentReader, StorageError, Vfs, Wound, intact_behind,
    recover,
};
use zabra_testkit::disk::FaultyDisk;

/// Servers.
pub const SERVERS: usize = 3;
/// Entries in the log of each.
pub const ENTRIES: usize = 4;

/// A damaged entry of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// A bit of what it says.
    Bit,
    /// Its length, so that nothing tells where the next one begins.
    Length,
    /// All of it is zeros, as of a write that was lost.
    Lost,
    /// The file ends in its middle: all behind it is gone, too.
    Cut,
}

/// An entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub zxid: Zxid,
    /// Where it begins.
    pub from: usize,
    /// Behind its last byte.
    pub to: usize,
}

/// Servers that have stopped in order, all with the same log.
pub struct Stopped {
    /// The world that they are in.
    pub script: Script,
    /// What is on their disks.
    pub files: [BTreeMap<PathBuf, Vec<u8>>; SERVERS],
    /// The log of each.
    pub log: [PathBuf; SERVERS],
    /// What is in it.
    pub entries: [Entry; ENTRIES],
}

/// Why a server does not start.
#[derive(Debug)]
pub struct Halted {
    /// What it says.
    pub error: StorageError,
    /// Behind which txn it lacks something that nobody has.
    pub lacks_behind: Option<Zxid>,
}

/// What a server that mends itself is at.
enum At {
    Whole(Zxid),
    Wounded(StorageError, Wound),
    Stuck(StorageError),
}

impl Stopped {
    /// Makes them: an ensemble elects, writes and stops.
    #[must_use]
    pub fn make() -> Self {
        let plan = Plan {
            // All in one file that ends with its last entry, whatever the plan draws.
            segment_len_max: 0,
            preallocate: 0,
            ..Plan::scripted(SERVERS)
        };
        let mut script = Script::of(plan);
        while script.world.around.check.last_decided().counter() < ENTRIES as u32 {
            script.write(0);
        }
        script.in_step();
        script.pass_ms(2000);
        // As of an orderly stop, and started once after it: the durable mark covers everything.
        let disks = disks_of(&script);
        (0..SERVERS).for_each(|at| script.crash(at));
        let logs = disks.each_ref().map(|disk| {
            recovered(disk).unwrap();
            let files = disk.files();
            let is_log = |path: &&PathBuf| path.to_string_lossy().contains("/log.");
            let log = files.keys().find(is_log).unwrap().clone();
            (log, files)
        });
        let entries = entries_of(&disks[0], &logs[0].0);
        for (disk, (log, _)) in disks.iter().zip(&logs) {
            assert_eq!(entries_of(disk, log), entries, "the logs are the same");
        }
        let [one, two, three] = logs;
        Self {
            script,
            log: [one.0, two.0, three.0],
            files: [one.1, two.1, three.1],
            entries,
        }
    }

    /// The disks as they were, with this damage: a bit for each entry of each server.
    #[must_use]
    pub fn damaged(&self, combination: u16, how: Damage) -> [FaultyDisk; SERVERS] {
        std::array::from_fn(|server| {
            let disk = FaultyDisk::new();
            for (path, bytes) in &self.files[server] {
                let mut bytes = bytes.clone();
                if *path == self.log[server] {
                    self.damage(&mut bytes, server, combination, how);
                }
                disk.put(path, bytes);
            }
            disk
        })
    }

    fn damage(&self, bytes: &mut Vec<u8>, server: usize, combination: u16, how: Damage) {
        for at in (0..ENTRIES)
            .rev()
            .filter(|at| is_damaged(combination, server, *at))
        {
            let Entry { from, to, .. } = self.entries[at];
            match how {
                Damage::Bit => bytes[to - 10] ^= 0x10,
                Damage::Length => bytes[from + 10] ^= 0x40,
                Damage::Lost => bytes[from..to].fill(0),
                Damage::Cut => bytes.truncate((from + to) / 2),
            }
        }
    }

    /// Whether the log of a disk is the very one that this server had.
    #[must_use]
    pub fn is_as_before(&self, server: usize, disk: &FaultyDisk) -> bool {
        let log = &self.log[server];
        disk.files().get(log) == self.files[server].get(log)
    }

    /// The zxid before the first entry.
    #[must_use]
    pub fn before(&self) -> Zxid {
        Zxid(self.entries[0].zxid.0 - 1)
    }

    /// Starts the servers with these disks in their world, writes once more, and sees them in step: every check of the
    /// simulator looks on, and knows what was decided before.
    pub fn go_on(mut self, disks: &[FaultyDisk; SERVERS]) {
        for (server, disk) in self.script.world.servers.iter_mut().zip(disks) {
            for (path, bytes) in disk.files() {
                server.disk.put(&path, bytes);
            }
        }
        (0..SERVERS).for_each(|at| self.script.start(at));
        self.script.in_step();
        self.script.write(0);
        self.script.in_step();
    }
}

/// Whether an entry of a server is damaged in a combination.
#[must_use]
pub fn is_damaged(combination: u16, server: usize, entry: usize) -> bool {
    combination >> (server * ENTRIES + entry) & 1 == 1
}

/// The first entry of which no server has an intact copy.
#[must_use]
pub fn first_lost(combination: u16) -> Option<usize> {
    (0..ENTRIES).find(|entry| (0..SERVERS).all(|server| is_damaged(combination, server, *entry)))
}

/// A start of one server, by itself.
///
/// # Errors
/// As of recovery.
pub fn recovered(disk: &FaultyDisk) -> Result<Recovered, StorageError> {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let mut loader = Loader::new(tree_options(), false);
    recover(&vfs, &dirs(), &RecoverOptions::default(), &mut loader)
}

/// Lets the servers start, each asking the others for what it lacks, until all are whole or none gets any further. What
/// each comes to: its last txn, or why it stops.
pub fn start_together(disks: &[FaultyDisk; SERVERS]) -> [Result<Zxid, Halted>; SERVERS] {
    let mut at = disks.each_ref().map(look);
    loop {
        let mut goes_on = false;
        for server in 0..SERVERS {
            let At::Wounded(_, wound) = &mut at[server] else {
                continue;
            };
            let mut healed = wound.close(&disks[server]).unwrap();
            for other in (0..SERVERS).filter(|other| *other != server) {
                if healed != Healing::Closed {
                    healed = ask(wound, &disks[server], &disks[other], &mut goes_on);
                }
            }
            if healed == Healing::Closed {
                goes_on = true;
                at[server] = look(&disks[server]);
            }
        }
        if !goes_on {
            return at.map(|at| match at {
                At::Whole(last) => Ok(last),
                At::Wounded(error, wound) => Err(Halted {
                    error,
                    lacks_behind: Some(wound.lacks().0),
                }),
                At::Stuck(error) => Err(Halted {
                    error,
                    lacks_behind: None,
                }),
            });
        }
    }
}

fn look(disk: &FaultyDisk) -> At {
    match recovered(disk) {
        Ok(found) => At::Whole(found.last_zxid),
        Err(error) => match Wound::of(&error, disk, &dirs()).unwrap() {
            Some(wound) => At::Wounded(error, wound),
            None => At::Stuck(error),
        },
    }
}

/// Asks another server for what is missing.
fn ask(wound: &mut Wound, here: &FaultyDisk, other: &FaultyDisk, got: &mut bool) -> Healing {
    let vfs: Arc<dyn Vfs> = Arc::new(other.clone());
    let mut healed = Healing::Lacks;
    let asked = wound.lacks();
    let read = intact_behind(&vfs, &dirs(), asked, |_, payload| {
        healed = wound.take(payload, here).unwrap();
        assert_ne!(healed, Healing::Misfit, "all servers had the same log");
        *got |= healed == Healing::Took;
        healed != Healing::Closed
    });
    // Another one that is damaged has what is before its damage.
    assert!(matches!(read, Ok(()) | Err(StorageError::Damaged { .. })));
    healed
}

fn disks_of(script: &Script) -> [FaultyDisk; SERVERS] {
    std::array::from_fn(|at| script.world.servers[at].disk.copy())
}

fn entries_of(disk: &FaultyDisk, log: &Path) -> [Entry; ENTRIES] {
    let mut reader = SegmentReader::open(disk, log, 1 << 20).unwrap();
    let mut begins = Vec::new();
    while reader.advance().unwrap() {
        let record = reader.record().unwrap();
        begins.push((record.zxid, record.offset as usize));
    }
    let end = reader.end().unwrap().offset as usize;
    assert_eq!(begins.len(), ENTRIES, "four entries: {begins:?}");
    std::array::from_fn(|at| Entry {
        zxid: begins[at].0,
        from: begins[at].1,
        to: begins.get(at + 1).map_or(end, |next| next.1),
    })
}
