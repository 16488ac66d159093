//! The report of a sitting: Markdown for people, JSON for programs, a plot of each axis beside them.

use std::fmt::Write;
use std::fs;

use serde_json::{Value, json};

use super::chart::{Chart, Line};
use super::curve::{Curve, Findings, MARGIN, MARGIN_OF_TAILS, Step};
use super::{Axis, Sitting};
use crate::bench::server::Kind;
use crate::bench::table::{Origin, number};

/// Writes all of it into the folder of the sitting.
pub(super) fn write(
    sitting: &Sitting<'_>,
    origin: &Origin,
    all: &[(Axis, Findings)],
) -> anyhow::Result<()> {
    for (axis, found) in all {
        let plot = chart(*axis, found).to_svg();
        fs::write(sitting.folder.join(format!("{}.svg", axis.name())), plot)?;
    }
    let markdown = markdown(sitting, origin, all);
    fs::write(sitting.folder.join("report.md"), markdown)?;
    let json = json(sitting, origin, all);
    fs::write(sitting.folder.join("report.json"), format!("{json:#}\n"))?;
    Ok(())
}

fn markdown(sitting: &Sitting<'_>, origin: &Origin, all: &[(Axis, Findings)]) -> String {
    let quick = if sitting.args.quick {
        "**A quick run: it shows that the tools work and says nothing about growth.** "
    } else {
        ""
    };
    let (passes, window) = (sitting.args.passes, sitting.window);
    let mut text = format!(
        "# How cost grows\n\n{quick}Commit {} on {}. Medians of {passes} × {window} s with (least..greatest); values have 100 bytes and \
         there are 10,000 keys, but for what grows. The load generator runs on the same cores. The load average was {} at the start.\n\n\
         A slope is the exponent of growth between neighbouring points: 0 is flat, 1 is linear. A step is **worse than theory** when \
         what is measured exceeds what the allowed slope makes of the point before by a factor of more than {MARGIN}, \
         or of {MARGIN_OF_TAILS} for a p99.\n",
        origin.commit, origin.machine, origin.load_average,
    );
    if let Some(note) = origin.warning() {
        let _ = write!(text, "\n{note}\n");
    }
    text += &verdict(all);
    for (axis, found) in all {
        // Writing into a string cannot fail.
        let _ = write!(text, "\n## {}\n\n", axis.title());
        text += &values(found);
        text += &slopes(found);
        let (title, file) = (axis.title(), axis.name());
        let _ = write!(text, "\n![{title}]({file}.svg)\n");
        for note in &found.notes {
            let _ = write!(text, "\n- {note}");
        }
        if !found.notes.is_empty() {
            text.push('\n');
        }
    }
    text
}

/// Every step that is steeper than it may be.
fn verdict(all: &[(Axis, Findings)]) -> String {
    let mut text = String::from("\n## Worse than theory\n\n");
    let mut held = 0;
    let mut worse = 0;
    for (axis, found) in all {
        for curve in &found.curves {
            for step in curve.steps() {
                held += usize::from(step.is_worse.is_some());
                if step.is_worse == Some(true) {
                    worse += 1;
                    let allowed = curve.figure.theory.map_or(0.0, |theory| theory.slope);
                    let _ = writeln!(
                        text,
                        "- {}: {}: {} from {} to {}: slope {:.2}, allowed {allowed:.2}",
                        axis.title(),
                        curve.kind,
                        curve.figure.name(),
                        number(step.from),
                        number(step.to),
                        step.slope,
                    );
                }
            }
        }
    }
    let _ = writeln!(text, "\n{worse} of {held} steps.");
    text
}

/// What was measured at each point.
fn values(found: &Findings) -> String {
    let places = found.places();
    let mut text = String::from("| |");
    for place in &places {
        let _ = write!(text, " {} |", name(*place));
    }
    text += "\n|---|";
    text += &"---:|".repeat(places.len());
    text.push('\n');
    for curve in &found.curves {
        let _ = write!(text, "| {} |", label(found, curve));
        for place in &places {
            let cell = curve.at(*place).map_or("–".to_owned(), |it| {
                if it.min < it.max {
                    it.spelled()
                } else {
                    number(it.median)
                }
            });
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

/// How each figure grows from point to point, beside what is allowed.
fn slopes(found: &Findings) -> String {
    let held = || {
        found
            .curves
            .iter()
            .filter(|curve| curve.figure.theory.is_some())
    };
    let all: Vec<Step> = held().flat_map(Curve::steps).collect();
    let mut lengths: Vec<(f64, f64)> = all.iter().map(|step| (step.from, step.to)).collect();
    lengths.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    lengths.dedup();
    if lengths.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n| slope |");
    for (from, to) in &lengths {
        let _ = write!(text, " {} to {} |", name(*from), name(*to));
    }
    text += " allowed | | |\n|---|";
    text += &"---:|".repeat(lengths.len() + 1);
    text += "---|---|\n";
    for curve in held() {
        let Some(theory) = curve.figure.theory else {
            continue;
        };
        let steps = curve.steps();
        let _ = write!(text, "| {} |", label(found, curve));
        for length in &lengths {
            let step = steps.iter().find(|step| (step.from, step.to) == *length);
            let cell = step.map_or("–".to_owned(), |step| {
                let bold = if step.is_worse == Some(true) {
                    "**"
                } else {
                    ""
                };
                format!("{bold}{:.2}{bold}", step.slope)
            });
            let _ = write!(text, " {cell} |");
        }
        let is_worse = steps.iter().any(|step| step.is_worse == Some(true));
        let said = if is_worse {
            "**worse than theory**"
        } else {
            ""
        };
        let _ = writeln!(text, " {:.2} | {} | {said} |", theory.slope, theory.why);
    }
    text
}

fn chart(axis: Axis, found: &Findings) -> Chart {
    let places = found.places();
    // A logarithm has no place for 0: it stands a step of ten before the first.
    let first = places
        .iter()
        .copied()
        .find(|place| *place > 0.0)
        .unwrap_or(1.0);
    let across = |place: f64| {
        if place > 0.0 {
            place.log10()
        } else {
            first.log10() - 1.0
        }
    };
    let mut figures = Vec::new();
    let lines = found.curves.iter().map(|curve| {
        let known = figures.iter().position(|figure| *figure == curve.figure);
        let colour = known.unwrap_or_else(|| {
            figures.push(curve.figure);
            figures.len() - 1
        });
        let points = places
            .iter()
            .filter_map(|place| Some((across(*place), curve.at(*place)?)));
        Line {
            name: label(found, curve),
            colour,
            is_dashed: curve.kind != Kind::Zabra,
            points: points.collect(),
        }
    });
    Chart {
        title: axis.title().to_owned(),
        lines: lines.collect(),
        ticks: places
            .iter()
            .map(|place| (across(*place), name(*place)))
            .collect(),
        marks: Vec::new(),
    }
}

/// The figure, and whose it is where there are several.
fn label(found: &Findings, curve: &Curve) -> String {
    let alone = found.curves.iter().all(|other| other.kind == curve.kind);
    let name = curve.figure.name();
    if alone {
        name
    } else {
        format!("{}: {name}", curve.kind)
    }
}

/// A place on an axis: a whole number.
fn name(place: f64) -> String {
    let text = number(place);
    text.strip_suffix(".0")
        .or(text.strip_suffix(".00"))
        .unwrap_or(&text)
        .to_owned()
}

fn json(sitting: &Sitting<'_>, origin: &Origin, all: &[(Axis, Findings)]) -> Value {
    let axes = all.iter().map(|(axis, found)| {
        let curves: Vec<Value> = found.curves.iter().map(curve).collect();
        json!({ "axis": axis.name(), "curves": curves, "notes": found.notes })
    });
    json!({
        "commit": origin.commit, "machine": origin.machine, "load_average": origin.load_average,
        "quick": sitting.args.quick, "passes": sitting.args.passes, "seconds": sitting.window,
        "axes": axes.collect::<Vec<_>>(),
    })
}

fn curve(curve: &Curve) -> Value {
    let points = curve.points.iter().filter_map(|(x, runs)| {
        let median = curve.at(*x)?.median;
        Some(json!({ "at": x, "median": median, "runs": runs }))
    });
    let steps = curve.steps().into_iter().map(|step| {
        json!({ "from": step.from, "to": step.to, "slope": step.slope, "worse_than_theory": step.is_worse })
    });
    json!({
        "peer": curve.kind.to_string(), "figure": curve.figure.label, "unit": curve.figure.unit,
        "allowed_slope": curve.figure.theory.map(|theory| theory.slope),
        "theory": curve.figure.theory.map(|theory| theory.why),
        "points": points.collect::<Vec<_>>(), "steps": steps.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::curve::Figure;
    use super::*;

    fn found() -> Findings {
        let linear = Figure::held("start", "ms", "", 1.0, "read once");
        let told = Figure::told("rate", "op/s", "");
        let mut found = Findings::default();
        for (x, value) in [(0.0, 1.0), (10.0, 1.0), (100.0, 10.0), (1_000.0, 400.0)] {
            found.add(Kind::Zabra, linear, x, value);
            found.add(Kind::Zabra, told, x, value);
        }
        found
    }

    #[test]
    fn a_step_that_is_too_steep_is_told_and_its_neighbours_are_not() {
        let text = verdict(&[(Axis::Znodes, found())]);
        assert!(
            text.contains("from 100 to 1,000: slope 1.60, allowed 1.00"),
            "{text}"
        );
        assert!(text.contains("\n1 of 2 steps."), "{text}");
        let text = slopes(&found());
        assert!(
            text.contains(
                "| start, ms | 1.00 | **1.60** | 1.00 | read once | **worse than theory** |"
            ),
            "{text}"
        );
        assert!(!text.contains("rate"), "{text}");
    }

    #[test]
    fn zero_has_a_place_before_the_first_and_a_column() {
        let chart = chart(Axis::Size, &found());
        let places: Vec<f64> = chart.ticks.iter().map(|(x, _)| *x).collect();
        assert_eq!(places, [0.0, 1.0, 2.0, 3.0]);
        assert!(values(&found()).starts_with("| | 0 | 10 | 100 | 1,000 |\n"));
    }
}
