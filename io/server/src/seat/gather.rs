//! For how long a flush is held back, so that it takes more transactions along.
//!
//! By default it never is: what a round gathered is flushed at its end. On a disk whose flushes are dear an operator may
//! trade latency for fewer of them (`flushDelay`, `maxWriteQueuePollTime`; quorum 11.4).

use std::time::Duration;

use zabra_proto::MonoMillis;

/// How long, and for how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushRules {
    /// Between the end of a flush and the next one at the latest, ms; 0 never waits.
    pub delay_ms: u64,
    /// With nothing coming for this long it is not waited on, ms.
    pub quiet_ms: u64,
    /// With so many gathered it is not waited on, and one flush takes no more than these.
    pub batch_max: usize,
}

impl FlushRules {
    /// Flushes at the end of each round whatever it brought.
    pub const AT_ONCE: Self = Self {
        delay_ms: 0,
        quiet_ms: 0,
        batch_max: usize::MAX,
    };
}

/// When what is gathered should be flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushAt {
    /// Now.
    Once,
    /// Then, unless more comes.
    Then(MonoMillis),
}

/// What waits for the next flush.
#[derive(Debug, Clone, Copy)]
pub struct Gathered {
    /// How many transactions.
    pub count: usize,
    /// When the last of them came.
    pub newest: MonoMillis,
    /// When the flush before ended.
    pub flushed: MonoMillis,
}

/// Decides when to flush.
#[must_use]
pub fn when_to_flush(rules: FlushRules, gathered: Gathered, now: MonoMillis) -> FlushAt {
    let late = gathered.flushed.after(rules.delay_ms);
    let quiet = gathered.newest.after(rules.quiet_ms);
    let due = late.min(quiet);
    if gathered.count >= rules.batch_max || now >= due {
        FlushAt::Once
    } else {
        FlushAt::Then(due)
    }
}

/// Keeps watch over what is gathered.
#[derive(Debug)]
pub(crate) struct Gathering {
    rules: FlushRules,
    gathered: Gathered,
}

impl Gathering {
    pub(crate) fn new(rules: FlushRules, now: MonoMillis) -> Self {
        let gathered = Gathered {
            count: 0,
            newest: now,
            flushed: now,
        };
        Self { rules, gathered }
    }

    /// So many are gathered at the end of a round.
    pub(crate) fn note(&mut self, count: usize, now: MonoMillis) {
        if count != self.gathered.count {
            self.gathered.count = count;
            self.gathered.newest = now;
        }
    }

    /// What is gathered goes to the disk.
    pub(crate) fn begin(&mut self) {
        self.gathered.count = 0;
    }

    /// A flush has ended.
    pub(crate) fn on_flushed(&mut self, now: MonoMillis) {
        self.gathered.flushed = now;
    }

    /// How long to wait for more. Nobody who waits for nothing is asked.
    pub(crate) fn wait(&self, now: MonoMillis) -> Duration {
        if self.rules.delay_ms == 0 || self.gathered.count == 0 {
            return Duration::ZERO;
        }
        match when_to_flush(self.rules, self.gathered, now) {
            FlushAt::Once => Duration::ZERO,
            FlushAt::Then(due) => Duration::from_millis(due.since(now)),
        }
    }

    /// Whether flushes may be held back at all.
    pub(crate) fn holds_back(&self) -> bool {
        self.rules.delay_ms > 0
    }

    /// Whether a flush is full.
    pub(crate) fn is_full(&self) -> bool {
        self.gathered.count >= self.rules.batch_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: FlushRules = FlushRules {
        delay_ms: 30,
        quiet_ms: 10,
        batch_max: 5,
    };

    fn at(rules: FlushRules, count: usize, newest: u64, flushed: u64, now: u64) -> FlushAt {
        let gathered = Gathered {
            count,
            newest: MonoMillis(newest),
            flushed: MonoMillis(flushed),
        };
        when_to_flush(rules, gathered, MonoMillis(now))
    }

    #[test]
    fn without_a_delay_nothing_waits() {
        assert_eq!(at(FlushRules::AT_ONCE, 1, 100, 100, 100), FlushAt::Once);
    }

    #[test]
    fn the_first_after_a_long_pause_is_flushed_at_once() {
        assert_eq!(at(RULES, 1, 100, 70, 100), FlushAt::Once);
    }

    #[test]
    fn those_behind_it_wait_for_more_until_the_delay_is_over() {
        assert_eq!(at(RULES, 1, 105, 100, 105), FlushAt::Then(MonoMillis(115)));
        assert_eq!(at(RULES, 4, 125, 100, 125), FlushAt::Then(MonoMillis(130)));
        assert_eq!(at(RULES, 4, 129, 100, 130), FlushAt::Once);
    }

    #[test]
    fn nobody_waits_for_more_when_none_comes() {
        assert_eq!(at(RULES, 1, 105, 100, 114), FlushAt::Then(MonoMillis(115)));
        assert_eq!(at(RULES, 1, 105, 100, 115), FlushAt::Once);
    }

    #[test]
    fn a_full_batch_waits_for_nothing() {
        assert_eq!(at(RULES, 5, 101, 100, 101), FlushAt::Once);
    }

    /// How many flushes a stream of transactions takes, one each ms.
    fn flushes(rules: FlushRules, txns: u64) -> u32 {
        let mut gathering = Gathering::new(rules, MonoMillis(0));
        let (mut waiting, mut flushes) = (0, 0);
        for now in (1..).map(MonoMillis) {
            waiting += usize::from(now.0 <= txns);
            gathering.note(waiting, now);
            if waiting > 0 && gathering.wait(now).is_zero() {
                waiting = 0;
                flushes += 1;
                gathering.begin();
                gathering.on_flushed(now);
            }
            if now.0 > txns && waiting == 0 {
                break;
            }
        }
        flushes
    }

    #[test]
    fn a_delay_makes_few_flushes_of_many() {
        let rules = |delay_ms, quiet_ms, batch_max| FlushRules {
            delay_ms,
            quiet_ms,
            batch_max,
        };
        assert_eq!(flushes(FlushRules::AT_ONCE, 600), 600);
        assert_eq!(flushes(rules(30, 10, 1000), 600), 20);
        assert_eq!(flushes(rules(30, 10, 6), 600), 100);
        assert_eq!(flushes(rules(30, 0, 1000), 600), 600, "no patience");
    }
}
