//! The report of a sitting: Markdown for people, JSON for programs, plots beside them.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::sheet::{Figure, Line, Sheet};
use super::{Sitting, etcd, plot};
use crate::bench::server::Kind;

/// Writes all of it into the folder of the sitting.
pub(super) fn write(sitting: &Sitting<'_>, sheet: &Sheet) -> anyhow::Result<()> {
    let mut plots = Vec::new();
    for plot in plot::all(sheet, &sitting.peers) {
        fs::write(sitting.folder.join(&plot.file), plot.to_svg())?;
        plots.push((plot.section.clone(), plot.title.clone(), plot.file.clone()));
    }
    let versions = versions(sitting);
    let markdown = markdown(sitting, sheet, &versions, &plots);
    fs::write(sitting.folder.join("report.md"), markdown)?;
    let json = json(sitting, sheet, &versions);
    fs::write(sitting.folder.join("report.json"), format!("{json:#}\n"))?;
    Ok(())
}

fn markdown(
    sitting: &Sitting<'_>,
    sheet: &Sheet,
    versions: &[(Kind, String)],
    plots: &[(String, String, String)],
) -> String {
    let mut text = String::from("# Zabra beside Apache ZooKeeper and etcd\n\n");
    text += &method(sitting, sheet, versions);
    text += "\n## The disk\n\n| fdatasync of 1 KiB, p50 | alone, µs | three at once, µs |\n|---|---:|---:|\n";
    for (when, times) in &sheet.flushes {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "| {when} | {:.0} | {:.0} |", times.alone, times.three);
    }
    text += &losses(sheet);
    for section in sheet.sections() {
        let _ = write!(text, "\n## {}\n\n", capital(section));
        text += &table(sitting, sheet, section);
        for (_, title, file) in plots.iter().filter(|(of, ..)| of == section) {
            let _ = write!(text, "\n![{title}]({file})\n");
        }
    }
    text
}

/// What was done, on what.
fn method(sitting: &Sitting<'_>, sheet: &Sheet, versions: &[(Kind, String)]) -> String {
    let (passes, seconds) = (sitting.args.passes, sitting.args.seconds);
    let quick = if sitting.args.quick {
        "**A quick run: it shows that the tools work and says little about speed; nobody is warm.** "
    } else {
        "All peers are warmed up until their rate is flat. "
    };
    let origin = &sheet.origin;
    let versions: Vec<&str> = versions.iter().map(|(_, version)| &**version).collect();
    let mut text = format!(
        "{quick}Commit {} on {}; {}. Medians of {passes} × {seconds} s with (least..greatest). All peers run on this machine and are \
         asked in turn, another one first in each pass; the load generator runs beside them. The load average was {} at the start.\n\n\
         n × d is sessions × requests outstanding in each; a session of etcd is a connection. Values have 100 bytes, 10,000 keys. Every \
         acknowledged write is flushed to disk by each peer. `get` is each peer's default: a local read of the two servers of \
         ZooKeeper's protocol, a linearizable one of etcd; `get-local` is a local (serializable) one of each. CPU and resident memory are \
         those of all servers together. etcd is not asked for sessions, since it has none, nor for one-time watches.\n",
        origin.commit,
        origin.machine,
        versions.join(", "),
        origin.load_average,
    );
    for note in origin.warning().iter().chain(&sheet.notes) {
        let _ = write!(text, "\n- {note}");
    }
    if origin.warning().is_some() || !sheet.notes.is_empty() {
        text.push('\n');
    }
    text
}

/// Where Zabra is behind somebody, and what it was asked for and did not reach.
fn losses(sheet: &Sheet) -> String {
    let mut found: Vec<_> = sheet
        .lines
        .iter()
        .flat_map(|line| line.losses().into_iter().map(move |loss| (line, loss)))
        .collect();
    found.sort_by(|(_, a), (_, b)| b.factor.total_cmp(&a.factor));
    let mut text = String::from("\n## Where Zabra loses\n\n");
    if found.is_empty() {
        text += "Nowhere among what was measured.\n";
    } else {
        text += "| | behind | how far | Zabra | the other | |\n|---|---|---:|---:|---:|---|\n";
    }
    for (line, loss) in found {
        let spelled = |kind| {
            line.spread(kind)
                .map_or_else(String::new, |it| it.spelled())
        };
        let _ = writeln!(
            text,
            "| {}: {} | {} | {:.2}× | {} | {} | {} |",
            line.section,
            name(line),
            loss.behind,
            loss.factor,
            spelled(Kind::Zabra),
            spelled(loss.behind),
            if loss.is_clear {
                ""
            } else {
                "the runs overlap"
            },
        );
    }
    let missed: Vec<&Line> = sheet
        .lines
        .iter()
        .filter(|line| line.is_reached() == Some(false))
        .collect();
    if !missed.is_empty() {
        text += "\nBars that are not reached, as ratios to Apache ZooKeeper or as values:\n\n";
    }
    for line in missed {
        let bar = line.bar.spelled(line.figure.unit);
        let _ = writeln!(
            text,
            "- {}: {}: {} (bar {bar})",
            line.section,
            name(line),
            ratio(line)
        );
    }
    text
}

fn table(sitting: &Sitting<'_>, sheet: &Sheet, section: &str) -> String {
    let peers = &sitting.peers;
    let mut text = String::from("| |");
    for kind in peers {
        let _ = write!(text, " {kind} |");
    }
    text += " Zabra ÷ Apache | bar | reached |\n|---|";
    text += &"---:|".repeat(peers.len() + 1);
    text += "---|---|\n";
    for line in sheet.lines.iter().filter(|line| line.section == section) {
        let _ = write!(text, "| {} |", name(line));
        for kind in peers {
            let cell = line.spread(*kind).map_or("–".to_owned(), |it| it.spelled());
            let _ = write!(text, " {cell} |");
        }
        let reached = match line.is_reached() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let bar = line.bar.spelled(line.figure.unit);
        let _ = writeln!(text, " {} | {bar} | {reached} |", ratio(line));
    }
    text
}

/// `set 64 × 1, p99, µs`.
fn name(line: &Line) -> String {
    let Figure { label, unit, .. } = line.figure;
    format!("{}, {label}, {unit}", line.row)
}

fn ratio(line: &Line) -> String {
    match (line.spread(Kind::Zabra), line.spread(Kind::Apache)) {
        (Some(own), Some(apache)) if apache.median > 0.0 => {
            format!("{:.2}×", own.median / apache.median)
        }
        _ => String::new(),
    }
}

fn json(sitting: &Sitting<'_>, sheet: &Sheet, versions: &[(Kind, String)]) -> Value {
    let lines = sheet.lines.iter().map(|line| {
        let peers: serde_json::Map<String, Value> = line
            .runs
            .iter()
            .filter_map(|(kind, runs)| {
                let spread = line.spread(*kind)?;
                let value = json!({
                    "min": spread.min, "median": spread.median, "max": spread.max, "runs": runs,
                });
                Some((kind.to_string(), value))
            })
            .collect();
        let losses: Vec<Value> = line
            .losses()
            .iter()
            .map(|loss| {
                let behind = loss.behind.to_string();
                json!({ "behind": behind, "factor": loss.factor, "clear": loss.is_clear })
            })
            .collect();
        json!({
            "section": line.section, "row": line.row, "figure": line.figure.label, "unit": line.figure.unit,
            "peers": peers, "bar": line.bar.spelled(line.figure.unit), "reached": line.is_reached(), "losses": losses,
        })
    });
    let flushes = sheet.flushes.iter();
    let flushes = flushes.map(|(when, times)| json!({ "when": when, "p50": times.to_json() }));
    let versions = versions.iter();
    let versions = versions.map(|(kind, version)| (kind.to_string(), json!(version)));
    json!({
        "commit": sheet.origin.commit, "machine": sheet.origin.machine, "load_average": sheet.origin.load_average,
        "quick": sitting.args.quick, "passes": sitting.args.passes, "seconds": sitting.args.seconds,
        "versions": versions.collect::<serde_json::Map<_, _>>(), "notes": sheet.notes,
        "flushes": flushes.collect::<Vec<_>>(), "lines": lines.collect::<Vec<_>>(),
    })
}

/// What each peer is called with its version.
fn versions(sitting: &Sitting<'_>) -> Vec<(Kind, String)> {
    let versions = sitting.peers.iter().map(|&kind| {
        let version = match kind {
            Kind::Zabra => "Zabra of that commit".to_owned(),
            Kind::Apache => format!("Apache ZooKeeper {}, {}", apache(sitting), java()),
            Kind::Etcd => {
                let version = etcd::version(&sitting.etcd);
                format!("etcd {}", version.unwrap_or_else(|_| "?".to_owned()))
            }
        };
        (kind, version)
    });
    versions.collect()
}

/// The version in the name of its jar.
fn apache(sitting: &Sitting<'_>) -> String {
    let names = fs::read_dir(&sitting.jars).into_iter().flatten().flatten();
    let versions = names.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let version = name.strip_prefix("zookeeper-")?.strip_suffix(".jar")?;
        version
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| version.to_owned())
    });
    versions.min().unwrap_or_else(|| "3.9".to_owned())
}

/// The first line of what the JVM says of itself.
fn java() -> String {
    let output = Command::new("java").arg("-version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    let text = text.unwrap_or_default();
    text.lines().next().unwrap_or("Java").replace('"', "")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}
