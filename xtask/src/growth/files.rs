//! How many files a process may have open: each connection is one, of the server as of those that connect.

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};

/// Lets this process, and what it starts from now on, have as many open files as it may; how many those are.
pub(crate) fn raise() -> anyhow::Result<u64> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let (soft, hard) =
        open_files(&limits).context("no limit of open files in /proc/self/limits")?;
    if soft < hard {
        let own = std::process::id().to_string();
        let raised = Command::new("prlimit")
            .args(["--pid", &own, &format!("--nofile={hard}:{hard}")])
            .status()
            .context("cannot start prlimit (util-linux), which raises the limit of open files (ulimit -Sn)")?;
        ensure!(
            raised.success(),
            "prlimit cannot raise the limit of open files (ulimit -Sn {soft})"
        );
    }
    Ok(hard)
}

/// The soft and the hard one.
fn open_files(limits: &str) -> Option<(u64, u64)> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let mut words = line.split_ascii_whitespace();
    // `unlimited` is more than anybody needs.
    let mut limit = || Some(words.next()?.parse().unwrap_or(u64::MAX));
    Some((limit()?, limit()?))
}

#[cfg(test)]
mod tests {
    use super::open_files;

    #[test]
    fn the_limit_of_open_files_is_found_among_the_others() {
        let limits = "Max processes  95957 95957 processes\nMax open files            1024                 20000                files\n";
        assert_eq!(open_files(limits), Some((1_024, 20_000)));
        assert_eq!(
            open_files("Max open files unlimited unlimited files"),
            Some((u64::MAX, u64::MAX))
        );
        assert_eq!(open_files("Max processes 1 1 processes"), None);
    }
}
