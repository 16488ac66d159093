//! What is asked of whom: the rows of the report, and the runs behind them.

use std::time::Duration;

use super::Sitting;
use super::flush::Times;
use super::sheet::{Better, Figure, Line, Sheet};
use crate::bench::ensemble::{self, Ensemble};
use crate::bench::generator::Target;
use crate::bench::rows::{self, LOADS, warm};
use crate::bench::server::Kind;
use crate::bench::table::Bar;

/// A row: a load, and what is told of it.
struct Row {
    name: String,
    /// For the load generator of this peer; `None` when it cannot do it or it would be another row again.
    work: fn(&str, Kind) -> Option<String>,
    /// Handed to `work`.
    load: String,
    /// Whether sessions are on the leader alone.
    on_leader: bool,
    figures: Vec<(Figure, Bar)>,
}

/// Measures everything that is asked for.
pub(super) fn measure(sitting: &Sitting<'_>, sheet: &mut Sheet) -> anyhow::Result<()> {
    let disk = |sheet: &mut Sheet, when: &str| {
        let times = Times::measure(sitting.folder)?;
        sheet.flushes.push((when.to_owned(), times));
        anyhow::Ok(())
    };
    disk(sheet, "at the begin")?;
    if sitting.args.wants(FRESH) {
        fresh(sitting, sheet)?;
    }
    for &delay in &sitting.args.delays {
        let delay = Duration::from_millis(delay);
        if !delay.is_zero() {
            match Times::measure_slowed(sitting.folder, delay) {
                Ok(times) => {
                    let how = format!("lengthened by {} ms", delay.as_millis());
                    sheet.flushes.push((how, times));
                }
                Err(error) => {
                    sheet.note(format!("No rows with longer flushes: {error:#}."));
                    continue;
                }
            }
        }
        for &servers in &sitting.args.servers {
            let rows = loads(servers, delay);
            let rows: Vec<Row> = rows
                .into_iter()
                .filter(|row| sitting.args.wants(&row.name))
                .collect();
            if !rows.is_empty() {
                loaded(sitting, sheet, servers.into(), delay, &rows)?;
            }
        }
    }
    disk(sheet, "at the end")
}

/// Memory and start of a server on an empty directory.
fn fresh(sitting: &Sitting<'_>, sheet: &mut Sheet) -> anyhow::Result<()> {
    let place = sitting.place(Duration::ZERO)?;
    let [mut memory, mut start] =
        [(MEMORY, Bar::To(15.0)), (FIRST_READ, Bar::To(50.0))].map(|(figure, bar)| Line {
            section: section(1, Duration::ZERO),
            row: FRESH.to_owned(),
            figure,
            bar,
            runs: sitting
                .peers
                .iter()
                .map(|&kind| (kind, Vec::new()))
                .collect(),
        });
    for pass in 0..sitting.args.passes as usize {
        for at in turn(sitting.peers.len(), pass) {
            let started = place.start(sitting.peers[at], "fresh", &sitting.generator)?;
            memory.runs[at].1.push(started.server.resident()? / 1e6);
            start.runs[at]
                .1
                .push(started.first_read.as_secs_f64() * 1e3);
        }
    }
    sheet.lines.extend([memory, start]);
    Ok(())
}

/// All peers at once, warm, asked in turn; who begins changes.
fn loaded(
    sitting: &Sitting<'_>,
    sheet: &mut Sheet,
    servers: usize,
    delay: Duration,
    rows: &[Row],
) -> anyhow::Result<()> {
    let section = section(servers, delay);
    println!("\n{section}");
    let place = sitting.place(delay)?;
    let mut ensembles = Vec::new();
    for &kind in &sitting.peers {
        let ensemble = Ensemble::start(&place, &sitting.generator, kind, "loaded", servers)?;
        warm(&sitting.generator, &ensemble.target(), sitting.args.quick)?;
        ensembles.push((kind, ensemble));
    }
    for row in rows {
        let mut lines = Vec::new();
        for &(figure, bar) in &row.figures {
            lines.push(Line {
                section: section.clone(),
                row: row.name.clone(),
                figure,
                bar,
                runs: sitting
                    .peers
                    .iter()
                    .map(|&kind| (kind, Vec::new()))
                    .collect(),
            });
        }
        for pass in 0..sitting.args.passes as usize {
            for at in turn(ensembles.len(), pass) {
                let (kind, ensemble) = &ensembles[at];
                let Some(work) = (row.work)(&row.load, *kind) else {
                    continue;
                };
                let target = if row.on_leader {
                    ensemble.leader()?
                } else {
                    ensemble.target()
                };
                // One that fails says something of its server and is no reason to lose the others.
                match run(sitting, &target, &work, at, &mut lines) {
                    Ok(0) => {}
                    Ok(refused) => sheet.note(format!(
                        "{section}, {}: {kind} refused {refused} requests of a run.",
                        row.name
                    )),
                    Err(error) => sheet.note(format!(
                        "{section}, {}: a run of {kind} failed: {error:#}.",
                        row.name
                    )),
                }
            }
        }
        for line in &lines {
            say(line);
        }
        sheet.lines.extend(lines);
    }
    Ok(())
}

/// One run of one peer; how many requests were answered, but not done.
fn run(
    sitting: &Sitting<'_>,
    target: &Target,
    work: &str,
    at: usize,
    lines: &mut [Line],
) -> anyhow::Result<u64> {
    let work = work.replace("SECONDS", &sitting.args.seconds.to_string());
    let figures = sitting.generator.run(target, &work)?;
    let values: anyhow::Result<Vec<f64>> = lines
        .iter()
        .map(|line| figures.of(line.figure.key))
        .collect();
    for (line, value) in lines.iter_mut().zip(values?) {
        line.runs[at].1.push(value);
    }
    // `zabra bench` ends at the first.
    Ok(figures.of("refused").map_or(0, |refused| refused as u64))
}

/// So that one sees what goes on.
fn say(line: &Line) {
    print!("{}, {} {}:", line.row, line.figure.label, line.figure.unit);
    for (kind, _) in &line.runs {
        if let Some(spread) = line.spread(*kind) {
            print!("  {kind} {}", spread.spelled());
        }
    }
    println!();
}

/// Every peer once, another one first in each pass.
fn turn(peers: usize, pass: usize) -> impl Iterator<Item = usize> {
    (0..peers).map(move |at| (at + pass) % peers)
}

/// The rows on so many servers whose flushes take so much longer.
fn loads(servers: u8, delay: Duration) -> Vec<Row> {
    let (get, set, mix) = match servers {
        1 => (rows::GET, rows::SET, rows::MIX),
        _ => (ensemble::GET, ensemble::SET, ensemble::MIX),
    };
    // What is asked for was asked with this machine's own disk.
    if !delay.is_zero() {
        return operation("set", [Bar::None; 3], servers, ask);
    }
    let mut rows = operation("get", get, servers, ask);
    rows.extend(operation("get-local", [Bar::None; 3], servers, ask_local));
    rows.extend(operation("set", set, servers, ask));
    rows.extend(operation("mix", mix, servers, ask));
    if servers == 1 {
        rows.push(sessions());
        rows.push(watches());
    }
    rows
}

/// One operation in every shape.
fn operation(
    operation: &str,
    bars: [Bar; 3],
    servers: u8,
    work: fn(&str, Kind) -> Option<String>,
) -> Vec<Row> {
    let rows = LOADS.into_iter().zip(bars).map(|((sessions, depth), bar)| {
        let is_held = bar != Bar::None || servers == 1 && operation == "mix";
        let ratio = |bar| {
            if is_held {
                Bar::RatioTo(bar)
            } else {
                Bar::None
            }
        };
        Row {
            name: format!("{operation} {sessions} × {depth}"),
            work,
            load: format!("{operation} -n {sessions} -d {depth} --duration SECONDS"),
            // A lone session of a follower would measure where it happens to be.
            on_leader: sessions == 1,
            figures: vec![
                (RATE, bar),
                (P50, Bar::None),
                (P99, ratio(1.0)),
                (P999, Bar::None),
                (SERVER_CPU, ratio(0.25)),
                (CLIENT_CPU, Bar::None),
                (MEMORY_LOADED, Bar::None),
            ],
        }
    });
    rows.collect()
}

/// Sessions that do nothing: etcd has none, a lease is kept alive by calls of its own.
fn sessions() -> Row {
    Row {
        name: "10,000 sessions, 32 handshakes at once".to_owned(),
        work: ask_zookeepers,
        load: "sessions -n 10000 --at-once 32".to_owned(),
        on_leader: false,
        figures: vec![
            (OPENED, Bar::RatioFrom(3.0)),
            (SESSION_MEMORY, Bar::To(6_000.0)),
        ],
    }
}

/// Watches that fire once: etcd's are streams, of which one connection carries many.
fn watches() -> Row {
    Row {
        name: "5,000 watchers of one znode".to_owned(),
        work: ask_zookeepers,
        load: "watch -n 5000 --rounds 20 --warm-up 20".to_owned(),
        on_leader: false,
        figures: vec![(NOTIFIED, Bar::RatioTo(1.0 / 3.0))],
    }
}

fn ask(load: &str, _: Kind) -> Option<String> {
    Some(load.to_owned())
}

/// Reads of what the asked server has: every read of the others is one, measured again beside etcd's.
fn ask_local(load: &str, kind: Kind) -> Option<String> {
    Some(match kind {
        Kind::Etcd => load.to_owned(),
        Kind::Apache | Kind::Zabra => load.replace("get-local", "get"),
    })
}

fn ask_zookeepers(load: &str, kind: Kind) -> Option<String> {
    (kind != Kind::Etcd).then(|| load.to_owned())
}

fn section(servers: usize, delay: Duration) -> String {
    let plural = if servers == 1 { "" } else { "s" };
    let servers = format!("{servers} server{plural}");
    match delay.as_millis() {
        0 => servers,
        delay => format!("{servers}, flushes {delay} ms longer"),
    }
}

const FRESH: &str = "a fresh server";

const fn figure(
    key: &'static str,
    label: &'static str,
    unit: &'static str,
    better: Better,
    is_drawn: bool,
) -> Figure {
    Figure {
        key,
        label,
        unit,
        better,
        is_drawn,
    }
}

const RATE: Figure = figure("ops_per_second", "rate", "op/s", Better::Higher, true);
const P50: Figure = figure("p50_us", "p50", "µs", Better::Lower, false);
const P99: Figure = figure("p99_us", "p99", "µs", Better::Lower, true);
const P999: Figure = figure("p999_us", "p99.9", "µs", Better::Lower, false);
const SERVER_CPU: Figure = figure(
    "server_cpu_per_op_us",
    "server CPU",
    "µs/op",
    Better::Lower,
    true,
);
const CLIENT_CPU: Figure = figure(
    "client_cpu_per_op_us",
    "client CPU",
    "µs/op",
    Better::Neither,
    false,
);
const MEMORY_LOADED: Figure = figure(
    "server_rss_mb",
    "resident memory",
    "MB",
    Better::Lower,
    false,
);
const MEMORY: Figure = figure("", "resident memory", "MB", Better::Lower, false);
const FIRST_READ: Figure = figure("", "start to the first read", "ms", Better::Lower, false);
const OPENED: Figure = figure("opened_per_second", "opened", "/s", Better::Higher, false);
const SESSION_MEMORY: Figure = figure(
    "server_rss_per_session_bytes",
    "memory of each",
    "B",
    Better::Lower,
    false,
);
const NOTIFIED: Figure = figure(
    "set_to_last_notification_ms",
    "set to the last notification",
    "ms",
    Better::Lower,
    false,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_begins_in_turn() {
        let turns: Vec<Vec<usize>> = (0..3).map(|pass| turn(3, pass).collect()).collect();
        assert_eq!(turns, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    }

    #[test]
    fn etcd_is_asked_only_what_it_can_do() {
        for row in loads(1, Duration::ZERO) {
            let zabra = (row.work)(&row.load, Kind::Zabra);
            let etcd = (row.work)(&row.load, Kind::Etcd);
            let of_zookeeper = row.name.contains("sessions") || row.name.contains("watchers");
            assert_eq!(etcd.is_none(), of_zookeeper, "{}", row.name);
            assert!(
                zabra.is_some_and(|load| !load.contains("local")),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn a_slow_disk_is_for_writes() {
        let names: Vec<String> = loads(3, Duration::from_millis(5))
            .into_iter()
            .map(|row| row.name)
            .collect();
        assert_eq!(names, ["set 1 × 1", "set 64 × 1", "set 64 × 32"]);
        assert_eq!(
            section(3, Duration::from_millis(5)),
            "3 servers, flushes 5 ms longer"
        );
        assert_eq!(section(1, Duration::ZERO), "1 server");
    }
}
