//! What is measured, and the bars: ratios to Apache ZooKeeper in the same run, or values.

use std::fs;

use anyhow::Context;

use super::generator::{Generator, Target};
use super::server::{Kind, Server};
use super::table::{Bar, Comparison, Row};
use super::{Bench, Rows, ensemble};

/// Measures what is asked for.
pub(super) fn measure(bench: &Bench, comparison: &mut Comparison) -> anyhow::Result<()> {
    let args = &bench.args;
    if args.wants(Rows::Idle) {
        idle(bench, comparison)?;
    }
    let loaded = [Rows::Get, Rows::Set, Rows::Mix, Rows::Sessions, Rows::Watch];
    if loaded.iter().any(|rows| args.wants(*rows)) {
        warm_servers(bench, comparison)?;
    }
    if args.wants(Rows::Memory) || args.wants(Rows::Snapshot) {
        filled(bench, comparison)?;
    }
    if args.wants(Rows::Ensemble) {
        ensemble::measure(bench, comparison)?;
    }
    Ok(())
}

impl Bench {
    /// Apache first, then what it is compared with.
    pub(super) fn kinds(&self) -> [Kind; 2] {
        [Kind::Apache, self.args.subject]
    }

    /// Runs `one` for each server in turn, as often as is asked for; the median of each figure.
    pub(super) fn medians<const N: usize>(
        &self,
        mut one: impl FnMut(usize) -> anyhow::Result<[f64; N]>,
    ) -> anyhow::Result<[[f64; 2]; N]> {
        let mut found: [[Vec<f64>; 2]; N] = std::array::from_fn(|_| [Vec::new(), Vec::new()]);
        for _ in 0..self.args.passes {
            for server in 0..2 {
                for (figures, value) in found.iter_mut().zip(one(server)?) {
                    figures[server].push(value);
                }
            }
        }
        Ok(found.map(|servers| servers.map(median)))
    }
}

/// A server that has nothing to do.
fn idle(bench: &Bench, comparison: &mut Comparison) -> anyhow::Result<()> {
    let [memory, start] = bench.medians(|server| {
        let started = bench
            .place
            .start(bench.kinds()[server], "idle", &bench.generator)?;
        Ok([
            started.server.resident()? / 1e6,
            started.first_read.as_secs_f64() * 1e3,
        ])
    })?;
    push(comparison, "idle memory", "MB", memory, Bar::To(15.0));
    push(
        comparison,
        "start on an empty directory to the first read",
        "ms",
        start,
        Bar::To(50.0),
    );
    Ok(())
}

/// Both servers at once, warm, asked in turn.
fn warm_servers(bench: &Bench, comparison: &mut Comparison) -> anyhow::Result<()> {
    let [apache, subject] = bench.kinds();
    let servers = [
        bench.place.start(apache, "first", &bench.generator)?.server,
        bench
            .place
            .start(subject, "second", &bench.generator)?
            .server,
    ];
    for server in &servers {
        warm(&bench.generator, &server.target(), bench.args.quick)?;
    }
    let operations = [
        (Rows::Get, "get", GET),
        (Rows::Set, "set", SET),
        (Rows::Mix, "mix", MIX),
    ];
    for (rows, operation, bars) in operations {
        if bench.args.wants(rows) {
            for ((sessions, depth), bar) in LOADS.into_iter().zip(bars) {
                let name = format!("{operation} {sessions} × {depth}");
                let work = format!("{operation} -n {sessions} -d {depth}");
                let targets = [servers[0].target(), servers[1].target()];
                load(bench, comparison, &targets, &name, &work, bar)?;
            }
        }
    }
    if bench.args.wants(Rows::Sessions) {
        sessions(bench, comparison, &servers)?;
    }
    if bench.args.wants(Rows::Watch) {
        watch(bench, comparison, &servers)?;
    }
    Ok(())
}

/// Puts load on a server until its rate is flat: a JVM compiles what it runs often.
pub(crate) fn warm(generator: &Generator, server: &Target, quick: bool) -> anyhow::Result<()> {
    let rounds = if quick { 1 } else { WARM_UP_ROUNDS };
    let mut best = 0.0_f64;
    for round in 1..=rounds {
        let mut rate = 0.0;
        for work in [
            "create -n 8 -d 32",
            "set -n 64 -d 32",
            "get -n 64 -d 32",
            "mix -n 64",
        ] {
            let run = generator.run(server, &format!("{work} --warm-up 0 --duration 2"))?;
            rate += run.of("ops_per_second")?;
        }
        println!(
            "{} warms up, round {round}: {rate:.0} op/s in all",
            server.kind
        );
        if round >= 3 && rate < best * FLAT {
            break;
        }
        best = best.max(rate);
    }
    Ok(())
}

pub(super) fn load(
    bench: &Bench,
    comparison: &mut Comparison,
    targets: &[Target; 2],
    name: &str,
    work: &str,
    bar: Bar,
) -> anyhow::Result<()> {
    let work = format!("{work} --duration {}", bench.args.seconds);
    let [rate, p50, p99, cpu] = bench.medians(|server| {
        let run = bench.generator.run(&targets[server], &work)?;
        Ok([
            run.of("ops_per_second")?,
            run.of("p50_us")?,
            run.of("p99_us")?,
            run.of("server_cpu_per_op_us")?,
        ])
    })?;
    push(comparison, name, "op/s", rate, bar);
    push(comparison, &format!("{name}: p50"), "µs", p50, Bar::None);
    push(
        comparison,
        &format!("{name}: p99"),
        "µs",
        p99,
        Bar::RatioTo(1.0),
    );
    push(
        comparison,
        &format!("{name}: server CPU"),
        "µs/op",
        cpu,
        Bar::RatioTo(0.25),
    );
    Ok(())
}

fn sessions(
    bench: &Bench,
    comparison: &mut Comparison,
    servers: &[Server; 2],
) -> anyhow::Result<()> {
    let [rate, memory, cpu] = bench.medians(|server| {
        let run = bench
            .generator
            .run(&servers[server].target(), "sessions -n 10000 --at-once 32")?;
        Ok([
            run.of("opened_per_second")?,
            run.of("server_rss_per_session_bytes")?,
            run.of("server_cpu_per_session_us")?,
        ])
    })?;
    push(
        comparison,
        "sessions opened",
        "/s",
        rate,
        Bar::RatioFrom(3.0),
    );
    push(
        comparison,
        "memory per idle session",
        "B",
        memory,
        Bar::To(6_000.0),
    );
    push(
        comparison,
        "server CPU per session opened",
        "µs",
        cpu,
        Bar::None,
    );
    let [storm] = bench.medians(|server| {
        let run = bench
            .generator
            .run(&servers[server].target(), "sessions -n 2000 --at-once 256")?;
        Ok([run.of("p99_us")? / 1e3])
    })?;
    push(
        comparison,
        "256 handshakes at once: p99",
        "ms",
        storm,
        Bar::To(50.0),
    );
    Ok(())
}

fn watch(bench: &Bench, comparison: &mut Comparison, servers: &[Server; 2]) -> anyhow::Result<()> {
    let [last] = bench.medians(|server| {
        let run = bench.generator.run(
            &servers[server].target(),
            "watch -n 5000 --rounds 20 --warm-up 20",
        )?;
        Ok([run.of("set_to_last_notification_ms")?])
    })?;
    let name = "5,000 watchers: set to the last notification";
    push(comparison, name, "ms", last, Bar::RatioTo(1.0 / 3.0));
    Ok(())
}

/// One server after the other, with many znodes.
fn filled(bench: &Bench, comparison: &mut Comparison) -> anyhow::Result<()> {
    let [apache, subject] = bench.kinds();
    let found = [
        filled_server(bench, apache)?,
        filled_server(bench, subject)?,
    ];
    let of = |figure: fn(&Filled) -> f64| [figure(&found[0]), figure(&found[1])];
    if bench.args.wants(Rows::Memory) {
        let znodes = bench.args.znodes as f64;
        let memory = of(|filled| filled.memory);
        push(
            comparison,
            "memory with many znodes",
            "MB",
            memory.map(|bytes| bytes / 1e6),
            Bar::None,
        );
        push(
            comparison,
            "memory for each of them",
            "B",
            memory.map(|bytes| bytes / znodes),
            Bar::To(250.0),
        );
        let name = "killed, start to the first read of them";
        push(
            comparison,
            name,
            "s",
            of(|filled| filled.start),
            Bar::RatioTo(0.2),
        );
    }
    if bench.args.wants(Rows::Snapshot) {
        let (quiet, busy) = (of(|filled| filled.quiet), of(|filled| filled.busy));
        push(
            comparison,
            "set 64 × 1, many znodes, quiet: p99.9",
            "µs",
            quiet,
            Bar::None,
        );
        push(
            comparison,
            "the same during snapshots: p99.9",
            "µs",
            busy,
            Bar::None,
        );
        let over = [busy[0] / quiet[0], busy[1] / quiet[1]];
        push(
            comparison,
            "p99.9 during snapshots over quiet",
            "×",
            over,
            Bar::To(1.5),
        );
        let [apache, subject] = found.map(|filled| filled.snapshots);
        comparison.note(format!(
            "Snapshots begun while writes were measured: {apache} by Java, {subject} by {}.",
            bench.args.subject
        ));
    }
    Ok(())
}

/// A server with many znodes.
#[derive(Debug, Default)]
struct Filled {
    /// Resident, in bytes.
    memory: f64,
    /// From the start of the process after a kill to the first read, in seconds.
    start: f64,
    /// p99.9 of writes in µs without a snapshot.
    quiet: f64,
    /// The same during snapshots.
    busy: f64,
    /// How many snapshots those were.
    snapshots: usize,
}

fn filled_server(bench: &Bench, kind: Kind) -> anyhow::Result<Filled> {
    let mut filled = Filled::default();
    let znodes = bench.args.znodes;
    let running = bench.place.start(kind, "filled", &bench.generator)?.server;
    let run = bench
        .generator
        .run(&running.target(), &format!("fill --znodes {znodes}"))?;
    println!(
        "{kind} is filled at {:.0} znodes/s",
        run.of("ops_per_second")?
    );
    filled.memory = running.resident()?;
    let folder = running.kill()?;
    let last = format!("/bench/p{:05}/k{:07}", (znodes - 1) / 1000, znodes - 1);
    let resume = |properties: &[&str]| {
        let place = &bench.place;
        place.resume(kind, &folder, properties, &last, &bench.generator)
    };
    let mut starts = Vec::new();
    for _ in 0..bench.args.passes {
        let started = resume(&[])?;
        starts.push(started.first_read.as_secs_f64());
        started.server.kill()?;
    }
    filled.start = median(starts);
    if bench.args.wants(Rows::Snapshot) {
        let server = resume(&["zookeeper.snapCount=1000000000"])?.server;
        (filled.quiet, _) = tail_of_writes(bench, server)?;
        // So few that the next snapshot is due when one is done.
        let server = resume(&["zookeeper.snapCount=20000"])?.server;
        (filled.busy, filled.snapshots) = tail_of_writes(bench, server)?;
    }
    fs::remove_dir_all(folder)?;
    Ok(filled)
}

/// p99.9 of writes in µs, after a warm-up, and how many snapshots were begun meanwhile.
fn tail_of_writes(bench: &Bench, server: Server) -> anyhow::Result<(f64, usize)> {
    let seconds = bench.args.seconds;
    let warm_up = format!("set -n 64 --warm-up 0 --duration {}", seconds * 2);
    bench.generator.run(&server.target(), &warm_up)?;
    let before = server.snapshots()?;
    let mut found = Vec::new();
    for _ in 0..bench.args.passes {
        let run = bench.generator.run(
            &server.target(),
            &format!("set -n 64 --duration {}", seconds * 2),
        )?;
        found.push(run.of("p999_us")?);
    }
    let snapshots = server
        .snapshots()?
        .checked_sub(before)
        .context("snapshots went away")?;
    server.kill()?;
    Ok((median(found), snapshots))
}

fn push(
    comparison: &mut Comparison,
    measure: &str,
    unit: &'static str,
    values: [f64; 2],
    bar: Bar,
) {
    comparison.push(Row {
        measure: measure.to_owned(),
        unit,
        apache: values[0],
        subject: values[1],
        bar,
    });
}

/// The value in the middle; of two, the lower one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(f64::NAN)
}

/// Sessions and requests outstanding in each.
pub(crate) const LOADS: [(u32, u32); 3] = [(1, 1), (64, 1), (64, 32)];
/// Bars of each load, in operations per second over Apache's.
pub(crate) const GET: [Bar; 3] = [
    Bar::RatioFrom(2.5),
    Bar::RatioFrom(2.5),
    Bar::RatioFrom(7.0),
];
pub(crate) const SET: [Bar; 3] = [
    Bar::RatioFrom(2.0),
    Bar::RatioFrom(2.0),
    Bar::RatioFrom(6.0),
];
pub(crate) const MIX: [Bar; 3] = [Bar::None, Bar::None, Bar::None];
/// At most so many rounds of warming up, of 8 s each.
const WARM_UP_ROUNDS: u32 = 12;
/// A round that is not faster than this, over the best before, says that the rate is flat.
const FLAT: f64 = 1.03;

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 1.0);
        assert!(median(vec![]).is_nan());
    }
}
