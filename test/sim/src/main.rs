//! Runs seeds of the simulator, or replays one: see `cargo xtask sim`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use zabra_sim::check::required;
use zabra_sim::faults::COUNTED;
use zabra_sim::plan::Plan;
use zabra_sim::seeds::{self, Many, Summary};
use zabra_sim::temper::Temper;
use zabra_sim::trace::Keeps;

// Half of a run is small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs whole ensembles in virtual time, one per seed.
#[derive(Parser)]
#[command(name = "zabra-sim")]
struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// So many of them twice: the trace must be the same
    #[arg(long, default_value_t = 0)]
    twice: u64,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// End after so many failures
    #[arg(long, default_value_t = 10)]
    failures: usize,
    /// Only worlds with so many voters
    #[arg(long)]
    voters: Option<usize>,
    /// Fail unless every premise held, every fault met every phase, and so many faults were injected
    #[arg(long, value_name = "FAULTS")]
    require: Option<u64>,
    /// Run one seed and print its trace
    #[arg(long, value_name = "SEED")]
    replay: Option<u64>,
    /// In a world of this temper, as the hunts for mutants have them
    #[arg(long, value_name = "NAME", requires = "replay", value_parser = temper)]
    temper: Option<Temper>,
}

fn temper(name: &str) -> Result<Temper, String> {
    Temper::named(name).ok_or_else(|| "there is no such temper".to_owned())
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seed) = args.replay {
        let of_temper = args.temper.map(|temper| Plan::of_temper(seed, temper));
        return replay(of_temper.unwrap_or_else(|| seeds::plan(seed, args.voters)));
    }
    // A panic is reported as a failed seed, once.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let summary = seeds::run_many(Many {
        from: args.from,
        count: args.seeds,
        twice: args.twice,
        voters: args.voters,
        threads: args.threads,
        failures_max: args.failures,
    });
    print(&summary, args.voters, began.elapsed().as_secs_f64());
    let missing = args.require.map(|faults| untested(&summary, faults));
    if summary.failed.is_empty() && missing.is_none_or(|missing| missing.is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A fault that met a phase more seldom was hardly tried there.
const MET_MIN: u64 = 5;

/// What these runs have not put to the test (I-44), said and returned.
fn untested(summary: &Summary, faults: u64) -> Vec<String> {
    let counts = &summary.counts;
    let is_vacuous = |name: &&str| counts.get(name).is_none_or(|count| *count == 0);
    let vacuous = required().filter(is_vacuous);
    let mut missing: Vec<String> = vacuous.map(|name| format!("{name}: never")).collect();
    missing.extend(summary.exposure.rarer_than(MET_MIN, &COUNTED));
    if summary.faults < faults {
        missing.push(format!("{} faults of {faults}", summary.faults));
    }
    for what in &missing {
        println!("sim: FAILED: not put to the test: {what}");
    }
    missing
}

fn replay(plan: Plan) -> ExitCode {
    println!("{plan:#?}");
    let (outcome, lines) = seeds::run_plan(plan, Keeps::Lines);
    for line in &lines {
        println!("{line}");
    }
    let hash = outcome.hash.unwrap_or_default();
    println!("hash {hash:016x}, {} steps", outcome.steps);
    println!("{:?}", outcome.tally);
    match outcome.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("{}: {}", violation.invariant, violation.text);
            ExitCode::FAILURE
        }
    }
}

fn print(summary: &Summary, voters: Option<usize>, took: f64) {
    for (seed, violation, step) in &summary.failed {
        println!(
            "{} at step {step}:\n    cargo xtask sim --replay {seed}{}",
            violation.invariant,
            voters.map_or_else(String::new, |voters| format!(" --voters {voters}"))
        );
    }
    println!("premises that held:");
    for (name, count) in &summary.counts {
        println!("  {count:>10}  {name}");
    }
    println!("{:?}", summary.tally);
    println!("faults, by the phase in which they met a server:");
    for line in summary.exposure.table(&COUNTED) {
        println!("{line}");
    }
    let virtual_s = summary.virtual_us as f64 / 1e6;
    let (seed, steps) = summary.longest;
    println!("the longest: seed {seed}, {steps} events");
    println!(
        "sim: {} seeds, {} failed; {:.1} seeds/s, {:.0} s of virtual time per second, {} events, {} faults, {} txns, \
         slowest recovery {:.1} s",
        summary.seeds,
        summary.failed.len(),
        summary.seeds as f64 / took,
        virtual_s / took,
        summary.steps,
        summary.faults,
        summary.decided,
        summary.recovery_us_max as f64 / 1e6,
    );
}
