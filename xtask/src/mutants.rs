//! Known mistakes, planted one by one until the tests see each (`test/mutants`).
//!
//! The seeds follow from the sources, as the simulator's do: nothing is remembered that a change of the code would make
//! wrong. By hand they are fresh unless they are given.

use std::time::Duration;

use clap::Args as Arguments;

use crate::shell;
use crate::sim::{fresh_seed, seed_of_sources};
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
    command.arg("--from").arg(from.to_string());
    command.arg("--seconds").arg(seconds.to_string());
    command
}
