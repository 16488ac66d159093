//! CPU and memory of processes on this machine, as Linux tells them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// CPU time used so far, at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CpuUsed {
    /// By this process.
    pub(crate) own: Duration,
    /// By the servers together.
    pub(crate) servers: Duration,
}

impl CpuUsed {
    /// Reads both. A server's part is exact to a clock tick (10 ms) only.
    pub(crate) fn now(servers: &[u32]) -> Result<Self> {
        let own = clock_gettime(ClockId::ProcessCPUTime);
        let mut used = Self {
            own: Duration::new(own.tv_sec.cast_unsigned(), own.tv_nsec as u32),
            servers: Duration::ZERO,
        };
        for &pid in servers {
            used.servers += cpu(pid)?;
        }
        Ok(used)
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            own: self.own.saturating_sub(earlier.own),
            servers: self.servers.saturating_sub(earlier.servers),
        }
    }
}

/// Resident memory of the servers together, in bytes.
pub(crate) fn resident(servers: &[u32]) -> Result<u64> {
    let mut bytes = 0;
    for &pid in servers {
        let name = format!("/proc/{pid}/status");
        let status = fs::read_to_string(&name).with_context(|| no_process(pid))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .with_context(|| no_process(pid))?;
        let kilobytes: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .with_context(|| format!("{name} has VmRSS `{line}`"))?;
        bytes += kilobytes * 1024;
    }
    Ok(bytes)
}

fn cpu(pid: u32) -> Result<Duration> {
    let name = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&name).with_context(|| no_process(pid))?;
    let ticks = cpu_ticks(&stat).with_context(|| format!("{name} is not as expected"))?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_micros(ticks * 1_000_000 / per_second))
}

/// utime and stime: the 14th and 15th field, behind a name that may contain anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn no_process(pid: u32) -> String {
    format!("there is no process {pid} on this machine (--server-pid)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_mislead() {
        let stat = "17 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 700 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(730));
        assert_eq!(cpu_ticks("17 (a"), None);
    }

    #[test]
    fn this_process_has_memory_and_a_missing_one_is_named() {
        assert!(resident(&[std::process::id()]).unwrap() > 0);
        assert!(CpuUsed::now(&[std::process::id()]).is_ok());
        let error = resident(&[u32::MAX]).unwrap_err();
        assert!(error.to_string().contains("4294967295"), "{error}");
    }
}
