//! What was measured, beside what was asked for: as Markdown for people and as JSON for programs.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};

use super::Args;
use super::server::Kind;
use crate::workspace::Workspace;

/// A value that is asked for, of the subject or of its ratio to Apache's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bar {
    /// Nothing is asked for.
    None,
    /// The ratio is so large or larger.
    RatioFrom(f64),
    /// The ratio is so small or smaller.
    RatioTo(f64),
    /// The value is so small or smaller.
    To(f64),
}

/// One measure.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// What was measured.
    pub(super) measure: String,
    /// Its unit.
    pub(super) unit: &'static str,
    /// Apache's value.
    pub(super) apache: f64,
    /// The subject's.
    pub(super) subject: f64,
    /// What the subject is held against.
    pub(super) bar: Bar,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.subject / self.apache
    }

    /// Whether the bar is reached, if there is one.
    fn is_reached(&self) -> Option<bool> {
        match self.bar {
            Bar::None => None,
            Bar::RatioFrom(bar) => Some(self.ratio() >= bar),
            Bar::RatioTo(bar) => Some(self.ratio() <= bar),
            Bar::To(bar) => Some(self.subject <= bar),
        }
    }

    fn bar(&self) -> String {
        match self.bar {
            Bar::None => String::new(),
            Bar::RatioFrom(bar) => format!("≥ {}×", number(bar)),
            Bar::RatioTo(bar) => format!("≤ {}×", number(bar)),
            Bar::To(bar) => format!("≤ {} {}", number(bar), self.unit),
        }
    }

    fn to_markdown(&self) -> String {
        let ratio = self.ratio();
        let ratio = if ratio.is_finite() {
            format!("{ratio:.2}×")
        } else {
            "–".to_owned()
        };
        let reached = match self.is_reached() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        format!(
            "| {}, {} | {} | {} | {ratio} | {} | {reached} |\n",
            self.measure,
            self.unit,
            number(self.apache),
            number(self.subject),
            self.bar()
        )
    }

    fn to_json(&self) -> Value {
        json!({
            "measure": self.measure, "unit": self.unit, "apache": self.apache, "subject": self.subject,
            "ratio": self.ratio(), "bar": self.bar(), "reached": self.is_reached(),
        })
    }
}

/// All that was measured, and on what.
pub(super) struct Comparison {
    machine: String,
    commit: String,
    subject: Kind,
    method: String,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Comparison {
    /// An empty one.
    pub(super) fn new(workspace: &Workspace, args: &Args) -> anyhow::Result<Self> {
        let mut git = Command::new("git");
        git.current_dir(&workspace.root)
            .args(["describe", "--always", "--dirty"]);
        let commit = git.output().context("cannot run git")?.stdout;
        let load = fs::read_to_string("/proc/loadavg")?;
        let busy = load.split(' ').next().unwrap_or_default();
        let mut notes = Vec::new();
        if busy.parse().unwrap_or(0.0) > BUSY {
            let what =
                "The machine had other work at the start: only large differences mean something.";
            notes.push(what.to_owned());
        }
        let (passes, seconds, znodes) = (args.passes, args.seconds, args.znodes);
        let quick = if args.quick {
            "A quick run: it says little about speed. "
        } else {
            ""
        };
        Ok(Self {
            machine: machine()?,
            commit: String::from_utf8_lossy(&commit).trim().to_owned(),
            subject: args.subject,
            method: format!(
                "{quick}Each value is the median of {passes} × {seconds} s, the servers in turn, every write synced to disk, {znodes} \
                 znodes where there are many. n × d is sessions × requests outstanding in each. Client and server share the \
                 machine, whose load average was {busy} at the start."
            ),
            rows: Vec::new(),
            notes,
        })
    }

    /// Adds a row, and prints it so that one sees what goes on.
    pub(super) fn push(&mut self, row: Row) {
        print!("{}", row.to_markdown());
        self.rows.push(row);
    }

    /// Adds something that one must know to read the table.
    pub(super) fn note(&mut self, note: String) {
        println!("{note}");
        self.notes.push(note);
    }

    /// For people.
    pub(super) fn to_markdown(&self) -> String {
        let subject = self.subject;
        let mut text = format!("# {subject} beside Apache ZooKeeper 3.9\n\n");
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "Commit {} on {}.\n\n{}\n",
            self.commit, self.machine, self.method
        );
        let _ = writeln!(
            text,
            "| measure | Java | {subject} | ratio | bar | reached |"
        );
        text.push_str("|---|---:|---:|---:|---|---|\n");
        text.extend(self.rows.iter().map(Row::to_markdown));
        for note in &self.notes {
            let _ = write!(text, "\n- {note}");
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        text
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::to_json).collect();
        json!({
            "subject": self.subject.to_string(), "commit": self.commit, "machine": self.machine,
            "method": self.method, "rows": rows, "notes": self.notes,
        })
    }
}

/// Processor, cores, kernel.
fn machine() -> anyhow::Result<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{cores} cores of {model}, Linux {}", kernel.trim()))
}

/// Three digits that count, commas between thousands.
fn number(value: f64) -> String {
    if value.abs() < 99.95 {
        let digits = if value.abs() < 9.995 { 2 } else { 1 };
        return format!("{value:.digits$}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A load average above this comes from others.
const BUSY: f64 = 1.0;

#[cfg(test)]
mod tests {
    use super::{Bar, Row, number};

    fn row(subject: f64, bar: Bar) -> Row {
        Row {
            measure: "get 1 × 1".to_owned(),
            unit: "op/s",
            apache: 100.0,
            subject,
            bar,
        }
    }

    #[test]
    fn a_bar_is_reached_from_its_own_side() {
        for (subject, bar, reached) in [
            (250.0, Bar::RatioFrom(2.5), Some(true)),
            (249.0, Bar::RatioFrom(2.5), Some(false)),
            (25.0, Bar::RatioTo(0.25), Some(true)),
            (26.0, Bar::RatioTo(0.25), Some(false)),
            (250.0, Bar::To(250.0), Some(true)),
            (251.0, Bar::To(250.0), Some(false)),
            (1.0, Bar::None, None),
        ] {
            assert_eq!(row(subject, bar).is_reached(), reached, "{subject} {bar:?}");
        }
    }

    #[test]
    fn a_row_reads_as_a_line_of_the_table() {
        assert_eq!(
            row(1_234.0, Bar::RatioFrom(2.5)).to_markdown(),
            "| get 1 × 1, op/s | 100 | 1,234 | 12.34× | ≥ 2.50× | yes |\n"
        );
    }

    #[test]
    fn small_numbers_keep_their_digits() {
        assert_eq!(
            [0.0, 1.239, 12.34, 99.96].map(number),
            ["0.00", "1.24", "12.3", "100"]
        );
        assert_eq!(number(1_234_567.0), "1,234,567");
    }
}
