//! The report of a run: Markdown for people, JSON for programs, a timeline with marks.

use std::fmt::Write;
use std::fs;

use serde_json::{Value, json};

use super::Sitting;
use super::play::Seen;
use super::timeline::{Event, Moment, Second};
use crate::bench::table::{Origin, number};
use crate::growth::chart::{Chart, Line, Mark};
use crate::referee::sheet::Spread;

/// Of the whole run, in µs.
struct Whole {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Whole {
    fn of(seen: &Seen) -> anyhow::Result<Self> {
        let of = |name| seen.figures.of(name);
        Ok(Self {
            p50: of("p50_us")?,
            p99: of("p99_us")?,
            p999: of("p999_us")?,
            max: of("max_us")?,
        })
    }

    fn ratio(&self) -> f64 {
        self.p999 / self.p50
    }
}

/// Writes all of it into the folder of the sitting; the Markdown.
pub(super) fn write(sitting: &Sitting<'_>, origin: &Origin, seen: &Seen) -> anyhow::Result<String> {
    let whole = Whole::of(seen)?;
    let markdown = markdown(sitting, origin, seen, &whole);
    fs::write(sitting.folder.join("report.md"), &markdown)?;
    let json = json(sitting, origin, seen, &whole);
    fs::write(sitting.folder.join("report.json"), format!("{json:#}\n"))?;
    fs::write(
        sitting.folder.join("timeline.svg"),
        chart(sitting, seen).to_svg(),
    )?;
    Ok(markdown)
}

fn markdown(sitting: &Sitting<'_>, origin: &Origin, seen: &Seen, whole: &Whole) -> String {
    let kind = sitting.args.peer;
    let quick = if sitting.args.quick {
        "**A quick run: it shows that the tools work and says little about tails.** "
    } else {
        ""
    };
    let mut text = format!(
        "# The tail while everything happens: {kind}\n\n{quick}Commit {} on {}; load average {} at the start. Three servers on this \
         machine and one disk, {} znodes, snapshots every {} transactions or less, 80 % get and 20 % set in 64 sessions on the leader and \
         one follower. In a closed loop of 64 × 1 they bear {} op/s; for {} s they got {} in an open loop. Latency counts from when a \
         request was due.\n",
        origin.commit,
        origin.machine,
        origin.load_average,
        number(f64::from(sitting.args.znodes)),
        number(f64::from(sitting.snap_count)),
        number(seen.closed),
        sitting.seconds,
        number(seen.asked),
    );
    if let Some(note) = origin.warning() {
        let _ = write!(text, "\n{note}\n");
    }
    let ratio = whole.ratio();
    let said = if ratio <= BAR {
        "reached"
    } else {
        "**not reached**"
    };
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        "\n| p50, µs | p99, µs | p99.9, µs | max, µs | p99.9 ÷ p50 | bar | |\n|---:|---:|---:|---:|---:|---|---|\n\
         | {} | {} | {} | {} | {} | ≤ {BAR} | {said} |\n",
        number(whole.p50),
        number(whole.p99),
        number(whole.p999),
        number(whole.max),
        number(ratio),
    );
    text += &happened(seen);
    text += &worst(seen);
    text += "\n![timeline](timeline.svg)\n";
    text
}

/// How often there was what.
fn happened(seen: &Seen) -> String {
    let mut text = String::from("\nWhat happened meanwhile:\n\n");
    for event in Event::ALL {
        let count = seen
            .moments
            .iter()
            .filter(|moment| moment.event == event)
            .count();
        let _ = writeln!(text, "- {}: {count} ×", event.name());
    }
    let (expired, sent) = (number(seen.expired), number(seen.sent));
    let _ = writeln!(
        text,
        "\nThe leader counts {} sessions that expired and {} snapshots that it sent to followers.",
        whole_number(&expired),
        whole_number(&sent)
    );
    text
}

/// The seconds with the longest tails, and what happened in each or in the one before.
fn worst(seen: &Seen) -> String {
    let mut seconds: Vec<&Second> = seen.seconds.iter().collect();
    seconds.sort_by(|a, b| b.p999.total_cmp(&a.p999));
    let mut text = String::from(
        "\nThe seconds with the longest tails:\n\n| second | op/s | p50, µs | p99, µs | p99.9, µs | max, µs | p99.9 ÷ p50 | what happened then or in the \
         second before |\n|---:|---:|---:|---:|---:|---:|---:|---|\n",
    );
    for second in seconds.into_iter().take(WORST) {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            second.number,
            number(second.rate),
            number(second.p50),
            number(second.p99),
            number(second.p999),
            number(second.max),
            number(second.ratio()),
            around(&seen.moments, second.number).join(", ")
        );
    }
    text
}

/// What happened in a second or in the one before.
fn around(moments: &[Moment], second: u32) -> Vec<&'static str> {
    let second = f64::from(second);
    let near = moments
        .iter()
        .filter(|it| (second - 1.0..second + 1.0).contains(&it.at));
    let mut names: Vec<&str> = Vec::new();
    for moment in near {
        if !names.contains(&moment.event.name()) {
            names.push(moment.event.name());
        }
    }
    names
}

fn chart(sitting: &Sitting<'_>, seen: &Seen) -> Chart {
    let line = |at: usize, name: &str, value: fn(&Second) -> f64| {
        let points = seen.seconds.iter().map(|second| {
            let spread = Spread::of(&[value(second)]);
            (f64::from(second.number) + 0.5, spread)
        });
        Line {
            name: format!("{name}, µs"),
            colour: at,
            is_dashed: false,
            points: points.collect(),
        }
    };
    let lines = vec![
        line(0, "p50", |second| second.p50),
        line(2, "p99", |second| second.p99),
        line(1, "p99.9", |second| second.p999),
        line(7, "max", |second| second.max),
    ];
    // A log begins with each snapshot.
    let marks = seen
        .moments
        .iter()
        .filter(|moment| moment.event != Event::Log);
    let marks = marks.map(|moment| Mark {
        x: moment.at,
        name: moment.event.name().to_owned(),
        colour: match moment.event {
            Event::Snapshot | Event::Log => 5,
            Event::Left => 4,
            Event::Expired => 1,
            Event::Emptied => 3,
            Event::Joined => 6,
        },
    });
    let step = (sitting.seconds / 10).max(1);
    let ticks = (0..=sitting.seconds).step_by(step as usize);
    Chart {
        title: format!("{} at half load: latency in each second", sitting.args.peer),
        ticks: ticks
            .map(|second| (second.into(), format!("{second} s")))
            .collect(),
        lines,
        marks: marks.collect(),
    }
}

/// A count without the digits behind its point.
fn whole_number(text: &str) -> &str {
    text.split('.').next().unwrap_or(text)
}

fn json(sitting: &Sitting<'_>, origin: &Origin, seen: &Seen, whole: &Whole) -> Value {
    let seconds = seen.seconds.iter().map(|it| {
        json!({
            "second": it.number, "ops_per_second": it.rate, "p50_us": it.p50, "p99_us": it.p99, "p999_us": it.p999, "max_us": it.max,
            "p999_over_p50": it.ratio(),
        })
    });
    let moments = seen.moments.iter();
    let moments =
        moments.map(|it| json!({ "at_s": it.at, "event": it.event.name(), "server": it.server }));
    json!({
        "peer": sitting.args.peer.to_string(), "commit": origin.commit, "machine": origin.machine,
        "load_average": origin.load_average, "quick": sitting.args.quick, "seconds": sitting.seconds,
        "closed_ops_per_second": seen.closed, "asked_ops_per_second": seen.asked,
        "p50_us": whole.p50, "p99_us": whole.p99, "p999_us": whole.p999, "max_us": whole.max,
        "p999_over_p50": whole.ratio(), "bar": BAR, "reached": whole.ratio() <= BAR,
        "sessions_expired": seen.expired, "snapshots_sent": seen.sent,
        "each_second": seconds.collect::<Vec<_>>(), "events": moments.collect::<Vec<_>>(),
    })
}

/// p99.9 over p50 at most.
const BAR: f64 = 10.0;
/// How many seconds are told.
const WORST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_around_a_second_is_told_once() {
        let moment = |at, event| Moment {
            at,
            event,
            server: None,
        };
        let moments = [
            moment(3.9, Event::Left),
            moment(4.1, Event::Snapshot),
            moment(5.8, Event::Log),
            moment(5.9, Event::Snapshot),
            moment(6.0, Event::Expired),
        ];
        assert_eq!(around(&moments, 5), ["a snapshot begins", "a log begins"]);
        assert!(around(&moments, 9).is_empty());
    }
}
