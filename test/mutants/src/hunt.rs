//! Run after run under other seeds, until the mutant is caught or the time is over.

use std::fmt;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use zabra_mutant::Mutant;

use crate::attempt::Kind;
use crate::table::Row;

/// What is looked for, and how.
pub(crate) struct Hunt {
    mutant: Mutant,
    kinds: Vec<Kind>,
    from: u64,
    limit: Duration,
    what: &'static str,
}

/// What became of it.
pub(crate) struct Verdict {
    mutant: Mutant,
    /// By which kind of test, under which seed, and what it said.
    caught: Option<(Kind, u64, String)>,
    /// Seeds that fail without the mutant, too.
    real_bugs: Vec<(Kind, u64, String)>,
    seeds: u64,
    took: Duration,
    what: &'static str,
}

impl Hunt {
    /// Beginning with the seed that caught it last, for as long as it takes.
    pub(crate) fn known(mutant: Mutant, row: &Row, limit: Duration) -> Self {
        Self {
            mutant,
            kinds: row.kinds.clone(),
            from: row.seed,
            limit,
            what: "known",
        }
    }

    /// With seeds that have nothing to do with it, in worlds of any temper as well as in those of its own.
    pub(crate) fn fresh(mutant: Mutant, row: &Row, from: u64, limit: Duration) -> Self {
        let mut kinds = row.kinds.clone();
        for kind in row.kinds.iter().map(|kind| kind.at_large()) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        Self {
            mutant,
            kinds,
            from,
            limit,
            what: "fresh",
        }
    }

    /// The kinds of tests take turns.
    pub(crate) fn run(&self) -> Verdict {
        let began = processor_time();
        let mut seeds = 0;
        let mut caught = None;
        let mut real_bugs = Vec::new();
        while caught.is_none() && processor_time() - began < self.limit {
            let seed = self.from.wrapping_add(seeds / self.kinds.len() as u64);
            let kind = self.kinds[usize::try_from(seeds).unwrap_or(0) % self.kinds.len()];
            seeds += 1;
            let _ = zabra_mutant::plant(Some(self.mutant));
            let with = kind.run(seed);
            let _ = zabra_mutant::plant(None);
            let Some(with) = with else { continue };
            match kind.run(seed) {
                None => caught = Some((kind, seed, with)),
                Some(without) => real_bugs.push((kind, seed, without)),
            }
        }
        Verdict {
            mutant: self.mutant,
            caught,
            real_bugs,
            seeds,
            took: processor_time() - began,
            what: self.what,
        }
    }
}

/// Processor time of this thread: other work on the machine does not count.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

impl Verdict {
    /// Under which seed it was caught.
    pub(crate) fn learnt(&self) -> Option<(Mutant, u64)> {
        let (_, seed, _) = self.caught.as_ref()?;
        Some((self.mutant, *seed))
    }

    /// Whether the mutant was caught, and nothing else.
    pub(crate) fn is_good(&self) -> bool {
        self.caught.is_some() && self.real_bugs.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, name) = (self.mutant.label(), self.mutant.name());
        let seconds = self.took.as_secs_f64();
        write!(
            f,
            "{label:<5} {name:<27} {} {:>5} runs {seconds:>6.1} s  ",
            self.what, self.seeds
        )?;
        match &self.caught {
            Some((kind, seed, text)) => write!(f, "{kind} {seed}: {text}")?,
            None => f.write_str("FAILED: not caught")?,
        }
        for (kind, seed, text) in &self.real_bugs {
            write!(
                f,
                "\n      FAILED: {kind} {seed} fails without it, too: {text}"
            )?;
        }
        Ok(())
    }
}
