//! What the hot paths execute, counted: a number that does not depend on what else the machine does.
//!
//! Each piece of work in `benches/` runs under callgrind, which counts the instructions of user mode in one function, over so many
//! repetitions. The table `benches/instructions.txt` has what they were; a piece that takes more than [`TOLERANCE`] above it fails.
//! Counts are those of this compiler and this kind of processor: a new compiler is a reason to accept a new table, a change of the
//! code is one to explain. System calls, cache misses and waiting are not in them: see [`crate::bench`].

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::bench::BUILD_LIMIT;
use crate::shell;
use crate::stage::Outcome;
use crate::workspace::Workspace;

/// What to do with the counts.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Write the counts down as what is to be compared with
    #[arg(long)]
    accept: bool,
}

/// The stage of the gate.
pub(crate) fn stage(workspace: &Workspace, _limit: Duration) -> anyhow::Result<Outcome> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        let why = "valgrind is not installed (a package of this name has it)";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    Ok(Outcome::check(report(workspace, &Args { accept: false })?))
}

/// `cargo xtask instructions`; `false` when a piece takes more than it did.
pub(crate) fn report(workspace: &Workspace, args: &Args) -> anyhow::Result<bool> {
    let mut build = shell::cargo(workspace);
    build.args(["build", "--release", "--locked"]);
    build.args(["--manifest-path", "benches/Cargo.toml", "--target-dir"]);
    build.arg(&workspace.target);
    shell::run(&mut build, BUILD_LIMIT)?.checked("the build of the hot paths")?;
    let program = workspace.target.join("release/zabra-hotpath");
    let mut names = Command::new(&program);
    let names = shell::run(&mut names, BUILD_LIMIT)?.checked("the list of pieces")?;
    let mut counts = BTreeMap::new();
    for name in names.stdout.lines() {
        let out = workspace.target.join("callgrind.out");
        let mut callgrind = Command::new("valgrind");
        callgrind
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg("--toggle-collect=*zabra_hotpath*counted*")
            .arg(&program)
            .args([name, &TIMES.to_string()]);
        counts.insert(name.to_owned(), count(&mut callgrind)? / TIMES);
        fs::remove_file(out)?;
    }
    let table = workspace.root.join("benches/instructions.txt");
    if args.accept {
        fs::write(&table, written(&counts))?;
        println!("written to {}", workspace.relative(&table));
        return Ok(true);
    }
    let before = read(&fs::read_to_string(&table).context("benches/instructions.txt")?)?;
    Ok(compare(&before, &counts))
}

/// Instructions that one run collected.
fn count(callgrind: &mut Command) -> anyhow::Result<u64> {
    let output = callgrind
        .stdin(Stdio::null())
        .output()
        .context("cannot start valgrind (a package of this name has it)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {said}");
    let collected = collected(&said).context("valgrind did not say what it counted")?;
    ensure!(
        collected >= TIMES,
        "nothing was counted: is `counted` inlined?"
    );
    Ok(collected)
}

/// The number in `==17== Collected : 4711`.
fn collected(said: &str) -> Option<u64> {
    let (_, number) = said.split_once("Collected : ")?;
    number.split_whitespace().next()?.parse().ok()
}

/// Prints every piece; `false` when one takes more than before, is new, or is missing.
fn compare(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> bool {
    let mut passed = true;
    println!("\n| instructions of | before | now | |\n|---|---:|---:|---|");
    for (name, &now) in now {
        let verdict = before.get(name).map(|&before| verdict(before, now));
        passed &= verdict.is_some_and(|(is_good, _)| is_good);
        let text = verdict.map_or("**not in the table**", |(_, text)| text);
        let before = before.get(name).map_or(String::new(), u64::to_string);
        println!("| {name} | {before} | {now} | {text} |");
    }
    for name in before.keys().filter(|name| !now.contains_key(*name)) {
        println!("| {name} | | | **in the table only** |");
        passed = false;
    }
    if !passed {
        println!("\n`cargo xtask instructions --accept` writes a new table; its commit says why.");
    }
    passed
}

fn verdict(before: u64, now: u64) -> (bool, &'static str) {
    let ratio = now as f64 / before as f64;
    if ratio > 1.0 + TOLERANCE {
        (false, "**more**")
    } else if ratio < 1.0 - TOLERANCE {
        (true, "less: accept it, or it can grow back unseen")
    } else {
        (true, "")
    }
}

fn written(counts: &BTreeMap<String, u64>) -> String {
    let mut text = String::from(
        "# Instructions in user mode, by `cargo xtask instructions --accept`; x86-64, the compiler of rust-toolchain.toml.\n",
    );
    for (name, count) in counts {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{name}: {count}");
    }
    text
}

fn read(text: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let entries = lines.map(|line| {
        let (name, count) = line
            .rsplit_once(": ")
            .context("a line is not `name: count`")?;
        Ok((name.to_owned(), count.parse()?))
    });
    entries.collect()
}

/// How far a count may rise: hash tables and the allocator do not do the same every time.
const TOLERANCE: f64 = 0.025;
/// Repetitions of each piece.
const TIMES: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> BTreeMap<String, u64> {
        read(text).unwrap()
    }

    #[test]
    fn more_instructions_fail_and_less_do_not() {
        let before = table("get: 1000\n");
        for (now, passes) in [(1_000, true), (1_025, true), (1_026, false), (500, true)] {
            let now = table(&format!("get: {now}"));
            assert_eq!(compare(&before, &now), passes, "{now:?}");
        }
        assert!(!compare(&before, &table("get: 1000\nset: 5")), "new");
        assert!(!compare(&before, &BTreeMap::new()), "missing");
    }

    #[test]
    fn the_table_reads_back() {
        let counts = table("# a comment\ndecode: a getData: 12\nfind: 3\n");
        assert_eq!(counts.get("decode: a getData"), Some(&12));
        assert_eq!(table(&written(&counts)), counts);
        assert!(read("get 12").is_err());
    }

    #[test]
    fn the_count_is_found_in_what_valgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 4711\n==7==\n";
        assert_eq!(collected(said), Some(4_711));
        assert_eq!(collected("==7== Events"), None);
    }
}
