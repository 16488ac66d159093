//! A program of another library that uses its recipes on demand: Curator's on a JVM, kazoo's in Python.
//!
//! A line in is a command, a line out its answer; both begin with who acts, so that several may wait at the same time.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::peer::Server;
use crate::{packages, place};

/// How long an answer may take; a JVM that starts on a busy machine takes seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// A running program.
#[derive(Debug)]
pub(super) struct Contender {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// Answers that were not asked for yet.
    early: Vec<String>,
}

impl Contender {
    /// Curator's recipes.
    ///
    /// # Errors
    /// Curator cannot be installed, or the program does not start.
    pub(super) fn curator(server: &Server) -> Result<Self> {
        let jars = packages::curator()?;
        let peers = place::harness().join("peers");
        let mut java = Command::new("java");
        java.args([
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
        ])
        .arg(format!(
            "-Dlogback.configurationFile={}",
            peers.join("logback.xml").display()
        ))
        .arg("-cp")
        .arg(jars.join("*"))
        .arg(peers.join("curator/Contender.java"))
        .arg(server.addr().to_string());
        Self::start(java)
    }

    /// kazoo's recipes.
    ///
    /// # Errors
    /// kazoo cannot be installed, or the program does not start.
    pub(super) fn kazoo(server: &Server) -> Result<Self> {
        let venv = packages::python()?;
        let mut python = Command::new(venv.join("bin/python"));
        python
            .arg(place::harness().join("kazoo/contender.py"))
            .arg(server.addr().to_string());
        Self::start(python)
    }

    fn start(mut command: Command) -> Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().context("start a program with recipes")?;
        let stdin = child.stdin.take().context("a pipe to it")?;
        let stdout = child.stdout.take().context("a pipe from it")?;
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let mut contender = Self {
            child,
            stdin,
            lines,
            early: Vec::new(),
        };
        contender.answer("ready")?;
        Ok(contender)
    }

    /// Sends a command; its answer is taken later.
    ///
    /// # Errors
    /// The program has ended.
    pub(super) fn tell(&mut self, command: &str) -> Result<()> {
        writeln!(self.stdin, "{command}").with_context(|| command.to_owned())
    }

    /// Waits for the next answer to who acts.
    ///
    /// # Errors
    /// It failed, or there is none within a minute.
    pub(super) fn answer(&mut self, who: &str) -> Result<String> {
        let start = Instant::now();
        loop {
            let is_it = |line: &String| line.split(' ').next() == Some(who);
            if let Some(at) = self.early.iter().position(is_it) {
                let line = self.early.remove(at);
                let answer = line.strip_prefix(who).unwrap_or_default().trim().to_owned();
                ensure!(!answer.starts_with("failed"), "{line}");
                return Ok(answer);
            }
            match self
                .lines
                .recv_timeout(LIMIT.saturating_sub(start.elapsed()))
            {
                Ok(line) => self.early.push(line),
                Err(RecvTimeoutError::Timeout) => bail!("no answer to {who}"),
                Err(RecvTimeoutError::Disconnected) => bail!("it ended before its answer to {who}"),
            }
        }
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// As [`Contender::answer`].
    pub(super) fn ask(&mut self, command: &str) -> Result<String> {
        self.tell(command)?;
        let who = command.split(' ').next().unwrap_or_default();
        self.answer(who).with_context(|| command.to_owned())
    }

    /// Sends a command whose answer must be this one.
    ///
    /// # Errors
    /// It is another one.
    pub(super) fn expect(&mut self, command: &str, wanted: &str) -> Result<()> {
        let answer = self.ask(command)?;
        ensure!(
            answer == wanted,
            "{command}: {answer:?} instead of {wanted:?}"
        );
        Ok(())
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // It may have ended already; there is nothing else to do about either error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
