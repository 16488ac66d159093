//! Figures along an axis, and how fast they grow: the slope between neighbouring points in a plot with two logarithmic axes.
//!
//! A slope of 0 is a cost that stays, 1 is one that grows as the axis does. Steps differ in length, so what a figure may exceed
//! its theory by is a factor of each step: over a tenfold step 1.25 is a slope of 0.1, over a doubling one of 0.32.

use crate::bench::generator::Figures;
use crate::bench::server::Kind;
use crate::referee::sheet::Spread;

/// One thing that is told at each point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    /// For people.
    pub(super) label: &'static str,
    /// Its unit.
    pub(super) unit: &'static str,
    /// Its name in the JSON of the load generator, if it comes from there.
    pub(super) key: &'static str,
    /// How it may grow; `None` when it is told beside the others.
    pub(super) theory: Option<Theory>,
}

/// What growth is no surprise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Theory {
    /// The greatest slope.
    pub(super) slope: f64,
    /// The factor by which each step may be above that, for what a measurement is uncertain by.
    pub(super) margin: f64,
    /// Why.
    pub(super) why: &'static str,
}

/// A figure of one peer along an axis.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    pub(super) kind: Kind,
    pub(super) figure: Figure,
    /// Each place on the axis with what the runs told.
    pub(super) points: Vec<(f64, Vec<f64>)>,
}

/// From one point to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) slope: f64,
    /// Whether it is steeper than the theory and its margin, if there is one.
    pub(super) is_worse: Option<bool>,
}

/// Everything that was found along an axis.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) curves: Vec<Curve>,
    /// What one must know to read them.
    pub(super) notes: Vec<String>,
}

impl Figure {
    /// One that is told beside the others.
    pub(super) const fn told(label: &'static str, unit: &'static str, key: &'static str) -> Self {
        Self {
            label,
            unit,
            key,
            theory: None,
        }
    }

    /// One that is held against a theory.
    pub(super) const fn held(
        label: &'static str,
        unit: &'static str,
        key: &'static str,
        slope: f64,
        why: &'static str,
    ) -> Self {
        let margin = MARGIN;
        Self {
            label,
            unit,
            key,
            theory: Some(Theory { slope, margin, why }),
        }
    }

    /// The same with twice as much room: the tail of a distribution varies more than its mean.
    pub(super) const fn of_a_tail(self) -> Self {
        let theory = match self.theory {
            Some(theory) => Some(Theory {
                margin: MARGIN_OF_TAILS,
                ..theory
            }),
            None => None,
        };
        Self { theory, ..self }
    }

    /// `set 64 × 1: server CPU, µs/op`.
    pub(super) fn name(&self) -> String {
        format!("{}, {}", self.label, self.unit)
    }
}

impl Findings {
    /// Adds what a run told at a place of the axis.
    pub(super) fn add(&mut self, kind: Kind, figure: Figure, at: f64, value: f64) {
        let found = self
            .curves
            .iter()
            .position(|curve| curve.kind == kind && curve.figure == figure);
        let curve = found.unwrap_or_else(|| {
            let points = Vec::new();
            self.curves.push(Curve {
                kind,
                figure,
                points,
            });
            self.curves.len() - 1
        });
        let points = &mut self.curves[curve].points;
        match points.iter_mut().find(|(x, _)| *x == at) {
            Some((_, runs)) => runs.push(value),
            None => points.push((at, vec![value])),
        }
    }

    /// Adds what runs of the load generator told.
    pub(super) fn add_runs(
        &mut self,
        kind: Kind,
        figures: &[Figure],
        at: f64,
        runs: &[Figures],
    ) -> anyhow::Result<()> {
        for figure in figures {
            for run in runs {
                self.add(kind, *figure, at, run.of(figure.key)?);
            }
        }
        Ok(())
    }

    /// Adds something that one must know, and says it now.
    pub(super) fn note(&mut self, note: String) {
        println!("{note}");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The places of the axis in their order.
    pub(super) fn places(&self) -> Vec<f64> {
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        let mut places: Vec<f64> = points.map(|(x, _)| *x).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        places
    }
}

impl Curve {
    /// What was told at a place.
    pub(super) fn at(&self, place: f64) -> Option<Spread> {
        let (_, runs) = self.points.iter().find(|(x, _)| *x == place)?;
        Some(Spread::of(runs))
    }

    /// The slopes of the medians; places and values that are 0 have none.
    pub(super) fn steps(&self) -> Vec<Step> {
        let medians = self.points.iter().map(|(x, runs)| (*x, Spread::of(runs)));
        let medians: Vec<(f64, f64)> = medians
            .map(|(x, spread)| (x, spread.median))
            .filter(|(x, value)| *x > 0.0 && *value > 0.0)
            .collect();
        let steps = medians.windows(2).map(|pair| {
            let ((from, before), (to, after)) = (pair[0], pair[1]);
            let length = (to / from).ln();
            let slope = (after / before).ln() / length;
            let theory = self.figure.theory;
            let is_worse = theory.map(|it| slope > it.slope + it.margin.ln() / length);
            Step {
                from,
                to,
                slope,
                is_worse,
            }
        });
        steps.collect()
    }
}

/// By this factor a step may be above its theory.
pub(super) const MARGIN: f64 = 1.25;
/// And by this one where the tail of a distribution is told.
pub(super) const MARGIN_OF_TAILS: f64 = 1.5;

#[cfg(test)]
mod tests {
    use super::*;

    const LINEAR: Figure = Figure::held("x", "x", "", 1.0, "");

    fn curve(figure: Figure, points: &[(f64, f64)]) -> Curve {
        let mut findings = Findings::default();
        for (x, value) in points {
            findings.add(Kind::Zabra, figure, *x, *value);
        }
        findings.curves.remove(0)
    }

    #[test]
    fn a_slope_is_the_exponent_of_growth() {
        let steps = curve(LINEAR, &[(10.0, 3.0), (100.0, 300.0), (200.0, 300.0)]).steps();
        let slopes: Vec<f64> = steps.iter().map(|step| step.slope).collect();
        assert!((slopes[0] - 2.0).abs() < 1e-9 && slopes[1].abs() < 1e-9);
        assert_eq!(
            steps.iter().map(|step| step.is_worse).collect::<Vec<_>>(),
            [Some(true), Some(false)]
        );
    }

    #[test]
    fn the_margin_is_a_factor_of_each_step_whatever_its_length() {
        for length in [1.4, 2.0, 10.0] {
            let worse = |factor: f64| {
                let after = length * factor;
                curve(LINEAR, &[(1.0, 1.0), (length, after)]).steps()[0].is_worse
            };
            assert_eq!(worse(MARGIN - 0.01), Some(false), "{length}");
            assert_eq!(worse(MARGIN + 0.01), Some(true), "{length}");
        }
    }

    #[test]
    fn what_has_no_logarithm_has_no_slope_and_what_has_no_theory_no_verdict() {
        assert_eq!(curve(LINEAR, &[(0.0, 1.0), (10.0, 2.0)]).steps(), []);
        assert_eq!(curve(LINEAR, &[(1.0, 0.0), (10.0, 2.0)]).steps(), []);
        let told = Figure::told("x", "x", "");
        let steps = curve(told, &[(1.0, 1.0), (10.0, 1e6)]).steps();
        assert_eq!(steps[0].is_worse, None);
    }

    #[test]
    fn runs_at_one_place_are_one_point() {
        let mut findings = Findings::default();
        for value in [3.0, 1.0, 2.0] {
            findings.add(Kind::Zabra, LINEAR, 10.0, value);
        }
        findings.add(Kind::Apache, LINEAR, 1.0, 5.0);
        assert_eq!(findings.curves[0].at(10.0).unwrap().median, 2.0);
        assert_eq!(findings.curves[0].at(1.0), None);
        assert_eq!(findings.places(), [1.0, 10.0]);
    }
}
