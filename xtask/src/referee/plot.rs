//! Grouped bars with the spread of the runs, as SVG.
//!
//! Peers differ by two orders of magnitude in some rows, so the axis is logarithmic: equal heights are equal ratios, and a bar
//! has no meaning but its upper end. It begins at the power of ten below the least value.

use std::fmt::Write;

use super::sheet::{Figure, Line, Sheet, Spread};
use crate::bench::server::Kind;
use crate::bench::table::number;

/// A plot and where it belongs.
pub(super) struct Plot {
    /// Of the report.
    pub(super) section: String,
    /// What it shows.
    pub(super) title: String,
    /// Its name.
    pub(super) file: String,
    peers: Vec<Kind>,
    groups: Vec<(String, Vec<Option<Spread>>)>,
}

/// One for each section and each figure that is drawn.
pub(super) fn all(sheet: &Sheet, peers: &[Kind]) -> Vec<Plot> {
    let mut plots = Vec::new();
    for section in sheet.sections() {
        let lines = || sheet.lines.iter().filter(|line| line.section == section);
        let mut figures: Vec<Figure> = Vec::new();
        for line in lines().filter(|line| line.figure.is_drawn) {
            if !figures.contains(&line.figure) {
                figures.push(line.figure);
            }
        }
        for figure in figures {
            let group = |line: &Line| {
                let spreads = peers.iter().map(|kind| line.spread(*kind)).collect();
                (line.row.clone(), spreads)
            };
            plots.push(Plot {
                section: section.to_owned(),
                title: format!("{section}: {}, {}", figure.label, figure.unit),
                file: format!("{}.svg", slug(&format!("{section} {}", figure.label))),
                peers: peers.to_vec(),
                groups: lines()
                    .filter(|line| line.figure == figure)
                    .map(group)
                    .collect(),
            });
        }
    }
    plots
}

impl Plot {
    /// The file.
    pub(super) fn to_svg(&self) -> String {
        let spreads = self.groups.iter().flat_map(|(_, spreads)| spreads);
        let axis = Axis::of(spreads.flatten().flat_map(|spread| spread.values()));
        let group = BAR * self.peers.len() as f64 + GAP;
        // A title needs its place, too.
        let width = (LEFT + group * self.groups.len() as f64 + GAP).max(WIDTH_MIN);
        let mut svg = head(&self.title, width);
        axis.draw(&mut svg, width);
        for (at, kind) in self.peers.iter().enumerate() {
            let x = LEFT + 110.0 * at as f64;
            let colour = colour(*kind);
            // Writing into a string cannot fail.
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.0}\" y=\"28\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\n\
                 <text x=\"{:.0}\" y=\"38\">{kind}</text>",
                x + 17.0
            );
        }
        for (at, (name, spreads)) in self.groups.iter().enumerate() {
            let left = LEFT + GAP + group * at as f64;
            self.draw_group(&mut svg, &axis, left, spreads);
            let middle = left + (group - GAP) / 2.0;
            let _ = writeln!(
                svg,
                "<text x=\"{middle:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{name}</text>",
                BOTTOM + 18.0
            );
        }
        svg += "</svg>\n";
        svg
    }

    fn draw_group(&self, svg: &mut String, axis: &Axis, left: f64, spreads: &[Option<Spread>]) {
        for (at, (kind, spread)) in self.peers.iter().zip(spreads).enumerate() {
            let Some(spread) = spread else { continue };
            let x = left + BAR * at as f64;
            let (low, top, high) = (
                axis.y(spread.min),
                axis.y(spread.median),
                axis.y(spread.max),
            );
            let middle = x + BAR / 2.0 - 1.0;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>\n\
                 <line x1=\"{middle:.1}\" x2=\"{middle:.1}\" y1=\"{high:.1}\" y2=\"{low:.1}\" stroke=\"black\" stroke-width=\"1.5\"/>\n\
                 <text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"9\">{}</text>",
                BAR - 2.0,
                (BOTTOM - top).max(0.0),
                colour(*kind),
                high - 4.0,
                short(spread.median)
            );
        }
    }
}

/// Powers of ten, from the bottom of a plot to its top.
pub(crate) struct Axis {
    from: i32,
    to: i32,
}

impl Axis {
    /// The powers of ten between which all of these values are.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut greatest) = (f64::INFINITY, 0.0_f64);
        // A clock tick too short to be seen is no value of a logarithm.
        for value in values.filter(|value| *value > 0.0) {
            least = least.min(value);
            greatest = greatest.max(value);
        }
        if !least.is_finite() {
            return Self { from: 0, to: 1 };
        }
        let from = least.log10().floor() as i32;
        let to = (greatest.log10().ceil() as i32).max(from + 1);
        Self { from, to }
    }

    /// How far below the upper edge of the picture a value is; one that is too small is at the bottom.
    pub(crate) fn y(&self, value: f64) -> f64 {
        let bottom = 10_f64.powi(self.from);
        let part = (value.max(bottom) / bottom).log10() / f64::from(self.to - self.from);
        BOTTOM - part * (BOTTOM - TOP)
    }

    fn marks(&self) -> impl Iterator<Item = (i32, f64)> {
        (self.from..=self.to).map(|power| (power, self.y(10_f64.powi(power))))
    }

    /// A line with its number at each power of ten, up to `width`.
    pub(crate) fn draw(&self, svg: &mut String, width: f64) {
        for (power, y) in self.marks() {
            let label = number(10_f64.powi(power));
            // Writing into a string cannot fail.
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{width:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\n\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
    }
}

/// The beginning of a picture that is so wide.
pub(crate) fn head(title: &str, width: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {HEIGHT:.0}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"14\">{title}</text>\n"
    )
}

/// `1.30M`, `162k`, `6.01`.
pub(crate) fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", number(value / 1e6)),
        1e4.. => format!("{}k", number(value / 1e3)),
        _ => number(value),
    }
}

fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase()
}

/// Told apart by the colour-blind, too.
const fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Zabra => "#0072b2",
        Kind::Apache => "#d55e00",
        Kind::Etcd => "#009e73",
    }
}

/// Lengths in the units of the picture.
const BAR: f64 = 34.0;
const GAP: f64 = 22.0;
/// Where the lines begin, beside their numbers.
pub(crate) const LEFT: f64 = 70.0;
/// Where the greatest value is.
pub(crate) const TOP: f64 = 64.0;
/// Where the least value is.
pub(crate) const BOTTOM: f64 = 300.0;
const HEIGHT: f64 = 330.0;
const WIDTH_MIN: f64 = 460.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(value: f64) -> Spread {
        Spread {
            min: value / 2.0,
            median: value,
            max: value * 2.0,
        }
    }

    #[test]
    fn the_axis_holds_every_value_and_equal_ratios_are_equal_heights() {
        let axis = Axis::of([20.0, 40.0, 0.0, 3_000.0, 6_000.0].into_iter());
        assert_eq!((axis.from, axis.to), (1, 4));
        assert_eq!(axis.y(10.0), BOTTOM);
        assert!((axis.y(10_000.0) - TOP).abs() < 1e-9);
        assert!((axis.y(20.0) - axis.y(40.0) - (axis.y(400.0) - axis.y(800.0))).abs() < 1e-9);
        assert_eq!(axis.y(0.0), BOTTOM);
        let nothing = Axis::of([].into_iter());
        assert_eq!((nothing.from, nothing.to), (0, 1));
    }

    #[test]
    fn a_plot_has_a_bar_for_each_peer_that_was_asked() {
        let plot = Plot {
            section: "1 server".to_owned(),
            title: "1 server: rate, op/s".to_owned(),
            file: "x.svg".to_owned(),
            peers: vec![Kind::Zabra, Kind::Apache, Kind::Etcd],
            groups: vec![
                (
                    "get".to_owned(),
                    vec![Some(spread(10.0)), Some(spread(5.0)), None],
                ),
                (
                    "set".to_owned(),
                    vec![Some(spread(9.0)), None, Some(spread(2.0))],
                ),
            ],
        };
        let svg = plot.to_svg();
        // The background, three squares of the legend, four bars.
        assert_eq!(svg.matches("<rect").count(), 1 + 3 + 4);
        assert!(svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(
            slug("3 servers, flushes 1 ms longer p99"),
            "3-servers-flushes-1-ms-longer-p99"
        );
        assert_eq!(
            [1_304_376.0, 162_634.0, 6.01].map(short),
            ["1.30M", "163k", "6.01"]
        );
    }
}
