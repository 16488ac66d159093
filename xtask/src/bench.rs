//! Zabra and Apache ZooKeeper measured side by side; never part of the gate, because it has a clock in it.
//!
//! Both servers run on this machine in the same sitting and are asked in turn, so that what is compared are ratios and not
//! moods of the machine. The load comes from `zabra bench`; [`server`] starts and ends the servers, [`rows`] knows what is
//! measured and which bar it is held against, [`ensemble`] the same for three servers, [`table`] writes it down. A third peer, spreads
//! and plots are in [`crate::referee`]; what happens when servers fail is told by the suite `gap` of `cargo xtask interop`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;

use crate::workspace::Workspace;
use crate::{interop, shell};

mod client;
pub(crate) mod ensemble;
pub(crate) mod generator;
pub(crate) mod rows;
pub(crate) mod server;
pub(crate) mod table;

use generator::Generator;
use server::{Kind, Place};
use table::Comparison;

/// How to compare.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// What to measure; everything when not given
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROWS")]
    rows: Vec<Rows>,
    /// Runs of each row and server, of which the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    passes: u32,
    /// Seconds of each measured window
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Znodes of the rows `memory` and `snapshot`
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    znodes: u64,
    /// One short run of each on 100,000 znodes: shows that it works, says little about speed
    #[arg(long)]
    quick: bool,
    /// What is compared with Apache ZooKeeper; `apache` shows how far two runs of the same differ
    #[arg(long, value_enum, default_value_t = Kind::Zabra)]
    subject: Kind,
}

/// A group of measures that need the same preparation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rows {
    /// getData
    Get,
    /// setData
    Set,
    /// 80 % getData, 20 % setData
    Mix,
    /// Sessions opened, and a storm of them
    Sessions,
    /// Notifications to many watchers
    Watch,
    /// Memory and start of a server without znodes
    Idle,
    /// Memory and start with many znodes
    Memory,
    /// Writes while a snapshot is taken
    Snapshot,
    /// getData, setData and both on three servers
    Ensemble,
    /// The client library beside the crate `zookeeper-client`; only when asked for, and alone
    Client,
}

impl Args {
    /// With what `--quick` means.
    fn settled(mut self) -> Self {
        if self.quick {
            self.passes = 1;
            self.seconds = 1;
            self.znodes = self.znodes.min(100_000);
        }
        self
    }

    fn wants(&self, rows: Rows) -> bool {
        self.rows.is_empty() || self.rows.contains(&rows)
    }
}

/// Everything that a measurement needs.
struct Bench {
    args: Args,
    generator: Generator,
    place: Place,
}

/// `cargo xtask bench`.
pub(crate) fn report(workspace: &Workspace, args: &Args) -> anyhow::Result<bool> {
    let args = args.clone().settled();
    build(workspace)?;
    if args.rows == [Rows::Client] {
        return client::report(workspace, &args);
    }
    let jars = provide_apache(workspace)?;
    let folder = workspace.target.join("bench");
    let bench = Bench {
        generator: Generator::new(workspace),
        place: Place::new(workspace, &folder, jars)?,
        args,
    };
    let mut comparison = Comparison::new(workspace, &bench.args)?;
    rows::measure(&bench, &mut comparison)?;
    let markdown = comparison.to_markdown();
    print!("\n{markdown}");
    fs::write(folder.join("report.md"), markdown)?;
    fs::write(
        folder.join("report.json"),
        format!("{:#}\n", comparison.to_json()),
    )?;
    bench.place.clear()?;
    println!(
        "\nwritten to {}",
        workspace.relative(&folder.join("report.md"))
    );
    Ok(true)
}

/// Builds the server, unless `$ZABRA_BIN` names one.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    if std::env::var_os("ZABRA_BIN").is_some() {
        return Ok(());
    }
    let mut cargo = shell::cargo(workspace);
    cargo.args(["build", "--release", "--locked", "-p", "zabra"]);
    shell::run(&mut cargo, BUILD_LIMIT)?.checked("the release build")?;
    Ok(())
}

/// The folder with the jars of Apache ZooKeeper, which the interop suites install on their first run.
pub(crate) fn provide_apache(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let jars = workspace.target.join("interop").join("apache-3.9");
    if !jars.join("stamp").is_file() {
        interop::build(workspace)?;
        let mut install = interop::command(workspace);
        install.args(["words", "--peer", "apache"]);
        shell::run(&mut install, BUILD_LIMIT)?;
    }
    jars.join("stamp")
        .is_file()
        .then_some(jars)
        .context("Apache ZooKeeper could not be installed (Java and Maven are needed)")
}

/// For a build from a cold cache on a slow machine.
pub(crate) const BUILD_LIMIT: Duration = Duration::from_secs(45 * 60);
