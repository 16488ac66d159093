//! A server without sockets, on a disk in memory.

use std::sync::Arc;
use std::time::Duration;

use zabra_jute::Limits;
use zabra_proto::{MonoMillis, Zxid};
use zabra_serve::Replica;
use zabra_storage::{Compression, DataDirs, LogOptions, MarkFile, RecoverOptions, TxnLog, Vfs};
use zabra_testkit::disk::FaultyDisk;
use zabra_tree::TreeOptions;

use super::disk::{LogDisk, SlowDisk};
use super::stool::{Hall, Stool, record};
use crate::history::{HistoryFiles, HistoryOptions, recover_member};
use crate::run::background::{Work, write_snapshot};
use crate::run::crew::Crew;
use crate::run::member::History;
use crate::run::{Background, Replaced};
use crate::seat::{FlushRules, Flusher, Gathering, Handover, Mailbox, Pending, Shared};
use crate::sync::{Bell, Mutex, RwLock, Waker, now};

/// Everything that a server has, and those outside may touch.
pub(super) struct World {
    pub(super) disk: FaultyDisk,
    pub(super) log_disk: Arc<LogDisk>,
    pub(super) hall: Arc<Hall>,
    pub(super) shared: Arc<Shared<Stool>>,
    pub(super) history: History,
    pub(super) replica: Arc<RwLock<Replica>>,
    pub(super) jobs_done: Arc<Mutex<usize>>,
    mark: Arc<MarkFile>,
    vfs: Arc<dyn Vfs>,
}

impl World {
    /// A new server whose flushes take no more than this many transactions.
    pub(super) fn new(batch_max: usize) -> Self {
        let disk = FaultyDisk::new();
        let slow = SlowDisk::new(disk.clone());
        let log_disk = slow.log();
        let vfs: Arc<dyn Vfs> = Arc::new(slow);
        let state = recover_member(&vfs, &dirs(), &RecoverOptions::default(), OPTIONS.tree);
        let state = state.unwrap();
        let mark = state.recovered.mark;
        let options = LogOptions {
            preallocate: 0,
            clock: now,
            ..LogOptions::default()
        };
        let last = state.recovered.last_zxid;
        let log = TxnLog::new(
            Arc::clone(&vfs),
            dirs().log(),
            options,
            Arc::clone(&mark),
            last,
        );
        let waker = Waker(Arc::new(Bell::default()));
        let shared = Shared {
            handover: Handover::new().unwrap(),
            flusher: Flusher::new(log, Duration::MAX, batch_max),
            mailbox: Arc::new(Mailbox::new(waker.clone())),
            background: Background::default(),
        };
        let files = HistoryFiles::new(Arc::clone(&vfs), dirs(), Arc::clone(&mark), OPTIONS);
        let world = Self {
            disk,
            log_disk,
            hall: Arc::new(Hall::new(waker.0)),
            shared: Arc::new(shared),
            history: History::new(files),
            replica: Arc::new(RwLock::new(state.replica)),
            jobs_done: Arc::default(),
            mark,
            vfs,
        };
        // As every server writes before it logs anything.
        write_snapshot(&world.work(), |_| true).unwrap();
        world
    }

    /// The seat.
    pub(super) fn seat(&self, rules: FlushRules) -> Stool {
        Stool {
            hall: Arc::clone(&self.hall),
            pending: Pending::new(Gathering::new(rules, MonoMillis(0))),
            replica: Arc::clone(&self.replica),
            mark: Arc::clone(&self.mark),
            unapplied: [].into(),
            next: 1,
            told: Zxid::ZERO,
            hands_on: 0,
            snapshots: false,
            snapshot_runs: false,
            jobs_done: Arc::clone(&self.jobs_done),
        }
    }

    /// What the snapshot thread works on.
    pub(super) fn work(&self) -> Work {
        Work {
            replica: Arc::clone(&self.replica),
            vfs: Arc::clone(&self.vfs),
            dirs: dirs(),
            mark: Arc::clone(&self.mark),
            compression: Compression::None,
            writes_last_zxid: false,
            replaced: Replaced::default(),
            history: Some(Arc::clone(&self.history.files)),
            purge_interval: None,
            snap_retain_count: 3,
        }
    }

    /// The threads.
    pub(super) fn crew(&self) -> Crew<Stool> {
        Crew {
            shared: Arc::clone(&self.shared),
            work: self.work(),
            history: Some(self.history.clone()),
        }
    }

    /// Logs and applies so many transactions.
    pub(super) fn commit(&self, counters: impl Iterator<Item = u32>) {
        for counter in counters {
            let record = record(Zxid::new(0, counter));
            let flushed = self.shared.flusher.flush(std::slice::from_ref(&record));
            flushed.unwrap();
            let mut replica = self.replica.write().unwrap();
            let _ = replica.apply(&Replica::decode(&record.payload), &mut ());
        }
    }

    /// The transactions that a start from this disk finds, in or behind its tree.
    pub(super) fn found(&self) -> (Replica, Vec<Zxid>) {
        let vfs: Arc<dyn Vfs> = Arc::new(self.disk.copy());
        let found = recover_member(&vfs, &dirs(), &RecoverOptions::default(), OPTIONS.tree);
        let found = found.unwrap();
        let tail = found.history.tail.iter().map(|entry| entry.zxid).collect();
        (found.replica, tail)
    }

    /// The names of snapshots.
    pub(super) fn snapshots(&self) -> Vec<String> {
        let files = self.disk.files().into_keys();
        let names = files.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
        names.filter(|name| name.starts_with("snapshot.")).collect()
    }
}

fn dirs() -> DataDirs {
    DataDirs::new(std::path::Path::new("/data"), None)
}

/// Whether the tree has what the first so many transactions create, and nothing else.
pub(super) fn holds_first(replica: &Replica, count: u32) -> bool {
    let has = |counter: u32| replica.tree.find(&format!("/n{counter}")).is_some();
    (1..=count).all(has) && !(count + 1..=count + 8).any(has)
}

const OPTIONS: HistoryOptions = HistoryOptions {
    compression: Compression::None,
    packet_limits: Limits::DEFAULT,
    tree: TreeOptions {
        owners: zabra_tree::OwnerRules {
            extended_types: true,
            emulate_353_ttl: false,
        },
        digest_enabled: true,
        hash_seed: 1,
    },
    snapshot_size_factor: 0.33,
};
