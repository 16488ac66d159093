//! Sessions that do nothing else than exist: how fast they are opened and closed, and what they cost.

use anyhow::Result;

use crate::args::{SessionsArgs, Target};
use crate::engine::{Engine, Servers};
use crate::link::Clock;
use crate::process::{self, CpuUsed};
use crate::recorder::histogram;
use crate::report::{Report, Unit, grouped};

/// Opens the sessions and closes them.
pub(crate) fn run(target: &Target, args: &SessionsArgs) -> Result<Report> {
    let servers = Servers::of(target)?;
    let clock = Clock::start();
    let mut latency = histogram();
    let memory_before = process::resident(&target.server_pid)?;
    let cpu_before = CpuUsed::now(&target.server_pid)?;
    let begun = clock.now();
    let count = args.sessions as usize;
    let engine = Engine::open(
        &servers,
        clock,
        0..count,
        args.at_once as usize,
        &mut latency,
    )?;
    let opened = clock.now();
    let cpu = CpuUsed::now(&target.server_pid)?.since(cpu_before);
    let memory = process::resident(&target.server_pid)?;
    engine.close()?;
    let closed = clock.now();

    let sessions = f64::from(args.sessions);
    let title = format!(
        "{} sessions, {} handshakes at once",
        grouped(sessions, 0),
        args.at_once
    );
    let mut report = Report::new(title);
    let seconds = opened.since(begun).as_secs_f64();
    report.push("opened_per_second", sessions / seconds, Unit::PerSecond);
    report.push_latency("", &latency);
    report.push(
        "client_cpu_per_session_us",
        cpu.own.as_secs_f64() * 1e6 / sessions,
        Unit::Micros,
    );
    if !target.server_pid.is_empty() {
        let each = cpu.servers.as_secs_f64() * 1e6 / sessions;
        report.push("server_cpu_per_session_us", each, Unit::Micros);
        let grown = memory.saturating_sub(memory_before) as f64 / sessions;
        report.push("server_rss_per_session_bytes", grown, Unit::Bytes);
    }
    let seconds = closed.since(opened).as_secs_f64();
    report.push("closed_per_second", sessions / seconds, Unit::PerSecond);
    Ok(report)
}
