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

    /// Counts what `zabra-interop` says of its steps and suites, a line each; where a suite is a foreign test
    /// suite, its summary begins with the number of tests that passed.
    pub(crate) fn of_interop(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output
            .lines()
            .filter_map(|line| line.strip_prefix("interop: "))
        {
            if let Some((_, summary)) = line.split_once(": passed: ") {
                let tests = summary
                    .split_once(" tests pass")
                    .and_then(|_| summary.split(' ').next());
                tally.passed += tests.and_then(|tests| tests.parse().ok()).unwrap_or(1);
            } else if line.contains(": ok (") {
                tally.passed += 1;
            } else if line.contains(": FAILED: ") {
                tally.failed += 1;
            }
        }
        tally
    }

    /// Reads the last line of the simulator: each seed is a test.
    pub(crate) fn of_sim(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output.lines().filter_map(|line| line.strip_prefix("sim: ")) {
            if let Some(seeds) = number_before(line, "seeds") {
                tally.failed += number_before(line, "failed").unwrap_or(0);
                tally.passed += seeds - tally.failed.min(seeds);
            }
        }
        tally
    }

    /// Reads the last line of the mutants' runner: each hunt for a mutant is a test.
    pub(crate) fn of_mutants(output: &str) -> Self {
        let mut tally = Self::default();
        let mut lines = output.lines();
        let last = lines.rfind(|line| line.starts_with("mutants: "));
        if let Some(hunts) = last.and_then(|line| number_before(line, "hunts")) {
            tally.failed = last
                .and_then(|line| number_before(line, "failed"))
                .unwrap_or(0);
            tally.passed = hunts - tally.failed.min(hunts);
        }
        tally
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
        assert_eq!(Tally::of_interop("all is well"), Tally::default());
    }

    #[test]
    fn every_seed_is_a_test() {
        let output = "sim: seed 7: FAILED: I-3 prefix agreement at step 9: text\n\
                      sim: 40 seeds, 1 failed; 3.5 seeds/s\n";
        assert_eq!(
            Tally::of_sim(output),
            Tally {
                passed: 39,
                failed: 1,
                ignored: 0
            }
        );
    }

    #[test]
    fn every_hunt_for_a_mutant_is_a_test() {
        let output = "m16   LeaderCountsUnsynced  known  FAILED: not caught\n\nmutants: 62 hunts, 1 failed; 93.5 s\n";
        assert_eq!(
            Tally::of_mutants(output),
            Tally {
                passed: 61,
                failed: 1,
                ignored: 0
            }
        );
        assert_eq!(Tally::of_mutants("mutants: no"), Tally::default());
    }

    #[test]
    fn steps_suites_and_foreign_tests_are_counted() {
        let output = "interop: install apache-3.9: ok (12.0 s)\n\
                      interop: words: passed: 22 words answer alike\n\
                      interop: kazoo: passed: 400 of kazoo's 420 tests pass, 20 do not and have a reason\n\
                      interop: seed 3: FAILED (0.1 s)\ninterop: diff: FAILED: seed 3 differs\n";
        assert_eq!(
            Tally::of_interop(output),
            Tally {
                passed: 402,
                failed: 1,
                ignored: 0
            }
        );
    }
}
