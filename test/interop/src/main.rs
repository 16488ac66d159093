//! The command line of the interop suites; `cargo xtask interop` calls it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use zabra_interop::chaos::{Of, Script};
use zabra_interop::diff::{self, Plan};
use zabra_interop::gap::Figures;
use zabra_interop::kazoo::Cluster;
use zabra_interop::peer::{Line, Peer};
use zabra_interop::step::conclude;
use zabra_interop::{
    chaos, cli, client, directed, files, gap, kazoo, mixed, recipes, rolling, words, zkcli,
};

/// Operations of the differential scripts in a run that is not long.
const OPS: u64 = 20_000;
/// The same in a long run.
const OPS_LONG: u64 = 1_000_000;

/// Rounds of the suite `chaos`.
const ROUNDS: u32 = 100;
/// The same in a long run.
const ROUNDS_LONG: u32 = 2000;

#[derive(Parser)]
#[command(
    name = "zabra-interop",
    about = "Real Apache servers and clients against ours"
)]
struct CommandLine {
    #[command(subcommand)]
    suite: Suite,
    #[command(flatten)]
    how: How,
}

#[derive(Args)]
struct How {
    /// What stands in the place of the server under test; `apache` compares Apache 3.9 with itself, an older line shows
    /// that differences are found
    #[arg(long, global = true, value_enum, default_value_t = Tested::Zabra)]
    peer: Tested,
    /// More of everything: 1,000,000 operations, every Apache line, every snapshot codec in full size
    #[arg(long, global = true)]
    long: bool,
    /// Seed of the first script
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Operations of the differential scripts (also: the variable INTEROP_OPS)
    #[arg(long, global = true)]
    ops: Option<u64>,
    /// Transactions that are written in the suite `files`
    #[arg(long, global = true, default_value_t = 100_000)]
    txns: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tested {
    Apache,
    /// Apache 3.8
    ApacheOld,
    Zabra,
}

/// What suffers in a round.
#[derive(Clone, Copy, ValueEnum)]
enum Only {
    /// Servers and their network as a whole
    Servers,
    /// Links between servers
    Links,
    /// Disks and wall clocks
    Disks,
}

impl From<Only> for Of {
    fn from(only: Only) -> Self {
        match only {
            Only::Servers => Self::Servers,
            Only::Links => Self::Links,
            Only::Disks => Self::Disks,
        }
    }
}

#[derive(Clone, Copy, Subcommand)]
enum Suite {
    /// kazoo's own test suite
    Kazoo {
        /// Write the baseline from Apache instead of comparing with it
        #[arg(long)]
        record: bool,
    },
    /// The same random scripts to Apache and to the server under test
    Diff,
    /// Small scripts with known answers of Apache 3.9
    Directed,
    /// kazoo's own test suite with three servers
    Kazoo3 {
        /// Write the baseline from Apache instead of comparing with it
        #[arg(long)]
        record: bool,
        /// With an observer beside the three voters
        #[arg(long)]
        observer: bool,
    },
    /// The server under test and Apache in one ensemble, in every role
    Mixed,
    /// An Apache ensemble becomes one of the server under test, one server at a time, and goes back
    Rolling,
    /// Servers under test killed, paused and cut off, round after round
    Chaos {
        /// How many rounds; 100 when not given, 2,000 in a long run
        #[arg(long)]
        rounds: Option<u32>,
        /// With Apache servers among them: one, or so many where there are five servers
        #[arg(long, value_name = "MANY", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
        mixed: Option<u8>,
        /// Only rounds of this kind
        #[arg(long, value_enum)]
        only: Option<Only>,
    },
    /// How long the ensemble is out of service when its leader goes, beside Apache; not part of `all`
    Gap {
        /// Rounds of each kind
        #[arg(long, default_value_t = 20)]
        rounds: u32,
        /// Znodes that a new disk is to get; 0 leaves that out
        #[arg(long, default_value_t = 1_000_000)]
        znodes: u32,
        /// Leave Apache out
        #[arg(long)]
        alone: bool,
    },
    /// Every command of Apache's zkCli
    Zkcli,
    /// `zabra cli` beside Apache's zkCli
    Cli,
    /// The recipes beside those of Curator and kazoo
    Recipes,
    /// The client library with our server and Apache's, ensembles that lose their leader included
    Client,
    /// Data directories handed from one server to the other and back
    Files,
    /// The four-letter words
    Words,
    /// Every suite of standalone servers
    Standalone,
    /// Every suite of ensembles
    Ensembles,
    /// Everything but figures
    All,
}

/// What one server can show.
const STANDALONE: &[Suite] = &[
    Suite::Words,
    Suite::Directed,
    Suite::Zkcli,
    Suite::Cli,
    Suite::Recipes,
    Suite::Diff,
    Suite::Files,
    Suite::Kazoo { record: false },
];

/// What takes several.
const ENSEMBLES: &[Suite] = &[
    Suite::Client,
    Suite::Mixed,
    Suite::Rolling,
    Suite::Chaos {
        rounds: None,
        mixed: None,
        only: None,
    },
    Suite::Kazoo3 {
        record: false,
        observer: false,
    },
];

/// What a long run does besides.
const ENSEMBLES_LONG: &[Suite] = &[
    Suite::Chaos {
        rounds: Some(ROUNDS),
        mixed: Some(2),
        only: None,
    },
    Suite::Kazoo3 {
        record: false,
        observer: true,
    },
];

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let suites = match line.suite {
        Suite::Standalone => STANDALONE.to_vec(),
        Suite::Ensembles => ENSEMBLES.to_vec(),
        Suite::All => [STANDALONE, ENSEMBLES].concat(),
        one => vec![one],
    };
    let is_group = matches!(line.suite, Suite::Ensembles | Suite::All);
    let suites = if is_group && line.how.long {
        [&suites, ENSEMBLES_LONG].concat()
    } else {
        suites
    };
    let mut code = ExitCode::SUCCESS;
    for suite in suites {
        let (name, result) = run(suite, &line.how);
        if conclude(name, result).is_err() {
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn run(suite: Suite, how: &How) -> (&'static str, Result<String>) {
    let peer = match how.peer {
        Tested::Apache => Peer::Apache(Line::V3_9),
        Tested::ApacheOld => Peer::Apache(Line::V3_8),
        Tested::Zabra => Peer::Zabra,
    };
    match suite {
        Suite::Kazoo { record } => ("kazoo", kazoo::run(peer, Cluster::One, record)),
        Suite::Kazoo3 { record, observer } => {
            let cluster = if observer {
                Cluster::Observed
            } else {
                Cluster::Three
            };
            ("kazoo3", kazoo::run(peer, cluster, record))
        }
        Suite::Diff => {
            let of_variable = std::env::var("INTEROP_OPS")
                .ok()
                .and_then(|text| text.parse().ok());
            let ops = how
                .ops
                .or(of_variable)
                .unwrap_or(if how.long { OPS_LONG } else { OPS });
            (
                "diff",
                diff::run(
                    peer,
                    &Plan {
                        seed: how.seed,
                        ops,
                    },
                ),
            )
        }
        Suite::Mixed => ("mixed", mixed::run(peer, how.long)),
        Suite::Rolling => ("rolling", rolling::run(peer, how.long)),
        Suite::Chaos {
            rounds,
            mixed,
            only,
        } => {
            let script = Script {
                rounds: rounds.unwrap_or(if how.long { ROUNDS_LONG } else { ROUNDS }),
                seed: how.seed,
                only: only.map(Of::from),
                guests: mixed.map(|many| (Peer::Apache(Line::V3_9), many)),
            };
            ("chaos", chaos::run(peer, script))
        }
        Suite::Gap {
            rounds,
            znodes,
            alone,
        } => {
            let figures = Figures { rounds, znodes };
            ("gap", gap::run(peer, figures, alone))
        }
        Suite::Directed => ("directed", directed::run(peer)),
        Suite::Zkcli => ("zkcli", zkcli::run(peer)),
        Suite::Cli => ("cli", cli::run(peer)),
        Suite::Client => ("client", client::run(peer, how.long)),
        Suite::Recipes => ("recipes", recipes::run(peer)),
        Suite::Files => ("files", files::run(peer, how.txns, how.long)),
        Suite::Words => ("words", words::run(peer)),
        Suite::Standalone | Suite::Ensembles | Suite::All => {
            unreachable!("these are lists of the others")
        }
    }
}
