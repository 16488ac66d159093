//! One process of pytest and the servers that its harness starts.
//!
//! kazoo's harness waits without a limit in places that pytest's time-out for a test does not cover: for threads that
//! a failed test has left, and for its servers when Python ends. What hangs there must end as a failure that shows
//! where, not as a stage that is cut off.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// What a shard may take: one to three minutes are usual, and for a recording on Apache up to ten.
pub(super) const LIMIT: Duration = Duration::from_secs(20 * 60);
/// Python writes where its threads stand at once when it is asked.
const STACKS_WITHIN: Duration = Duration::from_secs(10);
/// Lines at the end of the log that a failure shows: a few dozen threads.
const LINES_SHOWN: usize = 150;

/// A running pytest, in a process group of its own with its servers.
pub(super) struct Shard {
    pytest: Child,
    log: PathBuf,
    started: Instant,
}

impl Shard {
    /// Starts `pytest` with its output in `log`.
    pub(super) fn start(mut pytest: Command, log: PathBuf) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("{}", log.display()))?;
        pytest
            // Python writes its threads' stacks when it is sent SIGABRT.
            .env("PYTHONFAULTHANDLER", "1")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let pytest = pytest.spawn().context("start pytest")?;
        Ok(Self {
            pytest,
            log,
            started: Instant::now(),
        })
    }

    /// Waits until it has run all its tests, and its servers have ended.
    ///
    /// # Errors
    /// It does not end within `limit` of its start, or pytest itself failed. That a test fails is no error here: the
    /// results tell.
    pub(super) fn finish(mut self, limit: Duration) -> Result<()> {
        let Some(status) = self.ended_by(self.started + limit)? else {
            bail!(
                "pytest has not ended after {} s\n{}",
                limit.as_secs(),
                self.stop()?
            );
        };
        ensure!(
            matches!(status.code(), Some(0 | 1)),
            "pytest ended with {status}; see {}",
            self.log.display()
        );
        Ok(())
    }

    fn ended_by(&mut self, deadline: Instant) -> Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.pytest.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Lets Python and the kernel tell where threads stand, and ends everything.
    fn stop(&mut self) -> Result<String> {
        let pid = Pid::from_child(&self.pytest);
        let servers = threads_of_group(pid);
        kill_process(pid, Signal::ABORT)?;
        self.ended_by(Instant::now() + STACKS_WITHIN)?;
        // Fails when nothing is left of the group, which is what is wanted.
        let _ = kill_process_group(pid, Signal::KILL);
        self.pytest.wait()?;
        let text = fs::read(&self.log)?;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
        Ok(format!(
            "{servers}the end of {}, with its threads:\n{shown}",
            self.log.display()
        ))
    }
}

/// One line per thread of the group's processes: what it is and what it waits for.
///
/// What cannot be read has ended meanwhile, and is left out.
fn threads_of_group(group: Pid) -> String {
    let mut text = String::new();
    for process in entries(Path::new("/proc")) {
        let stat = read(&process.join("stat"));
        // pid (name) state parent group ...; the name may hold spaces.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let in_group = fields.split_whitespace().nth(2) == Some(&group.to_string());
        if !in_group {
            continue;
        }
        for thread in entries(&process.join("task")) {
            let of = |name: &str| read(&thread.join(name)).trim().to_owned();
            let at = process.display();
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{at} {} in {}: {}",
                of("comm"),
                of("wchan"),
                of("syscall")
            );
        }
    }
    text
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(found) = fs::read_dir(dir) else {
        return Vec::new();
    };
    found
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_does_not_end_fails_and_tells_what_it_waits_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut sleeper = Command::new("sleep");
        sleeper.arg("1000");
        let shard = Shard::start(sleeper, dir.path().join("log")).unwrap();
        let group = Pid::from_child(&shard.pytest);
        let error = shard.finish(Duration::ZERO).unwrap_err().to_string();
        assert!(
            error.starts_with("pytest has not ended after 0 s"),
            "{error}"
        );
        assert!(error.contains("/log, with its threads"), "{error}");
        assert_eq!(threads_of_group(group), "");
    }
}
