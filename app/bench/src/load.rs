//! Operations under load in a measured window.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::args::{LoadArgs, Target};
use crate::engine::{Engine, Job, Servers};
use crate::ground::{self, Ground, Operation};
use crate::link::{Clock, Nanos};
use crate::process;
use crate::recorder::{Measured, OpenLoop, Recorder, Seconds, Until, histogram};
use crate::report::{Report, Unit};
use crate::schedule::Schedule;
use crate::source::Source;

/// Prepares the znodes, runs the load, removes what was created.
pub(crate) fn run(target: &Target, load: &LoadArgs, operation: &Operation) -> Result<Report> {
    let ground = Ground::new(load, *operation)?;
    let servers = Servers::of(target)?;
    ground.prepare(&servers)?;
    let (measured, used, rates) = drive(target, &servers, load, &ground)
        .with_context(|| format!("the run failed; {} is left on the server", ground.root))?;
    let memory = process::resident(&target.server_pid)?;
    if !load.keep {
        ground.remove(&servers, &used)?;
    }
    let mut report = Report::new(ground.title(load));
    describe(&mut report, &measured, target);
    for (name, latency) in ground.kinds().iter().zip(&measured.kinds) {
        if !latency.is_empty() {
            let count = latency.len() as f64;
            report.push(format!("{name}_operations"), count, Unit::Count);
            report.push_latency(&format!("{name}_"), latency);
        }
    }
    if let Some(told) = measured.shortfall(load.sessions.into()) {
        report.note(told);
    }
    if !target.server_pid.is_empty() {
        report.push("server_rss_mb", memory as f64 / 1e6, Unit::Megabytes);
    }
    for rate in rates {
        report.push_second(rate as f64);
    }
    Ok(report)
}

/// Adds what every measured window has: rate, latency, CPU.
pub(crate) fn describe(report: &mut Report, measured: &Measured, target: &Target) {
    let window = measured.window.as_secs_f64().max(1e-9);
    let operations = measured.operations.max(1) as f64;
    report.push("operations", measured.operations as f64, Unit::Count);
    report.push("window_s", window, Unit::Seconds);
    if let Some(open) = &measured.open {
        report.push("rate_asked_per_second", open.asked, Unit::PerSecond);
        report.push("due", open.due as f64, Unit::Count);
        report.push("backlog", open.backlog as f64, Unit::Count);
    }
    report.push(
        "ops_per_second",
        measured.operations as f64 / window,
        Unit::PerSecond,
    );
    report.push_latency("", &measured.latency);
    if let Some(open) = &measured.open {
        report.push_latency("service_", &open.service);
    }
    let mut cpu = |who: &str, used: Duration| {
        let used = used.as_secs_f64();
        report.push(
            format!("{who}_cpu_per_op_us"),
            used * 1e6 / operations,
            Unit::Micros,
        );
        report.push(format!("{who}_cores"), used / window, Unit::Cores);
    };
    cpu("client", measured.cpu.own);
    if !target.server_pid.is_empty() {
        cpu("server", measured.cpu.servers);
    }
}

/// What a run leaves: what was measured, the znodes of each session's own, the rate of each second.
type Driven = (Measured, Vec<Range<u64>>, Vec<u64>);

/// Opens the sessions and runs the load on as many threads as are asked for.
fn drive(target: &Target, servers: &Servers, load: &LoadArgs, ground: &Ground) -> Result<Driven> {
    let clock = Clock::start();
    let engines = open(servers, clock, load)?;
    let seconds = load.per_second.then(|| Seconds::of(load.threads));
    let origin = clock.now();
    let from = origin.after(match ground.operation {
        // What is deleted while warming up would be missing in the window.
        Operation::Delete { .. } => Duration::ZERO,
        _ => load.warm_up,
    });
    let mut shares = Vec::with_capacity(engines.len());
    let mut next = 0;
    for engine in engines {
        let sessions = next..next + engine.len() as u64;
        next = sessions.end;
        let schedule = load.rate.map(|rate| {
            let all = u64::from(load.sessions);
            Schedule::new(origin, rate.0, all, sessions.clone())
        });
        let mut recorder = recorder(load, ground, from, seconds.clone());
        if shares.is_empty() {
            recorder = recorder.with_cpu(&target.server_pid);
        }
        let job = Job {
            templates: ground.templates(),
            sources: sessions.map(|session| ground.source(session)).collect(),
        };
        shares.push(Share {
            engine,
            job,
            schedule,
            recorder,
        });
    }
    let (measured, sources) = run_all(shares, load.depth)?;
    let used = sources
        .iter()
        .zip(0..)
        .map(|(source, session)| ground::made(source, session));
    let rates = seconds.map_or_else(Vec::new, |seconds| seconds.rates());
    Ok((measured, used.collect(), rates))
}

/// The part of one thread.
struct Share {
    engine: Engine,
    job: Job,
    /// In an open loop.
    schedule: Option<Schedule>,
    recorder: Recorder,
}

impl Share {
    fn run(mut self, depth: u32) -> Result<(Measured, Vec<Source>)> {
        let (job, recorder) = (&mut self.job, &mut self.recorder);
        match self.schedule {
            None => self.engine.run(job, depth, recorder)?,
            Some(schedule) => self.engine.run_open(job, schedule, depth, recorder)?,
        }
        self.engine.close()?;
        Ok((self.recorder.finish(), self.job.sources))
    }
}

/// Opens the sessions, in one engine for each thread.
fn open(servers: &Servers, clock: Clock, load: &LoadArgs) -> Result<Vec<Engine>> {
    let (sessions, threads) = (load.sessions as usize, load.threads as usize);
    let share = |thread: usize| sessions * thread / threads..sessions * (thread + 1) / threads;
    let open = |sessions| Engine::open(servers, clock, sessions, OPEN_AT_ONCE, &mut histogram());
    (0..threads).map(share).map(open).collect()
}

/// Runs every share on a thread of its own and puts together what they measured.
fn run_all(shares: Vec<Share>, depth: u32) -> Result<(Measured, Vec<Source>)> {
    let runs: Vec<Result<(Measured, Vec<Source>)>> = std::thread::scope(|scope| {
        let spawn = |share: Share| scope.spawn(move || share.run(depth));
        let threads: Vec<_> = shares.into_iter().map(spawn).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let mut all: Option<(Measured, Vec<Source>)> = None;
    for run in runs {
        let (measured, sources) = run?;
        match &mut all {
            Some((merged, merged_sources)) => {
                merged.merge(&measured)?;
                merged_sources.extend(sources);
            }
            None => all = Some((measured, sources)),
        }
    }
    all.context("no thread ran")
}

fn recorder(
    load: &LoadArgs,
    ground: &Ground,
    from: Nanos,
    seconds: Option<Arc<Seconds>>,
) -> Recorder {
    let until = match (ground.operation, load.ops) {
        (Operation::Delete { .. }, None) => Until::Exhausted,
        (_, Some(ops)) => Until::Operations((ops / u64::from(load.threads)).max(1)),
        (_, None) => Until::Elapsed(load.duration),
    };
    let mut recorder = Recorder::new(from, until).with_kinds(ground.kinds().len());
    if let Some(rate) = load.rate {
        let window = from..from.after(load.duration);
        recorder = recorder.with_open_loop(OpenLoop::new(rate.0, window));
    }
    match seconds {
        Some(seconds) => recorder.with_seconds(seconds),
        None => recorder,
    }
}

/// Handshakes at once before a run.
const OPEN_AT_ONCE: usize = 32;
