//! Known mistakes, planted one by one until the tests see each (`test/mutants`).
//!
//! The seeds are those of this tree, fresh, or given; or those that caught each mutant when they were last noted. A change of
//! the code may have made those other runs: then the search goes on behind them, and still must end well. The gate begins
//! so, and looks for five mutants, others after each change, in any kind of world with fresh seeds.

use std::time::Duration;

use clap::Args as Arguments;

use crate::shell;
use crate::sim::{SMALL_WORLDS, fresh_seed, seed_of_sources};
use crate::stage::{Outcome, Tally};
use crate::workspace::Workspace;

/// So much processor time there is for each mutant, s.
const SECONDS: u64 = 120;

/// So many mutants get fresh seeds in the gate.
const FRESH: usize = 5;

/// What `cargo xtask mutants` takes.
#[derive(Arguments)]
pub(crate) struct Args {
    /// Fresh seeds instead of those of this tree
    #[arg(long)]
    fresh: bool,
    /// The first seed, instead of that of this tree
    #[arg(long)]
    from: Option<u64>,
    /// Begin with the seeds that caught them last, and note those that do now
    #[arg(long, conflicts_with_all = ["fresh", "from"])]
    learn: bool,
    /// Only mutants with these numbers or names
    #[arg(long)]
    only: Vec<String>,
    /// So much processor time for each
    #[arg(long, default_value_t = SECONDS)]
    seconds: u64,
}

/// `cargo xtask mutants`.
pub(crate) fn report(workspace: &Workspace, args: &Args) -> anyhow::Result<bool> {
    build(workspace)?;
    let from = match args.from {
        Some(from) => from,
        None if args.fresh => fresh_seed(),
        None => seed_of_sources(workspace)?,
    };
    let mut command = command(workspace, from, args.seconds);
    if args.learn {
        command.args(["--known", "--learn"]);
    }
    for word in &args.only {
        command.arg("--only").arg(word);
    }
    Ok(shell::run(&mut command, Duration::MAX)?.success)
}

/// The stage of the gate. Each hunt counts as a test.
pub(crate) fn stage(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    build(workspace)?;
    let mut command = command(workspace, seed_of_sources(workspace)?, SECONDS);
    command.args(["--known", "--fresh"]).arg(FRESH.to_string());
    let run = shell::run(&mut command, limit)?;
    Ok(Outcome::Ran {
        tally: Tally::of_mutants(&run.stdout),
        success: run.success,
    })
}

fn build(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = shell::cargo(workspace);
    cargo.args(["build", "--profile", "sim", "--locked"]);
    cargo.args(["-p", "zabra-mutants", "--features", "mutants"]);
    let finished = shell::run(&mut cargo, Duration::from_secs(45 * 60))?;
    finished.checked("the build with the switches")?;
    Ok(())
}

fn command(workspace: &Workspace, from: u64, seconds: u64) -> std::process::Command {
    let program = workspace.target.join("sim").join("zabra-mutants");
    let mut command = std::process::Command::new(program);
    command.current_dir(&workspace.root);
    command.envs(SMALL_WORLDS);
    command.arg("--from").arg(from.to_string());
    command.arg("--seconds").arg(seconds.to_string());
    command
}
