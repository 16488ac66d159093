//! Run after run under other seeds, until the mutant is caught or the time is over.

use std::fmt;
use std::time::{Duration, Instant};

use zabra_mutant::Mutant;

use crate::attempt::Kind;

/// What is looked for, and how.
pub(crate) struct Hunt {
    mutant: Mutant,
    kinds: Vec<Kind>,
    from: u64,
    limit: Duration,
}

/// What became of it.
pub(crate) struct Verdict {
    mutant: Mutant,
    found: Found,
    seeds: u64,
    took: Duration,
}

enum Found {
    /// By which kind of test, under which seed, and what it said.
    Caught(Kind, u64, String),
    /// The seed fails without the mutant, too.
    RealBug(Kind, u64, String),
    Nothing,
}

impl Hunt {
    pub(crate) fn new(mutant: Mutant, kinds: Vec<Kind>, from: u64, limit: Duration) -> Self {
        Self {
            mutant,
            kinds,
            from,
            limit,
        }
    }

    /// The kinds of tests take turns.
    pub(crate) fn run(&self) -> Verdict {
        let began = Instant::now();
        let mut seeds = 0;
        let found = loop {
            if began.elapsed() >= self.limit {
                break Found::Nothing;
            }
            let seed = self.from.wrapping_add(seeds / self.kinds.len() as u64);
            let kind = self.kinds[usize::try_from(seeds).unwrap_or(0) % self.kinds.len()];
            seeds += 1;
            let _ = zabra_mutant::plant(Some(self.mutant));
            let caught = kind.run(seed);
            let _ = zabra_mutant::plant(None);
            if let Some(text) = caught {
                break match kind.run(seed) {
                    None => Found::Caught(kind, seed, text),
                    Some(text) => Found::RealBug(kind, seed, text),
                };
            }
        };
        Verdict {
            mutant: self.mutant,
            found,
            seeds,
            took: began.elapsed(),
        }
    }
}

impl Verdict {
    /// Whether the mutant was caught.
    pub(crate) fn is_good(&self) -> bool {
        matches!(self.found, Found::Caught(..))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, name) = (self.mutant.label(), self.mutant.name());
        let seconds = self.took.as_secs_f64();
        write!(f, "{label:<5} {name:<27} {:>5} runs {seconds:>6.1} s  ", self.seeds)?;
        match &self.found {
            Found::Caught(kind, seed, text) => write!(f, "{kind} {seed}: {text}"),
            Found::RealBug(kind, seed, text) => {
                write!(f, "FAILED: {kind} {seed} fails without it: {text}")
            }
            Found::Nothing => f.write_str("FAILED: not caught"),
        }
    }
}
