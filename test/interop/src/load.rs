//! A client that checks: several sessions that write, read and watch while servers come and go, and know afterwards
//! what every server must hold.
//!
//! - An acknowledged write is on every member, with the zxid of its reply; no two have the same zxid, and a write that was
//!   sent after another had been acknowledged has the greater one. So two leaders cannot both commit unseen.
//! - Nothing is there that was not written, was denied, deleted, or belongs to a session that is over.
//! - A session sees its own writes, never goes back in time, and sees no new data before the event that tells of it.
//! - No session is expired that was heard of in time; ephemerals are exactly those of living sessions.
//! - After all that the trees of all members are the same in every byte and digest.
//!
//! Beside it [`witness`] has sessions that share their keys, and judges what they noted.
//!
//! The parts: [`link`] keeps a session, [`worker`] works, [`journal`] remembers and verifies, [`watches`] holds events
//! against reads. What happens to the servers meanwhile is none of this module's concern.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::ensemble::Ensemble;
use crate::tree::Tree;
use crate::wire::{Body, Hello, Wire, op};

mod journal;
mod link;
mod shared;
mod watches;
pub mod witness;
mod worker;

use journal::{Kind, REGISTERS};
use link::Link;
use shared::{Orders, SeatOfWorker, Shared, lock};
use worker::{Handle, Worker};

/// Sessions at work.
const WORKERS: usize = 6;
/// Time-out of sessions that must survive everything.
const LONG: Duration = Duration::from_secs(40);
/// Time-out of sessions that may be expired by a long outage.
const SHORT: Duration = Duration::from_secs(6);
/// How long the load may take until everybody has been acknowledged a write again. An Apache ensemble whose leader
/// hangs needs syncLimit ticks and an election.
const SERVICE_LIMIT: Duration = Duration::from_secs(60);
/// The znode of everything.
const TOP: &str = "/load";

/// The folder of a worker.
fn root(worker: usize) -> String {
    format!("{TOP}/w{worker}")
}

/// The load on an ensemble; its threads end when it is dropped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<Handle>,
}

/// How long the sessions of a load live in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeouts {
    /// All outlast what happens.
    Long,
    /// Some are expired by long outages, and are left to that now and then.
    Mixed,
}

/// What came of a load, for a summary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Writes whose fate was not told.
    pub unknown: u64,
    /// Writes that were denied for their session's sake.
    pub denied: u64,
    /// Sessions taken up again on some server.
    pub kept: u64,
    /// Sessions left to their time-out without a word.
    pub left: u64,
    /// Sessions that were expired, all of them late enough.
    pub expired: u64,
    /// Events that fitted a watch.
    pub events: u64,
}

impl Load {
    /// Lays the ground and sets the workers to work on all members.
    ///
    /// # Errors
    /// The ground cannot be laid.
    pub fn start(ensemble: &Ensemble) -> Result<Self> {
        Self::start_with(ensemble, Timeouts::Mixed)
    }

    /// The same with sessions of the given time-outs.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(ensemble: &Ensemble, timeouts: Timeouts) -> Result<Self> {
        let addrs: Arc<[SocketAddr]> = ensemble.addrs().into();
        lay_ground(addrs[0]).context("lay the ground of the load")?;
        let shared = Arc::new(Shared::new(WORKERS, root));
        let threads = (0..WORKERS)
            .map(|id| {
                let short = timeouts == Timeouts::Mixed && id % 3 == 2;
                let timeout = if short { SHORT } else { LONG };
                let link = Link::new(Arc::clone(&addrs), id, timeout);
                Worker::new(id, link, short, Arc::clone(&shared)).spawn()
            })
            .collect();
        Ok(Self { shared, threads })
    }

    /// Waits until every worker has been acknowledged a write that it sent after this was called.
    ///
    /// # Errors
    /// They have not in time, or something went against a promise.
    pub fn await_progress(&self) -> Result<()> {
        // What was under way is acknowledged with the next write, the one after it was sent later; a batch has eight.
        let goals: Vec<u64> = self.counts().iter().map(|count| count + 24).collect();
        let start = Instant::now();
        loop {
            self.no_violation()?;
            let counts = self.counts();
            if counts.iter().zip(&goals).all(|(count, goal)| count >= goal) {
                return Ok(());
            }
            ensure!(
                start.elapsed() < SERVICE_LIMIT,
                "not every session writes again after {SERVICE_LIMIT:?}: {counts:?} of {goals:?} writes{}",
                self.shared.show()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn counts(&self) -> Vec<u64> {
        let count = |seat: &SeatOfWorker| seat.acknowledged.load(Ordering::SeqCst);
        self.shared.seats.iter().map(count).collect()
    }

    /// How many writes were refused for want of space. Whether they may have been is for others to say.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Fails when something went against a promise.
    ///
    /// # Errors
    /// It did.
    pub fn no_violation(&self) -> Result<()> {
        let violations = lock(&self.shared.violations);
        ensure!(
            violations.is_empty(),
            "{} times against a promise:\n  {}",
            violations.len(),
            violations[..violations.len().min(10)].join("\n  ")
        );
        Ok(())
    }

    /// Brings the workers to rest: each has had a write acknowledged on its present connection, so that nothing that it
    /// sent before is still under way.
    ///
    /// # Errors
    /// They do not come to rest in time.
    pub fn settle(&self) -> Result<()> {
        for seat in &self.shared.seats {
            seat.settled.store(0, Ordering::SeqCst);
        }
        self.shared.give(Orders::Settle);
        let start = Instant::now();
        while !(0..WORKERS).all(|worker| self.shared.is_settled(worker)) {
            self.no_violation()?;
            ensure!(
                start.elapsed() < SERVICE_LIMIT,
                "the sessions do not come to rest within {SERVICE_LIMIT:?}:{}",
                self.shared.show()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        self.no_violation()
    }

    /// Lets the workers go on.
    pub fn resume(&self) {
        self.shared.give(Orders::Work);
    }

    /// Brings the workers to rest, holds every awake member's tree against the journals and against each other's, and
    /// lets the workers go on. What an election interrupts begins again: a server without a leader closes its clients'
    /// connections, and on a starved machine it may lose the leader at any time.
    ///
    /// # Errors
    /// The first thing that is not as promised.
    pub fn verify(&self, ensemble: &mut Ensemble) -> Result<()> {
        loop {
            ensemble.await_service()?;
            self.settle()?;
            let elections = ensemble.elections();
            let verified = self.verify_at_rest(ensemble);
            self.resume();
            match verified {
                Err(error) if error.is::<Interrupted>() && ensemble.elections() > elections => {
                    println!("interop: interrupted by an election: {error:#}");
                }
                verified => return verified,
            }
        }
    }

    /// The same when the workers are at rest, and stay so.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_at_rest(&self, ensemble: &Ensemble) -> Result<()> {
        self.verify_sync(ensemble)?;
        let trees = self.trees(ensemble)?;
        let (_, first) = trees.first().context("nobody to be asked")?;
        for (who, tree) in &trees {
            let held = (0..WORKERS).try_for_each(|worker| {
                // Every tree is held against the same journal; only the last settles it.
                self.shared.journal(worker).clone().verify(tree)
            });
            held.with_context(|| format!("on {who}"))?;
            self.verify_owners(tree)
                .with_context(|| format!("on {who}"))?;
        }
        for pair in trees.windows(2) {
            let names = || format!("on {} and {}", pair[0].0, pair[1].0);
            let same = pair[0].1.same(&pair[1].1).with_context(names);
            if pair[0].1.epoch() != pair[1].1.epoch() {
                // Sessions may have ended in between. A difference that is more than that is found again.
                same.with_context(|| Interrupted("read the trees in two epochs".to_owned()))?;
            } else {
                same?;
            }
            if ensemble.is_pure() {
                pair[0].1.same_digests(&pair[1].1).with_context(names)?;
            } else {
                pair[0]
                    .1
                    .same_newest_digest(&pair[1].1)
                    .with_context(names)?;
            }
        }
        for worker in 0..WORKERS {
            self.shared.journal(worker).verify(first)?;
        }
        self.verify_zxids()?;
        self.no_violation()
    }

    /// The trees of all awake members, once the sessions that were left to their time-out are gone.
    fn trees(&self, ensemble: &Ensemble) -> Result<Vec<(String, Tree)>> {
        let lapsed: HashSet<i64> = lock(&self.shared.lapsed)
            .iter()
            .map(|(id, _)| *id)
            .collect();
        let start = Instant::now();
        loop {
            // Reading all trees takes long on a busy machine: what counts is when a reading began.
            let waited = start.elapsed();
            let read = read_trees(ensemble).and_then(|trees| Ok((owners(&trees)?, trees)));
            let (owners, trees) = match read {
                Ok(read) => read,
                // A session may have ended while its ephemerals were being read.
                Err(_) if !lapsed.is_empty() && waited < SHORT * 3 => continue,
                Err(error) => return Err(error),
            };
            let Some(session) = owners.intersection(&lapsed).next() else {
                lock(&self.shared.lapsed).retain(|(_, until)| *until > Instant::now());
                return Ok(trees);
            };
            ensure!(
                waited < SHORT * 3,
                "ephemerals of session 0x{session:x} are still there, {waited:?} after it was left to its time-out"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Ephemerals are those of living sessions.
    fn verify_owners(&self, tree: &Tree) -> Result<()> {
        let session = |seat: &SeatOfWorker| seat.session.load(Ordering::SeqCst);
        let living: HashSet<i64> = self.shared.seats.iter().map(session).collect();
        for (path, znode) in tree.znodes() {
            let owner = znode.decode()?.1.ephemeral_owner;
            ensure!(
                !path.starts_with(TOP) || owner == 0 || living.contains(&owner),
                "{path} belongs to session 0x{owner:x}, which is over"
            );
        }
        Ok(())
    }

    /// No zxid was acknowledged twice.
    fn verify_zxids(&self) -> Result<()> {
        let mut seen = HashSet::new();
        for worker in 0..WORKERS {
            for zxid in &self.shared.journal(worker).zxids {
                ensure!(
                    seen.insert(*zxid),
                    "two writes were acknowledged with zxid 0x{zxid:x}"
                );
            }
        }
        Ok(())
    }

    /// A read behind a `sync` was never older than what had been acknowledged. Apache's leader answers `sync`
    /// without asking whether it still leads, so this holds among Zabra servers only.
    fn verify_sync(&self, ensemble: &Ensemble) -> Result<()> {
        let stale = std::mem::take(&mut *lock(&self.shared.stale));
        match stale.first() {
            Some(first) if ensemble.is_pure() => bail!("{} stale reads: {first}", stale.len()),
            Some(first) => println!(
                "interop: {} stale reads after a sync, as Apache may give: {first}",
                stale.len()
            ),
            None => {}
        }
        Ok(())
    }

    /// What came of it.
    #[must_use]
    pub fn account(&self) -> Account {
        let mut account = Account {
            acknowledged: self.counts().iter().sum(),
            kept: self.shared.kept.load(Ordering::SeqCst),
            left: self.shared.left.load(Ordering::SeqCst),
            expired: self.shared.expired.load(Ordering::SeqCst),
            events: self.shared.events.load(Ordering::SeqCst),
            ..Account::default()
        };
        for worker in 0..WORKERS {
            let journal = self.shared.journal(worker);
            account.unknown += journal.unknown;
            account.denied += journal.denied;
        }
        account
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.give(Orders::Stop);
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} writes acknowledged, {} unknown, {} denied; sessions taken up again {} times, {} left \
             to their time-out, {} expired; {} events",
            self.acknowledged,
            self.unknown,
            self.denied,
            self.kept,
            self.left,
            self.expired,
            self.events
        )
    }
}

/// What an election keeps from being held against anything.
#[derive(Debug)]
struct Interrupted(String);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The trees of all awake members.
fn read_trees(ensemble: &Ensemble) -> Result<Vec<(String, Tree)>> {
    let mut trees = Vec::new();
    for member in ensemble.members().iter().filter(|member| member.is_awake()) {
        let who = format!("{} ({})", member.sid(), member.peer());
        let hash = member.word("hash").unwrap_or_default();
        let tree = Tree::read(member.addr(), &hash)
            .with_context(|| Interrupted(format!("read the tree of {who}")))?;
        trees.push((who, tree));
    }
    Ok(trees)
}

/// The sessions that own ephemerals.
fn owners(trees: &[(String, Tree)]) -> Result<HashSet<i64>> {
    let mut owners = HashSet::new();
    for (_, tree) in trees {
        for znode in tree.znodes().values() {
            owners.insert(znode.decode()?.1.ephemeral_owner);
        }
    }
    Ok(owners)
}

/// Creates the folders and registers of all workers.
fn lay_ground(addr: SocketAddr) -> Result<()> {
    let (mut wire, _) =
        Wire::connect(addr, &Hello::new(30_000))?.context("closed at the handshake")?;
    let mut paths = vec![TOP.to_owned()];
    for worker in 0..WORKERS {
        let root = root(worker);
        paths.push(root.clone());
        for kind in [Kind::Plain, Kind::Sequential, Kind::Ephemeral] {
            paths.push(format!("{root}/{}", kind.folder()));
        }
        paths.push(format!("{root}/r"));
        paths.extend((0..REGISTERS).map(|register| format!("{root}/r/{register}")));
    }
    for (path, xid) in paths.iter().zip(1..) {
        let body = Body::new()
            .string(path)
            .buffer(Some(b"0"))
            .acl(&[(31, "world", "anyone")])
            .i32(0);
        let created = wire.call(xid, op::CREATE, &body)?;
        ensure!(created.err == 0, "create {path}: error {}", created.err);
    }
    wire.call(0, op::CLOSE_SESSION, &Body::new())?;
    Ok(())
}
