//! The longest times without an acknowledged write. Pure.

use std::time::Duration;

use crate::link::Nanos;

/// A time without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// When it began.
    pub(crate) from: Nanos,
    /// How long it was.
    pub(crate) lasted: Duration,
}

/// The longest ones so far.
#[derive(Debug)]
pub(crate) struct Gaps {
    last: Nanos,
    /// Invariant: the longest first, at most [`KEPT`].
    longest: Vec<Gap>,
}

impl Gaps {
    /// Begins to watch.
    pub(crate) fn new(begin: Nanos) -> Self {
        Self {
            last: begin,
            longest: Vec::with_capacity(KEPT + 1),
        }
    }

    /// Notes an acknowledged write, or the end.
    pub(crate) fn note(&mut self, now: Nanos) {
        let gap = Gap {
            from: self.last,
            lasted: now.since(self.last),
        };
        self.last = self.last.max(now);
        let place = self
            .longest
            .partition_point(|longer| longer.lasted >= gap.lasted);
        if place < KEPT && !gap.lasted.is_zero() {
            self.longest.insert(place, gap);
            self.longest.truncate(KEPT);
        }
    }

    /// The longest first.
    pub(crate) fn longest(&self) -> &[Gap] {
        &self.longest
    }
}

/// How many are told.
const KEPT: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_are_kept_with_their_begin() {
        let mut gaps = Gaps::new(Nanos(100));
        for now in [101, 103, 106, 126, 126, 130, 135, 136, 145] {
            gaps.note(Nanos(now));
        }
        let longest: Vec<(u64, u128)> = gaps
            .longest()
            .iter()
            .map(|gap| (gap.from.0, gap.lasted.as_nanos()))
            .collect();
        assert_eq!(longest, [(106, 20), (136, 9), (130, 5), (126, 4), (103, 3)]);
    }
}
