//! What a server holds: znodes, idle sessions, watches. Its memory, its start, and what requests cost beside all that.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::crowd::{Crowd, filled};
use super::curve::{Figure, Findings};
use super::{Sitting, metric};
use crate::bench::ensemble::{ANSWER_LIMIT, Ensemble, ask};
use crate::bench::generator::Target;
use crate::bench::server::{Kind, Place, resident};

/// Many znodes: what each takes, how long a start takes, a snapshot, and requests for random ones of them.
pub(super) fn znodes(
    sitting: &Sitting<'_>,
    kind: Kind,
    at: u32,
    found: &mut Findings,
) -> anyhow::Result<()> {
    ensure!(
        kind == Kind::Zabra || at <= ZNODES_OF_APACHE,
        "its heap of 1,000 MB, as it is shipped, does not hold them"
    );
    let (place, x) = (sitting.place()?, f64::from(at));
    // As many snapshots as anybody has; of ten million znodes they would fill the disk.
    let snap_count = SNAP_COUNT.max(at / 10);
    let place = place.with_properties(vec![format!("zookeeper.snapCount={snap_count}")]);
    let server = place.start(kind, "filled", &sitting.generator)?.server;
    let fill = format!("fill --znodes {at}");
    let fill = sitting.generator.run(&server.target(), &fill)?;
    found.add_runs(kind, &[ZNODE_MEMORY], x, &[fill])?;
    let folder = server.kill()?;
    for _ in 0..sitting.args.passes {
        let last = filled(at - 1);
        let started = place.resume(kind, &folder, &[], &last, &sitting.generator)?;
        let milliseconds = started.first_read.as_secs_f64() * 1e3;
        found.add(kind, ZNODE_START, x, milliseconds);
        started.server.kill()?;
    }
    snapshot(sitting, &place, kind, &folder, x, found)?;
    requests_among_znodes(sitting, kind, at, found)
}

/// Lets a server take a snapshot, and tells how long it took and how large it is.
fn snapshot(
    sitting: &Sitting<'_>,
    place: &Place,
    kind: Kind,
    folder: &Path,
    x: f64,
    found: &mut Findings,
) -> anyhow::Result<()> {
    let soon = ["zookeeper.snapCount=1000"];
    let server = place
        .resume(kind, folder, &soon, "/", &sitting.generator)?
        .server;
    let sets = "set -n 8 --keys 100 --warm-up 0 --ops 1500";
    sitting.generator.run(&server.target(), sets)?;
    let until = Instant::now() + SNAPSHOT_LIMIT;
    let port = server.target().ports[0];
    let took = loop {
        let answer = ask(port, b"mntr", ANSWER_LIMIT)?;
        match metric(&answer, "zk_cnt_snapshottime") {
            Some(count) if count > 0.0 => break metric(&answer, "zk_max_snapshottime"),
            _ if Instant::now() > until => bail!("no snapshot was finished"),
            _ => std::thread::sleep(PAUSE),
        }
    };
    let took = took.context("mntr tells no time of a snapshot")?;
    found.add(kind, SNAPSHOT_TIME, x, took);
    let mut largest = 0;
    for entry in fs::read_dir(folder.join("data/version-2"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("snapshot.") && !name.ends_with(".tmp") {
            largest = largest.max(entry.metadata()?.len());
        }
    }
    found.add(kind, SNAPSHOT_SIZE, x, largest as f64 / 1e6);
    server.kill()?;
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// Requests for random znodes out of all that there are, on a server of its own that takes no snapshots meanwhile.
fn requests_among_znodes(
    sitting: &Sitting<'_>,
    kind: Kind,
    at: u32,
    found: &mut Findings,
) -> anyhow::Result<()> {
    let place = sitting.place()?;
    let place = place.with_properties(vec!["zookeeper.snapCount=1000000000".to_owned()]);
    for (operation, figures) in [("get", ZNODE_GET), ("set", ZNODE_SET)] {
        let server = place.start(kind, operation, &sitting.generator)?.server;
        sitting.warm(&server.target())?;
        let work = format!("{operation} -n 64 --keys {at}");
        let runs = if at < MANY {
            sitting.runs(&sitting.generator, &server.target(), &work)?
        } else {
            // The load generator creates the znodes for each run anew.
            found.note(format!("From {MANY} znodes on, requests are measured in one window that is as long as all passes together."));
            let window = sitting.window * f64::from(sitting.args.passes);
            vec![sitting.run(&sitting.generator, &server.target(), &work, window)?]
        };
        found.add_runs(kind, &figures, f64::from(at), &runs)?;
        fs::remove_dir_all(server.kill()?)?;
    }
    Ok(())
}

/// Sessions that only ping, on one server; in a long run on three as well.
pub(super) fn sessions(
    sitting: &Sitting<'_>,
    kind: Kind,
    at: u32,
    found: &mut Findings,
) -> anyhow::Result<()> {
    let allowed = sitting.files.saturating_sub(SPARE_FILES);
    let on_one = u64::from(at).min(allowed / 1000 * 1000) as u32;
    if on_one < at {
        found.note(format!(
            "{at} sessions on one server need more open files than the {} that a process may have here (ulimit -Hn): {on_one} \
             instead.",
            sitting.files
        ));
    }
    sessions_of(sitting, kind, on_one, 1, &SESSIONS_OF_ONE, found)?;
    if sitting.args.long && at >= 1_000 {
        sessions_of(sitting, kind, at, 3, &SESSIONS_OF_THREE, found)?;
    }
    Ok(())
}

fn sessions_of(
    sitting: &Sitting<'_>,
    kind: Kind,
    at: u32,
    servers: usize,
    figures: &SessionFigures,
    found: &mut Findings,
) -> anyhow::Result<()> {
    let (place, x) = (sitting.place()?, f64::from(at));
    let ensemble = Ensemble::start(&place, &sitting.generator, kind, "sessions", servers)?;
    let target = ensemble.target();
    sitting.warm(&target)?;
    // What the load itself takes is taken before.
    sitting.run(
        &sitting.generator,
        &target,
        "get -n 64",
        sitting.window / 4.0,
    )?;
    let before = memory(&target)?;
    let mut crowd = Crowd::open(&target, at, SESSION_TIMEOUT, 0)?;
    let grown = memory(&target)? - before;
    found.add(kind, figures.memory, x, (before + grown) / 1e6);
    found.add(kind, figures.each, x, grown.max(0.0) / x);
    for _ in 0..sitting.args.passes {
        let (begun, used) = (Instant::now(), cpu(&target)?);
        std::thread::sleep(Duration::from_secs_f64(sitting.window));
        let used = (cpu(&target)? - used) / begun.elapsed().as_secs_f64();
        found.add(kind, figures.idle, x, used * 1e3);
    }
    let runs = sitting.runs(&sitting.generator, &target, "get -n 64")?;
    found.add_runs(kind, &figures.get, x, &runs)?;
    crowd.check()
}

/// Watches on many znodes: what each takes, and what a set of another znode costs beside them.
pub(super) fn watches(
    sitting: &Sitting<'_>,
    kind: Kind,
    at: u32,
    found: &mut Findings,
) -> anyhow::Result<()> {
    let (place, x) = (sitting.place()?, f64::from(at));
    let server = place.start(kind, "watched", &sitting.generator)?.server;
    let target = server.target();
    let fill = format!("fill --znodes {WATCHED}");
    sitting.generator.run(&target, &fill)?;
    sitting.warm(&target)?;
    sitting.run(
        &sitting.generator,
        &target,
        "set -n 64",
        sitting.window / 4.0,
    )?;
    let before = memory(&target)?;
    let mut crowd = Crowd::open(&target, WATCHERS, SESSION_TIMEOUT, at / WATCHERS)?;
    let held = metric(
        &ask(target.ports[0], b"mntr", ANSWER_LIMIT)?,
        "zk_watch_count",
    );
    ensure!(held == Some(x), "the server has {held:?} watches");
    let grown = memory(&target)? - before;
    found.add(kind, WATCH_MEMORY, x, (before + grown) / 1e6);
    found.add(kind, WATCH_EACH, x, grown.max(0.0) / x);
    let runs = sitting.runs(&sitting.generator, &target, "set -n 64")?;
    found.add_runs(kind, &WATCH_SET, x, &runs)?;
    crowd.check()?;
    drop(crowd);
    let folder = server.kill()?;
    for _ in 0..sitting.args.passes {
        let started = place.resume(kind, &folder, &[], "/", &sitting.generator)?;
        let milliseconds = started.first_read.as_secs_f64() * 1e3;
        found.add(kind, WATCH_START, x, milliseconds);
        started.server.kill()?;
    }
    Ok(())
}

/// Resident bytes of the servers together.
fn memory(target: &Target) -> anyhow::Result<f64> {
    target.pids.iter().map(|pid| resident(*pid)).sum()
}

/// Seconds of CPU that the servers have used so far, as the scheduler counts them: a clock tick would be too coarse for what a
/// server does while nothing happens.
fn cpu(target: &Target) -> anyhow::Result<f64> {
    let mut nanoseconds = 0;
    for pid in &target.pids {
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            // One that has ended meanwhile has no figures any more.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
                continue;
            };
            let used = text.split(' ').next().unwrap_or_default();
            nanoseconds += used.parse::<u64>().context("no time of a thread")?;
        }
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// What is told of sessions.
struct SessionFigures {
    memory: Figure,
    each: Figure,
    idle: Figure,
    get: [Figure; 3],
}

/// The most znodes that fit into Apache's heap.
const ZNODES_OF_APACHE: u32 = 1_000_000;
/// Transactions between snapshots, as servers have it by default.
const SNAP_COUNT: u32 = 100_000;
/// From so many znodes on a load has one run.
const MANY: u32 = 1_000_000;
/// Sessions that have the watches.
const WATCHERS: u32 = 100;
/// Znodes that are watched at most.
const WATCHED: u32 = 10_000;
/// Files that a server has open besides its connections, and sessions of the load.
const SPARE_FILES: u64 = 500;
/// As clients ask for.
const SESSION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a snapshot may take.
const SNAPSHOT_LIMIT: Duration = Duration::from_secs(300);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

const CPU: &str = "server_cpu_per_op_us";
const P99: &str = "p99_us";
const CACHES: &str = "flat, but for the caches of the processor, which hold ever less of the tree";

const ZNODE_MEMORY: Figure = Figure::held(
    "resident memory of each",
    "B",
    "server_rss_per_znode_bytes",
    0.0,
    "each takes the same",
);
const ZNODE_START: Figure = Figure::held(
    "killed, start to the first read",
    "ms",
    "",
    1.0,
    "a snapshot and a log are read once",
);
const SNAPSHOT_SIZE: Figure = Figure::held("snapshot", "MB", "", 1.0, "each is written once");
const SNAPSHOT_TIME: Figure =
    Figure::held("time of a snapshot", "ms", "", 1.0, "each is written once");
const ZNODE_GET: [Figure; 2] = [
    Figure::held("get 64 × 1: server CPU", "µs/op", CPU, 0.05, CACHES),
    Figure::held("get 64 × 1: p99", "µs", P99, 0.05, CACHES).of_a_tail(),
];
const ZNODE_SET: [Figure; 2] = [
    Figure::held("set 64 × 1: server CPU", "µs/op", CPU, 0.05, CACHES),
    Figure::held("set 64 × 1: p99", "µs", P99, 0.05, CACHES).of_a_tail(),
];

const NO_PART: &str = "flat: they have no part in it";
const PINGS: &str = "linear: each pings every 10 s";
const SESSIONS_OF_ONE: SessionFigures = SessionFigures {
    memory: Figure::held("resident memory", "MB", "", 1.0, "linear"),
    each: Figure::told("resident memory of each", "B", ""),
    idle: Figure::held("CPU of the idle server", "ms/s", "", 1.0, PINGS),
    get: [
        Figure::held(
            "get 64 × 1 beside them: server CPU",
            "µs/op",
            CPU,
            0.0,
            NO_PART,
        ),
        Figure::told("get 64 × 1 beside them: p50", "µs", "p50_us"),
        Figure::held("get 64 × 1 beside them: p99", "µs", P99, 0.0, NO_PART).of_a_tail(),
    ],
};
const SESSIONS_OF_THREE: SessionFigures = SessionFigures {
    memory: Figure::held("three servers: resident memory", "MB", "", 1.0, "linear"),
    each: Figure::told("three servers: resident memory of each", "B", ""),
    idle: Figure::held("three servers: CPU while idle", "ms/s", "", 1.0, PINGS),
    get: [
        Figure::held("three servers, get 64 × 1: CPU", "µs/op", CPU, 0.0, NO_PART),
        Figure::told("three servers, get 64 × 1: p50", "µs", "p50_us"),
        Figure::held("three servers, get 64 × 1: p99", "µs", P99, 0.0, NO_PART).of_a_tail(),
    ],
};

const WATCH_MEMORY: Figure = Figure::held("resident memory", "MB", "", 1.0, "linear");
const WATCH_EACH: Figure = Figure::told("resident memory of each", "B", "");
const WATCH_SET: [Figure; 2] = [
    Figure::held(
        "set 64 × 1 that fires none: server CPU",
        "µs/op",
        CPU,
        0.0,
        NO_PART,
    ),
    Figure::held("set 64 × 1 that fires none: p99", "µs", P99, 0.0, NO_PART).of_a_tail(),
];
const WATCH_START: Figure = Figure::held(
    "killed, start to the first read",
    "ms",
    "",
    0.0,
    "flat: they are not on the disk",
);
