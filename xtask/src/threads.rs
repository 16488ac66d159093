//! Every order of the server's threads that a scheduler comes up with (`io/server/src/threads`).
//!
//! The server's own code is built on shuttle's primitives, with `--cfg shuttle`, into a folder of its own. In the gate the
//! orders follow from the sources; by hand they are fresh unless a seed is given. A claim that does not hold prints the
//! order in which it did not, for `--replay`.

use std::process::Command;
use std::time::Duration;

use clap::Args as Arguments;

use crate::shell;
use crate::sim::{fresh_seed, seed_of};
use crate::stage::{Outcome, Tally};
use crate::workspace::Workspace;

/// So many orders of each claim in the gate, with either scheduler.
const ORDERS: u64 = 1_000;

/// Where the code lives that runs.
const SOURCES: [&str; 2] = ["io/server/src/", "io/storage/src/"];

/// What `cargo xtask threads` takes.
#[derive(Arguments)]
pub(crate) struct Args {
    /// How many orders of each claim, with either scheduler
    #[arg(long, default_value_t = 4 * ORDERS)]
    orders: u64,
    /// What the orders follow from; fresh when not given
    #[arg(long)]
    seed: Option<u64>,
    /// Only the claims whose name contains this
    #[arg(long, default_value = "")]
    claim: String,
    /// Run the claim in this order, as a failure printed it
    #[arg(long, value_name = "ORDER", requires = "claim")]
    replay: Option<String>,
    /// Plant this mistake first; `io/server/src/sync/slip.rs` names them
    #[arg(long, value_name = "NAME", requires = "claim")]
    mistake: Option<String>,
}

/// `cargo xtask threads`.
pub(crate) fn report(workspace: &Workspace, args: &Args) -> anyhow::Result<bool> {
    let mut command = command(workspace, &args.claim);
    command.env("ZABRA_THREADS_ORDERS", args.orders.to_string());
    let seed = args.seed.unwrap_or_else(fresh_seed);
    command.env("ZABRA_THREADS_SEED", seed.to_string());
    if let Some(order) = &args.replay {
        command.env("ZABRA_THREADS_REPLAY", order);
    }
    if let Some(mistake) = &args.mistake {
        command.env("ZABRA_THREADS_MISTAKE", mistake);
    }
    println!("threads: {} orders from seed {seed}", args.orders);
    Ok(shell::run(&mut command, Duration::MAX)?.success)
}

/// The stage of the gate.
pub(crate) fn stage(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    let mut command = command(workspace, "");
    command.env("ZABRA_THREADS_ORDERS", ORDERS.to_string());
    let seed = seed_of(workspace, &SOURCES)?;
    command.env("ZABRA_THREADS_SEED", seed.to_string());
    let run = shell::run(&mut command, limit)?;
    Ok(Outcome::Ran {
        tally: Tally::of_cargo_test(&run.stdout),
        success: run.success,
    })
}

fn command(workspace: &Workspace, claim: &str) -> Command {
    let mut cargo = shell::cargo(workspace);
    cargo.args(["test", "--locked", "-p", "zabra-server", "--lib"]);
    cargo.arg("--target-dir");
    cargo.arg(workspace.target.join("threads"));
    cargo.arg("--");
    // Its claims and no others of the crate: those run on threads of the system.
    cargo.arg(if claim.is_empty() { "threads::" } else { claim });
    cargo.env("RUSTFLAGS", "--cfg shuttle");
    cargo
}
