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
    /// Only mutants with these numbers or names
    #[arg(long)]
    only: Vec<String>,
    /// Mutants that are looked for with other seeds besides, so many of them, in rotation by the seed
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
    let table = Table::read()?;
    let hunts = plan(args, &table)?;
    // A panic is a catch like any other, and not news.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let verdicts = hunt_all(&hunts, args.threads);
    print(&verdicts, &table, began.elapsed());
    Ok(verdicts.iter().all(Verdict::is_good))
}

/// What is looked for: each mutant with the seeds of this tree, some of them with others as well.
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
    let hunt = |mutant: Mutant, from: u64| -> anyhow::Result<Hunt> {
        let kinds = table.kinds(mutant)?;
        Ok(Hunt::new(mutant, kinds, from, limit))
    };
    let mut hunts = Vec::new();
    for mutant in &wanted {
        hunts.push(hunt(*mutant, args.from)?);
    }
    let first = usize::try_from(args.from)? % wanted.len();
    for mutant in wanted.iter().cycle().skip(first).take(args.fresh) {
        hunts.push(hunt(*mutant, args.from.wrapping_add(FRESH))?);
    }
    Ok(hunts)
}

/// Fresh seeds begin so far behind those of the tree.
const FRESH: u64 = 1_000_000_000;

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
