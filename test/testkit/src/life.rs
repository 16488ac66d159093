//! The life of a server's history under power cuts and failing disks, and what must hold after each of them.
//!
//! A [`Script`] does what a server does to its files and notes at each moment what that server may rely on from there
//! on. [`every_cut`] then cuts the power at every operation, with every loss that a file system may cause, and starts
//! again (I-11, I-14, I-15, I-18).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use zabra_proto::Zxid;
use zabra_storage::{
    Compression, Epochs, PurgeOptions, StorageError, Vfs, adopt_history, purge, truncate,
};

use crate::disk::{FaultyDisk, Subsets};
use crate::history::{self, Server, Twin, data_of, dirs, try_recover};

/// What must hold for the history at a moment of the script.
#[derive(Debug, Clone)]
pub struct Promise {
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
pub struct Script {
    /// Its disk.
    pub disk: FaultyDisk,
    /// The server.
    pub server: Server,
    promises: Vec<Promise>,
    epochs: (u32, u32),
}

impl Script {
    /// A server on this disk.
    ///
    /// # Panics
    /// If the storage fails.
    pub fn begin(disk: &FaultyDisk) -> Self {
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

    /// Appends txns of these lengths, and flushes.
    ///
    /// # Panics
    /// If the storage fails.
    pub fn write(&mut self, lens: &[usize]) {
        let acked = self.server.log.last_flushed();
        self.server.append(lens);
        self.promise(acked);
        let flushed = self.server.log.flush().unwrap();
        self.promise(flushed.last);
    }

    /// Finishes the segment.
    ///
    /// # Panics
    /// If the storage fails.
    pub fn roll(&mut self) {
        self.server.log.roll().unwrap();
    }

    /// Writes a snapshot.
    ///
    /// # Panics
    /// If the storage fails.
    pub fn snapshot(&mut self, compression: Compression) {
        self.server.snapshot(compression).unwrap();
    }

    /// Saves the mark.
    ///
    /// # Panics
    /// If the storage fails.
    pub fn save_mark(&mut self) {
        self.server.log.mark().save().unwrap();
    }

    /// Removes what is not needed with so many snapshots.
    ///
    /// # Panics
    /// If the storage fails.
    pub fn purge(&mut self, keep: usize) {
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

    /// Cuts the history.
    ///
    /// # Panics
    /// If the storage fails.
    pub fn truncate(&mut self, to: Zxid) {
        // From here on the cut txns may be there or not; when it is done they must not.
        self.roll();
        self.promise(to);
        truncate(&self.server.vfs, &dirs(), self.server.log.mark(), to).unwrap();
        self.truncated(to);
    }

    /// Truncates if the snapshots allow it; otherwise nothing must have changed.
    ///
    /// # Panics
    /// If the storage fails.
    pub fn maybe_truncate(&mut self, to: Zxid) {
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
    ///
    /// # Panics
    /// If the storage fails.
    pub fn new_epoch_stored(&mut self, first: bool) {
        let acked = self.server.log.last_flushed();
        let epoch = self.epochs.0 + 1;
        self.store_epochs(epoch, if first { epoch } else { self.epochs.1 });
        self.server.append_as(Zxid::new(epoch, 1), 50);
        self.promise(acked);
        let flushed = self.server.log.flush().unwrap();
        self.promise(flushed.last);
        self.store_epochs(epoch, epoch);
    }

    /// The history goes on in a new epoch, which is stored first.
    ///
    /// # Panics
    /// If the storage fails.
    pub fn new_epoch(&mut self) {
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
    ///
    /// # Panics
    /// If the storage fails.
    pub fn adopt(&mut self, lacks: usize) {
        self.roll();
        let old = self.server.twin.txns.clone();
        let new = self.leaders_history(lacks);
        let last = Zxid(*new.keys().next_back().unwrap());
        self.store_epochs(last.epoch(), self.epochs.1);
        self.promise_one_of(common_part(&old, &new), vec![old, new.clone()]);
        self.server.twin.txns = new;
        let vfs = &self.server.vfs;
        let snapshot = history::pending_snapshot(vfs, &self.server.twin, last).unwrap();
        let mark = self.server.log.mark();
        let adopted = adopt_history(vfs, &dirs(), mark, snapshot.into()).unwrap();
        self.server.log.restart_adopted(adopted).unwrap();
        self.promise(last);
        self.store_epochs(last.epoch(), last.epoch());
    }

    /// Replaces the history by a leader's whose snapshot holds all but the last `behind` txns. What both histories have,
    /// this server may have acknowledged: it must be there at every moment, in the one or the other.
    ///
    /// # Panics
    /// If the storage fails.
    pub fn adopt_with_txns(&mut self, lacks: usize, behind: usize) {
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
        let bytes = history::sent_behind_snap(&snapshot, &rest);
        let (_, history, _) = history::take_in(&vfs, zxid, &bytes, 700).unwrap();
        let adopted = adopt_history(&vfs, &dirs(), self.server.log.mark(), history).unwrap();
        self.server.log.restart_adopted(adopted).unwrap();
        self.server.twin.txns = new;
        for (zxid, data) in rest {
            let payload = history::payload(zxid, &data);
            self.server.log.append(zxid, &payload).unwrap();
        }
        let last = self.server.log.flush().unwrap().last;
        self.promise(last);
        self.store_epochs(epoch, epoch);
    }

    /// Ends and starts the server again on the same disk.
    ///
    /// # Panics
    /// If the storage fails.
    pub fn restart(&mut self) {
        self.server = Server::start(&(Arc::new(self.disk.clone()) as Arc<dyn Vfs>)).unwrap();
        self.promise(self.server.log.last_flushed());
    }

    /// What holds at this operation.
    pub fn promise_at(&self, cut: usize) -> &Promise {
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
///
/// # Panics
/// If the history is not what it must be.
pub fn check(disk: &FaultyDisk, promise: &Promise, what: &str) -> Twin {
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
///
/// # Panics
/// If the history is not what it must be.
pub fn every_cut(script: &Script, subsets: &Subsets) -> usize {
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

/// A life drawn from a seed: the same steps in another order, with batches of other sizes.
///
/// # Panics
/// If the history is not what it must be.
pub fn drawn_life(script: &mut Script, seed: u64) {
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

/// Works until the first error that ends a server; returns what was acknowledged.
///
/// # Panics
/// If the history is not what it must be.
pub fn faulty_life(server: &mut Server) -> Zxid {
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
