//! What the suites of ensembles share: a step in a directory that is kept when it fails, and a leader's tail.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::ensemble::Member;
use crate::step::{Missing, step};
use crate::wire::{Body, Hello, Wire, op};

/// Writes of a tail.
const LENGTH: i32 = 20;
/// How long a leader may take to log what it proposes.
const LOG_LIMIT: Duration = Duration::from_secs(10);

/// A step of a suite in a directory of its own.
#[derive(Debug)]
pub struct Scene;

/// What became of several scenes that are all played, whatever became of the ones before.
#[derive(Debug, Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Keeps what went wrong in one.
    ///
    /// # Errors
    /// Something is missing: then so it is for the others.
    pub fn note(&mut self, played: Result<()>) -> Result<()> {
        match played {
            Err(error) if error.is::<Missing>() => Err(error),
            Err(error) => {
                self.0.push(format!("{error:#}"));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Fails with everything that went wrong.
    ///
    /// # Errors
    /// Something did.
    pub fn conclude(self) -> Result<()> {
        ensure!(self.0.is_empty(), "{}", self.0.join("\n\n"));
        Ok(())
    }
}

impl Scene {
    /// Plays it and prints what it came to. The directory, with the logs of all servers, is kept when it fails.
    ///
    /// # Errors
    /// Passes on the error of `play`.
    pub fn play(name: impl Display, play: impl FnOnce(&Path) -> Result<String>) -> Result<()> {
        let mut told = String::new();
        step(&name, || {
            let dir = tempfile::tempdir()?;
            match play(dir.path()) {
                Ok(text) => {
                    told = text;
                    if std::env::var_os("INTEROP_KEEP").is_some() {
                        println!(
                            "interop:   the directories are kept: {}",
                            dir.keep().display()
                        );
                    }
                    Ok(())
                }
                Err(error) => {
                    let kept = dir.keep();
                    Err(error.context(format!(
                        "{name}; the directories are kept: {}",
                        kept.display()
                    )))
                }
            }
        })?;
        println!("interop:   {told}");
        Ok(())
    }
}

/// A session on a leader that will log writes which nobody else gets.
#[derive(Debug)]
pub struct Tail {
    wire: Wire,
    session: i64,
}

impl Tail {
    /// Opens the session, which still takes a quorum.
    ///
    /// # Errors
    /// No session is granted.
    pub fn begin(leader: &Member) -> Result<Self> {
        let met = Wire::connect(leader.addr(), &Hello::new(30_000))?;
        let (wire, grant) = met.context("closed at the handshake")?;
        ensure!(grant.session != 0, "no session was granted");
        Ok(Self {
            wire,
            session: grant.session,
        })
    }

    /// Has the leader log writes; its followers are paused, so they are never acknowledged to anybody.
    ///
    /// # Errors
    /// They do not appear in its log.
    pub fn write(&mut self, leader: &Member) -> Result<()> {
        let mark = |n: i32| format!("tail-{:x}-{n:02}", self.session);
        for n in 1..=LENGTH {
            let body = Body::new()
                .string(&format!("/{}", mark(n)))
                .buffer(Some(b"logged by one"))
                .acl(&[(31, "world", "anyone")])
                .i32(0);
            self.wire.send(n, op::CREATE, &body)?;
        }
        let start = Instant::now();
        while !logged(&leader.data().join("version-2"), &mark(LENGTH))? {
            ensure!(
                start.elapsed() < LOG_LIMIT,
                "the leader does not log what it proposes"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Whether a txn log in `dir` holds `mark`.
fn logged(dir: &Path, mark: &str) -> Result<bool> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_log = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("log."));
        if is_log && contains(&fs::read(&path)?, mark.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
