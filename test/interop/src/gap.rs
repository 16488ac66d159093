//! How long an ensemble is out of service when its leader goes, and how long a new disk takes to join.
//!
//! Figures, not a test: nothing is held against a bar, and a run belongs on a machine that does nothing else. A round ends
//! the leader in some way and measures until a write is acknowledged that was sent afterwards, as clients see it who
//! have all servers in their list and take the next one as soon as theirs is gone.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::ensemble::{Ensemble, Plan, Role, Seat};
use crate::peer::{Line, Peer};
use crate::scene::Scene;
use crate::wire::{Body, Came, Hello, Wire, op};

/// Sessions that write; each begins on a server of its own.
const WRITERS: usize = 6;
/// How long a server may leave a handshake or a write without an answer before a client turns to the next.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a client waits after a whole list of servers that do not take it.
const PAUSE: Duration = Duration::from_millis(5);
/// Requests that are sent before their replies are read, when znodes are made.
const PIPELINE: i32 = 1_000;
/// How long a leader has led before it goes.
const LEADS_FOR: Duration = Duration::from_secs(2);
/// How long an ensemble may be out of service.
const GAP_LIMIT: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Rounds of each kind.
    pub rounds: u32,
    /// Znodes that a new disk is to get.
    pub znodes: u32,
}

/// How the leader goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    Killed,
    Hung,
    Stopped,
}

impl Going {
    const ALL: [Self; 3] = [Self::Killed, Self::Hung, Self::Stopped];
}

impl fmt::Display for Going {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "leader killed (SIGKILL)",
            Self::Hung => "leader hangs (SIGSTOP)",
            Self::Stopped => "leader stopped (SIGTERM)",
        })
    }
}

/// Measures `tested`, and Apache 3.9 beside it unless it is to be `alone`.
///
/// # Errors
/// An ensemble does not come back, or a peer is missing.
pub fn run(tested: Peer, figures: Figures, alone: bool) -> Result<String> {
    let apache = Peer::Apache(Line::V3_9);
    let mut peers = vec![tested];
    if tested != apache && !alone {
        peers.insert(0, apache);
    }
    for peer in peers {
        for going in Going::ALL {
            Scene::play(format_args!("gap: {peer}, {going}"), |dir| {
                measure(dir, peer, going, figures.rounds)
            })?;
        }
        if figures.znodes > 0 {
            let name = format!("gap: {peer}, a new disk joins {} znodes", figures.znodes);
            Scene::play(&name, |dir| join(dir, peer, figures.znodes))?;
        }
    }
    Ok(format!("{} rounds of each kind", figures.rounds))
}

fn measure(dir: &Path, peer: Peer, going: Going, rounds: u32) -> Result<String> {
    let plan = Plan::usual(vec![Seat::voter(peer); 3]);
    let mut ensemble = Ensemble::start(dir, &plan)?;
    let writers = Writers::start(&ensemble);
    writers.await_all()?;
    let mut gaps = Vec::new();
    for round in 0..rounds {
        let gap = one_gap(&mut ensemble, &writers, going)
            .with_context(|| format!("round {round}, after {gaps:?}"))?;
        gaps.push(gap);
    }
    let in_order: Vec<u128> = gaps.iter().map(Duration::as_millis).collect();
    gaps.sort_unstable();
    let at = |part: usize| gaps[(gaps.len() - 1) * part / 100].as_millis();
    Ok(format!(
        "{} rounds: p50 {} ms, max {} ms, min {} ms; in order: {in_order:?}",
        gaps.len(),
        at(50),
        at(100),
        at(0)
    ))
}

fn one_gap(ensemble: &mut Ensemble, writers: &Writers, going: Going) -> Result<Duration> {
    let leader = ensemble.leader()?;
    // A leader that has just come to lead is not what anybody loses.
    std::thread::sleep(LEADS_FOR);
    writers.await_all()?;
    let start = writers.mark();
    let member = ensemble.member(leader);
    match going {
        Going::Killed => member.kill()?,
        Going::Hung => member.pause()?,
        Going::Stopped => member.ask_to_end()?,
    }
    let gap = writers.await_one(start)?;
    let member = ensemble.member(leader);
    match going {
        Going::Killed => member.start()?,
        Going::Hung => {
            // It gives its leadership up by itself, or is told.
            member.resume()?;
        }
        Going::Stopped => {
            member.await_end()?;
            member.start()?;
        }
    }
    ensemble.await_service()?;
    Ok(gap)
}

/// Sessions that write one request after the other.
struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    over: AtomicBool,
    since: Instant,
    /// Nanoseconds after `since` at which writes sent from then on count; 0 before the first round.
    mark: AtomicU64,
    /// When the first such write was acknowledged, or 0.
    first: AtomicU64,
    /// Writes of each session since the mark.
    counts: Vec<AtomicU64>,
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn on_acknowledged(&self, writer: usize, sent: u64) {
        if sent < self.mark.load(Ordering::SeqCst) {
            return;
        }
        let now = self.now();
        // Only the first one is kept.
        let _ = self
            .first
            .compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
        self.counts[writer].fetch_add(1, Ordering::SeqCst);
    }
}

impl Writers {
    fn start(ensemble: &Ensemble) -> Self {
        let shared = Arc::new(Shared {
            over: AtomicBool::new(false),
            since: Instant::now(),
            mark: AtomicU64::new(0),
            first: AtomicU64::new(0),
            counts: (0..WRITERS).map(|_| AtomicU64::new(0)).collect(),
        });
        let addrs: Arc<[SocketAddr]> = ensemble.addrs().into();
        let threads = (0..WRITERS)
            .map(|id| {
                let (shared, addrs) = (Arc::clone(&shared), Arc::clone(&addrs));
                std::thread::spawn(move || write(id, &addrs, &shared))
            })
            .collect();
        Self { shared, threads }
    }

    /// From here on writes count.
    fn mark(&self) -> u64 {
        for count in &self.shared.counts {
            count.store(0, Ordering::SeqCst);
        }
        let now = self.shared.now();
        self.shared.mark.store(now, Ordering::SeqCst);
        self.shared.first.store(0, Ordering::SeqCst);
        now
    }

    /// Every session writes.
    fn await_all(&self) -> Result<()> {
        self.mark();
        let writes = |count: &AtomicU64| count.load(Ordering::SeqCst) > 20;
        poll("not all sessions write", || {
            self.shared.counts.iter().all(writes).then_some(())
        })
    }

    /// How long after `start` the first write was acknowledged that was sent after it.
    fn await_one(&self, start: u64) -> Result<Duration> {
        let first = poll("nobody writes", || {
            let first = self.shared.first.load(Ordering::SeqCst);
            (first > 0).then_some(first)
        })?;
        Ok(Duration::from_nanos(first - start))
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

fn poll<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        ensure!(start.elapsed() < GAP_LIMIT, "{what} within {GAP_LIMIT:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A session's life: a write at a time, on the next server whenever one does not answer.
fn write(id: usize, addrs: &[SocketAddr], shared: &Shared) {
    let mut hello = Hello::new(60_000);
    let mut at = id;
    let mut refused = 0;
    while !shared.over.load(Ordering::SeqCst) {
        at += 1;
        let addr = addrs[at % addrs.len()];
        let Ok(Some((mut wire, grant))) = Wire::connect_within(addr, &hello, PATIENCE) else {
            refused += 1;
            if refused % addrs.len() == 0 {
                std::thread::sleep(PAUSE);
            }
            continue;
        };
        if grant.session == 0 {
            hello = Hello::new(60_000);
            continue;
        }
        hello.session = grant.session;
        hello.password = grant.password;
        let mut xid = 0;
        while !shared.over.load(Ordering::SeqCst) {
            xid += 1;
            let sent = shared.now();
            match set(&mut wire, id, xid) {
                Some(zxid) => hello.last_zxid = hello.last_zxid.max(zxid),
                None => break,
            }
            shared.on_acknowledged(id, sent);
        }
    }
}

/// One write: the znode is created if need be. The zxid, when it was acknowledged.
fn set(wire: &mut Wire, id: usize, xid: i32) -> Option<i64> {
    let path = format!("/gap-{id}");
    let body = if xid == 1 {
        create(&path)
    } else {
        Body::new().string(&path).buffer(Some(&[b'x'; 100])).i32(-1)
    };
    let op = if xid == 1 { op::CREATE } else { op::SET_DATA };
    wire.send(xid, op, &body).ok()?;
    match wire.receive().ok()? {
        // A failed write takes its way through the ensemble too: the znode is there already.
        Came::Frame(frame) if frame.err == 0 || frame.err == -110 => Some(frame.zxid),
        Came::Frame(_) | Came::Closed => None,
    }
}

fn create(path: &str) -> Body {
    Body::new()
        .string(path)
        .buffer(Some(&[b'x'; 100]))
        .acl(&[(31, "world", "anyone")])
        .i32(0)
}

/// A follower with an empty disk joins a leader that has many znodes.
fn join(dir: &Path, peer: Peer, znodes: u32) -> Result<String> {
    let mut plan = Plan::usual(vec![Seat::voter(peer); 3]);
    // A znode takes about 450 bytes of a JVM's heap, and joining some more for a while.
    plan.heap = "1500m";
    plan.init_limit = 100;
    let mut ensemble = Ensemble::start(dir, &plan)?;
    let leader = ensemble.leader()?;
    let follower = ensemble.awake_voters(leader)[0];
    fill(ensemble.member(leader).addr(), znodes)?;
    let mut times = Vec::new();
    for _ in 0..3 {
        ensemble.member(follower).terminate()?;
        ensemble.member(follower).wipe()?;
        let start = Instant::now();
        ensemble.member(follower).start()?;
        poll("the follower does not join", || {
            (ensemble.member(follower).role() == Some(Role::Follower)).then_some(())
        })?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(format!(
        "joined after {times:?}, the process' start included"
    ))
}

fn fill(addr: SocketAddr, znodes: u32) -> Result<()> {
    let (mut wire, _) =
        Wire::connect(addr, &Hello::new(60_000))?.context("closed at the handshake")?;
    wire.call(0, op::CREATE, &create("/many"))?;
    // Whole folders.
    let mut left = i32::try_from(znodes.next_multiple_of(1_000))?;
    while left > 0 {
        let batch = left.min(PIPELINE);
        for n in 0..batch {
            // 22 characters, a thousand to a folder.
            let number = left - n;
            let path = if number % 1_000 == 0 {
                format!("/many/{:09}", number / 1_000)
            } else {
                format!("/many/{:09}/{:06}", (number + 999) / 1_000, number % 1_000)
            };
            wire.send(number, op::CREATE, &create(&path))?;
        }
        for _ in 0..batch {
            let Came::Frame(frame) = wire.receive()? else {
                anyhow::bail!("closed while filling");
            };
            ensure!(frame.err == 0, "filling: error {}", frame.err);
        }
        left -= batch;
    }
    wire.call(0, op::CLOSE_SESSION, &Body::new())?;
    Ok(())
}
