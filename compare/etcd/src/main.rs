//! The load of `zabra bench` on etcd, with the same figures under the same names: sessions × requests outstanding in each, a
//! closed loop, keys and values of the same lengths, a window behind a warm-up, server CPU at its edges.
//!
//! A session is a connection of HTTP/2 of its own. etcd's API is gRPC; of it two calls are needed, which [`wire`] spells by
//! hand: no code is generated, nothing is decoded that is not looked at, so that what the client costs is small beside the server.
//! `cargo xtask referee` runs this.

mod load;
mod meter;
mod rpc;
mod wire;

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Parser, Subcommand};

/// The load of `zabra bench` on etcd
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    #[command(subcommand)]
    work: Work,
    /// Servers; sessions are spread over them in turn
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        default_value = "127.0.0.1:2379"
    )]
    server: Vec<String>,
    /// Process ids of servers on this machine, whose CPU and memory are reported
    #[arg(long, global = true, value_delimiter = ',')]
    server_pid: Vec<u32>,
    /// For the command line to be that of `zabra bench`; JSON is all there is
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Work {
    /// Range of one key that sees every write acknowledged before (linearizable), etcd's default
    Get(load::Shape),
    /// Range of one key from what the asked server has (serializable), as reads of ZooKeeper are
    GetLocal(load::Shape),
    /// Put of one key
    Set(load::Shape),
    /// 80 % get, 20 % set
    Mix(load::Shape),
    /// Put of new keys
    Create(load::Shape),
    /// Wait until a server answers a first read; it may not run yet
    Ready {
        /// Seconds to wait
        #[arg(long, default_value_t = 60)]
        within: u64,
        /// The key to read
        #[arg(long, default_value = "/")]
        path: String,
    },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let figures = runtime.block_on(async {
        let servers = load::Servers {
            addresses: &args.server,
            pids: &args.server_pid,
        };
        match &args.work {
            Work::Get(shape) => load::run(servers, shape, load::Op::Get).await,
            Work::GetLocal(shape) => load::run(servers, shape, load::Op::GetLocal).await,
            Work::Set(shape) => load::run(servers, shape, load::Op::Set).await,
            Work::Mix(shape) => load::run(servers, shape, load::Op::Mix).await,
            Work::Create(shape) => load::run(servers, shape, load::Op::Create).await,
            Work::Ready { within, path } => {
                ready(&args.server[0], path, Duration::from_secs(*within)).await
            }
        }
    })?;
    println!("{figures:#}");
    Ok(())
}

/// Asks again and again, each time on a new connection.
async fn ready(server: &str, key: &str, within: Duration) -> anyhow::Result<serde_json::Value> {
    let begun = Instant::now();
    while begun.elapsed() < within {
        if let Ok(mut session) = rpc::Session::open(server).await
            && session.range(key.as_bytes(), false).await.is_ok()
        {
            let took = begun.elapsed().as_secs_f64() * 1e3;
            return Ok(serde_json::json!({ "first_read_ms": took }));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("{server} answered no read within {} s", within.as_secs())
}
