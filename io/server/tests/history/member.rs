//! A member's files on a simulated disk, and how it starts from them.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use zabra_jute::{Encode, Limits};
use zabra_proto::txn::{CreateTxn, Payload};
use zabra_proto::{SessionId, Txn, TxnHeader, TxnKind, WallMillis, Xid, Zxid};
use zabra_serve::Replica;
use zabra_server::history::{HistoryFiles, HistoryOptions, Job, Jobs, Outcome, recover_member};
use zabra_server::seat::{Flusher, Record};
use zabra_storage::{
    Compression, DataDirs, LogOptions, RecoverOptions, SnapshotTail, SnapshotWriter, Start, TxnLog,
    Vfs,
};
use zabra_testkit::disk::FaultyDisk;
use zabra_tree::TreeOptions;
use zabra_zab::Entry;

/// A member as far as its history goes.
pub(crate) struct Member {
    pub(crate) disk: FaultyDisk,
    pub(crate) files: HistoryFiles,
    pub(crate) flusher: Flusher,
    pub(crate) replica: Replica,
    pub(crate) tail: Vec<Entry>,
    pub(crate) epochs: zabra_zab::Epochs,
    pub(crate) has_history: bool,
}

pub(crate) fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(epoch, counter)
}

pub(crate) fn dirs() -> DataDirs {
    DataDirs::new(std::path::Path::new("/data"), None)
}

/// The txn with this number creates `/e-c`.
pub(crate) fn entry(zxid: Zxid) -> Entry {
    let path = path_of(zxid);
    let payload = Payload {
        header: TxnHeader {
            session: SessionId(7),
            cxid: Xid(1),
            zxid,
            time: WallMillis(1_700_000_000_000),
            kind: TxnKind::Create,
        },
        txn: Txn::Create(CreateTxn {
            path: path.as_str().into(),
            data: Some(b"data"),
            acl: Some(Vec::new()),
            ephemeral: false,
            parent_cversion: -1,
        }),
        digest: None,
    };
    let mut bytes = Vec::new();
    payload.encode(&mut bytes);
    Entry {
        zxid,
        payload: bytes.into(),
    }
}

pub(crate) fn path_of(zxid: Zxid) -> String {
    format!("/{}-{}", zxid.epoch(), zxid.counter())
}

pub(crate) const OPTIONS: HistoryOptions = HistoryOptions {
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

impl Member {
    pub(crate) fn start(disk: &FaultyDisk) -> Self {
        Self::start_with(disk, OPTIONS)
    }

    pub(crate) fn start_with(disk: &FaultyDisk, options: HistoryOptions) -> Self {
        let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
        let recover = RecoverOptions::default();
        let state = recover_member(&vfs, &dirs(), &recover, options.tree).unwrap();
        let mark = Arc::clone(&state.recovered.mark);
        let log = TxnLog::new(
            Arc::clone(&vfs),
            dirs().log(),
            LogOptions {
                preallocate: 0,
                ..LogOptions::default()
            },
            Arc::clone(&mark),
            state.recovered.last_zxid,
        );
        let mut member = Self {
            disk: disk.clone(),
            files: HistoryFiles::new(vfs, dirs(), mark, options),
            flusher: Flusher::new(log, Duration::MAX, 1000),
            replica: state.replica,
            tail: state.history.tail,
            epochs: state.history.epochs,
            has_history: state.history.has_history,
        };
        if state.recovered.start == Start::New {
            member.snapshot(&SnapshotTail::default());
        }
        member
    }

    /// Logs txns durably, without applying them.
    pub(crate) fn log(&self, zxids: &[Zxid]) {
        let records: Vec<Record> = zxids
            .iter()
            .map(|zxid| Record {
                zxid: *zxid,
                payload: entry(*zxid).payload,
            })
            .collect();
        self.flusher.flush(&records).unwrap();
    }

    pub(crate) fn apply(&mut self, zxids: &[Zxid]) {
        for zxid in zxids {
            let payload = entry(*zxid).payload;
            let _ = self.replica.apply(&Replica::decode(&payload), &mut ());
        }
    }

    /// Logs txns, applies them, and rolls the log.
    pub(crate) fn commit(&mut self, zxids: &[Zxid]) {
        self.log(zxids);
        self.apply(zxids);
        self.flusher.with_log(TxnLog::roll).unwrap();
    }

    /// Writes the tree down.
    pub(crate) fn snapshot(&mut self, tail: &SnapshotTail) {
        let sessions = self.replica.sessions().iter();
        let sessions = sessions.map(|(id, timeout)| (*id, *timeout)).collect();
        let mut walk = self.replica.tree.begin_image(sessions).unwrap();
        let mut image = Vec::new();
        while !walk.chunk(&self.replica.tree, 4096, &mut image) {}
        self.replica.tree.end_image(walk);
        image.truncate(image.len() - 5);
        let vfs: Arc<dyn Vfs> = Arc::new(self.disk.clone());
        let zxid = self.replica.last_zxid();
        let none = Compression::None;
        let mut writer = SnapshotWriter::begin(vfs, dirs().snap(), zxid, none).unwrap();
        writer.chunk(&image).unwrap();
        let mark = self.flusher.with_log(|log| Arc::clone(log.mark()));
        writer.finish(tail, Some(&mark)).unwrap();
    }

    pub(crate) fn run(&self, job: Job) -> Outcome {
        let jobs = Jobs::default();
        jobs.ask(job);
        jobs.stop();
        let outcome = RefCell::new(None);
        jobs.work(&self.files, &self.flusher, &|done| {
            outcome.replace(Some(done));
        });
        outcome.into_inner().unwrap()
    }

    pub(crate) fn has(&self, zxid: Zxid) -> bool {
        self.replica.tree.find(&path_of(zxid)).is_some()
    }

    pub(crate) fn tail_zxids(&self) -> Vec<Zxid> {
        self.tail.iter().map(|entry| entry.zxid).collect()
    }
}

#[test]
fn what_is_logged_and_not_known_to_be_decided_stays_out_of_the_tree() {
    let disk = FaultyDisk::new();
    let member = Member::start(&disk);
    assert!(member.has_history);
    let all = [z(0, 1), z(0, 2), z(1, 1), z(1, 2)];
    member.log(&all);
    drop(member);
    let member = Member::start(&disk);
    assert_eq!(member.replica.last_zxid(), Zxid::ZERO);
    assert_eq!(member.tail, all.map(entry));
    assert!(!member.has(z(0, 1)));
}

#[test]
fn what_the_mark_knows_to_be_committed_is_applied_at_once() {
    let disk = FaultyDisk::new();
    let member = Member::start(&disk);
    member.log(&[z(0, 1), z(0, 2), z(1, 1), z(1, 2)]);
    let mark = member.flusher.with_log(|log| Arc::clone(log.mark()));
    mark.committed(z(1, 1));
    // An older one changes nothing.
    mark.committed(z(0, 1));
    mark.save().unwrap();
    drop(member);
    for _ in 0..2 {
        let member = Member::start(&disk);
        assert_eq!(member.replica.last_zxid(), z(1, 1));
        assert_eq!(member.tail_zxids(), [z(1, 2)]);
        assert!(member.has(z(1, 1)) && !member.has(z(1, 2)));
    }
}

#[test]
fn the_snapshots_zxid_is_the_trees_whatever_follows() {
    let disk = FaultyDisk::new();
    let mut member = Member::start(&disk);
    member.commit(&[z(0, 1), z(0, 2)]);
    member.snapshot(&SnapshotTail::default());
    // The next epoch does not begin right behind it.
    member.log(&[z(3, 1)]);
    drop(member);
    let member = Member::start(&disk);
    assert_eq!(member.replica.last_zxid(), z(0, 2));
    assert_eq!(member.tail_zxids(), [z(3, 1)]);
}

#[test]
fn an_empty_directory_that_nobody_calls_new_has_no_history() {
    let disk = FaultyDisk::new();
    let vfs: Arc<dyn Vfs> = Arc::new(disk);
    let recover = RecoverOptions {
        autocreate: false,
        ..RecoverOptions::default()
    };
    let state = recover_member(&vfs, &dirs(), &recover, OPTIONS.tree).unwrap();
    assert!(!state.history.has_history);
    assert_eq!(state.history.epochs, zabra_zab::Epochs::default());
}
