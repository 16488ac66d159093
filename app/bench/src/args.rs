//! The command line of `zabra bench`.

use std::time::Duration;

use clap::{Subcommand, value_parser};

use crate::kill::Kill;
use crate::weights::Weights;

/// Put load on a server of the ZooKeeper protocol and measure it
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub work: Work,
    /// With whom.
    #[command(flatten)]
    pub target: Target,
}

const EXAMPLES: &str = "\
Examples:
  zabra bench get --sessions 64 --depth 32
  zabra bench mix --reads 90 --size 1024 --duration 30 --per-second
  zabra bench set --rate 20000 --sessions 64 --depth 8
  zabra bench blend --weights create=1,set=8,get=45,list=45,delete=1 --sessions 64
  zabra bench set --server zk1:2181,zk2:2181,zk3:2181 --json
  zabra bench failover --server zk1:2181,zk2:2181,zk3:2181 --duration 60 --per-second
  zabra bench fill --znodes 1000000 --server-pid $(pidof zabra)";

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Work {
    /// getData of random znodes
    Get(LoadArgs),
    /// setData of random znodes
    Set(LoadArgs),
    /// getData and setData of random znodes
    Mix(MixArgs),
    /// create of new znodes, under a parent for each session
    Create(LoadArgs),
    /// delete of znodes that are created first, until none is left
    Delete(DeleteArgs),
    /// exists of random znodes
    Exists(LoadArgs),
    /// exists with a watch, which stays
    ExistsWatch(LoadArgs),
    /// multi of several setData
    Multi(MultiArgs),
    /// getChildren2 of random parents
    Children(ChildrenArgs),
    /// create, setData, getData, getChildren and delete by weight
    Blend(BlendArgs),
    /// ping: what a request costs that asks for nothing
    Ping(LoadArgs),
    /// Create many znodes and leave them: 1,000 under each parent, paths of 22 characters
    Fill(FillArgs),
    /// Open sessions, some at a time, and close them again
    Sessions(SessionsArgs),
    /// Let many sessions watch one znode, set it, and wait for the last notification
    Watch(WatchArgs),
    /// Write while servers die, and check that nothing acknowledged is lost
    ///
    /// Each session writes growing numbers into znodes of its own. When its server is gone it takes itself up again on the next
    /// one. In the end every znode is read from each server that answers, behind a sync: it must hold the last number that was
    /// acknowledged, or one that was sent after it; else it counts as lost, and the exit code is 1. A write whose connection ended
    /// before the answer is unknown: it may be there or not.
    Failover(FailoverArgs),
    /// Wait until a server answers a first read; it may not run yet
    Ready(ReadyArgs),
}

/// Which servers, and how the result is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Target {
    /// Servers; sessions are spread over them in turn
    #[arg(
        long,
        short,
        global = true,
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "127.0.0.1:2181"
    )]
    pub server: Vec<String>,
    /// Process ids of servers on this machine, whose CPU and memory are reported
    #[arg(long, global = true, value_name = "PID", value_delimiter = ',')]
    pub server_pid: Vec<u32>,
    /// Session timeout to ask for, in milliseconds
    #[arg(long, global = true, value_name = "MS", default_value_t = 30_000,
          value_parser = value_parser!(i32).range(1..))]
    pub session_timeout: i32,
    /// Give up after so many seconds without any answer
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub patience: Duration,
    /// Print the report as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// How much load, for how long, on what.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArgs {
    /// Sessions, each on a connection of its own
    #[arg(long, short = 'n', default_value_t = 1, value_parser = value_parser!(u32).range(1..=50_000))]
    pub sessions: u32,
    /// Requests that each session keeps outstanding
    #[arg(long, short, default_value_t = 1, value_parser = value_parser!(u32).range(1..=100_000))]
    pub depth: u32,
    /// Operations a second over all sessions, sent when they are due instead of when an earlier one is answered
    ///
    /// Sessions take turns at even times. A session that has as many outstanding as --depth allows lets the next one wait.
    /// Latency counts from the time when a request was due; `service` is the part from when it was sent.
    #[arg(long, value_name = "OPS", value_parser = rate)]
    pub rate: Option<Rate>,
    /// Threads that share the sessions
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// Bytes of data in each znode
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub size: u32,
    /// Znodes to choose from, created before the run
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub keys: u32,
    /// Seconds of load before the measured window
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub warm_up: Duration,
    /// Seconds of the measured window
    #[arg(long, value_name = "SECONDS", default_value = "4", value_parser = seconds)]
    pub duration: Duration,
    /// Measure so many operations instead of a time
    #[arg(long, conflicts_with_all = ["duration", "rate"], value_parser = value_parser!(u64).range(1..))]
    pub ops: Option<u64>,
    /// Parent of everything that the run creates; must not exist [default: /zabra-bench-PID]
    #[arg(long, value_name = "PATH", value_parser = new_path)]
    pub root: Option<String>,
    /// Leave what was created
    #[arg(long)]
    pub keep: bool,
    /// Print a line each second of the window
    #[arg(long)]
    pub per_second: bool,
    /// Seed of the random choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Operations in a second; more than none, at most ten million.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(pub f64);

/// Reads and writes together.
#[derive(Debug, Clone, clap::Args)]
pub struct MixArgs {
    /// Percentage of reads
    #[arg(long, value_name = "PERCENT", default_value_t = 80, value_parser = value_parser!(u8).range(0..=100))]
    pub reads: u8,
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
}

/// Several writes in one request.
#[derive(Debug, Clone, clap::Args)]
pub struct MultiArgs {
    /// Writes in each multi
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=1_000))]
    pub per_multi: u32,
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
}

/// Lists of names.
#[derive(Debug, Clone, clap::Args)]
pub struct ChildrenArgs {
    /// Children of each parent; there are as many parents as --keys children need
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub children: u32,
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
}

/// Operations by weight.
#[derive(Debug, Clone, clap::Args)]
pub struct BlendArgs {
    /// How often each is asked, in parts of the sum
    ///
    /// set and get take a random one of --keys znodes, list a random one of their parents. create and delete are of znodes
    /// under a parent that only their session uses, and which nobody lists: delete takes the oldest that is left of those
    /// that this session created, and is a create when none is left.
    #[arg(
        long,
        value_name = "KIND=N,...",
        default_value = "create=1,set=8,get=45,list=45,delete=1"
    )]
    pub weights: Weights,
    /// Children of each parent that is listed; there are as many parents as --keys children need
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub children: u32,
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
}

/// Deletes: the run ends when nothing is left.
#[derive(Debug, Clone, clap::Args)]
pub struct DeleteArgs {
    /// Znodes to create and delete, over all sessions
    #[arg(long, default_value_t = 100_000, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub znodes: u32,
    /// The load.
    #[command(flatten)]
    pub load: LoadArgs,
}

/// Many znodes.
#[derive(Debug, Clone, clap::Args)]
pub struct FillArgs {
    /// How many
    #[arg(long, default_value_t = 1_000_000, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub znodes: u32,
    /// Sessions
    #[arg(long, short = 'n', default_value_t = 4, value_parser = value_parser!(u32).range(1..=1_000))]
    pub sessions: u32,
    /// Requests that each session keeps outstanding
    #[arg(long, short, default_value_t = 100, value_parser = value_parser!(u32).range(1..=100_000))]
    pub depth: u32,
    /// Bytes of data in each znode
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub size: u32,
    /// Parent of all; must not exist
    #[arg(long, value_name = "PATH", default_value = "/bench", value_parser = new_path)]
    pub root: String,
    /// Print a line each second
    #[arg(long)]
    pub per_second: bool,
}

/// Sessions that do nothing else than exist.
#[derive(Debug, Clone, clap::Args)]
pub struct SessionsArgs {
    /// How many
    #[arg(long, short = 'n', default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=50_000))]
    pub sessions: u32,
    /// Handshakes at once; as many as there are sessions for a connect storm
    #[arg(long, default_value_t = 32, value_parser = value_parser!(u32).range(1..=50_000))]
    pub at_once: u32,
}

/// Fan-out of notifications.
#[derive(Debug, Clone, clap::Args)]
pub struct WatchArgs {
    /// Sessions that watch the znode
    #[arg(long, short = 'n', default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=50_000))]
    pub watchers: u32,
    /// Rounds that count
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub rounds: u32,
    /// Rounds before those
    #[arg(long, value_name = "ROUNDS", default_value_t = 20)]
    pub warm_up: u32,
    /// The znode to watch; must not exist [default: /zabra-bench-PID]
    #[arg(long, value_name = "PATH", value_parser = new_path)]
    pub root: Option<String>,
}

/// Writes over servers that die.
#[derive(Debug, Clone, clap::Args)]
pub struct FailoverArgs {
    /// Sessions that write, beginning on the servers in turn
    #[arg(long, short = 'n', default_value_t = 8, value_parser = value_parser!(u32).range(1..=1_000))]
    pub sessions: u32,
    /// Writes that each session keeps outstanding
    #[arg(long, short, default_value_t = 1, value_parser = value_parser!(u32).range(1..=10_000))]
    pub depth: u32,
    /// Znodes of each session, which it writes in turn
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u32).range(1..=10_000))]
    pub znodes: u32,
    /// Bytes of data in each znode
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u32).range(20..=1_000_000))]
    pub size: u32,
    /// Seconds of writing
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub duration: Duration,
    /// Send a signal to a process: KILL, or TERM, INT, STOP, CONT if named; may be repeated
    #[arg(long, value_name = "PID@SECOND[:SIGNAL]")]
    pub kill: Vec<Kill>,
    /// Milliseconds without an answer after which a session leaves its server [default: 2/3 of its timeout, as clients do]
    #[arg(long, value_name = "MS", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub silence: Option<u32>,
    /// Parent of everything that the run creates; must not exist [default: /zabra-bench-PID]
    #[arg(long, value_name = "PATH", value_parser = new_path)]
    pub root: Option<String>,
    /// Leave what was created
    #[arg(long)]
    pub keep: bool,
    /// Print a line each second
    #[arg(long)]
    pub per_second: bool,
}

/// The first read of a server that is starting.
#[derive(Debug, Clone, clap::Args)]
pub struct ReadyArgs {
    /// The znode to read
    #[arg(long, default_value = "/", value_parser = path)]
    pub path: String,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub within: Duration,
}

/// A znode of its own for each process, unless one was given.
pub(crate) fn root_or_default(root: Option<&String>) -> String {
    root.cloned()
        .unwrap_or_else(|| format!("/zabra-bench-{}", std::process::id()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "must be a number of seconds, such as 4 or 0.5".to_owned())?;
    if (0.0..=1e6).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be between 0 and 1,000,000 seconds".to_owned())
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    let rate: f64 = text
        .parse()
        .map_err(|_| "must be a number of operations a second, such as 20000".to_owned())?;
    if (RATE_MIN..=RATE_MAX).contains(&rate) {
        Ok(Rate(rate))
    } else {
        Err("must be between 0.001 and 10,000,000 operations a second".to_owned())
    }
}

fn path(text: &str) -> Result<String, String> {
    zabra_proto::path::validate(text)
        .map(|()| text.to_owned())
        .map_err(|error| error.to_string())
}

fn new_path(text: &str) -> Result<String, String> {
    if text == "/" {
        return Err("must be a znode that can be created".to_owned());
    }
    path(text)
}

/// One in a quarter of an hour.
const RATE_MIN: f64 = 0.001;
/// More than a thread can send.
const RATE_MAX: f64 = 1e7;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, String> {
        Cli::try_parse_from(line.split_whitespace())
            .map(|cli| cli.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn options_of_the_target_stand_before_or_behind_the_work() {
        for line in ["bench get -s a:1,b:2", "bench -s a:1,b:2 get"] {
            assert_eq!(parse(line).unwrap().target.server, ["a:1", "b:2"], "{line}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for line in [
            "bench get --sessions 0",
            "bench get --depth 0",
            "bench get --duration -1",
            "bench get --warm-up soon",
            "bench get --size 2000000",
            "bench mix --reads 101",
            "bench fill --root relative",
            "bench fill --root /",
            "bench get --ops 5 --duration 5",
            "bench get --ops 5 --rate 5",
            "bench get --rate 0",
            "bench get --rate many",
            "bench children --children 0",
            "bench blend --weights get=x",
            "bench failover --kill 12",
            "bench failover --size 19",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_part_of_a_second_is_a_duration() {
        let args = parse("bench set --duration 0.25").unwrap();
        let Work::Set(load) = args.work else {
            panic!("{args:?}")
        };
        assert_eq!(load.duration, Duration::from_millis(250));
    }
}
