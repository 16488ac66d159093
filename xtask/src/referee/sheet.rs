//! The figures of a sitting: every run of every peer, beside what is asked for.

use crate::bench::rows::median;
use crate::bench::server::Kind;
use crate::bench::table::{Bar, Origin, number};

use super::flush::Times;

/// One thing that each run of a row tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    /// Its name in the JSON of the load generators.
    pub(super) key: &'static str,
    /// For people.
    pub(super) label: &'static str,
    /// Its unit.
    pub(super) unit: &'static str,
    /// Who wins.
    pub(super) better: Better,
    /// Whether it is drawn.
    pub(super) is_drawn: bool,
}

/// Which of two values is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
    /// It says something of the measurement, not of the servers.
    Neither,
}

/// A figure of a row, of all peers.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Servers and disk: `3 servers, flushes 1 ms longer`.
    pub(super) section: String,
    /// What was done: `set 64 × 1`.
    pub(super) row: String,
    /// What is told of it.
    pub(super) figure: Figure,
    /// What is asked for.
    pub(super) bar: Bar,
    /// Each peer that was asked, with the value of each run.
    pub(super) runs: Vec<(Kind, Vec<f64>)>,
}

/// Least, middle and greatest of some runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of these runs.
    pub(crate) fn of(runs: &[f64]) -> Self {
        Self {
            min: runs.iter().copied().fold(f64::INFINITY, f64::min),
            median: median(runs.to_vec()),
            max: runs.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// From the least to the greatest.
    pub(crate) fn values(self) -> [f64; 3] {
        [self.min, self.median, self.max]
    }

    /// `median (min..max)`.
    pub(crate) fn spelled(self) -> String {
        let Self { min, median, max } = self;
        format!("{} ({}..{})", number(median), number(min), number(max))
    }
}

/// A row in which Zabra is behind somebody.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Loss {
    /// How many times worse, from 1.
    pub(super) factor: f64,
    /// Behind whom.
    pub(super) behind: Kind,
    /// Whether no run of Zabra's was as good as any of the other's.
    pub(super) is_clear: bool,
}

impl Line {
    /// A peer's, if it was asked.
    pub(super) fn spread(&self, kind: Kind) -> Option<Spread> {
        let (_, runs) = self.runs.iter().find(|(peer, _)| *peer == kind)?;
        (!runs.is_empty()).then(|| Spread::of(runs))
    }

    /// Behind whom Zabra is, and how far.
    pub(super) fn losses(&self) -> Vec<Loss> {
        let Some(own) = self.spread(Kind::Zabra) else {
            return Vec::new();
        };
        let peers = self.runs.iter().filter(|(kind, _)| *kind != Kind::Zabra);
        let losses = peers.filter_map(|&(behind, _)| {
            let other = self.spread(behind)?;
            let (factor, is_clear) = match self.figure.better {
                Better::Higher => (other.median / own.median, own.max < other.min),
                Better::Lower => (own.median / other.median, own.min > other.max),
                Better::Neither => return None,
            };
            (factor > 1.0).then_some(Loss {
                factor,
                behind,
                is_clear,
            })
        });
        losses.collect()
    }

    /// Whether the bar is reached, if there is one and the peer that it is relative to was asked.
    pub(super) fn is_reached(&self) -> Option<bool> {
        let own = self.spread(Kind::Zabra)?.median;
        let apache = self.spread(Kind::Apache).map(|spread| spread.median);
        self.bar.is_reached(own, apache?)
    }
}

/// Everything that was found in a sitting.
pub(super) struct Sheet {
    /// Of what and on what.
    pub(super) origin: Origin,
    /// In the order in which they were measured.
    pub(super) lines: Vec<Line>,
    /// What one must know to read them.
    pub(super) notes: Vec<String>,
    /// The disk, by what was done to it: `at the begin`.
    pub(super) flushes: Vec<(String, Times)>,
}

impl Sheet {
    /// An empty one.
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            origin,
            lines: Vec::new(),
            notes: Vec::new(),
            flushes: Vec::new(),
        }
    }

    /// Adds something that one must know, and says it now.
    pub(super) fn note(&mut self, note: String) {
        println!("{note}");
        self.notes.push(note);
    }

    /// The sections in their order.
    pub(super) fn sections(&self) -> Vec<&str> {
        let mut sections: Vec<&str> = self.lines.iter().map(|line| &*line.section).collect();
        sections.dedup();
        sections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(better: Better, zabra: &[f64], apache: &[f64]) -> Line {
        Line {
            section: "1 server".to_owned(),
            row: "get 1 × 1".to_owned(),
            figure: Figure {
                key: "x",
                label: "x",
                unit: "x",
                better,
                is_drawn: false,
            },
            bar: Bar::None,
            runs: vec![
                (Kind::Zabra, zabra.to_vec()),
                (Kind::Apache, apache.to_vec()),
                (Kind::Etcd, vec![]),
            ],
        }
    }

    #[test]
    fn who_is_behind_is_told_and_whether_the_runs_overlap() {
        let behind = |better, zabra: &[f64], apache: &[f64]| {
            let losses = line(better, zabra, apache).losses();
            losses.first().map(|loss| (loss.factor, loss.is_clear))
        };
        let (slow, fast) = ([1.0, 2.0, 3.0], [4.0, 6.0, 8.0]);
        assert_eq!(behind(Better::Higher, &slow, &fast), Some((3.0, true)));
        assert_eq!(behind(Better::Higher, &fast, &slow), None);
        assert_eq!(behind(Better::Lower, &fast, &slow), Some((3.0, true)));
        assert_eq!(behind(Better::Lower, &slow, &fast), None);
        let wide = [1.0, 6.0, 9.0];
        assert_eq!(behind(Better::Higher, &slow, &wide), Some((3.0, false)));
        assert_eq!(behind(Better::Neither, &slow, &fast), None);
    }

    #[test]
    fn a_peer_that_was_not_asked_has_no_spread() {
        let line = line(Better::Higher, &[2.0, 1.0, 3.0], &[1.0]);
        assert_eq!(line.spread(Kind::Etcd), None);
        let own = line.spread(Kind::Zabra).unwrap();
        assert_eq!((own.min, own.median, own.max), (1.0, 2.0, 3.0));
        assert_eq!(own.spelled(), "2.00 (1.00..3.00)");
    }
}
