//! Power cuts at every operation of a scripted life, with every legal loss of what was not synced (I-14, I-18).
//!
//! After each cut the server starts without a hand on the files, has every txn that was flushed, none that was
//! truncated, no hole (I-15); its epochs have not fallen and are not behind its history (I-11); it goes on logging, and
//! finds that again. So it is while a leader's history replaces its own, too.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{Server, Twin, data_of, dirs, try_recover};
use zabra_proto::Zxid;
use zabra_storage::{
    Compression, Epochs, PurgeOptions, StorageError, Vfs, adopt_history, purge, truncate,
};
use zabra_testkit::disk::{Fault, FaultHow, FaultOn, FaultyDisk, Subsets};

/// What must hold for the history at a moment of the script.
#[derive(Debug, Clone)]
struct Promise {
    /// Operations on the disk before it began to hold.
    since: usize,
    /// Everything up to here was flushed, and perhaps told to somebody.
    acked: Zxid,
    /// All txns that may be in the history, acked or not: one of these, or a prefix of it.
    possible: Vec<BTreeMap<u64, Vec<u8>>>,
    /// Accepted and current epoch, at least.
    epochs: (u32, u32),
}

/// Runs a script on a disk and notes what it may rely on at each moment.
struct Script {
    disk: FaultyDisk,
    server: Server,
    promises: Vec<Promise>,
    epochs: (u32, u32),
}

impl Script {
    fn begin(disk: &FaultyDisk) -> Self {
        let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
        let server = Server::start(&vfs).unwrap();
        let mut script = Self {
            disk: disk.clone(),
            server,
            promises: Vec::new(),
            epochs: (0, 0),
        };
        script.promise(script.server.log.last_flushed());
        script
    }

    fn promise(&mut self, acked: Zxid) {
        let possible = vec![self.server.twin.txns.clone()];
        self.promise_one_of(acked, possible);
    }

    fn promise_one_of(&mut self, acked: Zxid, possible: Vec<BTreeMap<u64, Vec<u8>>>) {
        self.promises.push(Promise {
            since: self.disk.operations(),
            acked,
            possible,
            epochs: self.epochs,
        });
    }

    /// Stores what was promised and accepted, in the order in which a learner has to: the history of an epoch comes
    /// before the epoch.
    fn store_epochs(&mut self, accepted: u32, current: u32) {
        let (vfs, epochs) = (&self.server.vfs, Epochs { accepted, current });
        epochs.store(&**vfs, &dirs()).unwrap();
        self.epochs = (accepted, current);
        let before = self.promises.last().unwrap().clone();
        self.promise_one_of(before.acked, before.possible);
    }

    fn write(&mut self, lens: &[usize]) {
        let acked = self.server.log.last_flushed();
        self.server.append(lens);
        self.promise(acked);
        let flushed = self.server.log.flush().unwrap();
        self.promise(flushed.last);
    }

    fn roll(&mut self) {
        self.server.log.roll().unwrap();
    }

    fn snapshot(&mut self, compression: Compression) {
        self.server.snapshot(compression).unwrap();
    }

    fn save_mark(&mut self) {
        self.server.log.mark().save().unwrap();
    }

    fn purge(&mut self, keep: usize) {
        let options = PurgeOptions {
            keep,
            ..PurgeOptions::default()
        };
        purge(
            &self.server.vfs,
            &dirs(),
            &options,
            Some(self.server.log.mark()),
        )
        .unwrap();
    }

    fn truncate(&mut self, to: Zxid) {
        // From here on the cut txns may be there or not; when it is done they must not.
        self.roll();
        self.promise(to);
        truncate(&self.server.vfs, &dirs(), self.server.log.mark(), to).unwrap();
        self.truncated(to);
    }

    /// Truncates if the snapshots allow it; otherwise nothing must have changed.
    fn maybe_truncate(&mut self, to: Zxid) {
        self.roll();
        let before = self.disk.files();
        let acked = self.server.log.last_flushed();
        self.promise(to);
        match truncate(&self.server.vfs, &dirs(), self.server.log.mark(), to) {
            Ok(()) => self.truncated(to),
            Err(StorageError::CannotTruncate { .. }) => {
                assert_eq!(self.disk.files(), before);
                self.promise(acked);
            }
            Err(e) => panic!("{e}"),
        }
    }

    fn truncated(&mut self, to: Zxid) {
        self.server.twin.txns.retain(|zxid, _| *zxid <= to.0);
        self.server.log.restart_behind(to).unwrap();
        self.promise(to);
    }

    /// The history goes on in an epoch of its own, whose number is stored before or behind its first txn: as by a leader,
    /// or as by a learner that crashes between the two.
    fn new_epoch_stored(&mut self, first: bool) {
        let acked = self.server.log.last_flushed();
        let epoch = self.epochs.0 + 1;
        self.store_epochs(epoch, if first { epoch } else { self.epochs.1 });
        self.server.append_as(Zxid::new(epoch, 1), 50);
        self.promise(acked);
        let flushed = self.server.log.flush().unwrap();
        self.promise(flushed.last);
        self.store_epochs(epoch, epoch);
    }

    fn new_epoch(&mut self) {
        self.new_epoch_stored(true);
    }

    /// The history of a leader of a new epoch: of the server's own last txns it lacks some, and has others instead.
    fn leaders_history(&self, lacks: usize) -> BTreeMap<u64, Vec<u8>> {
        let mut txns = self.server.twin.txns.clone();
        for zxid in self.server.twin.txns.keys().rev().take(lacks) {
            txns.remove(zxid);
        }
        for counter in 1..=3 {
            let zxid = Zxid::new(self.epochs.0 + 1, counter);
            txns.insert(zxid.0, data_of(Zxid(9), 40));
        }
        txns
    }

    /// Replaces the state by a leader's snapshot that holds everything.
    fn adopt(&mut self, lacks: usize) {
        self.roll();
        let old = self.server.twin.txns.clone();
        let new = self.leaders_history(lacks);
        let last = Zxid(*new.keys().next_back().unwrap());
        self.store_epochs(last.epoch(), self.epochs.1);
        self.promise_one_of(common_part(&old, &new), vec![old, new.clone()]);
        self.server.twin.txns = new;
        let vfs = &self.server.vfs;
        let snapshot = common::pending_snapshot(vfs, &self.server.twin, last).unwrap();
        let mark = self.server.log.mark();
        let adopted = adopt_history(vfs, &dirs(), mark, snapshot.into()).unwrap();
        self.server.log.restart_adopted(adopted).unwrap();
        self.promise(last);
        self.store_epochs(last.epoch(), last.epoch());
    }

    /// Replaces the history by a leader's whose snapshot holds all but the last `behind` txns. What both histories have,
    /// this server may have acknowledged: it must be there at every moment, in the one or the other.
    fn adopt_with_txns(&mut self, lacks: usize, behind: usize) {
        self.roll();
        let old = self.server.twin.txns.clone();
        let new = self.leaders_history(lacks);
        let epoch = Zxid(*new.keys().next_back().unwrap()).epoch();
        self.store_epochs(epoch, self.epochs.1);
        self.promise_one_of(common_part(&old, &new), vec![old, new.clone()]);

        let in_snapshot = new.len() - behind.min(new.len());
        let snapshot = Twin {
            txns: new.clone().into_iter().take(in_snapshot).collect(),
            ..self.server.twin.clone()
        };
        let zxid = Zxid(snapshot.txns.keys().next_back().copied().unwrap_or(0));
        let rest: Vec<(Zxid, Vec<u8>)> = new
            .iter()
            .skip(in_snapshot)
            .map(|(zxid, data)| (Zxid(*zxid), data.clone()))
            .collect();
        let vfs = Arc::clone(&self.server.vfs);
        let bytes = common::sent_behind_snap(&snapshot, &rest);
        let (_, history, _) = common::take_in(&vfs, zxid, &bytes, 700).unwrap();
        let adopted = adopt_history(&vfs, &dirs(), self.server.log.mark(), history).unwrap();
        self.server.log.restart_adopted(adopted).unwrap();
        self.server.twin.txns = new;
        for (zxid, data) in rest {
            let payload = common::payload(zxid, &data);
            self.server.log.append(zxid, &payload).unwrap();
        }
        let last = self.server.log.flush().unwrap().last;
        self.promise(last);
        self.store_epochs(epoch, epoch);
    }

    /// Ends and starts the server again on the same disk.
    fn restart(&mut self) {
        self.server = Server::start(&(Arc::new(self.disk.clone()) as Arc<dyn Vfs>)).unwrap();
        self.promise(self.server.log.last_flushed());
    }

    fn promise_at(&self, cut: usize) -> &Promise {
        self.promises
            .iter()
            .rev()
            .find(|p| p.since <= cut)
            .unwrap_or(&self.promises[0])
    }
}

/// The last txn up to which two histories are the same.
fn common_part(a: &BTreeMap<u64, Vec<u8>>, b: &BTreeMap<u64, Vec<u8>>) -> Zxid {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b);
    Zxid(same.last().map_or(0, |((zxid, _), _)| *zxid))
}

/// Checks a disk after a power cut; returns how the server found its history.
fn check(disk: &FaultyDisk, promise: &Promise, what: &str) -> Twin {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let mut server = match Server::start(&vfs) {
        Ok(server) => server,
        Err(e) => panic!(
            "{what}: the server does not start: {e}\n{:?}",
            disk.files().keys()
        ),
    };
    let found = server.twin.clone();
    let last = server.recovered.last_zxid;
    assert!(
        last >= promise.acked,
        "{what}: {} was acked, found up to {last}",
        promise.acked
    );
    let epochs = Epochs::load(&*vfs, &dirs(), last).unwrap_or_else(|e| panic!("{what}: {e}"));
    let (accepted, current) = promise.epochs;
    assert!(
        epochs.accepted >= accepted && epochs.current >= current,
        "{what}: epochs {accepted}, {current} became {epochs:?}"
    );
    assert!(last.epoch() <= epochs.current && epochs.current <= epochs.accepted);
    let is_prefix = |whole: &BTreeMap<u64, Vec<u8>>| {
        found.txns.len() == whole.range(..=last.0).count()
            && found.txns.iter().all(|(z, d)| whole.get(z) == Some(d))
    };
    assert!(
        promise.possible.iter().any(is_prefix),
        "{what}: found {:x?} up to {last}",
        found.txns.keys()
    );

    // The server goes on, stops without a word, and finds what it wrote.
    server.append(&[10, 700]);
    server.log.flush().unwrap();
    let (again, recovered) =
        try_recover(&vfs).unwrap_or_else(|e| panic!("{what}: second start: {e}"));
    assert_eq!(recovered.last_zxid, server.log.last_flushed(), "{what}");
    assert!(again.txns == server.twin.txns, "{what}: second start");
    found
}

/// Checks every power cut of a script; returns how many disks there were.
fn every_cut(script: &Script, subsets: &Subsets) -> usize {
    let mut images = 0;
    for cut in 0..=script.disk.operations() {
        let promise = script.promise_at(cut);
        for (i, image) in script
            .disk
            .crash_images(cut, subsets)
            .into_iter()
            .enumerate()
        {
            check(&image, promise, &format!("cut {cut} image {i}"));
            images += 1;
        }
    }
    images
}

fn life(script: &mut Script) {
    script.write(&[1]);
    script.write(&[40, 2, 300]);
    script.write(&[600, 600, 600]);
    script.save_mark();
    script.write(&[5000]);
    script.write(&[3, 3, 3, 3]);
    script.roll();
    script.snapshot(Compression::None);
    script.write(&[100, 1500]);
    script.save_mark();
    script.roll();
    script.snapshot(Compression::Gzip);
    script.write(&[9]);
    script.new_epoch();
    script.write(&[400, 400]);
    script.save_mark();
    script.roll();
    script.write(&[20, 20]);
    script.roll();
    script.snapshot(Compression::Snappy);
    script.write(&[30]);
    script.purge(2);
    script.write(&[2000, 1]);
    let to = Zxid::new(1, 3);
    script.truncate(to);
    script.write(&[77, 7]);
    script.restart();
    script.write(&[500, 600]);
    script.snapshot(Compression::None);
    script.purge(1);
    script.write(&[1, 2, 3]);
    script.adopt(2);
    script.write(&[50, 800]);
    script.purge(1);
    script.write(&[6]);
}

/// What a member goes through that is brought into step again and again.
fn members_life(script: &mut Script) {
    script.write(&[1, 40, 300]);
    script.new_epoch();
    script.write(&[10, 600]);
    script.roll();
    script.snapshot(Compression::None);
    script.write(&[700, 8]);
    // SNAP with a snapshot that is older than what is here.
    script.adopt_with_txns(1, 5);
    script.write(&[90]);
    script.new_epoch_stored(false);
    script.write(&[5, 5]);
    // TRUNC behind a SNAP, to a txn of the adopted log.
    let to = Zxid(*script.server.twin.txns.keys().rev().nth(3).unwrap());
    script.truncate(to);
    script.new_epoch_stored(false);
    script.write(&[2000, 3]);
    script.save_mark();
    // SNAP behind a SNAP, with all in the snapshot; and with nothing in it.
    script.adopt_with_txns(2, 0);
    script.adopt_with_txns(1, usize::MAX);
    script.write(&[60]);
    script.restart();
    script.write(&[61]);
    script.adopt_with_txns(0, 2);
    script.snapshot(Compression::Gzip);
    script.purge(1);
    script.write(&[7]);
}

/// A life drawn from a seed: the same steps in another order, with batches of other sizes.
fn drawn_life(script: &mut Script, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..24 {
        match random.u8(0..20) {
            19 => script.new_epoch_stored(false),
            17 | 18 => script.adopt_with_txns(random.usize(0..3), random.usize(0..6)),
            16 => script.adopt(random.usize(0..3)),
            0 => script.roll(),
            1 => script.save_mark(),
            2 => script.new_epoch(),
            3 => script.purge(random.usize(1..3)),
            4 => script.restart(),
            5 | 6 => {
                script.snapshot(*random.choice(&ALL_COMPRESSIONS).unwrap());
            }
            7 => {
                let txns = &script.server.twin.txns;
                let last = txns.keys().rev().nth(random.usize(0..3)).copied();
                script.maybe_truncate(Zxid(last.unwrap_or(0)));
            }
            _ => {
                let lens: Vec<usize> = (0..random.usize(1..6))
                    .map(|_| random.usize(1..1500))
                    .collect();
                script.write(&lens);
            }
        }
    }
}

const ALL_COMPRESSIONS: [Compression; 3] =
    [Compression::None, Compression::Gzip, Compression::Snappy];

#[test]
fn after_any_power_cut_the_server_starts_and_has_what_it_acknowledged() {
    let mut images = 0;
    let subsets = Subsets {
        single: 16,
        random: 16,
        seed: 1,
    };
    let disk = FaultyDisk::new();
    let mut script = Script::begin(&disk);
    life(&mut script);
    images += every_cut(&script, &subsets);
    let disk = FaultyDisk::new();
    let mut script = Script::begin(&disk);
    members_life(&mut script);
    images += every_cut(&script, &subsets);
    let mut seed = 0;
    while images < 6000 {
        let disk = FaultyDisk::new();
        let mut script = Script::begin(&disk);
        drawn_life(&mut script, seed);
        images += every_cut(&script, &subsets);
        seed += 1;
    }
}

#[test]
fn a_power_cut_during_recovery_changes_nothing() {
    let disk = FaultyDisk::new();
    let mut script = Script::begin(&disk);
    script.write(&[1, 700, 3]);
    script.roll();
    script.write(&[100, 2]);
    script.truncate(Zxid(4));
    script.write(&[10]);
    script.write(&[900, 900]);
    let mut images = 0;
    for cut in 0..=disk.operations() {
        let promise = script.promise_at(cut).clone();
        for image in disk.crash_images(
            cut,
            &Subsets {
                single: 3,
                random: 2,
                seed: 2,
            },
        ) {
            let vfs: Arc<dyn Vfs> = Arc::new(image.clone());
            let before = try_recover(&vfs).map(|(twin, _)| twin);
            let before = before.unwrap_or_else(|e| panic!("cut {cut}: {e}"));
            // What recovery found it may have told others: a cut of the recovery itself may lose what was never
            // flushed, but not what a finished recovery had found.
            let done = image.operations();
            for inner in 0..=done {
                for second in image.crash_images(
                    inner,
                    &Subsets {
                        single: 2,
                        random: 1,
                        seed: 3,
                    },
                ) {
                    let found = check(&second, &promise, &format!("cut {cut}, then {inner}"));
                    if inner == done {
                        assert_eq!(
                            found.txns, before.txns,
                            "cut {cut}: what was found is found again"
                        );
                    }
                    images += 1;
                }
            }
        }
    }
    assert!(images >= 2000, "only {images} images");
}

#[test]
fn a_failed_sync_ends_the_log_and_what_was_read_back_after_it_is_durable() {
    for forever in [false, true] {
        let disk = FaultyDisk::new();
        let mut script = Script::begin(&disk);
        script.write(&[10, 10]);
        let times = if forever { usize::MAX } else { 1 };
        disk.inject(Fault {
            on: FaultOn::Sync,
            name: "log.",
            after: 0,
            times,
            how: FaultHow::Io,
        });
        script.server.append(&[20]);
        assert!(script.server.log.flush().is_err());
        // No second try, whatever the disk would say now (P29).
        disk.heal();
        assert!(script.server.log.flush().is_err());
        assert!(script.server.log.append(Zxid(4), b"x").is_err());
        assert!(script.server.log.is_poisoned());

        // The pages still read well. Whatever a new start takes for true must survive a power cut (P30).
        let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
        let (twin, _) = try_recover(&vfs).unwrap();
        assert!(twin.txns.contains_key(&3));
        for image in disk.crash_images(
            disk.operations(),
            &Subsets {
                single: 9,
                random: 9,
                seed: 4,
            },
        ) {
            let (after, _) = try_recover(&(Arc::new(image) as Arc<dyn Vfs>)).unwrap();
            assert_eq!(after.txns, twin.txns);
        }
    }
}

#[test]
fn no_fault_of_any_operation_makes_an_acknowledged_txn_vanish() {
    let all = [
        FaultOn::Write,
        FaultOn::Sync,
        FaultOn::Create,
        FaultOn::Rename,
        FaultOn::SyncDir,
        FaultOn::Remove,
        FaultOn::Read,
    ];
    for on in all {
        for how in [FaultHow::Io, FaultHow::NoSpace, FaultHow::Short] {
            for after in 0..40 {
                let disk = FaultyDisk::new();
                let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
                let mut server = Server::start(&vfs).unwrap();
                disk.inject(Fault {
                    on,
                    name: "",
                    after,
                    times: 1,
                    how,
                });
                let acked = faulty_life(&mut server);
                disk.heal();
                let (twin, recovered) =
                    try_recover(&vfs).unwrap_or_else(|e| panic!("{on:?} {how:?} {after}: {e}"));
                assert!(recovered.last_zxid >= acked, "{on:?} {how:?} {after}");
                let held: Vec<u64> = twin.txns.keys().copied().collect();
                assert_eq!(
                    held,
                    (1..=recovered.last_zxid.0).collect::<Vec<_>>(),
                    "{on:?} {how:?} {after}"
                );
            }
        }
    }
}

/// Works until the first error that ends a server; returns what was acknowledged.
fn faulty_life(server: &mut Server) -> Zxid {
    for round in 0..4 {
        server.append(&[10, 600]);
        if server.log.flush().is_err() {
            break;
        }
        // A snapshot or a mark that cannot be written costs nothing but itself.
        let _ = server.snapshot(Compression::None);
        let _ = server.log.mark().save();
        if round % 2 == 1 && server.log.roll().is_err() {
            break;
        }
        let options = PurgeOptions {
            keep: 1,
            ..PurgeOptions::default()
        };
        let _ = purge(&server.vfs, &dirs(), &options, Some(server.log.mark()));
    }
    server.log.last_flushed()
}

#[test]
fn a_truncation_to_a_txn_that_is_not_there_changes_nothing() {
    let disk = FaultyDisk::new();
    let mut script = Script::begin(&disk);
    script.write(&[1, 2, 3]);
    script.roll();
    let before = disk.files();
    for to in [Zxid(4), Zxid::new(1, 1)] {
        let done = truncate(&script.server.vfs, &dirs(), script.server.log.mark(), to);
        assert!(matches!(done, Err(StorageError::CannotTruncate { .. })));
    }
    assert_eq!(disk.files(), before);
}

#[test]
fn a_txn_that_does_not_follow_is_refused_before_it_is_written() {
    let disk = FaultyDisk::new();
    let mut script = Script::begin(&disk);
    script.write(&[1]);
    for bad in [Zxid(1), Zxid(3), Zxid::new(1, 2)] {
        assert!(
            script
                .server
                .log
                .append(bad, &common::payload(bad, b"x"))
                .is_err()
        );
    }
    script.write(&[1]);
    assert_eq!(
        try_recover(&script.server.vfs).unwrap().0.txns[&2],
        data_of(Zxid(2), 1)
    );
}
