//! How servers are written: `host1:2181,host2,[::1]:2182/chroot` (features CL-01).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use thiserror::Error;
use zabra_proto::path::{self, PathError};

/// A server's address as it was written: resolved anew at each attempt, so that a moved name is found (P73).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Where clients go if nothing is said.
    pub const PORT_DEFAULT: u16 = 2181;
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Servers, and the znode under which the client lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectString {
    /// At least one, in the order in which they were written.
    pub hosts: Vec<HostPort>,
    /// A valid path that is not `/`, or none.
    pub chroot: Option<String>,
}

/// Why a connect string is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectStringError {
    /// No server at all.
    #[error("no server in the connect string")]
    NoHost,
    /// A port that is no number from 1 to 65535, in the server as it was written.
    #[error("bad port in {0:?}")]
    BadPort(String),
    /// A bracket without its other half, or nothing before the colon.
    #[error("bad host in {0:?}")]
    BadHost(String),
    /// The chroot is no path.
    #[error("bad chroot: {0}")]
    BadChroot(#[from] PathError),
}

impl FromStr for ConnectString {
    type Err = ConnectStringError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (hosts, chroot) = match text.find('/') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let chroot = match chroot {
            "" | "/" => None,
            chroot => {
                path::validate(chroot)?;
                Some(chroot.to_owned())
            }
        };
        let hosts = parse_hosts(hosts)?;
        Ok(Self { hosts, chroot })
    }
}

fn parse_hosts(text: &str) -> Result<Vec<HostPort>, ConnectStringError> {
    let hosts: Vec<_> = text
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
        .map(parse_host)
        .collect::<Result<_, _>>()?;
    if hosts.is_empty() {
        return Err(ConnectStringError::NoHost);
    }
    Ok(hosts)
}

fn parse_host(text: &str) -> Result<HostPort, ConnectStringError> {
    let bad_host = || ConnectStringError::BadHost(text.to_owned());
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(bad_host)?;
        match rest {
            "" => (host, None),
            _ => (host, Some(rest.strip_prefix(':').ok_or_else(bad_host)?)),
        }
    } else if text.parse::<Ipv6Addr>().is_ok() {
        (text, None)
    } else {
        match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err(bad_host());
    }
    let port = match port.map(str::parse) {
        None => HostPort::PORT_DEFAULT,
        Some(Ok(port)) if port != 0 => port,
        Some(_) => return Err(ConnectStringError::BadPort(text.to_owned())),
    };
    Ok(HostPort {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<String>, Option<String>) {
        let parsed: ConnectString = text.parse().unwrap();
        (
            parsed.hosts.iter().map(ToString::to_string).collect(),
            parsed.chroot,
        )
    }

    #[test]
    fn accepted_connect_strings() {
        let hosts = |list: &[&str]| list.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>();
        for (text, expected, chroot) in [
            ("a", &["a:2181"][..], None),
            ("a:1,b", &["a:1", "b:2181"], None),
            (" a , b:2 /x/y", &["a:2181", "b:2"], Some("/x/y")),
            ("a:1,/", &["a:1"], None),
            (
                "[::1]:5,[fe80::2],::3",
                &["[::1]:5", "[fe80::2]:2181", "[::3]:2181"],
                None,
            ),
        ] {
            assert_eq!(
                parsed(text),
                (hosts(expected), chroot.map(str::to_owned)),
                "{text:?}"
            );
        }
    }

    #[test]
    fn refused_connect_strings() {
        for text in [
            "", ",", "/a", "a:0", "a:x", "a:70000", "[::1", "[::1]5", ":1", "a/b/", "a//b",
        ] {
            assert!(text.parse::<ConnectString>().is_err(), "{text:?}");
        }
    }
}
