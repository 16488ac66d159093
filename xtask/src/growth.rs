//! How cost grows: one axis at a time, each from little to much, and the slope of every step beside what theory allows.
//!
//! It is no comparison: Zabra is measured alone unless Apache ZooKeeper is asked for, too. [`state`] measures what a server holds
//! (znodes, sessions, watches), [`load`] what it is asked and on what (value size, servers, cores); [`curve`] knows slopes,
//! [`mod@report`] writes them down, [`chart`] draws them, [`crowd`] holds idle sessions and watches. Servers and load come from
//! [`crate::bench`], comparisons from [`crate::referee`].

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;

use crate::bench::generator::{Figures, Generator, Target};
use crate::bench::server::{Kind, Place};
use crate::bench::table::Origin;
use crate::bench::{self, rows};
use crate::workspace::Workspace;

pub(crate) mod chart;
pub(crate) mod crowd;
mod curve;
pub(crate) mod files;
mod load;
mod report;
mod state;

use curve::Findings;

/// What to measure, and how long.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// What grows; everything when not given
    #[arg(long, value_enum, value_delimiter = ',')]
    axes: Vec<Axis>,
    /// Whose cost
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kind::Zabra])]
    peers: Vec<Kind>,
    /// Runs of each load at each point, of which the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    passes: u32,
    /// Seconds of each measured window
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Also 10 million znodes and sessions on three servers; takes a quarter of an hour and 15 GB of disk more
    #[arg(long)]
    long: bool,
    /// Few points, one short run each: shows that it works, says nothing about growth
    #[arg(long)]
    quick: bool,
}

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Axis {
    /// Znodes on a server
    Znodes,
    /// Idle sessions of a server
    Sessions,
    /// Watches on a server
    Watches,
    /// Bytes of data in a znode
    Size,
    /// Servers of an ensemble
    Servers,
    /// Cores that a server runs on
    Cores,
}

impl Axis {
    const ALL: [Self; 6] = [
        Self::Znodes,
        Self::Sessions,
        Self::Watches,
        Self::Size,
        Self::Servers,
        Self::Cores,
    ];

    /// Its name in files and options.
    const fn name(self) -> &'static str {
        match self {
            Self::Znodes => "znodes",
            Self::Sessions => "sessions",
            Self::Watches => "watches",
            Self::Size => "size",
            Self::Servers => "servers",
            Self::Cores => "cores",
        }
    }

    /// For people.
    const fn title(self) -> &'static str {
        match self {
            Self::Znodes => "Znodes",
            Self::Sessions => "Idle sessions",
            Self::Watches => "Watches",
            Self::Size => "Bytes in a znode",
            Self::Servers => "Servers",
            Self::Cores => "Cores of the server",
        }
    }

    /// Where it is measured.
    fn points(self, args: &Args) -> Vec<u32> {
        let (quick, all): (&[u32], &[u32]) = match self {
            Self::Znodes => (&[10_000, 100_000], &[10_000, 100_000, 1_000_000]),
            Self::Sessions => (&[10, 1_000], &[10, 100, 1_000, 10_000, 50_000]),
            Self::Watches => (&[1_000, 10_000], &[1_000, 10_000, 100_000, 1_000_000]),
            Self::Size => (
                &[0, 1_000, 1_000_000],
                &[0, 100, 1_000, 10_000, 100_000, 1_000_000],
            ),
            Self::Servers => (&[1, 3], &[1, 3, 5, 7]),
            Self::Cores => (&[1, 2], &[1, 2]),
        };
        let mut points = Vec::from(if args.quick { quick } else { all });
        if self == Self::Znodes && args.long {
            points.push(10_000_000);
        }
        points
    }

    fn measure(
        self,
        sitting: &Sitting<'_>,
        kind: Kind,
        at: u32,
        found: &mut Findings,
    ) -> anyhow::Result<()> {
        match self {
            Self::Znodes => state::znodes(sitting, kind, at, found),
            Self::Sessions => state::sessions(sitting, kind, at, found),
            Self::Watches => state::watches(sitting, kind, at, found),
            Self::Size => load::size(sitting, kind, at, found),
            Self::Servers => load::servers(sitting, kind, at, found),
            Self::Cores => load::cores(sitting, kind, at, found),
        }
    }
}

/// Everything that a measurement needs.
struct Sitting<'a> {
    args: Args,
    workspace: &'a Workspace,
    folder: &'a Path,
    generator: Generator,
    jars: PathBuf,
    /// Seconds of a measured window.
    window: f64,
    /// How many files a process may have open.
    files: u64,
}

impl Sitting<'_> {
    /// Where servers run; what earlier ones wrote is removed.
    fn place(&self) -> anyhow::Result<Place> {
        Place::new(self.workspace, self.folder, self.jars.clone())
    }

    /// Puts a load on servers, once for each pass.
    fn runs(
        &self,
        generator: &Generator,
        target: &Target,
        work: &str,
    ) -> anyhow::Result<Vec<Figures>> {
        let run = |_| self.run(generator, target, work, self.window);
        (0..self.args.passes).map(run).collect()
    }

    /// Puts a load on servers once, in a window of so many seconds.
    fn run(
        &self,
        generator: &Generator,
        target: &Target,
        work: &str,
        window: f64,
    ) -> anyhow::Result<Figures> {
        let warm_up = self.window / 4.0;
        let work = format!("{work} --warm-up {warm_up} --duration {window}");
        generator.run(target, &work)
    }

    /// A JVM compiles what it runs often: it gets the time for that before anything is measured.
    fn warm(&self, target: &Target) -> anyhow::Result<()> {
        if target.kind == Kind::Apache {
            rows::warm(&self.generator, target, true)?;
        }
        Ok(())
    }
}

/// `cargo xtask growth`.
pub(crate) fn report(workspace: &Workspace, args: &Args) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let folder = workspace.target.join("growth");
    fs::create_dir_all(&folder)?;
    bench::build(workspace)?;
    let origin = Origin::of(workspace)?;
    let mut args = args.clone();
    if args.quick {
        args.passes = 1;
    }
    let jars = if args.peers.contains(&Kind::Apache) {
        bench::provide_apache(workspace)?
    } else {
        PathBuf::new()
    };
    let sitting = Sitting {
        workspace,
        folder: &folder,
        generator: Generator::new(workspace),
        jars,
        window: if args.quick { 0.5 } else { args.seconds as f64 },
        files: files::raise()?,
        args,
    };
    let mut all = Vec::new();
    for axis in Axis::ALL {
        if sitting.args.axes.is_empty() || sitting.args.axes.contains(&axis) {
            all.push((axis, measure(&sitting, axis)));
        }
    }
    sitting.place()?.clear()?;
    report::write(&sitting, &origin, &all)?;
    println!(
        "\nwritten to {} after {:.0} s",
        workspace.relative(&folder.join("report.md")),
        begun.elapsed().as_secs_f64()
    );
    Ok(true)
}

/// Each point of an axis, the peers in turn.
fn measure(sitting: &Sitting<'_>, axis: Axis) -> Findings {
    let mut found = Findings::default();
    for at in axis.points(&sitting.args) {
        for &kind in &sitting.args.peers {
            let begun = Instant::now();
            // One that fails says something of its server and is no reason to lose the others.
            if let Err(error) = axis.measure(sitting, kind, at, &mut found) {
                found.note(format!("{kind} at {at}: {error:#}."));
            }
            let (name, took) = (axis.name(), begun.elapsed().as_secs_f64());
            println!("{name} {at}: {kind} measured in {took:.1} s");
        }
    }
    found
}

/// A row of `mntr`.
pub(crate) fn metric(answer: &str, name: &str) -> Option<f64> {
    let mut rows = answer.lines().filter_map(|line| line.split_once('\t'));
    rows.find(|(row, _)| *row == name)?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::metric;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let answer = "zk_max_snapshottime\t12\nzk_max_snapshottime_more\t13\nzk_version\t3.9\n";
        assert_eq!(metric(answer, "zk_max_snapshottime"), Some(12.0));
        assert_eq!(metric(answer, "zk_max"), None);
        assert_eq!(metric(answer, "zk_version_more"), None);
    }
}
