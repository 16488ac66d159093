//! One stage of the gate, what became of it, and the count of tests that it ran.
//!
//! Counts are read from what the test programs print. A stage that promises tests and ran none has failed:
//! a filter that matches nothing must not look like success.

use std::time::Duration;

use crate::workspace::Workspace;

/// A named step of `cargo xtask test`.
pub(crate) struct Stage {
    /// How the stage is called in the table and for `--stage`.
    pub(crate) name: &'static str,
    /// Planned minutes on two cores from a cold cache; under CI three times that ends the stage.
    pub(crate) minutes: u64,
    /// What the stage promises to have counted.
    pub(crate) counts: Counts,
    /// The work itself.
    pub(crate) run: fn(&Workspace, Duration) -> anyhow::Result<Outcome>,
}

/// Whether a stage runs tests or is a single check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// It runs tests, and none at all is a failure.
    Tests,
    /// It passes or fails as a whole.
    Nothing,
}

/// How a stage ended, short of an error that kept it from running.
pub(crate) enum Outcome {
    /// It ran to its end.
    Ran { tally: Tally, success: bool },
    /// It did not run; the text says why. Under CI this is a failure.
    Skipped(String),
}

/// Tests that passed, failed, and were left out.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Outcome {
    /// A check without tests in it.
    pub(crate) fn check(success: bool) -> Self {
        Self::Ran {
            tally: Tally::default(),
            success,
        }
    }
}

impl Tally {
    /// Sums the `test result:` lines of the Rust test runner.
    pub(crate) fn of_cargo_test(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output.lines() {
            if let Some(result) = line.trim_start().strip_prefix("test result: ") {
                tally.passed += number_before(result, "passed").unwrap_or(0);
                tally.failed += number_before(result, "failed").unwrap_or(0);
                tally.ignored += number_before(result, "ignored").unwrap_or(0);
            }
        }
        tally
    }

    /// Reads the last line of the form `12 passed, 0 failed`, as our own programs end.
    pub(crate) fn of_last_line(output: &str) -> Option<Self> {
        let line = output
            .lines()
            .rev()
            .find(|line| line.contains(" passed, ") && line.contains(" failed"))?;
        Some(Self {
            passed: number_before(line, "passed")?,
            failed: number_before(line, "failed")?,
            ignored: 0,
        })
    }

    /// Adds the counts of another run.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// The number in front of a word: 12 in `ok. 12 passed; 0 failed`.
fn number_before(line: &str, word: &str) -> Option<u64> {
    let words: Vec<&str> = line
        .split([' ', ',', ';'])
        .filter(|word| !word.is_empty())
        .collect();
    words
        .windows(2)
        .find(|pair| pair[1] == word)
        .and_then(|pair| pair[0].parse().ok())
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn every_test_binary_adds_to_the_tally() {
        let output = "running 2 tests\n\
                      test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                      test result: FAILED. 3 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(
            Tally::of_cargo_test(output),
            Tally {
                passed: 5,
                failed: 1,
                ignored: 4
            }
        );
    }

    #[test]
    fn output_without_results_counts_nothing() {
        assert_eq!(
            Tally::of_cargo_test("error: could not compile"),
            Tally::default()
        );
        assert_eq!(Tally::of_last_line("all is well"), None);
    }

    #[test]
    fn the_last_summary_line_is_the_one_that_counts() {
        let output = "kazoo: 10 passed, 1 failed\ntotal: 30 passed, 2 failed\nbye\n";
        assert_eq!(
            Tally::of_last_line(output),
            Some(Tally {
                passed: 30,
                failed: 2,
                ignored: 0
            })
        );
    }
}
