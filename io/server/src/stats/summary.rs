//! Summaries of a series of numbers: the basic one, and the one with percentiles.

use zabra_serve::Spread;

/// Count, sum, least and greatest of a series (a *basic* summary, ME-62).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    count: u64,
    sum: u64,
    min: Option<u64>,
    max: u64,
}

/// A mean with four decimals, printed as Java prints a double.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Average(f64);

impl Average {
    /// The mean of `count` numbers, rounded half up; 0 if there are none.
    #[must_use]
    pub fn of(sum: u64, count: u64) -> Self {
        if count == 0 {
            return Self(0.0);
        }
        Self((sum as f64 / count as f64 * 1e4).round() / 1e4)
    }
}

impl std::fmt::Display for Average {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Up to ten million, Java's and Rust's shortest form with at least one decimal are the same text.
        write!(f, "{:?}", self.0)
    }
}

impl Summary {
    /// Takes note of one number.
    pub fn add(&mut self, value: u64) {
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.min = Some(self.min.map_or(value, |min| min.min(value)));
        self.max = self.max.max(value);
    }

    /// What was counted elsewhere.
    #[must_use]
    pub fn of(spread: &Spread) -> Self {
        Self {
            count: spread.count,
            sum: spread.total,
            min: (spread.count > 0).then_some(spread.min),
            max: spread.max,
        }
    }

    /// How many numbers there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The least, 0 if there was none.
    #[must_use]
    pub fn min(&self) -> u64 {
        self.min.unwrap_or(0)
    }

    /// The greatest, 0 if there was none.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean, rounded half up to four decimals; 0 if there was none.
    #[must_use]
    pub fn average(&self) -> Average {
        Average::of(self.sum, self.count)
    }
}

/// A summary with percentiles from a uniform sample of at most 4096 numbers (an *advanced* one, ME-63).
#[derive(Debug, Clone)]
pub struct Percentiles {
    summary: Summary,
    sample: Vec<u32>,
    seed: u64,
}

const SAMPLE: usize = 4096;

impl Default for Percentiles {
    fn default() -> Self {
        Self {
            summary: Summary::default(),
            sample: Vec::new(),
            seed: 0x9e37_79b9_7f4a_7c15,
        }
    }
}

impl Percentiles {
    /// Takes note of one number.
    pub fn add(&mut self, value: u64) {
        self.summary.add(value);
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        if self.sample.len() < SAMPLE {
            self.sample.push(value);
            return;
        }
        // Algorithm R: the n-th number replaces one of the sample with probability SAMPLE / n.
        let place = self.random() % self.summary.count;
        if let Some(slot) = usize::try_from(place)
            .ok()
            .and_then(|place| self.sample.get_mut(place))
        {
            *slot = value;
        }
    }

    /// Its basic part.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The numbers below which these shares of the series lie, interpolated and rounded.
    #[must_use]
    pub fn percentiles<const N: usize>(&self, shares: [f64; N]) -> [u64; N] {
        let mut sorted = self.sample.clone();
        sorted.sort_unstable();
        shares.map(|share| percentile(&sorted, share))
    }

    // xorshift64*: good enough to choose whom to replace.
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed >> 12;
        self.seed ^= self.seed << 25;
        self.seed ^= self.seed >> 27;
        self.seed.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 1
    }
}

/// The percentile of sorted numbers as the metrics library of Apache's server takes it: at `share * (n + 1)`.
fn percentile(sorted: &[u32], share: f64) -> u64 {
    let (Some(&first), Some(&last)) = (sorted.first(), sorted.last()) else {
        return 0;
    };
    let position = share * (sorted.len() as f64 + 1.0);
    if position < 1.0 {
        return first.into();
    }
    let below = position.floor() as usize;
    match (sorted.get(below - 1), sorted.get(below)) {
        (Some(&low), Some(&high)) => {
            let (low, high) = (f64::from(low), f64::from(high));
            (low + (position - position.floor()) * (high - low)).round() as u64
        }
        _ => last.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_summary_is_all_zeros() {
        let empty = Summary::default();
        assert_eq!(
            (empty.min(), empty.max(), empty.average().to_string()),
            (0, 0, "0.0".to_owned())
        );
        assert_eq!(Percentiles::default().percentiles([0.5, 0.999]), [0, 0]);
    }

    #[test]
    fn the_mean_has_four_decimals_at_most() {
        let mut summary = Summary::default();
        [0, 0, 0, 0, 0, 1, 2]
            .into_iter()
            .for_each(|value| summary.add(value));
        assert_eq!(summary.average().to_string(), "0.4286");
        assert_eq!(
            (summary.min(), summary.max(), summary.count(), summary.sum()),
            (0, 2, 7, 3)
        );
    }

    #[test]
    fn percentiles_are_interpolated_between_neighbours() {
        let mut series = Percentiles::default();
        (1..=100).for_each(|value| series.add(value));
        assert_eq!(
            series.percentiles([0.0, 0.5, 0.95, 0.99, 0.999]),
            [1, 51, 96, 100, 100]
        );
    }

    #[test]
    fn a_long_series_keeps_a_sample_that_stands_for_all_of_it() {
        let mut series = Percentiles::default();
        (0..200_000).for_each(|value| series.add(value));
        assert_eq!(series.sample.len(), SAMPLE);
        let [median] = series.percentiles([0.5]);
        assert!((90_000..110_000).contains(&median), "{median}");
    }
}
