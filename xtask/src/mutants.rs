//! Known mistakes, planted one by one until the tests see each (`test/mutants`).
//!
//! The seeds are those of this tree, fresh, or given; or those that caught each mutant when they were last noted, and the
//! ones behind them.

use std::time::Duration;

use clap::Args as Arguments;

use crate::shell;
use crate::sim::{SMALL_WORLDS, fresh_seed, seed_of_sources};
use crate::workspace::Workspace;

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
    #[arg(long, default_value_t = 120)]
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
