//! `srvr`, `stat` and `isro`.

use std::fmt::Write;

use zabra_proto::Zxid;

use super::ClientFacts;
use crate::stats::{Average, MemberView, Part, ProposalSizes};

/// What the server is in its ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Alone.
    Standalone,
    /// The leader.
    Leader,
    /// A voting learner.
    Follower,
    /// A learner without a vote.
    Observer,
    /// Without a quorum, serving reads.
    ReadOnly,
}

impl Mode {
    /// That of a server with this part in an ensemble, or without one.
    #[must_use]
    pub fn of(member: Option<&MemberView>) -> Self {
        match member.map(|member| member.part) {
            None => Self::Standalone,
            Some(Part::Leading(_)) => Self::Leader,
            Some(Part::Observing { .. }) => Self::Observer,
            // While it looks for a leader it tells nothing; behind one it will follow.
            Some(Part::Following { .. } | Part::Looking) => Self::Follower,
        }
    }

    /// How it is written after `Mode: ` and in `mntr`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
            Self::ReadOnly => "read-only",
        }
    }
}

/// What there is to tell about a server.
#[derive(Debug, Clone, Copy)]
pub struct StateFacts<'a> {
    /// The text after `Zookeeper version: `.
    pub version: &'a str,
    /// Its part in the ensemble.
    pub mode: Mode,
    /// Least and greatest latency of requests, ms.
    pub latency: [u64; 2],
    /// Their mean.
    pub latency_mean: Average,
    /// Packets from clients.
    pub received: u64,
    /// Packets to clients.
    pub sent: u64,
    /// Connections of clients.
    pub connections: usize,
    /// Requests that are not answered yet.
    pub outstanding: u64,
    /// The last applied one.
    pub zxid: Zxid,
    /// Znodes, the root twice.
    pub node_count: usize,
    /// On a leader.
    pub proposal_sizes: Option<ProposalSizes>,
}

/// The answer of `srvr`.
#[must_use]
pub fn srvr(facts: &StateFacts<'_>) -> String {
    let mut out = head(facts);
    tail(facts, &mut out);
    out
}

/// The answer of `stat`: that of `srvr` with the clients in it.
#[must_use]
pub fn stat<'a>(facts: &StateFacts<'_>, clients: impl Iterator<Item = ClientFacts<'a>>) -> String {
    let mut out = head(facts);
    out.push_str("Clients:\n");
    for client in clients {
        // Here and below: writing to a string cannot fail.
        let _ = writeln!(out, " {}", client.short());
    }
    out.push('\n');
    tail(facts, &mut out);
    out
}

/// The answer of `isro`; none while the server does not serve.
#[must_use]
pub fn isro(mode: Option<Mode>) -> &'static str {
    match mode {
        None => "null",
        Some(Mode::ReadOnly) => "ro",
        Some(_) => "rw",
    }
}

fn head(facts: &StateFacts<'_>) -> String {
    let mut out = format!("Zookeeper version: {}\n", facts.version);
    if facts.mode == Mode::ReadOnly {
        out.push_str("READ-ONLY mode; serving only read-only clients\n");
    }
    out
}

fn tail(facts: &StateFacts<'_>, out: &mut String) {
    let ([min, max], mean) = (facts.latency, facts.latency_mean);
    let _ = writeln!(out, "Latency min/avg/max: {min}/{mean}/{max}");
    let _ = writeln!(out, "Received: {}\nSent: {}", facts.received, facts.sent);
    let _ = writeln!(
        out,
        "Connections: {}\nOutstanding: {}",
        facts.connections, facts.outstanding
    );
    let _ = writeln!(out, "Zxid: {}\nMode: {}", facts.zxid, facts.mode.as_str());
    let _ = writeln!(out, "Node count: {}", facts.node_count);
    if let Some(sizes) = facts.proposal_sizes {
        let [last, min, max] =
            [sizes.last, sizes.min, sizes.max].map(|size| size.map_or(-1, u64::cast_signed));
        let _ = writeln!(out, "Proposal sizes last/min/max: {last}/{min}/{max}");
    }
}

#[cfg(test)]
mod tests {
    use zabra_proto::Sid;
    use zabra_quorum::Membership;

    use super::*;
    use crate::stats::LeaderFigures;
    use crate::words::clients::tests::client;

    fn facts(mode: Mode) -> StateFacts<'static> {
        StateFacts {
            version: "3.9.5-zabra, built on 2026-07-17 09:00 UTC",
            mode,
            latency: [0, 2],
            latency_mean: Average::of(3, 7),
            received: 15,
            sent: 14,
            connections: 1,
            outstanding: 0,
            zxid: Zxid(0x1_0000_0004),
            node_count: 6,
            proposal_sizes: None,
        }
    }

    #[test]
    fn a_leader_tells_the_sizes_of_its_proposals() {
        let sizes = ProposalSizes {
            last: Some(48),
            min: Some(36),
            max: Some(48),
        };
        let facts = StateFacts {
            proposal_sizes: Some(sizes),
            ..facts(Mode::Leader)
        };
        assert_eq!(
            srvr(&facts),
            "Zookeeper version: 3.9.5-zabra, built on 2026-07-17 09:00 UTC\n\
             Latency min/avg/max: 0/0.4286/2\n\
             Received: 15\n\
             Sent: 14\n\
             Connections: 1\n\
             Outstanding: 0\n\
             Zxid: 0x100000004\n\
             Mode: leader\n\
             Node count: 6\n\
             Proposal sizes last/min/max: 48/36/48\n"
        );
        let none = StateFacts {
            proposal_sizes: Some(ProposalSizes::default()),
            ..facts
        };
        assert!(srvr(&none).ends_with("Proposal sizes last/min/max: -1/-1/-1\n"));
    }

    #[test]
    fn the_mode_is_that_of_the_part_in_the_ensemble() {
        let (leader, master) = (Sid(2), Sid(2));
        let mode = |part| {
            let membership = Membership::parse("server.1=a:1:2").unwrap();
            Mode::of(Some(&MemberView {
                part,
                quorum_size: 1,
                membership,
            }))
            .as_str()
        };
        assert_eq!(mode(Part::Following { leader }), "follower");
        assert_eq!(mode(Part::Observing { master }), "observer");
        assert_eq!(mode(Part::Leading(LeaderFigures::default())), "leader");
        assert_eq!(Mode::of(None).as_str(), "standalone");
    }

    #[test]
    fn stat_lists_the_clients_between_version_and_latency() {
        let stats = client();
        let client = ClientFacts {
            peer: "10.0.0.7:40112".parse().unwrap(),
            interest: 1,
            queued: 0,
            stats: &stats,
            session: None,
        };
        let answer = stat(&facts(Mode::Standalone), [client].into_iter());
        let block = "UTC\nClients:\n /10.0.0.7:40112[1](queued=0,recved=15,sent=14)\n\nLatency min/avg/max: ";
        assert!(answer.contains(block), "{answer}");
    }

    #[test]
    fn a_read_only_server_says_so_in_each_of_the_three() {
        let answer = srvr(&facts(Mode::ReadOnly));
        assert!(answer.contains("UTC\nREAD-ONLY mode; serving only read-only clients\nLatency"));
        assert!(answer.contains("Mode: read-only\n"));
        assert_eq!(isro(Some(Mode::ReadOnly)), "ro");
        assert_eq!((isro(Some(Mode::Follower)), isro(None)), ("rw", "null"));
    }
}
