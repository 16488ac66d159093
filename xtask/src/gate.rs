//! `cargo xtask test`: the stages in their order, their times, and the one line at the end.
//!
//! All stages run even when an early one fails, so that one run tells everything. Under CI a skipped stage
//! is a failed one.

use std::time::{Duration, Instant};

use crate::shell::{self, is_ci};
use crate::stage::{Counts, Outcome, Stage, Tally};
use crate::workspace::Workspace;
use crate::{deny, fuzz, instructions, interop, mutants, sim, threads, tidy};

/// How often the planned time of a stage may pass under CI before the stage is ended.
const PATIENCE: u64 = 3;

/// Everything that CI runs; the minutes are budgets on two cores from a cold cache.
pub(crate) fn full() -> Vec<Stage> {
    let check = Counts::Nothing;
    let tests = Counts::Tests;
    vec![
        stage("format", 1, check, format),
        stage("tidy", 1, check, tidy::stage),
        stage("deny", 3, check, deny::stage),
        stage("clippy", 5, check, clippy),
        stage("docs", 2, check, docs),
        stage("tests", 8, tests, tests_all),
        stage("simulation", 8, tests, sim::stage),
        stage("mutants", 5, tests, mutants::stage),
        stage("threads", 4, tests, threads::stage),
        stage("release", 6, check, release),
        stage("instructions", 4, check, instructions::stage),
        stage("interop", 15, tests, interop::standalone),
        stage("ensembles", 11, tests, interop::ensembles),
        stage("fuzz replay", 3, tests, fuzz::replay),
        stage("fuzz", 8, tests, fuzz::stage),
    ]
}

/// A stage with its budget in minutes.
fn stage(
    name: &'static str,
    minutes: u64,
    counts: Counts,
    run: fn(&Workspace, Duration) -> anyhow::Result<Outcome>,
) -> Stage {
    Stage {
        name,
        minutes,
        counts,
        run,
    }
}

/// The inner loop: nothing that needs a network, another program or more than a minute.
pub(crate) fn fast() -> Vec<Stage> {
    vec![
        stage("format", 1, Counts::Nothing, format),
        stage("tidy", 1, Counts::Nothing, tidy::stage),
        stage("unit tests", 5, Counts::Tests, tests_unit),
    ]
}

/// What is printed of a stage in the table at the end.
struct Line {
    name: &'static str,
    verdict: String,
    took: Duration,
}

/// Runs the stages whose name contains one of `words`, or all; `false` when anything failed.
pub(crate) fn run(
    workspace: &Workspace,
    stages: Vec<Stage>,
    words: &[String],
) -> anyhow::Result<bool> {
    let wanted = |stage: &Stage| {
        words.is_empty() || words.iter().any(|word| stage.name.contains(word.as_str()))
    };
    let stages: Vec<Stage> = stages.into_iter().filter(wanted).collect();
    anyhow::ensure!(!stages.is_empty(), "no stage is called like that");
    let mut total = Tally::default();
    let mut lines = Vec::new();
    let begun = Instant::now();
    for stage in &stages {
        println!("\n== {} ==", stage.name);
        let started = Instant::now();
        let result = (stage.run)(
            workspace,
            Duration::from_secs(stage.minutes * 60 * PATIENCE),
        );
        let (tally, verdict) = judge(stage, result);
        println!("== {}: {verdict} ==", stage.name);
        total.add(tally);
        lines.push(Line {
            name: stage.name,
            verdict,
            took: started.elapsed(),
        });
    }
    print_table(&lines, begun.elapsed());
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(total.failed == 0)
}

/// What a stage adds to the total, and the words for it. A stage that failed adds at least one failure.
fn judge(stage: &Stage, result: anyhow::Result<Outcome>) -> (Tally, String) {
    let (mut tally, fault) = match result {
        Err(error) => (Tally::default(), Some(format!("{error:#}"))),
        Ok(Outcome::Skipped(why)) if !is_ci() => {
            return (Tally::default(), format!("skipped: {why}"));
        }
        Ok(Outcome::Skipped(why)) => (Tally::default(), Some(format!("skipped: {why}"))),
        Ok(Outcome::Ran { tally, success }) => (tally, fault(stage, tally, success)),
    };
    let counted = format!("{} passed, {} failed", tally.passed, tally.failed);
    let words = match (fault, stage.counts) {
        (Some(fault), _) => {
            tally.failed = tally.failed.max(1);
            format!("FAILED ({fault})")
        }
        (None, Counts::Tests) => counted,
        (None, Counts::Nothing) => "passed".to_owned(),
    };
    (tally, words)
}

/// Why a stage that ran to its end has failed, if it has.
fn fault(stage: &Stage, tally: Tally, success: bool) -> Option<String> {
    if stage.counts == Counts::Tests && tally.passed + tally.failed == 0 {
        Some("no test was run".to_owned())
    } else if tally.ignored > 0 {
        Some(format!("{} tests are ignored", tally.ignored))
    } else if tally.failed > 0 {
        Some(format!("{} passed, {} failed", tally.passed, tally.failed))
    } else if !success {
        Some("see above".to_owned())
    } else {
        None
    }
}

fn print_table(lines: &[Line], total: Duration) {
    let width = lines
        .iter()
        .map(|line| line.name.len())
        .max()
        .unwrap_or(0)
        .max("total".len());
    println!();
    for line in lines {
        println!(
            "{:width$}  {:>7}  {}",
            line.name,
            minutes(line.took),
            line.verdict
        );
    }
    println!("{:width$}  {:>7}", "total", minutes(total));
}

/// A time as `m:ss.t`.
fn minutes(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    format!("{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

/// `cargo xtask fix`: the one task that edits sources.
pub(crate) fn fix(workspace: &Workspace) -> anyhow::Result<bool> {
    let mut clippy = shell::cargo(workspace);
    clippy.args([
        "clippy",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
        "--workspace",
        "--all-targets",
    ]);
    let fixed = shell::run(&mut clippy, Duration::MAX)?.success;
    let mut fmt = shell::cargo(workspace);
    let formatted = shell::run(fmt.args(["fmt", "--all"]), Duration::MAX)?.success;
    let mut fuzz = shell::cargo(workspace);
    fuzz.args(["fmt", "--manifest-path", "fuzz/Cargo.toml"]);
    Ok(shell::run(&mut fuzz, Duration::MAX)?.success && formatted && fixed)
}

fn format(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    let mut ours = shell::cargo(workspace);
    let ours = shell::run(ours.args(["fmt", "--all", "--check"]), limit)?.success;
    let mut fuzz = shell::cargo(workspace);
    let fuzz = shell::run(
        fuzz.args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]),
        limit,
    )?
    .success;
    Ok(Outcome::check(ours && fuzz))
}

fn clippy(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    let mut ours = shell::cargo(workspace);
    ours.args([
        "clippy",
        "--keep-going",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    let ours = shell::run(&mut ours, limit)?.success;
    let mut fuzz = fuzz::stable(workspace, "clippy");
    fuzz.args(["--all-targets", "--", "-D", "warnings"]);
    Ok(Outcome::check(
        shell::run(&mut fuzz, limit)?.success && ours,
    ))
}

fn docs(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    let mut cargo = shell::cargo(workspace);
    cargo.args([
        "doc",
        "--keep-going",
        "--locked",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    // Private items are documented too, so a link to one leads somewhere.
    cargo.env(
        "RUSTDOCFLAGS",
        "-D warnings -A rustdoc::private_intra_doc_links",
    );
    Ok(Outcome::check(shell::run(&mut cargo, limit)?.success))
}

fn release(workspace: &Workspace, _limit: Duration) -> anyhow::Result<Outcome> {
    interop::build(workspace)?;
    Ok(Outcome::check(true))
}

fn tests_all(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    cargo_test(workspace, limit, &[])
}

fn tests_unit(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    cargo_test(workspace, limit, &["--lib", "--bins"])
}

fn cargo_test(workspace: &Workspace, limit: Duration, only: &[&str]) -> anyhow::Result<Outcome> {
    let mut cargo = shell::cargo(workspace);
    cargo
        .args(["test", "--locked", "--workspace", "--no-fail-fast"])
        .args(only);
    let run = shell::run(&mut cargo, limit)?;
    Ok(Outcome::Ran {
        tally: Tally::of_cargo_test(&run.stdout),
        success: run.success,
    })
}

#[cfg(test)]
mod tests {
    use super::{Counts, Outcome, Stage, Tally, fault, judge};

    fn some(counts: Counts) -> Stage {
        Stage {
            name: "some",
            minutes: 1,
            counts,
            run: |_, _| Ok(Outcome::check(true)),
        }
    }

    #[test]
    fn a_stage_that_ran_no_test_has_failed() {
        let outcome = Outcome::Ran {
            tally: Tally::default(),
            success: true,
        };
        let (tally, words) = judge(&some(Counts::Tests), Ok(outcome));
        assert_eq!(
            (tally.failed, words.as_str()),
            (1, "FAILED (no test was run)")
        );
    }

    #[test]
    fn a_check_that_passed_counts_no_test() {
        let (tally, words) = judge(&some(Counts::Nothing), Ok(Outcome::check(true)));
        assert_eq!((tally, words.as_str()), (Tally::default(), "passed"));
    }

    #[test]
    fn an_error_and_a_failed_check_count_as_one_failure() {
        let broken = judge(
            &some(Counts::Tests),
            Err(anyhow::anyhow!("no such program")),
        );
        let failed = judge(&some(Counts::Nothing), Ok(Outcome::check(false)));
        assert_eq!((broken.0.failed, failed.0.failed), (1, 1));
    }

    #[test]
    fn success_with_failed_or_ignored_tests_is_not_believed() {
        let with = |failed, ignored| Tally {
            passed: 9,
            failed,
            ignored,
        };
        assert!(fault(&some(Counts::Tests), with(0, 0), true).is_none());
        assert!(fault(&some(Counts::Tests), with(1, 0), true).is_some());
        assert!(fault(&some(Counts::Tests), with(0, 1), true).is_some());
    }
}
