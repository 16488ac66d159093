//! The simulator: whole ensembles under seeds (`test/sim`).
//!
//! In the gate the seeds follow from the tested sources, so that a tree runs the same ones here and in CI. By hand they
//! are fresh unless they are given.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args as Arguments;

use crate::shell;
use crate::stage::{Outcome, Tally};
use crate::workspace::Workspace;

/// How many seeds the gate runs.
const SEEDS: u64 = 3000;

/// So many faults they must inject in all, or they prove little.
const FAULTS: u64 = 60_000;

/// How many of them twice (I-43).
const TWICE: u64 = 200;

/// Where the code lives that a simulation runs.
const SOURCES: [&str; 4] = ["core/", "io/storage/", "test/sim/", "test/testkit/"];

/// What `cargo xtask sim` takes.
#[derive(Arguments)]
pub(crate) struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed; a fresh one when not given, with `sources` the one that the gate begins with
    #[arg(long)]
    from: Option<String>,
    /// Run one seed and print its trace
    #[arg(long, value_name = "SEED")]
    replay: Option<u64>,
    /// In a world of this temper, as hunts for mutants name it behind `sim@`
    #[arg(long, value_name = "NAME", requires = "replay")]
    temper: Option<String>,
    /// Only worlds with so many voters
    #[arg(long)]
    voters: Option<usize>,
    /// Run so many of them twice: the trace must be the same
    #[arg(long, default_value_t = 0)]
    twice: u64,
}

/// `cargo xtask sim`.
pub(crate) fn report(workspace: &Workspace, args: &Args) -> anyhow::Result<bool> {
    build(workspace)?;
    let mut command = command(workspace);
    if let Some(seed) = args.replay {
        command.arg("--replay").arg(seed.to_string());
        if let Some(temper) = &args.temper {
            command.arg("--temper").arg(temper);
        }
    } else {
        let from = match args.from.as_deref() {
            Some("sources") => seed_of_sources(workspace)?,
            Some(seed) => seed.parse()?,
            None => fresh_seed(),
        };
        command.arg("--seeds").arg(args.seeds.to_string());
        command.arg("--twice").arg(args.twice.to_string());
        command.arg("--from").arg(from.to_string());
    }
    if let Some(voters) = args.voters {
        command.arg("--voters").arg(voters.to_string());
    }
    Ok(shell::run(&mut command, Duration::MAX)?.success)
}

/// The stage of the gate. Each seed counts as a test.
pub(crate) fn stage(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    build(workspace)?;
    let from = seed_of_sources(workspace)?;
    let mut command = command(workspace);
    command.arg("--seeds").arg(SEEDS.to_string());
    command.arg("--twice").arg(TWICE.to_string());
    command.arg("--from").arg(from.to_string());
    command.arg("--require").arg(FAULTS.to_string());
    let run = shell::run(&mut command, limit)?;
    Ok(Outcome::Ran {
        tally: Tally::of_sim(&run.stdout),
        success: run.success,
    })
}

fn build(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = shell::cargo(workspace);
    cargo.args(["build", "--profile", "sim", "--locked", "-p", "zabra-sim"]);
    let finished = shell::run(&mut cargo, Duration::from_secs(45 * 60))?;
    finished.checked("the build of the simulator")?;
    Ok(())
}

/// Worlds are small and come and go: memory that is kept and not given out in huge pages saves a tenth of the time.
pub(crate) const SMALL_WORLDS: [(&str, &str); 2] =
    [("MIMALLOC_PURGE_DELAY", "-1"), ("MIMALLOC_ALLOW_THP", "0")];

fn command(workspace: &Workspace) -> Command {
    let mut command = Command::new(workspace.target.join("sim").join("zabra-sim"));
    command.current_dir(&workspace.root);
    command.envs(SMALL_WORLDS);
    command
}

/// A seed that follows from the sources that are tested.
pub(crate) fn seed_of_sources(workspace: &Workspace) -> anyhow::Result<u64> {
    seed_of(workspace, &SOURCES)
}

/// A seed that follows from the sources in these folders.
pub(crate) fn seed_of(workspace: &Workspace, folders: &[&str]) -> anyhow::Result<u64> {
    let mut hash = FNV_BASIS;
    for file in workspace.files()? {
        let name = workspace.relative(&file);
        if folders.iter().any(|folder| name.starts_with(folder)) {
            hash = fnv(hash, name.as_bytes());
            hash = fnv(hash, &std::fs::read(&file)?);
        }
    }
    // Short enough to be typed.
    Ok(hash % 1_000_000_000)
}

/// A seed that follows from the time.
pub(crate) fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64 % 1_000_000_000)
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}
