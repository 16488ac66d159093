//! Lines over an axis, as SVG: heights are logarithmic, so that equal slopes are equal growth, whatever the unit.
//!
//! Who draws says where on the horizontal axis a point is; [`crate::referee::plot`] has the vertical one.

use std::fmt::Write;

use crate::referee::plot::{Axis, BOTTOM, LEFT, TOP, head};
use crate::referee::sheet::Spread;

/// A picture.
pub(crate) struct Chart {
    /// What it shows.
    pub(crate) title: String,
    /// What stands at which place of the horizontal axis.
    pub(crate) ticks: Vec<(f64, String)>,
    /// What is drawn.
    pub(crate) lines: Vec<Line>,
    /// Moments or values at which something is to be seen.
    pub(crate) marks: Vec<Mark>,
}

/// A line through points.
pub(crate) struct Line {
    /// With its unit.
    pub(crate) name: String,
    /// One of [`COLOURS`], in turn.
    pub(crate) colour: usize,
    /// Drawn with gaps.
    pub(crate) is_dashed: bool,
    /// Each with its place on the horizontal axis, from the left to the right.
    pub(crate) points: Vec<(f64, Spread)>,
}

/// A vertical line.
pub(crate) struct Mark {
    /// Its place on the horizontal axis.
    pub(crate) x: f64,
    /// Marks with the same name have one line in the legend.
    pub(crate) name: String,
    /// One of [`COLOURS`], in turn.
    pub(crate) colour: usize,
}

impl Chart {
    /// The file.
    pub(crate) fn to_svg(&self) -> String {
        let width = LEFT + WIDTH + LEGEND;
        let mut svg = head(&self.title, width);
        let drawn = || self.lines.iter().flat_map(|line| &line.points);
        let axis = Axis::of(drawn().flat_map(|(_, spread)| spread.values()));
        axis.draw(&mut svg, LEFT + WIDTH);
        let places = self.ticks.iter().map(|(x, _)| *x);
        let places = places.chain(drawn().map(|(x, _)| *x));
        let places = places.chain(self.marks.iter().map(|mark| mark.x));
        let across = Across::of(places);
        for (x, label) in &self.ticks {
            // Writing into a string cannot fail.
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{label}</text>",
                across.x(*x),
                BOTTOM + 18.0
            );
        }
        for mark in &self.marks {
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{BOTTOM}\" stroke=\"{}\" stroke-width=\"1.5\" \
                 stroke-dasharray=\"2 2\"/>",
                colour(mark.colour),
                x = across.x(mark.x)
            );
        }
        for line in &self.lines {
            line.draw(&mut svg, &axis, &across);
        }
        self.draw_legend(&mut svg);
        svg += "</svg>\n";
        svg
    }

    fn draw_legend(&self, svg: &mut String) {
        let lines = self.lines.iter();
        let mut rows: Vec<(&str, usize, &str)> = lines
            .map(|line| (&*line.name, line.colour, line.dashes()))
            .collect();
        for mark in &self.marks {
            if !rows.iter().any(|(name, ..)| *name == mark.name) {
                rows.push((&mark.name, mark.colour, "2 2"));
            }
        }
        let x = LEFT + WIDTH + 14.0;
        for (at, (name, number, dashes)) in rows.into_iter().enumerate() {
            let y = TOP + 18.0 * at as f64;
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.0}\" x2=\"{:.0}\" y1=\"{y:.0}\" y2=\"{y:.0}\" stroke=\"{}\" stroke-width=\"2.5\" \
                 stroke-dasharray=\"{dashes}\"/>\n<text x=\"{:.0}\" y=\"{:.0}\">{name}</text>",
                x + 22.0,
                colour(number),
                x + 28.0,
                y + 4.0
            );
        }
    }
}

impl Line {
    const fn dashes(&self) -> &'static str {
        if self.is_dashed { "6 3" } else { "none" }
    }

    /// The medians, with the spread at each where there is one.
    fn draw(&self, svg: &mut String, axis: &Axis, across: &Across) {
        let colour = colour(self.colour);
        let mut path = String::new();
        for (x, spread) in &self.points {
            let (x, y) = (across.x(*x), axis.y(spread.median));
            let _ = write!(path, "{x:.1},{y:.1} ");
            if spread.max > spread.min {
                let (high, low) = (axis.y(spread.max), axis.y(spread.min));
                let _ = writeln!(
                    svg,
                    "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{high:.1}\" y2=\"{low:.1}\" stroke=\"{colour}\"/>"
                );
            }
        }
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" stroke-dasharray=\"{}\"/>",
            path.trim_end(),
            self.dashes()
        );
    }
}

/// Places from the left to the right.
struct Across {
    from: f64,
    to: f64,
}

impl Across {
    fn of(places: impl Iterator<Item = f64>) -> Self {
        let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
        for place in places {
            from = from.min(place);
            to = to.max(place);
        }
        if from < to {
            return Self { from, to };
        }
        // A single place, or none.
        let middle = if from.is_finite() { from } else { 0.0 };
        Self {
            from: middle - 1.0,
            to: middle + 1.0,
        }
    }

    fn x(&self, place: f64) -> f64 {
        LEFT + MARGIN + (place - self.from) / (self.to - self.from) * (WIDTH - 2.0 * MARGIN)
    }
}

fn colour(number: usize) -> &'static str {
    COLOURS[number % COLOURS.len()]
}

/// Told apart by the colour-blind, too.
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999",
];
/// Lengths in the units of the picture.
const WIDTH: f64 = 620.0;
const MARGIN: f64 = 16.0;
const LEGEND: f64 = 290.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_line_and_a_legend_for_all_that_is_in_it() {
        let point = |x: f64, value: f64| {
            let spread = Spread {
                min: value / 2.0,
                median: value,
                max: value,
            };
            (x, spread)
        };
        let line = |name: &str, points| Line {
            name: name.to_owned(),
            colour: 0,
            is_dashed: false,
            points,
        };
        let mark = |x| Mark {
            x,
            name: "a snapshot".to_owned(),
            colour: 1,
        };
        let chart = Chart {
            title: "t".to_owned(),
            ticks: vec![(1.0, "10".to_owned())],
            lines: vec![
                line("p50", vec![point(1.0, 10.0), point(2.0, 20.0)]),
                line("p99", vec![point(1.0, 0.0)]),
            ],
            marks: vec![mark(1.5), mark(3.0)],
        };
        let svg = chart.to_svg();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("a snapshot").count(), 1);
        assert!(svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn places_keep_their_order_and_a_single_one_is_in_the_middle() {
        let across = Across::of([4.0, 2.0, 3.0].into_iter());
        assert!(across.x(2.0) < across.x(3.0) && across.x(3.0) < across.x(4.0));
        let single = Across::of([5.0].into_iter());
        assert!((single.x(5.0) - (LEFT + WIDTH / 2.0)).abs() < 1e-9);
        assert!(Across::of([].into_iter()).x(0.0).is_finite());
    }
}
