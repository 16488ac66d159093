//! The first read of a server that is starting.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use zabra_proto::ErrorCode;

use crate::args::{ReadyArgs, Target};
use crate::engine::{Engine, Servers};
use crate::link::Clock;
use crate::recorder::histogram;
use crate::report::{Report, Unit};
use crate::request::{self, Path, Template};

/// Tries until a read is answered.
pub(crate) fn run(target: &Target, args: &ReadyArgs) -> Result<Report> {
    let mut target = target.clone();
    // One that accepts connections before it serves leaves them without an answer.
    target.patience = target.patience.min(PATIENCE);
    let servers = Servers::of(&target)?;
    let begun = Instant::now();
    let mut tries = 1;
    while let Err(error) = read(&servers, &args.path) {
        if begun.elapsed() >= args.within {
            let within = args.within.as_secs_f64();
            return Err(error).with_context(|| format!("no read was answered within {within} s"));
        }
        tries += 1;
        std::thread::sleep(PAUSE);
    }
    let mut report = Report::new(format!("first read of {}", args.path));
    report.push(
        "first_read_ms",
        begun.elapsed().as_secs_f64() * 1e3,
        Unit::Millis,
    );
    report.push("tries", f64::from(tries), Unit::Count);
    Ok(report)
}

fn read(servers: &Servers, path: &str) -> Result<()> {
    let mut engine = Engine::open(servers, Clock::start(), 0..1, 1, &mut histogram())?;
    engine.send(0, &Template::exists(&Path::new(path), 0, false))?;
    let mut answer = None;
    while answer.is_none() {
        engine.turn(&mut |link, frame, _| {
            link.pending.clear();
            answer = Some(request::reply_header(frame)?.error);
            Ok(())
        })?;
    }
    match answer {
        Some(ErrorCode::OK) => engine.close(),
        Some(error) => anyhow::bail!("exists of {path} was answered with {error}"),
        None => Ok(()),
    }
}

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(1);
/// How long one try may take.
const PATIENCE: Duration = Duration::from_millis(500);
