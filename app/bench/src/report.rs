//! What a run found: figures with names and units, in the order in which they are read.

use std::fmt;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

/// The figures of a run.
#[derive(Debug, Clone)]
pub struct Report {
    title: String,
    figures: Vec<Figure>,
    notes: Vec<String>,
    details: Vec<(&'static str, Value)>,
    failure: Option<String>,
    seconds: Vec<Figure>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its name in JSON, with the unit behind it.
    pub name: String,
    /// Its value, in its unit.
    pub value: f64,
    /// What it counts.
    pub unit: Unit,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Things in a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Processor cores, on average.
    Cores,
    /// 10^6 bytes.
    Megabytes,
    /// Bytes.
    Bytes,
}

impl Report {
    /// A report without figures.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            figures: Vec::new(),
            notes: Vec::new(),
            details: Vec::new(),
            failure: None,
            seconds: Vec::new(),
        }
    }

    /// Adds a figure.
    pub(crate) fn push(&mut self, name: impl Into<String>, value: f64, unit: Unit) {
        self.figures.push(Figure {
            name: name.into(),
            value,
            unit,
        });
    }

    /// Adds the percentiles of latencies in nanoseconds; in `prefix` stands what was timed.
    pub(crate) fn push_latency(&mut self, prefix: &str, latency: &Histogram<u64>) {
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
            let nanos = latency.value_at_quantile(quantile);
            self.push(
                format!("{prefix}{name}_us"),
                nanos as f64 / 1e3,
                Unit::Micros,
            );
        }
        self.push(
            format!("{prefix}max_us"),
            latency.max() as f64 / 1e3,
            Unit::Micros,
        );
    }

    /// Adds a sentence about what the figures do not say.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds what only JSON tells.
    pub(crate) fn detail(&mut self, name: &'static str, value: Value) {
        self.details.push((name, value));
    }

    /// Notes that what was measured is wrong of the servers.
    pub(crate) fn fail(&mut self, failure: impl Into<String>) {
        self.failure = Some(failure.into());
    }

    /// Adds the rate of one second of the window.
    pub(crate) fn push_second(&mut self, rate: f64) {
        self.seconds.push(Figure {
            name: String::new(),
            value: rate,
            unit: Unit::PerSecond,
        });
    }

    /// A figure by its name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<f64> {
        let figure = self.figures.iter().find(|figure| figure.name == name)?;
        Some(figure.value)
    }

    /// All figures.
    #[must_use]
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// Sentences about what the figures do not say, such as that a rate was not reached.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What the servers did that they must not do, if they did.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// The report as one object: its title under `work`, each figure under its name, sentences under `notes` if there are
    /// any, and operations per second for each second of the window if they were asked for.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("work".to_owned(), json!(self.title));
        for figure in &self.figures {
            object.insert(figure.name.clone(), json!(figure.value));
        }
        for (name, value) in &self.details {
            object.insert((*name).to_owned(), value.clone());
        }
        if !self.notes.is_empty() {
            object.insert("notes".to_owned(), json!(self.notes));
        }
        if !self.seconds.is_empty() {
            let rates: Vec<f64> = self.seconds.iter().map(|second| second.value).collect();
            object.insert("each_second".to_owned(), json!(rates));
        }
        Value::Object(object)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for figure in &self.figures {
            let (digits, unit) = figure.unit.spelled();
            let digits = if unit == "µs" && figure.value < 10.0 {
                2
            } else {
                digits
            };
            let name = figure
                .name
                .trim_end_matches(figure.unit.suffix())
                .replace("p999", "p99.9")
                .replace('_', " ");
            writeln!(
                f,
                "  {name:<28} {:>14} {unit}",
                grouped(figure.value, digits)
            )?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}

impl Unit {
    /// How many digits behind the point, and what is printed behind the number.
    const fn spelled(self) -> (usize, &'static str) {
        match self {
            Self::Count => (0, ""),
            Self::PerSecond => (0, "/s"),
            Self::Seconds => (2, "s"),
            Self::Millis => (2, "ms"),
            Self::Micros => (1, "µs"),
            Self::Cores => (2, "cores"),
            Self::Megabytes => (1, "MB"),
            Self::Bytes => (0, "B"),
        }
    }

    /// What stands behind a figure's name in JSON.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::PerSecond => "_per_second",
            Self::Seconds => "_s",
            Self::Millis => "_ms",
            Self::Micros => "_us",
            Self::Cores => "_cores",
            Self::Megabytes => "_mb",
            Self::Bytes => "_bytes",
        }
    }
}

/// A number with commas between its thousands.
pub(crate) fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.char_indices() {
        if index > 0 && (whole.len() - index) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped.push_str(rest);
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (value, digits, text) in [
            (0.0, 0, "0"),
            (999.4, 0, "999"),
            (1_000.0, 0, "1,000"),
            (1_234_567.25, 1, "1,234,567.2"),
            (-123.0, 0, "-123"),
        ] {
            assert_eq!(grouped(value, digits), text);
        }
    }

    #[test]
    fn a_figure_is_found_in_text_and_json() {
        let mut report = Report::new("get");
        report.push("ops_per_second", 12_345.0, Unit::PerSecond);
        assert_eq!(report.figure("ops_per_second"), Some(12_345.0));
        assert_eq!(report.to_json()["ops_per_second"], 12_345.0);
        assert!(
            report
                .to_string()
                .contains("ops                                  12,345 /s")
        );
    }
}
