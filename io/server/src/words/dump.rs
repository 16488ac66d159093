//! `dump`: sessions and connections by expiry, ephemerals by session.

use std::fmt::{Display, Write};
use std::net::SocketAddr;

use zabra_proto::{SessionId, WallMillis};

use super::clients::JavaAddress;
use super::date::JavaDate;

/// What expires together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring<T> {
    /// When, translated from the monotonic clock.
    pub at: WallMillis,
    /// What.
    pub members: Vec<T>,
}

/// What there is to tell.
#[derive(Debug, Clone, Default)]
pub struct DumpFacts {
    /// The sessions that this server expires, by time.
    pub sessions: Vec<Expiring<SessionId>>,
    /// The sessions of the ensemble with their timeouts in ms, on a server that does not expire them: then they are told
    /// instead.
    pub known: Option<Vec<(SessionId, i32)>>,
    /// Paths of the ephemerals of each session.
    pub ephemerals: Vec<(SessionId, Vec<String>)>,
    /// The connections with their sessions, by time.
    pub connections: Vec<Expiring<(SocketAddr, SessionId)>>,
}

/// The answer of `dump`: a standalone server and a leader tell when sessions expire, a learner which there are.
#[must_use]
pub fn dump(facts: &DumpFacts) -> String {
    let mut out = String::from("SessionTracker dump:\n");
    // Here and below: writing to a string cannot fail.
    match &facts.known {
        Some(known) => {
            let _ = writeln!(out, "Global Sessions({}):", known.len());
            for (session, timeout_ms) in known {
                let _ = writeln!(out, "{session}\t{timeout_ms}ms");
            }
        }
        None => {
            out.push_str("Session ");
            sets(&facts.sessions, ToString::to_string, &mut out);
        }
    }
    let _ = writeln!(
        out,
        "ephemeral nodes dump:\nSessions with Ephemerals ({}):",
        facts.ephemerals.len()
    );
    for (session, paths) in &facts.ephemerals {
        let _ = writeln!(out, "{session}:");
        for path in paths {
            let _ = writeln!(out, "\t{path}");
        }
    }
    out.push_str("Connections dump:\nConnections ");
    let line = |(peer, session): &(SocketAddr, SessionId)| {
        format!("ip: {} sessionId: {session}", JavaAddress(*peer))
    };
    sets(&facts.connections, line, &mut out);
    out
}

fn sets<T, D: Display>(sets: &[Expiring<T>], line: impl Fn(&T) -> D, out: &mut String) {
    let members: usize = sets.iter().map(|set| set.members.len()).sum();
    let _ = writeln!(out, "Sets ({})/({members}):", sets.len());
    for set in sets {
        let _ = writeln!(out, "{} expire at {}:", set.members.len(), JavaDate(set.at));
        for member in &set.members {
            let _ = writeln!(out, "\t{}", line(member));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dump_of_a_server_with_one_client() {
        let session = SessionId(0x100_000a_1b2c_0001);
        let at = WallMillis(1_784_282_403_000);
        let facts = DumpFacts {
            sessions: vec![
                Expiring {
                    at: WallMillis(1_784_282_400_000),
                    members: vec![],
                },
                Expiring {
                    at,
                    members: vec![session],
                },
            ],
            ephemerals: vec![(session, vec!["/locks/lock-0000000003".to_owned()])],
            connections: vec![Expiring {
                at,
                members: vec![("10.0.0.7:40112".parse().unwrap(), session)],
            }],
            known: None,
        };
        assert_eq!(
            dump(&facts),
            "SessionTracker dump:\n\
             Session Sets (2)/(1):\n\
             0 expire at Fri Jul 17 10:00:00 UTC 2026:\n\
             1 expire at Fri Jul 17 10:00:03 UTC 2026:\n\
             \t0x100000a1b2c0001\n\
             ephemeral nodes dump:\n\
             Sessions with Ephemerals (1):\n\
             0x100000a1b2c0001:\n\
             \t/locks/lock-0000000003\n\
             Connections dump:\n\
             Connections Sets (1)/(1):\n\
             1 expire at Fri Jul 17 10:00:03 UTC 2026:\n\
             \tip: /10.0.0.7:40112 sessionId: 0x100000a1b2c0001\n"
        );
    }
    #[test]
    fn a_learner_lists_the_sessions_of_the_ensemble_with_their_timeouts() {
        let known = [0x0100_00d1_b8be_0000, 0x0200_00d1_b54a_0000];
        let facts = DumpFacts {
            known: Some(known.map(|id| (SessionId(id), 20_000)).to_vec()),
            ..DumpFacts::default()
        };
        assert_eq!(
            dump(&facts),
            "SessionTracker dump:\n\
             Global Sessions(2):\n\
             0x10000d1b8be0000\t20000ms\n\
             0x20000d1b54a0000\t20000ms\n\
             ephemeral nodes dump:\n\
             Sessions with Ephemerals (0):\n\
             Connections dump:\n\
             Connections Sets (0)/(0):\n"
        );
    }
}
