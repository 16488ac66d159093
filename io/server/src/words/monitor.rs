//! `mntr`.

use std::fmt::{Display, Write};

use super::StateFacts;
use crate::stats::{
    Advanced, Basic, Counter, LeaderFigures, MemberView, Metrics, Part, ProposalSizes, Summary,
};

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

/// The answer of `mntr`: version and state first, then the metrics. `member` is the part in an ensemble.
#[must_use]
pub fn mntr(
    state: &StateFacts<'_>,
    gauges: &Gauges,
    member: Option<&MemberView>,
    metrics: &Metrics,
) -> String {
    let mut out = Rows(String::new());
    out.row("version", state.version);
    out.row("server_state", state.mode.as_str());
    if let Some(member) = member {
        part_rows(&mut out, member.part);
    }
    gauge_rows(&mut out, state, gauges);
    if let Some(member) = member {
        member_rows(&mut out, member);
    }
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

/// What it does, and under whom (FL-26).
fn part_rows(out: &mut Rows, part: Part) {
    let state = match part {
        Part::Looking => "looking",
        Part::Following { .. } => "following - broadcast",
        Part::Observing { .. } => "observing - broadcast",
        Part::Leading(_) => "leading - broadcast",
    };
    out.row("peer_state", state);
    if let Part::Observing { master } = part {
        out.row("observer_master_id", master);
    }
}

/// The gauges of a member (ME-23), and those of a leader (ME-24).
fn member_rows(out: &mut Rows, member: &MemberView) {
    out.row("quorum_size", member.quorum_size);
    let Part::Leading(LeaderFigures {
        learners,
        synced_followers,
        synced_non_voting_followers,
        synced_observers,
        pending_syncs,
        uptime_ms,
        proposals,
    }) = member.part
    else {
        return;
    };
    out.row("learners", learners);
    out.row("synced_followers", synced_followers);
    out.row("synced_non_voting_followers", synced_non_voting_followers);
    out.row("synced_observers", synced_observers);
    out.row("pending_syncs", pending_syncs);
    out.row("leader_uptime", uptime_ms);
    let ProposalSizes { last, min, max } = proposals;
    for (name, size) in [("last", last), ("max", max), ("min", min)] {
        let size = size.map_or(-1, u64::cast_signed);
        out.row(format_args!("{name}_proposal_size"), size);
    }
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
    use zabra_proto::{Sid, Zxid};
    use zabra_quorum::Membership;

    use super::*;
    use crate::stats::Average;
    use crate::words::Mode;

    fn state() -> StateFacts<'static> {
        StateFacts {
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
        }
    }

    fn member(part: Part) -> MemberView {
        MemberView {
            part,
            quorum_size: 3,
            membership: Membership::parse("server.1=a:1:2").unwrap(),
        }
    }

    /// The rows of a server with this part that one without a part does not have.
    fn rows_of(part: Part) -> Vec<String> {
        let (gauges, metrics) = (Gauges::default(), Metrics::default());
        let alone = mntr(&state(), &gauges, None, &metrics);
        let answer = mntr(&state(), &gauges, Some(&member(part)), &metrics);
        let rows = answer
            .lines()
            .filter(|row| !alone.lines().any(|r| r == *row));
        rows.map(str::to_owned).collect()
    }

    #[test]
    fn each_part_in_the_ensemble_has_its_rows() {
        let (leader, master) = (Sid(2), Sid(2));
        assert_eq!(
            rows_of(Part::Following { leader }),
            ["zk_peer_state\tfollowing - broadcast", "zk_quorum_size\t3"]
        );
        assert_eq!(
            rows_of(Part::Observing { master }),
            [
                "zk_peer_state\tobserving - broadcast",
                "zk_observer_master_id\t2",
                "zk_quorum_size\t3"
            ]
        );
        let figures = LeaderFigures {
            learners: 3,
            synced_followers: 2,
            synced_observers: 1,
            uptime_ms: 32_149,
            proposals: ProposalSizes {
                last: Some(127),
                min: Some(48),
                max: Some(127),
            },
            ..LeaderFigures::default()
        };
        assert_eq!(
            rows_of(Part::Leading(figures)),
            [
                "zk_peer_state\tleading - broadcast",
                "zk_quorum_size\t3",
                "zk_learners\t3",
                "zk_synced_followers\t2",
                "zk_synced_non_voting_followers\t0",
                "zk_synced_observers\t1",
                "zk_pending_syncs\t0",
                "zk_leader_uptime\t32149",
                "zk_last_proposal_size\t127",
                "zk_max_proposal_size\t127",
                "zk_min_proposal_size\t48",
            ]
        );
        let idle = rows_of(Part::Leading(LeaderFigures::default()));
        assert!(idle.contains(&"zk_last_proposal_size\t-1".to_owned()));
    }

    #[test]
    fn version_and_state_come_first_and_every_row_is_a_name_and_a_value() {
        let mut metrics = Metrics::default();
        metrics.sample(Advanced::Read, 3);
        let answer = mntr(&state(), &Gauges::default(), None, &metrics);
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
