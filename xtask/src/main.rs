//! Everything that is done more than once in this repository, as one program: `cargo xtask <task>`.
//!
//! `cargo xtask test` is the gate: it runs what CI runs, changes no source file and ends with the number of
//! tests. `cargo xtask test --fast` is the inner loop. `cargo xtask fix` is the one task that edits sources.
//!
//! Each task has a module of its own: [`gate`] strings the others together, [`tidy`] holds the rules that no
//! compiler checks. Tools that are not part of a Rust installation are built into `target/tools` by [`tools`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod deny;
mod evidence;
mod fuzz;
mod gate;
mod growth;
mod instructions;
mod interop;
mod mutants;
mod referee;
mod shell;
mod sim;
mod stage;
mod tail;
mod threads;
mod tidy;
mod tools;
mod workspace;

use workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

/// The tasks of this repository.
#[derive(Subcommand)]
enum Task {
    /// Run every check and test that CI runs; the last line counts the tests
    Test {
        /// Only what takes less than a minute and needs no other program
        #[arg(long)]
        fast: bool,
        /// Only the stages whose name contains one of these words
        #[arg(long = "stage", value_name = "WORD")]
        stages: Vec<String>,
    },
    /// Check the rules of the house that no compiler checks
    Tidy,
    /// Check licences, sources and banned crates of all dependencies
    Deny,
    /// Format the sources and apply clippy's suggestions
    Fix,
    /// Run the fuzz targets, or one of them, for some seconds each
    Fuzz {
        /// The target to run; all when not given
        target: Option<String>,
        /// Seconds per target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Run real clients and Apache servers against a release build
    Interop {
        /// Passed on to `zabra-interop`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run whole ensembles in virtual time, one per seed
    Sim(sim::Args),
    /// Run the server's threads in many orders, one after the other
    Threads(threads::Args),
    /// Plant known mistakes one by one, and look whether the tests see each
    Mutants(mutants::Args),
    /// Write what the last runs have shown to docs/evidence.md
    Evidence,
    /// Measure Zabra and Apache ZooKeeper side by side
    Bench(bench::Args),
    /// Measure Zabra, Apache ZooKeeper and etcd in one sitting, and tell where Zabra loses
    Referee(referee::Args),
    /// Measure how cost grows with znodes, sessions, watches, value size, servers and cores
    Growth(growth::Args),
    /// Measure p99.9 at half load while everything happens that makes tails
    Tail(tail::Args),
    /// Hold idle sessions while `growth` or `tail` measures
    #[command(hide = true)]
    Crowd(growth::crowd::Args),
    /// Count the instructions of the hot paths, and compare them with benches/instructions.txt
    Instructions(instructions::Args),
}

fn main() -> ExitCode {
    match run(Args::parse().task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one task; `false` when it found something wrong and has said what.
fn run(task: Task) -> anyhow::Result<bool> {
    let workspace = Workspace::find()?;
    match task {
        Task::Test { fast: true, stages } => gate::run(&workspace, gate::fast(), &stages),
        Task::Test {
            fast: false,
            stages,
        } => gate::run(&workspace, gate::full(), &stages),
        Task::Tidy => tidy::report(&workspace),
        Task::Deny => deny::report(&workspace),
        Task::Fix => gate::fix(&workspace),
        Task::Fuzz { target, seconds } => fuzz::report(&workspace, target.as_deref(), seconds),
        Task::Interop { args } => interop::report(&workspace, &args),
        Task::Sim(args) => sim::report(&workspace, &args),
        Task::Threads(args) => threads::report(&workspace, &args),
        Task::Mutants(args) => mutants::report(&workspace, &args),
        Task::Evidence => evidence::report(&workspace),
        Task::Bench(args) => bench::report(&workspace, &args),
        Task::Referee(args) => referee::report(&workspace, &args),
        Task::Growth(args) => growth::report(&workspace, &args),
        Task::Tail(args) => tail::report(&workspace, &args),
        Task::Crowd(args) => growth::crowd::hold(&args),
        Task::Instructions(args) => instructions::report(&workspace, &args),
    }
}
