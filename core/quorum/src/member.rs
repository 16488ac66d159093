//! One server of a configuration: the value of a `server.N` line (quorum 6.1).

use std::fmt;
use std::str::FromStr;

use crate::address::{Bracketed, canonical_host, parse_port, split, split_host};
use crate::{HostPort, MembershipError, Sid};

/// A server of the ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which server.
    pub sid: Sid,
    /// Where it listens for its peers; at least one, sorted by host.
    pub addresses: Vec<PeerAddress>,
    /// Whether it votes.
    pub role: Role,
    /// Where it listens for clients, if that is known.
    pub client: Option<ClientAddress>,
    /// Where it listens for TLS clients; only 3.10 prints and reads it (quorum 6.1).
    pub secure_client: Option<ClientAddress>,
}

/// One of the addresses at which peers reach a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddress {
    /// A name or an address; IPv6 without its brackets.
    pub host: String,
    /// Where a leader listens for learners.
    pub quorum_port: u16,
    /// Where votes arrive.
    pub election_port: u16,
}

/// Whether a server votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Votes, acks, may lead.
    Participant,
    /// Learns only; never counted (P60).
    Observer,
}

/// Where clients are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress {
    /// The address.
    pub at: HostPort,
    /// Whether it comes from `clientPort` of the static file: then it is not printed (quorum 6.1).
    pub is_static: bool,
}

impl Member {
    /// Reads `host:quorumPort:electionPort[:role][|...][;[clientHost:]clientPort][;[secureHost:]securePort]`.
    pub fn parse(sid: Sid, value: &str) -> Result<Self, MembershipError> {
        Self::parse_parts(sid, value).map_err(|why| MembershipError::Server {
            sid,
            value: value.to_owned(),
            why,
        })
    }

    fn parse_parts(sid: Sid, value: &str) -> Result<Self, &'static str> {
        let mut parts = split(value, ';');
        let peers = parts.next().unwrap_or_default();
        let client = parse_client(parts.next())?;
        let secure_client = parse_client(parts.next())?;
        if parts.next().is_some() {
            return Err("more than three parts between semicolons");
        }
        let mut addresses = Vec::new();
        let mut role = None;
        for text in split(peers, '|') {
            let (address, named) = PeerAddress::parse(text)?;
            if let (Some(one), Some(other)) = (role, named)
                && one != other
            {
                return Err("the addresses of one server name different roles");
            }
            role = role.or(named);
            addresses.push(address);
        }
        addresses.sort();
        Ok(Self {
            sid,
            addresses,
            role: role.unwrap_or(Role::Participant),
            client,
            secure_client,
        })
    }
}

impl PeerAddress {
    fn parse(text: &str) -> Result<(Self, Option<Role>), &'static str> {
        let (host, rest) = split_host(text)?;
        let mut rest = split(rest.unwrap_or_default(), ':');
        let mut port = || parse_port(rest.next().unwrap_or_default());
        let (quorum_port, election_port) = (port()?, port()?);
        let role = rest.next().map(str::parse).transpose()?;
        if rest.next().is_some() {
            return Err("must be host:port:port or host:port:port:role");
        }
        if quorum_port == election_port {
            return Err("quorum port and election port must differ");
        }
        let address = Self {
            host: canonical_host(host),
            quorum_port,
            election_port,
        };
        Ok((address, role))
    }
}

impl FromStr for Role {
    type Err = &'static str;

    /// A role in any case.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text.eq_ignore_ascii_case("participant") {
            Ok(Self::Participant)
        } else if text.eq_ignore_ascii_case("observer") {
            Ok(Self::Observer)
        } else {
            Err("a role is participant or observer")
        }
    }
}

/// A client part: a port alone listens on every address, an empty part says nothing.
fn parse_client(part: Option<&str>) -> Result<Option<ClientAddress>, &'static str> {
    let Some(part) = part.filter(|part| !part.is_empty()) else {
        return Ok(None);
    };
    let (host, port) = match split_host(part)? {
        (host, Some(port)) => (canonical_host(host), port),
        (port, None) => ("0.0.0.0".to_owned(), port),
    };
    let at = HostPort {
        host,
        port: parse_port(port)?,
    };
    Ok(Some(ClientAddress {
        at,
        is_static: false,
    }))
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Participant => "participant",
            Self::Observer => "observer",
        })
    }
}

/// The value of the line, without `server.N=`.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, address) in self.addresses.iter().enumerate() {
            let bar = if at == 0 { "" } else { "|" };
            let host = Bracketed(&address.host);
            let (quorum, election) = (address.quorum_port, address.election_port);
            write!(f, "{bar}{host}:{quorum}:{election}")?;
        }
        write!(f, ":{}", self.role)?;
        let printed = |client: &Option<ClientAddress>| {
            let client = client.as_ref().filter(|client| !client.is_static);
            client.map(|client| client.at.to_string())
        };
        match (printed(&self.client), printed(&self.secure_client)) {
            (None, None) => Ok(()),
            (Some(client), None) => write!(f, ";{client}"),
            (client, Some(secure)) => write!(f, ";{};{secure}", client.unwrap_or_default()),
        }
    }
}
