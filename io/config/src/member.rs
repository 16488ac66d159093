//! Server lines, and the membership that they make up.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv6Addr;

/// The id of a member, as in `server.N` and `myid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub i64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PeerType {
    /// Votes.
    #[default]
    Participant,
    /// Follows without a vote.
    Observer,
}

impl fmt::Display for PeerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Participant => "participant",
            Self::Observer => "observer",
        })
    }
}

impl PeerType {
    /// Its name in any case.
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "participant" => Some(Self::Participant),
            "observer" => Some(Self::Observer),
            _ => None,
        }
    }
}

/// One of a member's addresses for other members.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuorumAddress {
    /// Name or address, without brackets.
    pub host: String,
    /// The port on which a leader is followed.
    pub quorum_port: u16,
    /// The port for votes.
    pub election_port: u16,
}

/// An address for clients in a server line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress {
    /// Name or address, without brackets; 0.0.0.0 when only a port was given.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// One server line: `host:port:port[:role][|...][;[address:]port][;[address:]port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its addresses for other members, at least one.
    pub addresses: Vec<QuorumAddress>,
    /// Its role.
    pub peer_type: PeerType,
    /// Its address for clients, if the line has it.
    pub client: Option<ClientAddress>,
    /// Its address for clients with TLS, if the line has it (3.10).
    pub secure_client: Option<ClientAddress>,
}

impl Member {
    /// Reads what follows `server.N=`. The error says what is wrong in words that follow the line.
    pub fn parse(line: &str) -> Result<Self, String> {
        let parts = java_split(line, ';');
        if parts.len() > 3 {
            return Err("has more than two client addresses".to_owned());
        }
        let mut addresses = Vec::new();
        let mut role = None;
        for address in java_split(parts[0], '|') {
            let (address, given) = parse_quorum_address(address)?;
            addresses.push(address);
            if let Some(given) = given {
                if role.is_some_and(|role| role != given) {
                    return Err("gives its addresses different roles".to_owned());
                }
                role = Some(given);
            }
        }
        let client = |part: Option<&&str>| match part {
            Some(part) if !part.is_empty() => parse_client_address(part).map(Some),
            _ => Ok(None),
        };
        Ok(Self {
            addresses,
            peer_type: role.unwrap_or_default(),
            client: client(parts.get(1))?,
            secure_client: client(parts.get(2))?,
        })
    }
}

impl fmt::Display for Member {
    /// The canonical text of configuration nodes and dynamic files (features RG-06).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut addresses: Vec<&QuorumAddress> = self.addresses.iter().collect();
        addresses.sort_by_key(|a| &a.host);
        for (i, address) in addresses.iter().enumerate() {
            let bar = if i == 0 { "" } else { "|" };
            write!(
                f,
                "{bar}{}:{}:{}",
                bracketed(&address.host),
                address.quorum_port,
                address.election_port
            )?;
        }
        write!(f, ":{}", self.peer_type)?;
        let client = |f: &mut fmt::Formatter<'_>, a: &ClientAddress| {
            write!(f, ";{}:{}", bracketed(&a.host), a.port)
        };
        match (&self.client, &self.secure_client) {
            (None, None) => Ok(()),
            (Some(plain), None) => client(f, plain),
            (None, Some(secure)) => f.write_str(";").and_then(|()| client(f, secure)),
            (Some(plain), Some(secure)) => client(f, plain).and_then(|()| client(f, secure)),
        }
    }
}

/// Who belongs to the ensemble, and how their votes count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    /// The members by id.
    pub members: BTreeMap<MemberId, Member>,
    /// The group of each member that has one; empty without hierarchical quorums.
    pub groups: BTreeMap<MemberId, i64>,
    /// The weight of each member; empty without hierarchical quorums.
    pub weights: BTreeMap<MemberId, i64>,
    /// The version of this configuration, a zxid.
    pub version: i64,
}

impl Membership {
    /// Members that vote.
    pub fn voters(&self) -> impl Iterator<Item = (MemberId, &Member)> {
        self.of_type(PeerType::Participant)
    }

    /// Members that observe.
    pub fn observers(&self) -> impl Iterator<Item = (MemberId, &Member)> {
        self.of_type(PeerType::Observer)
    }

    fn of_type(&self, peer_type: PeerType) -> impl Iterator<Item = (MemberId, &Member)> {
        self.members
            .iter()
            .filter(move |(_, m)| m.peer_type == peer_type)
            .map(|(id, m)| (*id, m))
    }
}

impl fmt::Display for Membership {
    /// The text of the configuration node (features RG-07), without a newline at its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, member) in &self.members {
            writeln!(f, "server.{id}={member}")?;
        }
        let mut groups: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (id, group) in &self.groups {
            groups.entry(*group).or_default().push(id.to_string());
        }
        for (group, ids) in groups {
            writeln!(f, "group.{group}={}", ids.join(":"))?;
        }
        for (id, weight) in &self.weights {
            writeln!(f, "weight.{id}={weight}")?;
        }
        write!(f, "version={:x}", self.version)
    }
}

/// An address of version 6 stands in brackets and without `::`, as Java writes it.
fn bracketed(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => {
            let groups = address.segments().map(|group| format!("{group:x}"));
            format!("[{}]", groups.join(":"))
        }
        Err(_) if host.contains(':') => format!("[{host}]"),
        Err(_) => host.to_owned(),
    }
}

fn parse_quorum_address(text: &str) -> Result<(QuorumAddress, Option<PeerType>), String> {
    let parts = host_and_ports(text)?;
    let [host, quorum, election, role @ ..] = parts.as_slice() else {
        return Err("lacks a port; each server needs host:quorumPort:electionPort".to_owned());
    };
    let role = match role {
        [] => None,
        [role] => {
            let known = PeerType::parse(role.trim());
            Some(known.ok_or_else(|| {
                format!("has the unknown role \"{role}\"; give participant or observer")
            })?)
        }
        _ => {
            return Err(
                "has too many colons; an address of version 6 stands in brackets".to_owned(),
            );
        }
    };
    let address = QuorumAddress {
        host: (*host).to_owned(),
        quorum_port: parse_port(quorum)?,
        election_port: parse_port(election)?,
    };
    if address.quorum_port == address.election_port {
        return Err(format!(
            "uses port {quorum} for both quorum and election; they must differ"
        ));
    }
    Ok((address, role))
}

fn parse_client_address(text: &str) -> Result<ClientAddress, String> {
    match host_and_ports(text)?.as_slice() {
        [port] => Ok(ClientAddress {
            host: "0.0.0.0".to_owned(),
            port: parse_port(port)?,
        }),
        [host, port] => Ok(ClientAddress {
            host: (*host).to_owned(),
            port: parse_port(port)?,
        }),
        _ => Err(format!(
            "has the client address \"{text}\", which is neither a port nor host:port"
        )),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("has the port \"{text}\", which is not a number from 0 to 65535"))
}

/// Splits at colons, but not inside the brackets of a leading address of version 6.
fn host_and_ports(text: &str) -> Result<Vec<&str>, String> {
    let Some(bracketed) = text.strip_prefix('[') else {
        return Ok(java_split(text, ':'));
    };
    let (host, rest) = bracketed
        .split_once(']')
        .ok_or("has an opening bracket without a closing one")?;
    if rest.is_empty() {
        return Ok(vec![host]);
    }
    let ports = rest.strip_prefix(':').filter(|ports| !ports.is_empty());
    let ports = ports.ok_or("has no port after an address in brackets")?;
    let mut parts = vec![host];
    parts.extend(java_split(ports, ':'));
    Ok(parts)
}

/// Java's `split` by one character: empty parts at the end go, but one part stays.
fn java_split(text: &str, by: char) -> Vec<&str> {
    let mut parts: Vec<&str> = text.split(by).collect();
    while parts.len() > 1 && parts.last().is_some_and(|last| last.is_empty()) {
        parts.pop();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(line: &str) -> String {
        Member::parse(line)
            .map(|m| m.to_string())
            .unwrap_or_else(|e| format!("!{e}"))
    }

    #[test]
    fn server_lines_get_their_canonical_text() {
        for (line, text) in [
            ("zk1:2888:3888", "zk1:2888:3888:participant"),
            ("zk1:2888:3888:observer", "zk1:2888:3888:observer"),
            (
                "zk1:2888:3888:OBSERVER;2181",
                "zk1:2888:3888:observer;0.0.0.0:2181",
            ),
            (
                "zk1:2888:3888;10.0.0.1:2181",
                "zk1:2888:3888:participant;10.0.0.1:2181",
            ),
            (
                "[::1]:2888:3888;[::2]:2181",
                "[0:0:0:0:0:0:0:1]:2888:3888:participant;[0:0:0:0:0:0:0:2]:2181",
            ),
            (
                "b:2888:3888|a:2889:3889",
                "a:2889:3889|b:2888:3888:participant",
            ),
            (
                "zk1:2888:3888;2181;2281",
                "zk1:2888:3888:participant;0.0.0.0:2181;0.0.0.0:2281",
            ),
            (
                "zk1:2888:3888;;2281",
                "zk1:2888:3888:participant;;0.0.0.0:2281",
            ),
            ("zk1:2888:3888;", "zk1:2888:3888:participant"),
        ] {
            assert_eq!(canonical(line), text, "{line}");
        }
    }

    #[test]
    fn wrong_server_lines_say_what_is_wrong() {
        for (line, word) in [
            ("", "lacks a port"),
            ("zk1", "lacks a port"),
            ("zk1:2888", "lacks a port"),
            ("zk1:2888:x", "port \"x\""),
            ("zk1:2888:70000", "70000"),
            ("zk1:2888:2888", "must differ"),
            ("zk1:2888:3888:boss", "unknown role"),
            ("zk1:1:2:observer:3", "too many colons"),
            ("[::1:2888:3888", "without a closing one"),
            ("[::1]:", "no port"),
            ("[::1]2888:3888", "no port"),
            ("a:1:2:observer|b:1:2:participant", "different roles"),
            ("a:1:2;x:y:z", "client address"),
            ("a:1:2;1;2;3", "more than two"),
        ] {
            let answer = canonical(line);
            assert!(
                answer.starts_with('!') && answer.contains(word),
                "{line}: {answer}"
            );
        }
    }

    #[test]
    fn the_membership_prints_as_the_configuration_node_has_it() {
        let mut membership = Membership {
            version: 0x1_0000_0000,
            ..Membership::default()
        };
        for (id, line) in [
            (2, "b:2888:3888;2181"),
            (1, "a:2888:3888;2181"),
            (3, "c:2888:3888:observer"),
        ] {
            membership
                .members
                .insert(MemberId(id), Member::parse(line).expect("well formed"));
        }
        assert_eq!(
            membership.to_string(),
            "server.1=a:2888:3888:participant;0.0.0.0:2181\n\
             server.2=b:2888:3888:participant;0.0.0.0:2181\n\
             server.3=c:2888:3888:observer\n\
             version=100000000"
        );
        membership
            .groups
            .extend([(MemberId(1), 1), (MemberId(2), 1)]);
        membership
            .weights
            .extend([(MemberId(1), 1), (MemberId(2), 1)]);
        assert!(
            membership
                .to_string()
                .contains("group.1=1:2\nweight.1=1\nweight.2=1\nversion=")
        );
        assert_eq!(
            (membership.voters().count(), membership.observers().count()),
            (2, 1)
        );
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "[\\[\\]:;|a0-9.é ]{0,60}") {
            let _ = Member::parse(&line);
        }

        #[test]
        fn canonical_text_reads_back_as_itself(line in "[a-z]{1,5}:[1-9][0-9]{0,3}:1[0-9]{4}(:observer)?(;[1-9][0-9]{0,3})?") {
            let member = Member::parse(&line).expect("well formed");
            prop_assert_eq!(Member::parse(&member.to_string()), Ok(member));
        }
    }
}
