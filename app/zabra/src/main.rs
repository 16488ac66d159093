//! The `zabra` program: server, tools and load generator in one binary.
//!
//! Each command is a module with its arguments and what it does; what they stand on is in the libraries. Where an
//! Apache command line is taken over, its single-dash long options are accepted as well.

mod check;
mod initialize;
mod log;
mod manual;
mod purge;
mod server;
mod snapshot;
mod txnlog;
mod word;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use zabra_storage::tools::ToolFailure;

/// Small buffers of many connections come and go on several threads; the system's allocator keeps too much of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A coordination service compatible with Apache ZooKeeper.
#[derive(Debug, Parser)]
#[command(name = "zabra", version = zabra_config::version::version(), arg_required_else_help = true)]
struct Zabra {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server in the foreground
    Server(server::Args),
    /// Check a configuration without starting a server
    Check(check::Args),
    /// Load a server of the protocol and measure it
    Bench(zabra_bench::Args),
    /// Show, repair or cut a transaction log
    Txnlog(txnlog::Args),
    /// Show what a snapshot holds
    Snapshot(snapshot::Args),
    /// Remove old snapshots and logs
    Purge(purge::Args),
    /// Make a data directory ready for its first start
    Initialize(initialize::Args),
    /// Send a four-letter word to a server and print its answer
    Word(word::Args),
    /// Print the digest id of `user:password` for ACLs
    Digest {
        /// Name and password, joined by a colon
        credentials: Vec<String>,
    },
    /// Print the version as Apache's tools do
    Version,
    /// Print the completion script of a shell
    Completions(manual::CompletionsArgs),
    /// Print or write the man pages
    Man(manual::ManArgs),
    /// The shell: zkCli's commands, on a terminal, from standard input or as arguments
    #[command(disable_help_flag = true)]
    Cli {
        /// Options and the command, see `zabra cli --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

/// Single-dash long options that Apache's tools take, and what they are here.
const APACHE_OPTIONS: [(&str, &str); 1] = [("-json", "--json")];

/// The command line, in the form that the parser knows.
fn arguments() -> impl Iterator<Item = OsString> {
    std::env::args_os().map(|arg| {
        let known = APACHE_OPTIONS.iter().find(|(apache, _)| arg == *apache);
        known.map_or(arg, |(_, ours)| OsString::from(ours))
    })
}

fn main() -> ExitCode {
    match Zabra::parse_from(arguments()).command {
        Command::Server(args) => server::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Bench(args) => report(zabra_bench::run_and_print(&args)),
        Command::Txnlog(args) => txnlog::run(&args),
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Initialize(args) => initialize::run(&args),
        Command::Word(args) => report(word::run(&args)),
        Command::Digest { credentials } => {
            for credentials in credentials {
                println!(
                    "{credentials}->{}",
                    zabra_tree::acl::digest_id(credentials.as_bytes())
                );
            }
            ExitCode::SUCCESS
        }
        Command::Version => {
            println!("{}", zabra_config::version::version_line());
            ExitCode::SUCCESS
        }
        Command::Completions(args) => report(manual::completions(Zabra::command(), &args)),
        Command::Man(args) => report(manual::man(Zabra::command(), &args)),
        Command::Cli { args } => {
            ExitCode::from(zabra_cli::run(args, &zabra_config::version::full_version()))
        }
    }
}

/// The end of a file tool, with Apache's exit code.
fn tool_end(result: Result<(), ToolFailure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit)
        }
    }
}

/// The end of a command that either works or says in one line why not.
fn report(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zabra: {error:#}");
            ExitCode::FAILURE
        }
    }
}
