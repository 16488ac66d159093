//! `cons`, and the client lines of `stat`.

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use zabra_proto::{SessionId, WallMillis};
use zabra_serve::ConnStats;

/// What there is to tell about a connection.
#[derive(Debug, Clone, Copy)]
pub struct ClientFacts<'a> {
    /// The client's address.
    pub peer: SocketAddr,
    /// What is waited for, as Java's selector counts it: 1 to read, 4 to write, 0 nothing.
    pub interest: u8,
    /// Requests that wait for their answer.
    pub queued: u64,
    /// What was counted.
    pub stats: &'a ConnStats,
    /// Its session, once it is set up.
    pub session: Option<SessionFacts>,
}

/// What there is to tell about the session of a connection.
#[derive(Debug, Clone, Copy)]
pub struct SessionFacts {
    /// Its id.
    pub id: SessionId,
    /// When the connection was made.
    pub established: WallMillis,
    /// The granted timeout.
    pub timeout_ms: i32,
}

/// The answer of `cons`: a line per connection, then an empty one.
#[must_use]
pub fn cons<'a>(clients: impl Iterator<Item = ClientFacts<'a>>) -> String {
    let mut out = String::new();
    for client in clients {
        // Writing to a string cannot fail.
        let _ = writeln!(out, " {client}");
    }
    out.push('\n');
    out
}

impl ClientFacts<'_> {
    /// The part that `stat` shows too.
    fn brief(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            peer,
            interest,
            queued,
            stats,
            ..
        } = self;
        write!(
            f,
            "{}[{interest:x}](queued={queued},recved={},sent={}",
            JavaAddress(*peer),
            stats.received,
            stats.sent
        )
    }

    /// The line of `stat`, without the blank in front.
    pub(super) fn short(self) -> impl fmt::Display {
        struct Short<'a>(ClientFacts<'a>);
        impl fmt::Display for Short<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.brief(f)?;
                f.write_str(")")
            }
        }
        Short(self)
    }
}

impl fmt::Display for ClientFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.brief(f)?;
        if let Some(session) = &self.session {
            let stats = self.stats;
            write!(f, ",sid={},lop={}", session.id, stats.last_op)?;
            write!(
                f,
                ",est={},to={}",
                session.established.0, session.timeout_ms
            )?;
            if stats.last_xid.0 >= 0 {
                write!(f, ",lcxid={:#x}", stats.last_xid.0)?;
            }
            let latency = &stats.latency_ms;
            let mean = latency.total.checked_div(latency.count).unwrap_or(0);
            write!(
                f,
                ",lzxid={},lresp={}",
                stats.last_zxid, stats.last_response.0
            )?;
            write!(
                f,
                ",llat={},minlat={},avglat={mean},maxlat={}",
                stats.last_latency_ms, latency.min, latency.max
            )?;
        }
        f.write_str(")")
    }
}

/// An address in the form of Java's socket addresses: `/10.0.0.7:40112`, `/[0:0:0:0:0:0:0:1]:40112`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JavaAddress(pub(super) SocketAddr);

impl fmt::Display for JavaAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.ip() {
            IpAddr::V4(ip) => write!(f, "/{ip}:{}", self.0.port()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, g, h, i] = ip.segments();
                write!(
                    f,
                    "/[{a:x}:{b:x}:{c:x}:{d:x}:{e:x}:{g:x}:{h:x}:{i:x}]:{}",
                    self.0.port()
                )
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use zabra_proto::{MonoMillis, Xid, Zxid};

    use super::*;

    /// A connection that had two replies.
    pub(in crate::words) fn client() -> ConnStats {
        let mut stats = ConnStats {
            established: MonoMillis(0),
            received: 15,
            sent: 14,
            last_xid: Xid(6),
            last_zxid: Zxid(0x1_0000_0004),
            last_op: "GETD",
            last_response: MonoMillis(53_122_871),
            last_latency_ms: 0,
            latency_ms: Default::default(),
        };
        stats.latency_ms.add(2);
        stats.latency_ms.add(0);
        stats
    }

    fn facts(stats: &ConnStats) -> ClientFacts<'_> {
        let peer = "10.0.0.7:40112".parse().unwrap();
        ClientFacts {
            peer,
            interest: 1,
            queued: 0,
            stats,
            session: None,
        }
    }

    const SESSION: SessionFacts = SessionFacts {
        id: SessionId(0x100_000a_1b2c_0001),
        established: WallMillis(1_784_200_000_123),
        timeout_ms: 30_000,
    };

    #[test]
    fn a_connection_with_a_session_tells_everything() {
        let stats = client();
        let client = ClientFacts {
            session: Some(SESSION),
            ..facts(&stats)
        };
        assert_eq!(
            cons([client].into_iter()),
            " /10.0.0.7:40112[1](queued=0,recved=15,sent=14,sid=0x100000a1b2c0001,lop=GETD,est=1784200000123,to=30000,\
             lcxid=0x6,lzxid=0x100000004,lresp=53122871,llat=0,minlat=0,avglat=1,maxlat=2)\n\n"
        );
    }

    #[test]
    fn a_connection_without_a_session_tells_what_it_has() {
        let stats = ConnStats {
            received: 1,
            sent: 0,
            ..client()
        };
        let client = ClientFacts {
            interest: 0,
            ..facts(&stats)
        };
        assert_eq!(
            cons([client].into_iter()),
            " /10.0.0.7:40112[0](queued=0,recved=1,sent=0)\n\n"
        );
    }

    #[test]
    fn an_xid_that_is_not_the_clients_own_is_not_shown() {
        let stats = ConnStats {
            last_xid: Xid::PING,
            ..client()
        };
        let line = ClientFacts {
            session: Some(SESSION),
            ..facts(&stats)
        }
        .to_string();
        assert!(line.contains("to=30000,lzxid="), "{line}");
    }

    #[test]
    fn addresses_of_ipv6_are_written_out() {
        let address = JavaAddress("[::1]:40112".parse().unwrap());
        assert_eq!(address.to_string(), "/[0:0:0:0:0:0:0:1]:40112");
    }
}
