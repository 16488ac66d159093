//! Plants each known mistake and looks whether the tests see it: see `cargo xtask mutants`.
//!
//! | File | |
//! |---|---|
//! | `catches.txt` | which kind of test catches which mutant, and which are left out, with the reason |
//! | `table` | reads it |
//! | `attempt` | one run of one kind of test under one seed |
//! | `hunt` | run after run until the mutant is caught or the time is over |

#![forbid(unsafe_code)]

mod attempt;
mod hunt;
mod table;

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Parser;
use zabra_mutant::Mutant;

use hunt::{Hunt, Verdict};
use table::Table;

/// Plants each known mistake and looks whether the tests see it.
#[derive(Parser)]
#[command(name = "zabra-mutants")]
struct Args {
    /// The seed to begin with
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// So much processor time for each mutant
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Begin with the seed that caught each mutant when `catches.txt` was written
    #[arg(long)]
    known: bool,
    /// Write the seeds that caught them into `catches.txt`
    #[arg(long, requires = "known")]
    learn: bool,
    /// Only mutants with these numbers or names
    #[arg(long)]
    only: Vec<String>,
    /// With `--known`: so many mutants are looked for with fresh seeds besides, in rotation by the first seed
    #[arg(long, default_value_t = 0)]
    fresh: usize,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False if a mutant was not caught.
fn run(args: &Args) -> anyhow::Result<bool> {
    anyhow::ensure!(
        zabra_mutant::plant(None),
        "the switches are not built in: cargo xtask mutants"
    );
    let mut table = Table::read()?;
    let hunts = plan(args, &table)?;
    // A panic is a catch like any other, and not news.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let verdicts = hunt_all(&hunts, args.threads);
    print(&verdicts, &table, began.elapsed());
    if args.learn {
        for (mutant, seed) in verdicts.iter().filter_map(Verdict::learnt) {
            table.learn(mutant, seed);
        }
        table.write()?;
    }
    Ok(verdicts.iter().all(Verdict::is_good))
}

/// What is looked for: each mutant with fresh seeds; or with those that are known, and some of them with fresh ones too.
fn plan(args: &Args, table: &Table) -> anyhow::Result<Vec<Hunt>> {
    let mut wanted = Vec::new();
    for word in &args.only {
        let mutant = Mutant::named(word);
        wanted.push(mutant.ok_or_else(|| anyhow::anyhow!("there is no mutant {word}"))?);
    }
    if wanted.is_empty() {
        wanted.extend_from_slice(Mutant::ALL);
    }
    let limit = Duration::from_secs(args.seconds);
    let mut hunts = Vec::new();
    let (mut first, mut fresh) = (0, wanted.len());
    if args.known {
        for mutant in &wanted {
            hunts.push(Hunt::known(*mutant, table.row(*mutant)?, limit));
        }
        first = usize::try_from(args.from)? % wanted.len();
        fresh = args.fresh;
    }
    for mutant in wanted.iter().cycle().skip(first).take(fresh) {
        let row = table.row(*mutant)?;
        hunts.push(Hunt::fresh(*mutant, row, args.from, limit));
    }
    Ok(hunts)
}

fn hunt_all(hunts: &[Hunt], threads: usize) -> Vec<Verdict> {
    let next = Mutex::new(hunts.iter().enumerate());
    let verdicts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().ok().and_then(|mut next| next.next());
                    let Some((at, hunt)) = taken else { return };
                    let verdict = hunt.run();
                    if let Ok(mut verdicts) = verdicts.lock() {
                        println!("{verdict}");
                        verdicts.push((at, verdict));
                    }
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_default();
    verdicts.sort_by_key(|(at, _)| *at);
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

fn print(verdicts: &[Verdict], table: &Table, took: Duration) {
    println!();
    for verdict in verdicts {
        println!("{verdict}");
    }
    for (label, why) in table.left_out() {
        println!("{label:<5} left out: {why}");
    }
    let failed = verdicts.iter().filter(|v| !v.is_good()).count();
    println!(
        "mutants: {} hunts, {failed} failed; {:.1} s",
        verdicts.len(),
        took.as_secs_f64()
    );
}
