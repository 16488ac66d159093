//! The fuzz targets of `fuzz/`, a workspace of its own because libFuzzer needs a nightly compiler.
//!
//! In the gate each target runs for some seconds from its checked-in seeds; the same seeds are replayed on
//! the stable compiler by `fuzz/tests`, so that a finding stays found without the nightly one.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::shell;
use crate::stage::{Outcome, Tally};
use crate::tools::CARGO_FUZZ;
use crate::workspace::Workspace;

/// How long each target runs in the gate.
const SMOKE_SECONDS: u64 = 10;

/// No decoder may need more: what a length claims is not what is reserved.
const MEMORY_LIMIT_MB: u32 = 1024;

/// `cargo xtask fuzz`.
pub(crate) fn report(
    workspace: &Workspace,
    only: Option<&str>,
    seconds: u64,
) -> anyhow::Result<bool> {
    let targets: Vec<String> = targets(workspace)?
        .into_iter()
        .filter(|target| only.is_none_or(|only| only == target))
        .collect();
    if targets.is_empty() {
        bail!("no such fuzz target; `ls fuzz/targets` shows them");
    }
    build(workspace, Duration::MAX)?;
    let mut all = true;
    for target in &targets {
        all &= run(workspace, target, seconds)?;
    }
    Ok(all)
}

/// The stage of the gate: every target for a short time.
pub(crate) fn stage(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    if !has_nightly() {
        return Ok(Outcome::Skipped(
            "no nightly compiler (rustup toolchain install nightly)".to_owned(),
        ));
    }
    build(workspace, limit)?;
    let mut tally = Tally::default();
    for target in targets(workspace)? {
        if run(workspace, &target, SMOKE_SECONDS)? {
            tally.passed += 1;
        } else {
            tally.failed += 1;
        }
    }
    Ok(Outcome::Ran {
        tally,
        success: tally.failed == 0,
    })
}

/// Replays the seeds of every target on the stable compiler.
pub(crate) fn replay(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    let mut cargo = shell::cargo(workspace);
    cargo.args([
        "test",
        "--locked",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--no-default-features",
    ]);
    cargo
        .arg("--target-dir")
        .arg(workspace.target.join("fuzz-replay"));
    let run = shell::run(&mut cargo, limit)?;
    Ok(Outcome::Ran {
        tally: Tally::of_cargo_test(&run.stdout),
        success: run.success,
    })
}

/// The names of the targets, which are the files in `fuzz/targets`.
fn targets(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let folder = workspace.root.join("fuzz/targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).context("cannot read fuzz/targets")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}

fn has_nightly() -> bool {
    let version = Command::new("rustc")
        .arg("+nightly")
        .arg("--version")
        .output();
    version.is_ok_and(|output| output.status.success())
}

/// A cargo-fuzz command under the nightly compiler.
fn cargo_fuzz(workspace: &Workspace, action: &str) -> anyhow::Result<Command> {
    let mut command = CARGO_FUZZ.command(workspace)?;
    command
        .env("RUSTUP_TOOLCHAIN", "nightly")
        .env_remove("CARGO")
        .env_remove("RUSTC");
    command.arg(action).args(["--fuzz-dir", "fuzz"]);
    command
        .arg("--target-dir")
        .arg(workspace.target.join("fuzz"));
    Ok(command)
}

fn build(workspace: &Workspace, limit: Duration) -> anyhow::Result<()> {
    shell::run(&mut cargo_fuzz(workspace, "build")?, limit)?
        .checked("building the fuzz targets")?;
    Ok(())
}

/// Runs one target from its seeds; `false` when it found something.
fn run(workspace: &Workspace, target: &str, seconds: u64) -> anyhow::Result<bool> {
    let corpus = workspace.root.join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&corpus).context("cannot make the corpus folder")?;
    let mut command = cargo_fuzz(workspace, "run")?;
    command
        .arg(target)
        .arg(&corpus)
        .arg(workspace.root.join("fuzz/seeds").join(target))
        .arg("--");
    command
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY_LIMIT_MB}"));
    command.args(["-timeout=10", "-print_final_stats=1", "-verbosity=0"]);
    let run = shell::run(
        &mut command,
        Duration::from_secs(seconds.saturating_mul(2) + 300),
    )?;
    Ok(run.success)
}
