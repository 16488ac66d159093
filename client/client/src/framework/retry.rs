//! How often, and with what pauses, a call is made again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{Client, Error};

/// When to try again after a failure (features RE-41). A policy only decides; [`Client::retry`] carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryPolicy {
    /// Up to so many times, with the same pause before each.
    Times {
        /// How many attempts after the first.
        retries: u32,
        /// How long to wait before each of them.
        pause: Duration,
    },
    /// Up to so many times, with pauses of chance that double on average.
    Exponential {
        /// How many attempts after the first.
        retries: u32,
        /// The shortest pause.
        base: Duration,
        /// The longest pause.
        pause_max: Duration,
    },
    /// Until so much time has passed since the first attempt.
    UntilElapsed {
        /// How long.
        limit: Duration,
        /// How long to wait before each attempt after the first.
        pause: Duration,
    },
    /// As long as the session lives.
    Forever {
        /// How long to wait before each attempt after the first.
        pause: Duration,
    },
}

impl RetryPolicy {
    /// No second attempt.
    pub const NEVER: Self = Self::Times {
        retries: 0,
        pause: Duration::ZERO,
    };

    /// Three more attempts, with pauses of about 100 ms, 200 ms and 400 ms.
    pub const USUAL: Self = Self::Exponential {
        retries: 3,
        base: Duration::from_millis(100),
        pause_max: Duration::from_secs(10),
    };

    /// How long to wait before attempt `retry` (0 is the second attempt), after so much time in all; `None` to give up.
    /// `chance` is any number.
    #[must_use]
    pub fn pause(&self, retry: u32, elapsed: Duration, chance: u64) -> Option<Duration> {
        match *self {
            Self::Times { retries, pause } => (retry < retries).then_some(pause),
            Self::Exponential {
                retries,
                base,
                pause_max,
            } => (retry < retries).then(|| {
                let end = 2u64 << retry.min(DOUBLINGS_MAX);
                let times = (chance % end).max(1);
                base.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))
                    .min(pause_max)
            }),
            Self::UntilElapsed { limit, pause } => (elapsed < limit).then_some(pause),
            Self::Forever { pause } => Some(pause),
        }
    }
}

/// Beyond it a pause is as long as it may be, whatever its base.
const DOUBLINGS_MAX: u32 = 29;

impl Client {
    /// Makes a call, and makes it again as the policy says while it fails with an error for which
    /// [`Error::is_retryable`] holds.
    ///
    /// **A write that is made again may be carried out twice**: after a connection loss nobody knows about the first time. Give
    /// versions, or use [`Client::create_protected`] and the like.
    ///
    /// ```no_run
    /// # async fn example(client: zabra_client::Client) -> Result<(), zabra_client::Error> {
    /// use zabra_client::RetryPolicy;
    /// let (data, stat) = client.retry(RetryPolicy::USUAL, || client.get("/config")).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// That of the last attempt.
    pub async fn retry<T, F>(
        &self,
        policy: RetryPolicy,
        mut call: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let began = Instant::now();
        let mut retry = 0;
        loop {
            let error = match call().await {
                Err(error) if error.is_retryable() && !self.state().is_final() => error,
                result => return result,
            };
            let Some(pause) = policy.pause(retry, began.elapsed(), fastrand::u64(..)) else {
                return Err(error);
            };
            tracing::debug!(retry, ?pause, %error, "again");
            sleep(pause).await;
            retry += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn policies_give_up_when_they_say() {
        let times = RetryPolicy::Times {
            retries: 2,
            pause: MS,
        };
        let pauses: Vec<_> = (0..4).map(|n| times.pause(n, MS, 0)).collect();
        assert_eq!(pauses, [Some(MS), Some(MS), None, None]);
        let until = RetryPolicy::UntilElapsed {
            limit: 10 * MS,
            pause: MS,
        };
        assert_eq!(until.pause(1_000, 9 * MS, 0), Some(MS));
        assert_eq!(until.pause(0, 10 * MS, 0), None);
        let forever = RetryPolicy::Forever { pause: MS };
        assert_eq!(forever.pause(u32::MAX, Duration::MAX, 0), Some(MS));
        assert_eq!(RetryPolicy::NEVER.pause(0, Duration::ZERO, 0), None);
    }

    #[test]
    fn exponential_pauses_grow_and_stay_within_their_bounds() {
        let policy = RetryPolicy::Exponential {
            retries: u32::MAX,
            base: MS,
            pause_max: 1_000 * MS,
        };
        for retry in 0..100 {
            for chance in 0..100 {
                let pause = policy.pause(retry, MS, chance * 0x9e37_79b9).unwrap();
                assert!(pause >= MS && pause <= 1_000 * MS, "{retry} {chance}");
            }
        }
        let longest = |retry| {
            (0..64)
                .filter_map(|chance| policy.pause(retry, MS, chance))
                .max()
        };
        assert_eq!(longest(0), Some(MS));
        assert_eq!(longest(3), Some(15 * MS));
    }
}
