//! The tail of latencies while all happens that makes tails: snapshots, logs that roll, a follower that joins with an empty disk,
//! a thousand sessions that expire.
//!
//! Three servers of one kind under half of the load that they can bear, in an open loop: latency counts from when a request was
//! due. [`play`] lets it all happen, [`timeline`] keeps what was seen when, [`mod@report`] writes it down. Peers are compared by a run
//! each; a snapshot alone is one of the rows of [`crate::bench`].

use std::fs;
use std::path::Path;

use crate::bench;
use crate::bench::generator::Generator;
use crate::bench::server::{Kind, Place};
use crate::bench::table::Origin;
use crate::growth::files;
use crate::workspace::Workspace;

mod play;
mod report;
mod timeline;

/// Whose tail, and how long.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Whose tail
    #[arg(long, value_enum, default_value_t = Kind::Zabra)]
    peer: Kind,
    /// Minutes under load; each has one of everything
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    minutes: u32,
    /// Znodes that are there besides those under load: what snapshots consist of
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    znodes: u32,
    /// 20 seconds: shows that it works
    #[arg(long)]
    quick: bool,
}

/// How it is measured.
#[derive(Debug, Clone)]
struct Sitting<'a> {
    args: &'a Args,
    folder: &'a Path,
    /// Of the run under load.
    seconds: u32,
    /// Of the run before, which tells what the servers can bear.
    seconds_closed: u32,
    /// Transactions between two snapshots.
    snap_count: u32,
    /// In each of these there is one of everything.
    cycle: Cycle,
}

/// When something happens, in seconds; all of it again after `length`.
#[derive(Debug, Clone, Copy)]
struct Cycle {
    length: u32,
    /// Sessions are opened that will expire.
    open: u32,
    /// Their clients are gone.
    leave: u32,
    /// A follower loses its disk, and starts again.
    empty: u32,
}

/// `cargo xtask tail`.
pub(crate) fn report(workspace: &Workspace, args: &Args) -> anyhow::Result<bool> {
    let folder = workspace.target.join("tail");
    fs::create_dir_all(&folder)?;
    bench::build(workspace)?;
    let origin = Origin::of(workspace)?;
    let jars = match args.peer {
        Kind::Apache => bench::provide_apache(workspace)?,
        _ => std::path::PathBuf::new(),
    };
    files::raise()?;
    let sitting = if args.quick {
        Sitting {
            args,
            folder: &folder,
            seconds: 20,
            seconds_closed: 2,
            snap_count: 20_000,
            cycle: Cycle {
                length: 20,
                open: 1,
                leave: 3,
                empty: 8,
            },
        }
    } else {
        Sitting {
            args,
            folder: &folder,
            seconds: args.minutes * 60,
            seconds_closed: 10,
            snap_count: 100_000,
            cycle: Cycle {
                length: 60,
                open: 10,
                leave: 15,
                empty: 35,
            },
        }
    };
    let place = Place::new(workspace, &folder, jars)?.with_properties(vec![
        format!("zookeeper.snapCount={}", sitting.snap_count),
        // An empty follower might get the whole log otherwise.
        "zookeeper.forceSnapshotSync=true".to_owned(),
    ]);
    let seen = play::run(&sitting, &place, &Generator::new(workspace))?;
    place.clear()?;
    let markdown = report::write(&sitting, &origin, &seen)?;
    print!("\n{markdown}");
    let path = workspace.relative(&folder.join("report.md"));
    println!("\nwritten to {path}");
    Ok(true)
}
