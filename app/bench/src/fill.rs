//! Many znodes: how fast they are created and what memory they take.

use anyhow::{Context, Result};

use crate::args::{FillArgs, Target};
use crate::engine::{Engine, Job, Servers};
use crate::link::Clock;
use crate::load::describe;
use crate::process;
use crate::recorder::{Recorder, Seconds, Until, histogram};
use crate::report::{Report, Unit, grouped};
use crate::request::{Path, Template};
use crate::scaffold::Scaffold;
use crate::source::Source;

/// Creates the znodes and leaves them.
pub(crate) fn run(target: &Target, fill: &FillArgs) -> Result<Report> {
    let servers = Servers::of(target)?;
    let znodes = u64::from(fill.znodes);
    let before = process::resident(&target.server_pid)?;
    prepare(&servers, &fill.root, znodes.div_ceil(PER_PARENT))?;

    let path = Path::new(&fill.root)
        .keyed("/p", 5, PER_PARENT)
        .keyed("/k", 7, 1);
    let data = vec![b'z'; fill.size as usize];
    let sessions = fill.sessions as usize;
    let mut engine = Engine::open(
        &servers,
        Clock::start(),
        0..sessions,
        sessions,
        &mut histogram(),
    )?;
    let keys = 0..znodes;
    let mut job = Job {
        templates: vec![Template::create(&path, &data)],
        sources: Source::dealt(&[keys], PER_PARENT, sessions),
    };
    let mut recorder =
        Recorder::new(engine.clock().now(), Until::Exhausted).with_cpu(&target.server_pid);
    if fill.per_second {
        recorder = recorder.with_seconds(Seconds::of(1));
    }
    engine.run(&mut job, fill.depth, &mut recorder)?;
    engine.close()?;

    let count = grouped(znodes as f64, 0);
    let size = grouped(fill.size.into(), 0);
    let mut report = Report::new(format!(
        "fill with {count} znodes of {size} B under {}",
        fill.root
    ));
    describe(&mut report, &recorder.finish(), target);
    if !target.server_pid.is_empty() {
        let after = process::resident(&target.server_pid)?;
        report.push("server_rss_before_mb", before as f64 / 1e6, Unit::Megabytes);
        report.push("server_rss_mb", after as f64 / 1e6, Unit::Megabytes);
        let each = after.saturating_sub(before) as f64 / znodes as f64;
        report.push("server_rss_per_znode_bytes", each, Unit::Bytes);
    }
    Ok(report)
}

fn prepare(servers: &Servers, root: &str, parents: u64) -> Result<()> {
    let mut scaffold = Scaffold::open(servers)?;
    scaffold
        .once(Template::create(&Path::new(root), b""))
        .with_context(|| format!("cannot create {root} (--root names another)"))?;
    let parent = Path::new(root).keyed("/p", 5, 1);
    scaffold.each(Template::create(&parent, b""), 0..parents)?;
    scaffold.close()
}

/// Znodes under one parent.
const PER_PARENT: u64 = 1_000;
