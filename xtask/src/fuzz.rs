//! The fuzz targets of `fuzz/`, a workspace of its own because libFuzzer needs a nightly compiler.
//!
//! In the gate each target runs for some seconds from its checked-in seeds; the same seeds are replayed on
//! the stable compiler by `fuzz/tests`, so that a finding stays found without the nightly one.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::evidence;
use crate::shell;
use crate::stage::{Outcome, Tally};
use crate::tools::CARGO_FUZZ;
use crate::workspace::Workspace;

/// How long each target runs in the gate.
const SMOKE_SECONDS: u64 = 10;

/// No single allocation may be larger, in MiB: what a length claims is not what is reserved.
const ALLOCATION_MB: u32 = 64;

/// No target may hold more, in MiB.
const MEMORY_MB: u32 = 1024;

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
    let run = shell::run(&mut stable(workspace, "test"), limit)?;
    Ok(Outcome::Ran {
        tally: Tally::of_cargo_test(&run.stdout),
        success: run.success,
    })
}

/// A cargo command on the targets' code without libFuzzer, which the stable compiler can build.
pub(crate) fn stable(workspace: &Workspace, action: &str) -> Command {
    let mut cargo = shell::cargo(workspace);
    cargo.args([
        action,
        "--locked",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--no-default-features",
    ]);
    cargo
        .arg("--target-dir")
        .arg(workspace.target.join("fuzz-replay"));
    cargo
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

/// Builds every target with libFuzzer and the address sanitizer.
fn build(workspace: &Workspace, limit: Duration) -> anyhow::Result<()> {
    let mut command = CARGO_FUZZ.command(workspace)?;
    command
        .env("RUSTUP_TOOLCHAIN", "nightly")
        .env_remove("CARGO")
        .env_remove("RUSTC");
    command
        .args(["build", "--fuzz-dir", "fuzz", "--target-dir"])
        .arg(workspace.target.join("fuzz"));
    shell::run(&mut command, limit)?.checked("building the fuzz targets")?;
    Ok(())
}

/// Runs one target from its seeds and prints a line; everything that it said when it found something.
fn run(workspace: &Workspace, target: &str, seconds: u64) -> anyhow::Result<bool> {
    let corpus = workspace.root.join("fuzz/corpus").join(target);
    let artifacts = workspace.root.join("fuzz/artifacts").join(target);
    std::fs::create_dir_all(&corpus).context("cannot make the corpus folder")?;
    std::fs::create_dir_all(&artifacts).context("cannot make the artifact folder")?;
    let mut command = Command::new(program(workspace, target)?);
    command
        .arg(&corpus)
        .arg(workspace.root.join("fuzz/seeds").join(target));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg(format!("-max_total_time={seconds}"));
    command
        .arg(format!("-malloc_limit_mb={ALLOCATION_MB}"))
        .arg(format!("-rss_limit_mb={MEMORY_MB}"));
    command.args(["-timeout=10", "-print_final_stats=1"]);
    let output = command
        .output()
        .with_context(|| format!("cannot run the target {target}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        evidence::fuzzed(workspace, target, seconds);
        println!(
            "{target}: {} inputs, {} MB",
            stat(&said, "number_of_executed_units"),
            stat(&said, "peak_rss_mb")
        );
    } else {
        println!(
            "{said}\n{target}: FAILED; `cargo xtask fuzz {target}` repeats it from fuzz/corpus/{target}"
        );
    }
    Ok(output.status.success())
}

/// Where cargo-fuzz left the program of a target.
fn program(workspace: &Workspace, target: &str) -> anyhow::Result<PathBuf> {
    let output = Command::new("rustc")
        .arg("+nightly")
        .arg("-vV")
        .output()
        .context("cannot run rustc")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let host = said
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc names no host")?;
    Ok(workspace
        .target
        .join("fuzz")
        .join(host)
        .join("release")
        .join(target))
}

/// A figure from libFuzzer's summary, or `?`.
fn stat(said: &str, name: &str) -> String {
    let line = said.lines().find(|line| {
        line.strip_prefix("stat::")
            .is_some_and(|line| line.starts_with(name))
    });
    line.and_then(|line| line.split_whitespace().last())
        .unwrap_or("?")
        .to_owned()
}
