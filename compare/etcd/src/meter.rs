//! The measured window: which answers fall into it, and what CPU was used in it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// What is measured in a window.
#[derive(Debug)]
pub struct Meter {
    begin: Instant,
    end: Instant,
    operations: u64,
    refused: u64,
    latency: Histogram<u64>,
}

impl Meter {
    /// A window that is still to come.
    ///
    /// # Errors
    /// None that can happen.
    pub fn new(begin: Instant, window: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            begin,
            end: begin + window,
            operations: 0,
            refused: 0,
            // To a minute, three digits.
            latency: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
        })
    }

    /// Whether more requests are to be sent.
    pub fn wants_more(&self) -> bool {
        Instant::now() < self.end
    }

    /// Notes an answer to a request that was sent at `sent`.
    pub fn record(&mut self, sent: Instant) {
        let now = Instant::now();
        if now >= self.begin && now < self.end {
            self.operations += 1;
            let nanos = (now - sent).as_nanos().try_into().unwrap_or(u64::MAX);
            self.latency.saturating_record(nanos);
        }
    }

    /// Notes that a request was answered, but not done.
    pub fn refuse(&mut self) {
        self.refused += 1;
    }

    /// The figures of `zabra bench`.
    pub fn figures(&self, used: Used) -> Value {
        let window = (self.end - self.begin).as_secs_f64();
        let operations = self.operations.max(1) as f64;
        let quantile = |of| self.latency.value_at_quantile(of) as f64 / 1e3;
        json!({
            "operations": self.operations,
            "refused": self.refused,
            "window_s": window,
            "ops_per_second": self.operations as f64 / window,
            "p50_us": quantile(0.5),
            "p90_us": quantile(0.9),
            "p99_us": quantile(0.99),
            "p999_us": quantile(0.999),
            "max_us": self.latency.max() as f64 / 1e3,
            "client_cpu_per_op_us": used.own.as_secs_f64() * 1e6 / operations,
            "client_cores": used.own.as_secs_f64() / window,
            "server_cpu_per_op_us": used.servers.as_secs_f64() * 1e6 / operations,
            "server_cores": used.servers.as_secs_f64() / window,
        })
    }
}

/// CPU time, in user and kernel.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    own: Duration,
    servers: Duration,
}

impl Used {
    /// So far.
    ///
    /// # Errors
    /// A server has ended.
    pub fn now(pids: &[u32]) -> anyhow::Result<Self> {
        let own = clock_gettime(ClockId::ProcessCPUTime);
        let mut servers = Duration::ZERO;
        for pid in pids {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let ticks = ticks(&stat).with_context(|| format!("/proc/{pid}/stat: {stat}"))?;
            let per_second = rustix::param::clock_ticks_per_second().max(1);
            servers += Duration::from_micros(ticks * 1_000_000 / per_second);
        }
        Ok(Self {
            own: Duration::new(own.tv_sec.cast_unsigned(), own.tv_nsec as u32),
            servers,
        })
    }

    /// What was used since then.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            own: self.own.saturating_sub(earlier.own),
            servers: self.servers.saturating_sub(earlier.servers),
        }
    }
}

/// User and system time: the 14th and 15th field, behind a name in brackets that may contain anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Resident memory of processes together, in bytes.
///
/// # Errors
/// One of them has ended.
pub fn resident(pids: &[u32]) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for pid in pids {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .with_context(|| format!("process {pid} has ended"))?;
        bytes += kilobytes.parse::<u64>()? * 1024;
    }
    Ok(bytes)
}
