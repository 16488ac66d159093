//! `zabra bench` as a program of its own: `cargo run --release -p zabra-bench --example bench -- get`.

use clap::Parser;

#[derive(Parser)]
#[command(name = "bench", version)]
struct Cli {
    #[command(flatten)]
    args: zabra_bench::Args,
}

fn main() -> anyhow::Result<()> {
    zabra_bench::run_and_print(&Cli::parse().args)
}
