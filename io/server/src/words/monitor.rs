//! `mntr`.

use std::fmt::{Display, Write};

use super::StateFacts;
use crate::stats::{Advanced, Basic, Counter, Metrics, Summary};

/// What `mntr` tells beside the state and the metrics (ME-20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Milliseconds since the start.
    pub uptime: u64,
    /// Watches of both tables.
    pub watch_count: usize,
    /// Ephemerals.
    pub ephemerals_count: usize,
    /// Bytes of paths and data, about.
    pub approximate_data_size: u64,
    /// Sessions of the ensemble.
    pub global_sessions: usize,
    /// Sessions of this server only.
    pub local_sessions: usize,
    /// Open file descriptors of the process.
    pub open_file_descriptor_count: u64,
    /// How many there may be.
    pub max_file_descriptor_count: u64,
}

/// The answer of `mntr`: version and state first, then the metrics.
#[must_use]
pub fn mntr(state: &StateFacts<'_>, gauges: &Gauges, metrics: &Metrics) -> String {
    let mut out = Rows(String::new());
    out.row("version", state.version);
    out.row("server_state", state.mode.as_str());
    gauge_rows(&mut out, state, gauges);
    for &counter in Counter::ALL {
        out.row(counter.name(), metrics.counter(counter));
    }
    for &series in Basic::ALL {
        out.summary(series.name(), metrics.basic(series));
    }
    for &series in Advanced::ALL {
        let (name, percentiles) = (series.name(), metrics.advanced(series));
        out.summary(name, percentiles.summary());
        let [p50, p95, p99, p999] = percentiles.percentiles([0.5, 0.95, 0.99, 0.999]);
        for (share, value) in [("p50", p50), ("p95", p95), ("p99", p99), ("p999", p999)] {
            out.row(format_args!("{share}_{name}"), value);
        }
    }
    out.0
}

fn gauge_rows(out: &mut Rows, state: &StateFacts<'_>, gauges: &Gauges) {
    let [min, max] = state.latency;
    out.row("avg_latency", state.latency_mean);
    out.row("max_latency", max);
    out.row("min_latency", min);
    out.row("packets_received", state.received);
    out.row("packets_sent", state.sent);
    out.row("num_alive_connections", state.connections);
    out.row("outstanding_requests", state.outstanding);
    out.row("uptime", gauges.uptime);
    out.row("znode_count", state.node_count);
    out.row("watch_count", gauges.watch_count);
    out.row("ephemerals_count", gauges.ephemerals_count);
    out.row("approximate_data_size", gauges.approximate_data_size);
    out.row("global_sessions", gauges.global_sessions);
    out.row("local_sessions", gauges.local_sessions);
    out.row(
        "open_file_descriptor_count",
        gauges.open_file_descriptor_count,
    );
    out.row(
        "max_file_descriptor_count",
        gauges.max_file_descriptor_count,
    );
}

struct Rows(String);

impl Rows {
    fn row(&mut self, name: impl Display, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "zk_{name}\t{value}");
    }

    fn summary(&mut self, name: &str, summary: &Summary) {
        self.row(format_args!("avg_{name}"), summary.average());
        self.row(format_args!("min_{name}"), summary.min());
        self.row(format_args!("max_{name}"), summary.max());
        self.row(format_args!("cnt_{name}"), summary.count());
        self.row(format_args!("sum_{name}"), summary.sum());
    }
}

#[cfg(test)]
mod tests {
    use zabra_proto::Zxid;

    use super::*;
    use crate::stats::Average;
    use crate::words::Mode;

    #[test]
    fn version_and_state_come_first_and_every_row_is_a_name_and_a_value() {
        let state = StateFacts {
            version: "3.9.5-zabra",
            mode: Mode::Standalone,
            latency: [0, 3],
            latency_mean: Average::of(3, 1),
            received: 1,
            sent: 1,
            connections: 1,
            outstanding: 0,
            zxid: Zxid(1),
            node_count: 5,
            proposal_sizes: None,
        };
        let mut metrics = Metrics::default();
        metrics.sample(Advanced::Read, 3);
        let answer = mntr(&state, &Gauges::default(), &metrics);
        let rows: Vec<(&str, &str)> = answer
            .lines()
            .map(|row| row.split_once('\t').unwrap())
            .collect();
        assert_eq!(
            rows[..2],
            [
                ("zk_version", "3.9.5-zabra"),
                ("zk_server_state", "standalone")
            ]
        );
        for expected in [
            ("zk_avg_latency", "3.0"),
            ("zk_znode_count", "5"),
            ("zk_commit_count", "0"),
            ("zk_avg_fsynctime", "0.0"),
            ("zk_cnt_fsynctime", "0"),
            ("zk_p50_readlatency", "3"),
            ("zk_p999_readlatency", "3"),
            ("zk_sum_updatelatency", "0"),
        ] {
            assert!(rows.contains(&expected), "{expected:?}");
        }
        let mut names: Vec<_> = rows.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rows.len(), "a name stands twice");
    }
}
