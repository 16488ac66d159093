//! The measured window: when it begins and ends, and what falls into it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::link::Nanos;
use crate::process::CpuUsed;
use crate::report::grouped;

/// What ends a window.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// Time.
    Elapsed(Duration),
    /// So many operations.
    Operations(u64),
    /// The sources have nothing left.
    Exhausted,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measured,
    Over,
}

/// What one thread measures.
#[derive(Debug)]
pub(crate) struct Recorder {
    phase: Phase,
    until: Until,
    /// When the warm-up ends; later, when the window began.
    begun: Nanos,
    ended: Nanos,
    operations: u64,
    latency: Histogram<u64>,
    /// Only one thread asks for the CPU used, which is that of all.
    servers: Option<Vec<u32>>,
    cpu: CpuUsed,
    seconds: Option<Second>,
}

/// What a run measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Replies within the window.
    pub(crate) operations: u64,
    /// Length of the window.
    pub(crate) window: Duration,
    /// From sending to reply, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// CPU used in the window.
    pub(crate) cpu: CpuUsed,
}

impl Recorder {
    /// A window that begins at `from`.
    pub(crate) fn new(from: Nanos, until: Until) -> Self {
        Self {
            phase: Phase::WarmUp,
            until,
            begun: from,
            ended: from,
            operations: 0,
            latency: histogram(),
            servers: None,
            cpu: CpuUsed::default(),
            seconds: None,
        }
    }

    /// Also notes the CPU used by this process and these servers.
    pub(crate) fn with_cpu(mut self, servers: &[u32]) -> Self {
        self.servers = Some(servers.to_vec());
        self
    }

    /// Also tells the rate of each second.
    pub(crate) fn with_seconds(mut self, seconds: Arc<Seconds>) -> Self {
        self.seconds = Some(Second {
            number: 0,
            operations: 0,
            latency: histogram(),
            shared: seconds,
        });
        self
    }

    /// Whether more requests are to be sent.
    #[inline]
    pub(crate) fn wants_more(&self) -> bool {
        self.phase != Phase::Over
    }

    /// Notes a reply.
    #[inline]
    pub(crate) fn record(&mut self, latency: Duration, now: Nanos) -> Result<()> {
        if self.phase != Phase::Measured {
            return Ok(());
        }
        self.operations += 1;
        let nanos = latency.as_nanos() as u64;
        self.latency.saturating_record(nanos);
        if let Some(second) = &mut self.seconds {
            second.operations += 1;
            second.latency.saturating_record(nanos);
        }
        match self.until {
            Until::Operations(limit) if self.operations >= limit => self.end(now),
            _ => Ok(()),
        }
    }

    /// Lets the time pass; called between rounds of the loop.
    pub(crate) fn on_time(&mut self, now: Nanos) -> Result<()> {
        match self.phase {
            Phase::WarmUp if now >= self.begun => {
                self.phase = Phase::Measured;
                self.begun = now;
                if let Some(servers) = &self.servers {
                    self.cpu = CpuUsed::now(servers)?;
                }
            }
            Phase::Measured => {
                if let Some(second) = &mut self.seconds {
                    second.on_time(now.since(self.begun));
                }
                if let Until::Elapsed(duration) = self.until
                    && now.since(self.begun) >= duration
                {
                    self.end(now)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends the window, unless it has ended.
    pub(crate) fn end(&mut self, now: Nanos) -> Result<()> {
        if self.phase == Phase::Over {
            return Ok(());
        }
        self.phase = Phase::Over;
        self.ended = now;
        if let Some(servers) = &self.servers {
            self.cpu = CpuUsed::now(servers)?.since(self.cpu);
        }
        Ok(())
    }

    /// What was measured.
    pub(crate) fn finish(self) -> Measured {
        Measured {
            operations: self.operations,
            window: self.ended.since(self.begun),
            latency: self.latency,
            cpu: self.cpu,
        }
    }
}

impl Measured {
    /// Adds what another thread measured at the same time.
    pub(crate) fn merge(&mut self, other: &Self) -> Result<()> {
        self.operations += other.operations;
        self.window = self.window.max(other.window);
        self.latency.add(&other.latency)?;
        Ok(())
    }
}

/// A histogram of nanoseconds with three digits, up to an hour.
pub(crate) fn histogram() -> Histogram<u64> {
    let hour = Duration::from_secs(3600).as_nanos() as u64;
    // A least value of 1, a greatest of twice that or more and up to five digits are always accepted.
    Histogram::new_with_bounds(1, hour, 3).expect("bounds of a histogram")
}

/// The running second of one thread.
#[derive(Debug)]
struct Second {
    number: u64,
    operations: u64,
    latency: Histogram<u64>,
    shared: Arc<Seconds>,
}

impl Second {
    fn on_time(&mut self, elapsed: Duration) {
        if elapsed.as_secs() <= self.number {
            return;
        }
        self.shared.add(self.number, self.operations, &self.latency);
        self.number = elapsed.as_secs();
        self.operations = 0;
        self.latency.reset();
    }
}

/// Seconds of a window over all threads; each is printed when the last thread has told its part.
#[derive(Debug)]
pub(crate) struct Seconds {
    threads: u32,
    told: Mutex<Vec<Told>>,
}

/// One second as far as it has been told.
#[derive(Debug, Clone)]
struct Told {
    parts: u32,
    operations: u64,
    latency: Histogram<u64>,
}

impl Seconds {
    /// Seconds of a run with so many threads.
    pub(crate) fn of(threads: u32) -> Arc<Self> {
        Arc::new(Self {
            threads,
            told: Mutex::new(Vec::new()),
        })
    }

    /// Operations in each second that is complete.
    pub(crate) fn rates(&self) -> Vec<u64> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = told.iter().filter(|second| second.parts == self.threads);
        complete.map(|second| second.operations).collect()
    }

    fn add(&self, number: u64, operations: u64, latency: &Histogram<u64>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let index = number as usize;
        while told.len() <= index {
            told.push(Told {
                parts: 0,
                operations: 0,
                latency: histogram(),
            });
        }
        let second = &mut told[index];
        second.parts += 1;
        second.operations += operations;
        // Both have the same bounds.
        let _ = second.latency.add(latency);
        if second.parts == self.threads {
            eprintln!("{}", second.line(number + 1));
        }
    }
}

impl Told {
    fn line(&self, second: u64) -> String {
        let micros = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1e3;
        format!(
            "{second:>5} s {:>12} /s   p50 {:>10} µs   p99 {:>10} µs   max {:>10} µs",
            grouped(self.operations as f64, 0),
            grouped(micros(0.5), 0),
            grouped(micros(0.99), 0),
            grouped(self.latency.max() as f64 / 1e3, 0)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    const MILLI: u64 = 1_000_000;

    fn recorder(until: Until) -> Recorder {
        Recorder::new(Nanos(10 * MILLI), until)
    }

    /// Lets a reply come in each millisecond.
    fn run(recorder: &mut Recorder, millis: Range<u64>) {
        for milli in millis {
            let now = Nanos(milli * MILLI);
            recorder.on_time(now).unwrap();
            recorder.record(Duration::from_micros(milli), now).unwrap();
        }
    }

    #[test]
    fn replies_before_and_after_the_window_do_not_count() {
        let mut recorder = recorder(Until::Elapsed(Duration::from_millis(20)));
        run(&mut recorder, 0..30);
        assert!(recorder.wants_more());
        run(&mut recorder, 30..50);
        assert!(!recorder.wants_more());
        let measured = recorder.finish();
        assert_eq!((measured.operations, measured.latency.len()), (20, 20));
        assert_eq!(measured.window, Duration::from_millis(20));
    }

    #[test]
    fn a_window_of_operations_ends_with_the_last_of_them() {
        let mut recorder = recorder(Until::Operations(5));
        run(&mut recorder, 0..50);
        let measured = recorder.finish();
        assert_eq!(measured.operations, 5);
        assert_eq!(measured.window, Duration::from_millis(4));
    }

    #[test]
    fn seconds_count_once_every_thread_has_told_them() {
        let seconds = Seconds::of(2);
        let mut recorders: Vec<Recorder> = (0..2)
            .map(|_| recorder(Until::Exhausted).with_seconds(Arc::clone(&seconds)))
            .collect();
        run(&mut recorders[0], 10..1_020);
        assert_eq!(seconds.rates(), Vec::<u64>::new());
        run(&mut recorders[1], 10..1_020);
        assert_eq!(seconds.rates(), [2_000]);
    }

    #[test]
    fn threads_are_put_together() {
        let measured = || {
            let mut recorder = recorder(Until::Operations(5));
            run(&mut recorder, 0..50);
            recorder.finish()
        };
        let mut all = measured();
        all.merge(&measured()).unwrap();
        assert_eq!((all.operations, all.latency.len()), (10, 10));
        assert_eq!(all.window, Duration::from_millis(4));
    }
}
