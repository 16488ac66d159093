//! How long the disk itself takes to make 1 KiB durable: below this no server of ours or of others gets.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::bench::server::slowed;

/// p50 of an fdatasync of 1 KiB in a file that has its blocks already, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// By one thread.
    pub(super) alone: f64,
    /// By three at once, each in a file of its own, as three servers on one disk do.
    pub(super) three: f64,
}

impl Times {
    /// Takes them in a folder on the disk of the servers.
    pub(super) fn measure(folder: &Path) -> io::Result<Self> {
        let alone = flush_often(&folder.join("flush-0"))?;
        let three = std::thread::scope(|scope| {
            let threads = [0, 1, 2].map(|number| {
                let path = folder.join(format!("flush-{number}"));
                scope.spawn(move || flush_often(&path))
            });
            let mut times = Vec::new();
            for thread in threads {
                times.extend(thread.join().map_err(|_| io::Error::other("panicked"))??);
            }
            io::Result::Ok(times)
        })?;
        Ok(Self {
            alone: middle(alone),
            three: middle(three),
        })
    }

    /// The same by a process whose flushes are lengthened as those of servers are.
    pub(super) fn measure_slowed(folder: &Path, delay: Duration) -> anyhow::Result<Self> {
        let mut own = Command::new(std::env::current_exe()?);
        own.args(["referee", "--flushes-in"]).arg(folder);
        let output = slowed(&own, delay)
            .output()
            .context("cannot start strace, which lengthens flushes")?;
        ensure!(
            output.status.success(),
            "strace cannot lengthen flushes here: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let times: Value = serde_json::from_slice(&output.stdout)?;
        let of = |name: &str| times[name].as_f64().context("no time of a flush");
        let times = Self {
            alone: of("alone_us")?,
            three: of("three_us")?,
        };
        let least = delay.as_secs_f64() * 1e6;
        ensure!(
            times.alone >= least,
            "strace lengthened no flush: {times:?}"
        );
        Ok(times)
    }

    pub(super) fn to_json(self) -> Value {
        json!({ "alone_us": self.alone, "three_us": self.three })
    }
}

/// The time of each flush, in microseconds.
fn flush_often(path: &Path) -> io::Result<Vec<f64>> {
    let file = File::create(path)?;
    let block = [b'x'; 1024];
    for at in 0..FLUSHES {
        file.write_all_at(&block, at * 1024)?;
    }
    file.sync_all()?;
    let begun = Instant::now();
    let mut times = Vec::new();
    for at in 0..FLUSHES {
        if begun.elapsed() > LIMIT {
            break;
        }
        file.write_all_at(&block, at * 1024)?;
        let flush = Instant::now();
        file.sync_data()?;
        times.push(flush.elapsed().as_secs_f64() * 1e6);
    }
    fs::remove_file(path)?;
    Ok(times)
}

fn middle(times: Vec<f64>) -> f64 {
    crate::bench::rows::median(times)
}

/// How many are timed at most.
const FLUSHES: u64 = 2_000;
/// And for how long.
const LIMIT: Duration = Duration::from_secs(3);
