//! Running other programs: what they print is passed on line by line and kept for counting.
//!
//! Under CI a program runs in a process group of its own and is killed, with all that it started, when its
//! time is up: a hang must end as a failed stage with a name, not as a killed build without one.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::evidence;
use crate::workspace::Workspace;

/// What a program left behind.
pub(crate) struct Finished {
    /// Everything it wrote to standard output.
    pub(crate) stdout: String,
    /// Whether it exited with 0.
    pub(crate) success: bool,
}

impl Finished {
    /// An error when the program failed.
    pub(crate) fn checked(self, what: &str) -> anyhow::Result<Self> {
        if self.success {
            Ok(self)
        } else {
            bail!("{what} failed")
        }
    }
}

/// Whether this is a CI run, in which nothing may be skipped.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// The cargo that runs this task, started in the root of the workspace.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(&workspace.root);
    command
}

/// Runs a program to its end, or until `limit` has passed under CI.
pub(crate) fn run(command: &mut Command, limit: Duration) -> anyhow::Result<Finished> {
    println!("$ {}", spell(command));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    if is_ci() {
        command.process_group(0);
    }
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", spell(command)))?;
    let stdout = child
        .stdout
        .take()
        .context("standard output was not captured")?;
    let (lines, received) = mpsc::channel();
    let reader = std::thread::spawn(move || -> std::io::Result<()> {
        let mut stdout = BufReader::new(stdout);
        let mut line = Vec::new();
        while stdout.read_until(b'\n', &mut line)? > 0 {
            if lines
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                break;
            }
            line.clear();
        }
        Ok(())
    });
    let captured = collect(&received, limit);
    if captured.is_none() {
        kill_group(&mut child);
    }
    let success = child.wait()?.success();
    // A program that was killed may have left its end of the pipe to a process that outlives it.
    let Some(stdout) = captured else {
        bail!("no end after {} min: killed", limit.as_secs() / 60)
    };
    reader
        .join()
        .map_err(|_| anyhow::anyhow!("the reader of standard output panicked"))??;
    if success {
        evidence::keep(command, &stdout);
    }
    Ok(Finished { stdout, success })
}

/// Passes lines on until the program closes its output; `None` when the time is up.
fn collect(lines: &mpsc::Receiver<String>, limit: Duration) -> Option<String> {
    let started = std::time::Instant::now();
    let mut captured = String::new();
    loop {
        let wait = if is_ci() {
            limit.saturating_sub(started.elapsed())
        } else {
            Duration::MAX
        };
        match lines.recv_timeout(wait) {
            Ok(line) => {
                print!("{line}");
                // Nothing to be done when the terminal is gone; the lines are still counted.
                let _ = std::io::stdout().flush();
                captured.push_str(&line);
            }
            Err(RecvTimeoutError::Disconnected) => return Some(captured),
            Err(RecvTimeoutError::Timeout) => return None,
        }
    }
}

/// Ends the program and all that it started; only sound for a child with a process group of its own.
fn kill_group(child: &mut Child) {
    let group = format!("-{}", child.id());
    let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
    if !killed.is_ok_and(|status| status.success()) {
        // The group may be gone already; then so is the child.
        let _ = child.kill();
    }
}

/// The command line as one would type it.
fn spell(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut words = vec![
        program
            .file_name()
            .unwrap_or(program.as_os_str())
            .to_string_lossy()
            .into_owned(),
    ];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    words.join(" ")
}
