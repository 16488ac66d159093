//! The client library beside the crate `zookeeper-client`: the same calls to the same server, in turn, and what CPU time
//! this process spent on each call.
//!
//! Both clients run in this process and on the same runtime, one at a time; the server runs elsewhere, so that its time is not
//! in the figures. What the kernel does in system calls is, since how many of them a call takes is part of the comparison.
//! `cargo xtask bench --rows client` starts a server and runs this.

mod bare;
mod client;
mod core_of;
mod row;

use anyhow::Context;
use bare::Bare;
use clap::Parser;
use row::{Op, Row, Shape};

/// What to measure.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    /// The servers to ask
    #[arg(long, default_value = "127.0.0.1:2181")]
    servers: String,
    /// Windows of each client in each row, of which the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    passes: u32,
    /// Milliseconds of each window
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    window: u64,
    /// Only rows whose name contains this
    #[arg(long, default_value = "")]
    row: String,
    /// The core for this process and for the server, whose process this is: waking another core costs more than a call on
    /// some machines, and which one wakes which is up to the scheduler
    #[arg(long, value_name = "PID")]
    one_core_with: Option<u32>,
    /// Only this client, for a profiler
    #[arg(long, value_enum)]
    only: Option<client::Which>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(server) = args.one_core_with {
        core_of::share(server).context("sharing a core with the server")?;
    }
    println!(
        "| row | zookeeper-client, µs/op | zabra-client, µs/op | ratio | calls/s, theirs and ours |"
    );
    println!("|---|---:|---:|---:|---:|");
    for row in rows().filter(|row| row.name().contains(&args.row)) {
        let measured = row
            .measure(&args.servers, args.passes, args.window, args.only)
            .with_context(|| row.name())?;
        println!("{measured}");
    }
    if args.only.is_none() {
        overheads(&args)?;
    }
    Ok(())
}

/// What each client adds to a lone call: its CPU time above that of the same bytes on a bare socket of the same runtime, which
/// no client gets below.
fn overheads(args: &Args) -> anyhow::Result<()> {
    println!(
        "\n| lone call | bare socket, µs/op | on tokio | zookeeper-client adds, µs/op | zabra-client adds | ratio |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    let lone = rows().filter(|row| row.shape.is_lone());
    for row in lone.filter(|row| row.name().contains(&args.row)) {
        // In one sitting: what a call costs drifts with what else runs.
        let before = Bare::measure(&args.servers, row.op, args.passes, args.window)?;
        let measured = row.measure(&args.servers, args.passes, args.window, None)?;
        let after = Bare::measure(&args.servers, row.op, args.passes, args.window)?;
        let bare = before.min(after);
        let [theirs, ours] = measured.cpu_us().map(|cpu_us| cpu_us - bare.on_tokio);
        println!(
            "| {} | {:.2} | {:.2} | {theirs:.2} | {ours:.2} | {:.2} |",
            row.name(),
            bare.blocking,
            bare.on_tokio,
            ours / theirs,
        );
    }
    Ok(())
}

/// Every row: tasks × calls outstanding in each, on a runtime of one thread, and the lone call on one of two, too.
fn rows() -> impl Iterator<Item = Row> {
    let shapes = [(1, 1, 1), (2, 1, 1), (1, 1, 64), (1, 64, 1), (1, 64, 32)];
    let shapes = shapes.map(|(threads, tasks, depth)| Shape {
        threads,
        tasks,
        depth,
    });
    [Op::Get, Op::Set]
        .into_iter()
        .flat_map(move |op| shapes.map(|shape| Row { op, shape }))
}
