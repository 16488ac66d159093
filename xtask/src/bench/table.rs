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
pub(crate) enum Bar {
    /// Nothing is asked for.
    None,
    /// The ratio is so large or larger.
    RatioFrom(f64),
    /// The ratio is so small or smaller.
    RatioTo(f64),
    /// The value is so small or smaller.
    To(f64),
}

impl Bar {
    /// Whether a value reaches it beside Apache's; `None` when nothing is asked for.
    pub(crate) fn is_reached(self, subject: f64, apache: f64) -> Option<bool> {
        match self {
            Self::None => None,
            Self::RatioFrom(bar) => Some(subject / apache >= bar),
            Self::RatioTo(bar) => Some(subject / apache <= bar),
            Self::To(bar) => Some(subject <= bar),
        }
    }

    /// For people; empty when nothing is asked for.
    pub(crate) fn spelled(self, unit: &str) -> String {
        match self {
            Self::None => String::new(),
            Self::RatioFrom(bar) => format!("≥ {}×", number(bar)),
            Self::RatioTo(bar) => format!("≤ {}×", number(bar)),
            Self::To(bar) => format!("≤ {} {unit}", number(bar)),
        }
    }
}

/// One measure.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) measure: String,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// Apache's value.
    pub(crate) apache: f64,
    /// The subject's.
    pub(crate) subject: f64,
    /// What the subject is held against.
    pub(crate) bar: Bar,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.subject / self.apache
    }

    /// Whether the bar is reached, if there is one.
    fn is_reached(&self) -> Option<bool> {
        self.bar.is_reached(self.subject, self.apache)
    }

    fn bar(&self) -> String {
        self.bar.spelled(self.unit)
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
pub(crate) struct Comparison {
    origin: Origin,
    subject: Kind,
    method: String,
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Comparison {
    /// An empty one.
    pub(crate) fn new(workspace: &Workspace, args: &Args) -> anyhow::Result<Self> {
        let origin = Origin::of(workspace)?;
        let mut notes = Vec::new();
        notes.extend(origin.warning());
        let (passes, seconds, znodes) = (args.passes, args.seconds, args.znodes);
        let quick = if args.quick {
            "A quick run: it says little about speed. "
        } else {
            ""
        };
        Ok(Self {
            subject: args.subject,
            method: format!(
                "{quick}Each value is the median of {passes} × {seconds} s, the servers in turn, every write synced to disk, {znodes} \
                 znodes where there are many. n × d is sessions × requests outstanding in each. Client and server share the \
                 machine, whose load average was {} at the start.",
                origin.load_average
            ),
            origin,
            rows: Vec::new(),
            notes,
        })
    }

    /// Adds a row, and prints it so that one sees what goes on.
    pub(crate) fn push(&mut self, row: Row) {
        print!("{}", row.to_markdown());
        self.rows.push(row);
    }

    /// Adds something that one must know to read the table.
    pub(crate) fn note(&mut self, note: String) {
        println!("{note}");
        self.notes.push(note);
    }

    /// For people.
    pub(crate) fn to_markdown(&self) -> String {
        let subject = self.subject;
        let mut text = format!("# {subject} beside Apache ZooKeeper 3.9\n\n");
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "Commit {} on {}.\n\n{}\n",
            self.origin.commit, self.origin.machine, self.method
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
    pub(crate) fn to_json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::to_json).collect();
        json!({
            "subject": self.subject.to_string(), "commit": self.origin.commit, "machine": self.origin.machine,
            "method": self.method, "rows": rows, "notes": self.notes,
        })
    }
}

/// What was measured, on what, and beside what else.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Processor, cores, kernel.
    pub(crate) machine: String,
    /// As git describes it.
    pub(crate) commit: String,
    /// Of the last minute before.
    pub(crate) load_average: f64,
}

impl Origin {
    /// Of this checkout and this machine, now.
    pub(crate) fn of(workspace: &Workspace) -> anyhow::Result<Self> {
        let mut git = Command::new("git");
        git.current_dir(&workspace.root)
            .args(["describe", "--always", "--dirty"]);
        let commit = git.output().context("cannot run git")?.stdout;
        let load = fs::read_to_string("/proc/loadavg")?;
        let minute = load.split(' ').next().unwrap_or_default();
        Ok(Self {
            machine: machine()?,
            commit: String::from_utf8_lossy(&commit).trim().to_owned(),
            load_average: minute.parse().unwrap_or(0.0),
        })
    }

    /// What to say when others had work for the machine.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.load_average > BUSY).then(|| {
            "The machine had other work at the start: only large differences mean something."
                .to_owned()
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
pub(crate) fn number(value: f64) -> String {
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
