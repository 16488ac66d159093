//! Whom a client of an ensemble may ask, by the ensemble's configuration.

use std::net::IpAddr;

use zabra_quorum::{HostPort, Member, Membership};

/// The servers of one configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Servers {
    /// Which configuration: a later one has a greater number.
    pub version: i64,
    /// Where its members serve clients, as in a connect string, by server number. Members of a static configuration do not
    /// say that.
    pub addresses: Vec<String>,
}

/// Reads `/zookeeper/config`, which is empty where there is no ensemble.
///
/// # Errors
/// What is wrong with it, for people.
pub fn servers(config: &[u8]) -> Result<Servers, String> {
    let text = str::from_utf8(config).map_err(|error| error.to_string())?;
    if text.trim().is_empty() {
        return Ok(Servers::default());
    }
    let membership = Membership::parse(text).map_err(|error| error.to_string())?;
    let addresses = membership.members().values().filter_map(client_address);
    Ok(Servers {
        version: membership.version().0,
        addresses: addresses.map(|at| at.to_string()).collect(),
    })
}

/// A server that serves clients at all its addresses has the one at which its peers reach it.
fn client_address(member: &Member) -> Option<HostPort> {
    let at = &member.client.as_ref()?.at;
    let is_any = at.host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    let host = if is_any {
        &member.addresses.first()?.host
    } else {
        &at.host
    };
    (at.port != 0).then(|| HostPort {
        host: host.clone(),
        port: at.port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str) -> Servers {
        servers(config.as_bytes()).expect("a configuration")
    }

    #[test]
    fn each_member_is_asked_where_it_serves_clients() {
        let seen = read(
            "server.1=a.example:2888:3888:participant;10.0.0.1:2181\n\
             server.2=b.example:2888:3888:observer;0.0.0.0:2182\n\
             server.3=c.example:2888:3888:participant;2183\n\
             server.4=[2001:db8::4]:2888:3888:participant;[::]:2184\n\
             version=100000003",
        );
        assert_eq!(seen.version, 0x1_0000_0003);
        let six = "[2001:db8:0:0:0:0:0:4]:2184";
        let all = ["10.0.0.1:2181", "b.example:2182", "c.example:2183", six];
        assert_eq!(seen.addresses, all);
    }

    #[test]
    fn members_of_a_static_configuration_do_not_say_it() {
        let seen = read("server.1=a:1:2:participant\nserver.2=b:1:2:participant\nversion=0");
        assert_eq!(seen, Servers::default());
    }

    #[test]
    fn a_server_alone_has_no_configuration() {
        assert_eq!(read(""), Servers::default());
    }

    #[test]
    fn what_is_no_configuration_is_said_to_be_none() {
        for config in [&b"server.1"[..], b"version=1", b"\xff"] {
            assert!(servers(config).is_err(), "{config:?}");
        }
    }
}
