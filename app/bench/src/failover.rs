//! Writes over servers that die: what was acknowledged must be there in the end, and how long was nothing acknowledged?
//!
//! Sessions write numbers into znodes of their own and move on to the next server when theirs is gone ([`writer`]). Whoever
//! starts the run kills servers meanwhile, by hand or with `--kill`. In the end every znode is read from each server that
//! answers ([`read`]), behind a `sync`, and judged ([`ledger`]).

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::args::{FailoverArgs, Target, root_or_default};
use crate::engine::Servers;
use crate::link::Clock;
use crate::load::describe;
use crate::recorder::{Recorder, Seconds, Until};
use crate::report::{Report, Unit};
use crate::request::{Path, Template};
use crate::scaffold::Scaffold;

mod connection;
mod gaps;
mod ledger;
mod read;
mod writer;

use gaps::{Gap, Gaps};
use read::Reading;
use writer::{Outcome, Plan, Tally, Writer};

/// Prepares the znodes, writes, reads back, removes what was created.
pub(crate) fn run(target: &Target, args: &FailoverArgs) -> Result<Report> {
    check(target, args)?;
    let servers = Servers::of(target)?;
    let root = root_or_default(args.root.as_ref());
    let znodes = u64::from(args.sessions) * u64::from(args.znodes);
    prepare(&servers, &root, znodes, args.size as usize)?;
    let plan = plan(target, args, &servers);
    let (outcomes, killed) =
        drive(&plan, args, &root).with_context(|| format!("the run failed; {root} is left"))?;
    let reading = Reading::of(&plan, target, &root, znodes)
        .with_context(|| format!("nothing could be read back; {root} is left"))?;
    let lost = reading.judge(&outcomes, args.znodes as usize);
    if !args.keep && lost.is_empty() {
        remove(&servers.only(&reading.addresses()), &root, znodes)?;
    }
    let title = format!(
        "failover, {} × {} on {} servers, {} B",
        args.sessions,
        args.depth,
        plan.servers.len(),
        args.size
    );
    let mut report = Report::new(title);
    tell_outcomes(&mut report, &outcomes, lost.len());
    tell_gaps(&mut report, plan, &outcomes, target);
    reading.tell(&mut report);
    if !killed.is_empty() {
        report.note(format!("signals: {}", killed.join(", ")));
        report.detail("signals", json!(killed));
    }
    if !lost.is_empty() {
        let count = lost.len();
        for line in lost.iter().take(LINES) {
            report.note(format!("LOST {line}"));
        }
        report.detail("lost_znodes", json!(lost));
        report.fail(format!(
            "the acknowledged values of {count} znodes are lost; {root} is left"
        ));
    }
    Ok(report)
}

fn check(target: &Target, args: &FailoverArgs) -> Result<()> {
    ensure!(
        target.server_pid.is_empty(),
        "failover does not count the CPU and memory of servers, which may die: leave out --server-pid"
    );
    for kill in &args.kill {
        ensure!(
            kill.at < args.duration,
            "--kill {kill}: the run is over after {} s",
            args.duration.as_secs_f64()
        );
        ensure!(
            kill.can_be_sent(),
            "--kill {kill}: there is no such process, or it is not ours"
        );
    }
    Ok(())
}

fn znode_path(root: &str) -> Path {
    Path::new(root).keyed("/k", KEY_DIGITS, 1)
}

/// The path of one znode.
fn znode_name(root: &str, znode: u64) -> String {
    format!("{root}/k{znode:0KEY_DIGITS$}")
}

fn prepare(servers: &Servers, root: &str, znodes: u64, size: usize) -> Result<()> {
    let mut scaffold = Scaffold::open(servers)?;
    scaffold
        .once(Template::create(&Path::new(root), b""))
        .with_context(|| format!("cannot create {root}"))?;
    let data = ledger::data(0, size);
    scaffold.each(Template::create(&znode_path(root), &data), 0..znodes)?;
    scaffold.close()
}

fn remove(servers: &Servers, root: &str, znodes: u64) -> Result<()> {
    let mut scaffold = Scaffold::open(servers)?;
    scaffold.each(Template::delete(&znode_path(root)), 0..znodes)?;
    scaffold.once(Template::delete(&Path::new(root)))?;
    scaffold.close()
}

fn plan(target: &Target, args: &FailoverArgs, servers: &Servers) -> Plan {
    let clock = Clock::start();
    let begin = clock.now();
    let mut recorder = Recorder::new(begin, Until::Elapsed(args.duration)).with_cpu(&[]);
    if args.per_second {
        recorder = recorder.with_seconds(Seconds::of(1));
    }
    Plan {
        servers: servers.addresses().to_vec(),
        timeout: Duration::from_millis(target.session_timeout.unsigned_abs().into()),
        silence: args
            .silence
            .map(|millis| Duration::from_millis(millis.into())),
        depth: args.depth as usize,
        size: args.size as usize,
        clock,
        begin,
        end: begin.after(args.duration),
        tally: Mutex::new(Tally {
            recorder,
            gaps: Gaps::new(begin),
        }),
    }
}

/// Lets the sessions write and sends the signals; what became of each session, and what was signalled.
fn drive(plan: &Plan, args: &FailoverArgs, root: &str) -> Result<(Vec<Outcome>, Vec<String>)> {
    let mut kills = args.kill.clone();
    kills.sort_by_key(|kill| kill.at);
    let begin = plan.begin;
    plan.lock_tally().recorder.on_time(begin)?;
    std::thread::scope(|scope| {
        let each = u64::from(args.znodes);
        let spawn = |number: u32| {
            let first = u64::from(number) * each;
            let paths = (first..first + each).map(|znode| znode_name(root, znode));
            let writer = Writer::new(plan, number as usize, paths.collect());
            scope.spawn(move || writer.run())
        };
        let writers: Vec<_> = (0..args.sessions).map(spawn).collect();
        let mut killed = Vec::new();
        let mut kills = kills.into_iter().peekable();
        loop {
            let now = plan.clock.now();
            while let Some(kill) = kills.next_if(|kill| now >= begin.after(kill.at)) {
                let told = kill.send();
                eprintln!("{told}");
                killed.push(told);
            }
            plan.lock_tally().recorder.on_time(now)?;
            if now >= plan.end {
                break;
            }
            std::thread::sleep(TURN);
        }
        let outcomes: Result<Vec<Outcome>> = writers
            .into_iter()
            .map(|writer| {
                writer
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect();
        Ok((outcomes?, killed))
    })
}

fn tell_outcomes(report: &mut Report, outcomes: &[Outcome], lost: usize) {
    let sum = |count: fn(&Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    let connections = sum(|outcome| outcome.connections);
    let again = connections.saturating_sub(outcomes.len() as u64);
    for (name, count) in [
        ("acknowledged", sum(|outcome| outcome.acknowledged)),
        ("unknown", sum(|outcome| outcome.unknown)),
        ("refused", sum(|outcome| outcome.refused)),
        ("lost", lost as u64),
        ("reconnections", again),
        ("sessions_expired", sum(|outcome| outcome.expired)),
    ] {
        report.push(name, count as f64, Unit::Count);
    }
    if let Some(error) = outcomes.iter().find_map(|outcome| outcome.refusal) {
        report.note(format!("the first refusal was {error}"));
    }
}

fn tell_gaps(report: &mut Report, plan: Plan, outcomes: &[Outcome], target: &Target) {
    let end = plan.end;
    let tally = plan.tally.into_inner();
    let mut tally = tally.unwrap_or_else(std::sync::PoisonError::into_inner);
    tally.gaps.note(end);
    let millis = |gap: Option<&Gap>| gap.map_or(0.0, |gap| gap.lasted.as_secs_f64() * 1e3);
    let longest = tally.gaps.longest();
    report.push("gap_max_ms", millis(longest.first()), Unit::Millis);
    let of_sessions = outcomes
        .iter()
        .filter_map(|outcome| outcome.gaps.longest().first());
    let of_session = of_sessions.max_by_key(|gap| gap.lasted);
    report.push("session_gap_max_ms", millis(of_session), Unit::Millis);
    describe(report, &tally.recorder.finish(), target);
    let spelled: Vec<String> = longest
        .iter()
        .map(|gap| {
            format!(
                "{:.1} ms from {:.3} s",
                millis(Some(gap)),
                gap.from.seconds()
            )
        })
        .collect();
    report.note(format!(
        "longest times without an acknowledged write: {}",
        spelled.join(", ")
    ));
    let values = longest
        .iter()
        .map(|gap| json!({ "from_s": gap.from.seconds(), "ms": millis(Some(gap)) }));
    report.detail("gaps", values.collect());
}

/// Digits in the names of the znodes.
const KEY_DIGITS: usize = 8;
/// Between two looks at the clock.
const TURN: Duration = Duration::from_millis(2);
/// Lost znodes that are told one by one.
const LINES: usize = 10;
