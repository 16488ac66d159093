//! Zabra, Apache ZooKeeper and etcd measured in one sitting, and told so that one sees where Zabra loses.
//!
//! It is `cargo xtask bench` with a third peer, every run kept instead of the median alone, and a disk that can be slowed. Servers
//! and load come from [`crate::bench`]; [`rows`] knows what is asked of whom, [`sheet`] keeps the figures, [`mod@report`] writes them
//! down, [`plot`] draws them, [`flush`] measures the disk, [`etcd`] finds the third peer. The bars are those of [`crate::bench`].

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::bench::generator::Generator;
use crate::bench::server::{Kind, Place};
use crate::bench::{self, table};
use crate::shell;
use crate::workspace::Workspace;

mod etcd;
mod flush;
pub(crate) mod plot;
mod report;
mod rows;
pub(crate) mod sheet;

use sheet::Sheet;

/// How to compare.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Numbers of servers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3], value_parser = clap::value_parser!(u8).range(1..=7))]
    servers: Vec<u8>,
    /// Milliseconds by which each flush is lengthened; needs `strace`
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 5], value_parser = clap::value_parser!(u64).range(0..=1000))]
    delays: Vec<u64>,
    /// Only rows whose name contains one of these, as in `set 64`
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Runs of each row and server, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    passes: u32,
    /// Seconds of each measured window
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// One short run of each: shows that it works, says little about speed
    #[arg(long)]
    quick: bool,
    /// Only measure how long a flush takes in this folder
    #[arg(long, hide = true, value_name = "FOLDER")]
    flushes_in: Option<std::path::PathBuf>,
}

impl Args {
    /// With what `--quick` means.
    fn settled(mut self) -> Self {
        if self.quick {
            self.passes = 1;
            self.seconds = 1;
        }
        self
    }

    fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|word| row.contains(word.as_str()))
    }
}

/// Everything that a measurement needs.
struct Sitting<'a> {
    args: Args,
    workspace: &'a Workspace,
    folder: &'a Path,
    generator: Generator,
    jars: std::path::PathBuf,
    etcd: std::path::PathBuf,
    /// Who is compared.
    peers: Vec<Kind>,
}

impl Sitting<'_> {
    /// Where servers run whose flushes are so much longer; what earlier ones wrote is removed.
    fn place(&self, flush_delay: Duration) -> anyhow::Result<Place> {
        let place = Place::new(self.workspace, self.folder, self.jars.clone())?;
        Ok(place
            .with_etcd(self.etcd.clone())
            .with_flush_delay(flush_delay))
    }
}

/// `cargo xtask referee`.
pub(crate) fn report(workspace: &Workspace, args: &Args) -> anyhow::Result<bool> {
    if let Some(folder) = &args.flushes_in {
        println!("{}", flush::Times::measure(folder)?.to_json());
        return Ok(true);
    }
    let folder = workspace.target.join("referee");
    fs::create_dir_all(&folder)?;
    bench::build(workspace)?;
    build_etcd_load(workspace)?;
    let mut sheet = Sheet::new(table::Origin::of(workspace)?);
    let mut peers = vec![Kind::Zabra, Kind::Apache];
    let etcd = match etcd::provide(&folder) {
        Ok(etcd) => {
            peers.push(Kind::Etcd);
            etcd
        }
        Err(error) => {
            sheet.note(format!("etcd is missing from this report: {error:#}."));
            std::path::PathBuf::new()
        }
    };
    let sitting = Sitting {
        args: args.clone().settled(),
        workspace,
        folder: &folder,
        generator: Generator::new(workspace),
        jars: bench::provide_apache(workspace)?,
        etcd,
        peers,
    };
    rows::measure(&sitting, &mut sheet)?;
    sitting.place(Duration::ZERO)?.clear()?;
    report::write(&sitting, &sheet)?;
    let report = workspace.relative(&folder.join("report.md"));
    println!("\nwritten to {report}");
    Ok(true)
}

fn build_etcd_load(workspace: &Workspace) -> anyhow::Result<()> {
    let mut build = shell::cargo(workspace);
    build.args(["build", "--release", "--locked", "-p", "zabra-compare-etcd"]);
    build.args(["--manifest-path", "compare/Cargo.toml", "--target-dir"]);
    build.arg(&workspace.target);
    shell::run(&mut build, bench::BUILD_LIMIT)?.checked("the build of etcd's load")?;
    Ok(())
}
