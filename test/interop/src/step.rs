//! One line per step with its time, and the rule for what is missing.

use std::fmt;
use std::time::Instant;

use anyhow::Result;

/// Runs one step of a suite and prints its name, its outcome and how long it took.
///
/// # Errors
/// Passes on the error of `run`.
pub fn step<T>(name: impl fmt::Display, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = run();
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) if error.is::<Missing>() => "missing",
        Err(_) => "FAILED",
    };
    println!(
        "interop: {name}: {outcome} ({:.1} s)",
        start.elapsed().as_secs_f64()
    );
    result
}

/// A peer, a client or a tool that is not on this machine. Without `CI=true` a suite that meets it is skipped.
#[derive(Debug)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// Whether this is a run in which nothing may be skipped (`CI=true`).
#[must_use]
pub fn nothing_may_be_skipped() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Turns a suite's result into "passed or skipped" (`Ok`) and "failed" (`Err`), with one closing line.
///
/// # Errors
/// The suite failed, or something is missing while `CI=true`.
pub fn conclude(suite: &str, result: Result<String>) -> Result<()> {
    match result {
        Ok(summary) => {
            println!("interop: {suite}: passed: {summary}");
            Ok(())
        }
        Err(error) if error.is::<Missing>() && !nothing_may_be_skipped() => {
            println!("interop: {suite}: skipped: {error:#}");
            Ok(())
        }
        Err(error) => {
            println!("interop: {suite}: FAILED: {error:#}");
            Err(error)
        }
    }
}
