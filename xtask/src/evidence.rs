//! What this commit has shown, collected from what the runs left behind: `docs/evidence.md`.
//!
//! Tests and suites leave their figures in `target/evidence`, a file for each kind of proof; what the simulator and the hunt for
//! mutants print is kept there by [`keep`]. A file is as old as its run: one from before the commit says so in the page.
//! Nothing is run here, so that long runs can be made one by one, whenever there is time.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;

use crate::workspace::Workspace;

/// Where the page is.
const PAGE: &str = "docs/evidence.md";

/// The kinds of proof in their order, each with what it is.
const KINDS: [(&str, &str); 9] = [
    (
        "simulation",
        "Whole ensembles in virtual time (`cargo xtask sim`): how often the premise of each check held, what faults met which \
         phase, and what came of it.",
    ),
    (
        "mutants",
        "Known mistakes, planted one by one (`cargo xtask mutants`): what saw each, after how many runs.",
    ),
    (
        "threads",
        "The server's threads in many orders, half of them random and half such as PCT chooses (`cargo xtask threads`): in how many each \
         claim held.",
    ),
    (
        "threads-mistakes",
        "Known mistakes between threads, planted one by one: which order of its claim showed each.",
    ),
    (
        "matrix",
        "Every combination of damaged log entries on three servers (`cargo test -p zabra-matrix`).",
    ),
    (
        "crash-images",
        "Disks that a power cut at any operation may leave, each started from (`cargo test -p zabra-storage --test crash`).",
    ),
    (
        "crash-images-in-recovery",
        "The same, with a second power cut while the first is recovered from.",
    ),
    (
        "chaos",
        "Real processes killed, paused, cut off, with proxies between them, and on disks and by clocks that fail (`cargo xtask interop \
         chaos`); *judged* is what clients saw, held against every rule of `test/history`.",
    ),
    (
        "fuzz",
        "Fuzz targets without a finding (`cargo xtask fuzz`).",
    ),
];

/// What programs print that is kept: the program, the line that it begins with (none is the last paragraph), the kind.
const KEPT: [(&str, Option<&str>, &str); 2] = [
    ("zabra-sim", Some("premises that held:"), "simulation"),
    ("zabra-mutants", None, "mutants"),
];

/// Keeps what a program has shown, if it is one of those that show something, and was not asked for a part of it only. It proves
/// nothing by itself, so a disk that does not take it is no failure.
pub(crate) fn keep(command: &Command, stdout: &str) {
    if command.get_args().any(|arg| arg == "--only") {
        return;
    }
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or_default();
    let Some((_, begin, kind)) = KEPT.iter().find(|(program, ..)| name == *program) else {
        return;
    };
    let shown = match begin {
        Some(line) => stdout.find(line).and_then(|at| stdout.get(at..)),
        None => stdout.rsplit("\n\n").next(),
    };
    let Some(target) = program.parent().and_then(Path::parent) else {
        return;
    };
    if let Some(shown) = shown.filter(|shown| !shown.trim().is_empty()) {
        leave(&target.join("evidence"), kind, shown);
    }
}

/// Notes one more fuzz target that ran so long.
pub(crate) fn fuzzed(workspace: &Workspace, name: &str, seconds: u64) {
    let dir = folder(workspace);
    let before = std::fs::read_to_string(dir.join("fuzz.txt")).unwrap_or_default();
    let own = format!("{name}: ");
    let others = before.lines().filter(|line| !line.starts_with(&own));
    let mut lines: Vec<String> = others.map(str::to_owned).collect();
    lines.push(format!("{own}{seconds} s"));
    lines.sort();
    leave(&dir, "fuzz", &(lines.join("\n") + "\n"));
}

fn leave(dir: &Path, kind: &str, text: &str) {
    let written = std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(dir.join(format!("{kind}.txt")), text));
    if let Err(error) = written {
        println!("evidence: {kind} is not kept: {error}");
    }
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("evidence")
}

/// `cargo xtask evidence`.
pub(crate) fn report(workspace: &Workspace) -> anyhow::Result<bool> {
    let commit = line(workspace, &["git", "log", "-1", "--format=%h, %cs: %s"])?;
    let since = line(workspace, &["git", "log", "-1", "--format=%ct"])?;
    let since = UNIX_EPOCH + Duration::from_secs(since.parse()?);
    let machine = line(workspace, &["uname", "-srm"])?;
    let mut page = format!(
        "# What this commit has shown\n\nWritten by `cargo xtask evidence` from what the last run of each kind left behind. \
         [`bugs.md`](bugs.md) tells what such runs have found, [`simulation.md`](simulation.md) how to go from a red one to its \
         cause.\n\n- Commit: {commit}\n- Written: {}\n- Machine: {}, {} processors, {machine}\n",
        line(workspace, &["date", "-u", "+%Y-%m-%d %H:%M UTC"])?,
        processor(),
        std::thread::available_parallelism().map_or(1, usize::from),
    );
    let mut missing = Vec::new();
    for (kind, what) in KINDS {
        let path = folder(workspace).join(format!("{kind}.txt"));
        let Ok(text) = std::fs::read_to_string(&path) else {
            missing.push(kind);
            continue;
        };
        let changed = std::fs::metadata(&path)?.modified()?;
        let when = line(
            workspace,
            &[
                "date",
                "-u",
                "+%Y-%m-%d %H:%M UTC",
                "-r",
                &path.to_string_lossy(),
            ],
        )?;
        let age = if is_older(changed, since) {
            ", before this commit"
        } else {
            ""
        };
        // Writing to a string cannot fail.
        let _ = write!(
            page,
            "\n## {kind}\n\n{what} Run: {when}{age}.\n\n{}",
            figures(&text)
        );
    }
    if !missing.is_empty() {
        let _ = write!(page, "\nNot run: {}.\n", missing.join(", "));
    }
    page.push_str(&differences(workspace)?);
    std::fs::write(workspace.root.join(PAGE), &page).context("cannot write the page")?;
    println!("{page}");
    Ok(true)
}

/// What is known not to be as Apache has it, or not to be shown.
fn differences(workspace: &Workspace) -> anyhow::Result<String> {
    let compat = workspace.read("COMPAT.md")?;
    let rows = |word: &str| {
        let cell = format!("| {word}");
        compat.lines().filter(|line| line.contains(&cell)).count()
    };
    Ok(format!(
        "\n## Known differences\n\n[`COMPAT.md`](../COMPAT.md) has a row for each feature: {} differ on purpose, {} are missing. \
         The decisions that differ from the reference's rules are in [`decisions`](decisions/README.md). Not shown by anything \
         above: behaviour under a processor or memory that errs, and Byzantine members.\n",
        rows("differs"),
        rows("missing"),
    ))
}

/// Figures as a table, everything else as it is.
fn figures(text: &str) -> String {
    let rows: Option<Vec<(&str, &str)>> = text.lines().map(|line| line.split_once(": ")).collect();
    let Some(rows) = rows.filter(|rows| rows.iter().all(|(what, _)| !what.starts_with(' '))) else {
        return format!("```text\n{}\n```\n", text.trim_end());
    };
    let mut table = "| | |\n|---|---:|\n".to_owned();
    for (what, figure) in rows {
        let _ = writeln!(table, "| {what} | {figure} |");
    }
    table
}

fn is_older(changed: SystemTime, since: SystemTime) -> bool {
    changed < since
}

/// The only line that a program prints.
fn line(workspace: &Workspace, command: &[&str]) -> anyhow::Result<String> {
    let (program, arguments) = command.split_first().context("no program")?;
    let output = Command::new(program)
        .args(arguments)
        .current_dir(&workspace.root)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    anyhow::ensure!(output.status.success(), "{program} failed");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    model.map_or_else(
        || "a processor without a name".to_owned(),
        |model| model.trim_start_matches(['\t', ' ', ':']).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::figures;

    #[test]
    fn figures_are_a_table_and_everything_else_stays_as_it_is() {
        assert_eq!(
            figures("seeds: 3\nfaults: 4\n"),
            "| | |\n|---|---:|\n| seeds | 3 |\n| faults | 4 |\n"
        );
        let text = "premises that held:\n     3  I-1\n";
        assert_eq!(
            figures(text),
            format!("```text\n{}\n```\n", text.trim_end())
        );
    }
}
