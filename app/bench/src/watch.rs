//! Fan-out: one znode that many sessions watch is set, and every one of them is told.

use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use zabra_jute::{Decode, Reader};
use zabra_proto::client::WatcherEvent;
use zabra_proto::{EventKind, Xid};

use crate::args::{Target, WatchArgs, root_or_default};
use crate::engine::{Engine, Servers, on_reply};
use crate::link::Clock;
use crate::process::CpuUsed;
use crate::recorder::histogram;
use crate::report::{Report, Unit, grouped};
use crate::request::{self, Path, Template};
use crate::scaffold::Scaffold;

/// Watches, sets, waits for all; round after round.
pub(crate) fn run(target: &Target, args: &WatchArgs) -> Result<Report> {
    let servers = Servers::of(target)?;
    let path = Path::new(&root_or_default(args.root.as_ref()));
    let mut scaffold = Scaffold::open(&servers)?;
    scaffold.once(Template::create(&path, DATA))?;
    scaffold.close()?;

    let watchers = args.watchers as usize;
    // The last one sets; it does not watch.
    let engine = Engine::open(
        &servers,
        Clock::start(),
        0..watchers + 1,
        AT_ONCE,
        &mut histogram(),
    )?;
    let mut fan_out = FanOut {
        engine,
        templates: [
            Template::get(&path, DATA.len(), true),
            Template::set(&path, DATA),
        ],
        watchers,
        figures: Figures::new(),
    };
    for _ in 0..args.warm_up {
        fan_out.round()?;
    }
    fan_out.figures = Figures::new();
    let cpu = CpuUsed::now(&target.server_pid)?;
    for _ in 0..args.rounds {
        fan_out.round()?;
    }
    let cpu = CpuUsed::now(&target.server_pid)?.since(cpu);
    fan_out.engine.close()?;

    let mut scaffold = Scaffold::open(&servers)?;
    scaffold.once(Template::delete(&path))?;
    scaffold.close()?;
    Ok(fan_out.figures.report(target, args, cpu))
}

/// The sessions and their two requests.
struct FanOut {
    engine: Engine,
    templates: [Template; 2],
    watchers: usize,
    figures: Figures,
}

impl FanOut {
    fn round(&mut self) -> Result<()> {
        let armed = self.arm()?;
        let set = self.engine.send(self.watchers, &self.templates[1])?;
        let set_template = std::slice::from_ref(&self.templates[1]);
        let (mut told, mut answered, mut first, mut last) = (0, false, set, set);
        let each = &mut self.figures.each;
        while told < self.watchers || !answered {
            self.engine.turn(&mut |link, frame, now| {
                let header = request::reply_header(frame)?;
                if header.xid != Xid::NOTIFICATION {
                    on_reply(link, set_template, &header, frame)?;
                    answered = true;
                    return Ok(());
                }
                let event =
                    WatcherEvent::decode(&mut Reader::new(frame.get(16..).unwrap_or_default()))?;
                if event.kind != EventKind::NodeDataChanged {
                    anyhow::bail!("told of {:?} instead of changed data", event.kind);
                }
                first = if told == 0 { now } else { first };
                last = now;
                told += 1;
                each.saturating_record(now.since(set).as_nanos() as u64);
                Ok(())
            })?;
        }
        self.figures.note(armed, first.since(set), last.since(set));
        Ok(())
    }

    /// Sets a watch in each session; how long that took for all.
    fn arm(&mut self) -> Result<Duration> {
        let begun = self.engine.clock().now();
        let get = std::slice::from_ref(&self.templates[0]);
        for watcher in 0..self.watchers {
            self.engine.send(watcher, &get[0])?;
        }
        let mut left = self.watchers;
        while left > 0 {
            self.engine
                .turn(&mut |link, frame, _| {
                    let header = request::reply_header(frame)?;
                    on_reply(link, get, &header, frame)?;
                    left -= 1;
                    Ok(())
                })
                .context("setting watches")?;
        }
        Ok(self.engine.clock().now().since(begun))
    }
}

/// What the rounds took, in nanoseconds.
struct Figures {
    arm: Histogram<u64>,
    first: Histogram<u64>,
    last: Histogram<u64>,
    each: Histogram<u64>,
}

impl Figures {
    fn new() -> Self {
        Self {
            arm: histogram(),
            first: histogram(),
            last: histogram(),
            each: histogram(),
        }
    }

    fn note(&mut self, arm: Duration, first: Duration, last: Duration) {
        self.arm.saturating_record(arm.as_nanos() as u64);
        self.first.saturating_record(first.as_nanos() as u64);
        self.last.saturating_record(last.as_nanos() as u64);
    }

    fn report(&self, target: &Target, args: &WatchArgs, cpu: CpuUsed) -> Report {
        let watchers = grouped(args.watchers.into(), 0);
        let mut report = Report::new(format!(
            "{} sets of a znode with {watchers} watchers",
            args.rounds
        ));
        let millis = |histogram: &Histogram<u64>| histogram.value_at_quantile(0.5) as f64 / 1e6;
        report.push(
            "set_to_last_notification_ms",
            millis(&self.last),
            Unit::Millis,
        );
        report.push(
            "set_to_last_notification_max_ms",
            self.last.max() as f64 / 1e6,
            Unit::Millis,
        );
        report.push(
            "set_to_first_notification_ms",
            millis(&self.first),
            Unit::Millis,
        );
        report.push_latency("notification_", &self.each);
        report.push("watch_all_again_ms", millis(&self.arm), Unit::Millis);
        let notifications = f64::from(args.watchers) * f64::from(args.rounds);
        let own = cpu.own.as_secs_f64() * 1e6 / notifications;
        report.push("client_cpu_per_notification_us", own, Unit::Micros);
        if !target.server_pid.is_empty() {
            let servers = cpu.servers.as_secs_f64() * 1e6 / notifications;
            report.push("server_cpu_per_notification_us", servers, Unit::Micros);
        }
        report
    }
}

/// What the znode has for data.
const DATA: &[u8] = b"watched";
/// Handshakes at once.
const AT_ONCE: usize = 32;
