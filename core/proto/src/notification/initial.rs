//! The initial message: who connected to the election port, and where that server listens itself (quorum 4.1).

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use thiserror::Error;
use zabra_jute::{Encode, Text};

use crate::Sid;

/// The longest list of addresses, in bytes.
pub const ADDRESSES_LEN_MAX: usize = 2048;

/// First long of a message with one address; the only one that 3.5 knows.
const SINGLE: i64 = -65_536;
/// First long of a message with a list of addresses.
const LIST: i64 = -65_535;

/// How an initial message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InitialForm {
    /// Before 3.5: only the sid.
    Bare,
    /// Protocol version −65536: one address.
    Single,
    /// Protocol version −65535: several addresses, joined by `|`. Sent only if `multiAddress.enabled`.
    List,
}

/// Bytes that are no initial message, or values that make none. The connection is closed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InitialError {
    /// The first long is negative and no known version.
    #[error("unknown protocol version {0} in an initial message")]
    UnknownVersion(i64),
    /// The addresses are too long, or there are none.
    #[error(
        "addresses of {0} bytes in an initial message, where 1 to {ADDRESSES_LEN_MAX} are allowed"
    )]
    AddressesLength(i64),
    /// An address without a host or a port.
    #[error("the address {0:?} in an initial message is not host:port")]
    Address(String),
}

/// Where a server listens for the others: `host:port`, an IPv6 literal as `[host]:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ElectionAddress<'a> {
    /// A name or a literal address, as configured, without brackets.
    pub host: Text<'a>,
    /// The election port.
    pub port: u16,
}

impl<'a> ElectionAddress<'a> {
    fn parse(text: Text<'a>) -> Result<Self, InitialError> {
        let parsed = match &text {
            Cow::Borrowed(text) => Self::split(text).map(|(host, port)| (host.into(), port)),
            Cow::Owned(text) => {
                Self::split(text).map(|(host, port)| (Text::Owned(host.to_owned()), port))
            }
        };
        match parsed {
            Some((host, port)) => Ok(Self { host, port }),
            None => Err(InitialError::Address(text.into_owned())),
        }
    }

    fn split(text: &str) -> Option<(&str, u16)> {
        let (host, port) = match text.strip_prefix('[') {
            Some(literal) => literal.split_once("]:")?,
            // A colon in the host would be an IPv6 literal without brackets: nobody can say where its port begins.
            None => text
                .split_once(':')
                .filter(|(_, port)| !port.contains(':'))?,
        };
        let is_host = !host.is_empty() && !host.contains(['[', ']']);
        Some((host, port.parse().ok()?)).filter(|_| is_host)
    }

    /// Whether it means every address of its host, and so says nothing to another one.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_unspecified())
    }
}

impl fmt::Display for ElectionAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What the side that connected says first; nothing is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialMessage<'a> {
    /// How it is written.
    pub form: InitialForm,
    /// Who connected.
    pub sid: Sid,
    /// Where it listens; nothing in the bare form. Receivers take a list in both other forms.
    pub addresses: Vec<ElectionAddress<'a>>,
}

impl<'a> InitialMessage<'a> {
    /// The message at the start of a connection's bytes, and how many of them it takes; `None` if more are needed.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<(Self, usize)>, InitialError> {
        let Some((first, rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        let form = match i64::from_be_bytes(*first) {
            sid @ 0.. => {
                let message = Self {
                    form: InitialForm::Bare,
                    sid: Sid(sid),
                    addresses: Vec::new(),
                };
                return Ok(Some((message, first.len())));
            }
            SINGLE => InitialForm::Single,
            LIST => InitialForm::List,
            version => return Err(InitialError::UnknownVersion(version)),
        };
        let Some((sid, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let Some((len, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let claimed = i32::from_be_bytes(*len);
        let Ok(len @ 1..=ADDRESSES_LEN_MAX) = usize::try_from(claimed) else {
            return Err(InitialError::AddressesLength(claimed.into()));
        };
        let Some(text) = rest.get(..len) else {
            return Ok(None);
        };
        let message = Self {
            form,
            sid: Sid(i64::from_be_bytes(*sid)),
            addresses: Self::parse_addresses(text)?,
        };
        Ok(Some((message, 20 + len)))
    }

    fn parse_addresses(text: &'a [u8]) -> Result<Vec<ElectionAddress<'a>>, InitialError> {
        text.split(|byte| *byte == b'|')
            .map(|address| ElectionAddress::parse(String::from_utf8_lossy(address)))
            .collect()
    }

    /// The addresses that another server can connect to. If there are none, its configured ones are used.
    pub fn reachable(&self) -> impl Iterator<Item = &ElectionAddress<'a>> {
        self.addresses
            .iter()
            .filter(|address| !address.is_wildcard())
    }

    /// Appends the message; it must be sent in one segment (quorum 4.1). Nothing is appended if receivers would
    /// refuse it.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), InitialError> {
        let version = match self.form {
            InitialForm::Bare if self.sid.0 < 0 => {
                return Err(InitialError::UnknownVersion(self.sid.0));
            }
            InitialForm::Bare => {
                self.sid.encode(out);
                return Ok(());
            }
            InitialForm::Single => SINGLE,
            InitialForm::List => LIST,
        };
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let text = addresses.join("|");
        if !(1..=ADDRESSES_LEN_MAX).contains(&text.len()) {
            return Err(InitialError::AddressesLength(text.len() as i64));
        }
        version.encode(out);
        self.sid.encode(out);
        text.as_str().encode(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(version: i64, len: i32, addresses: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        version.encode(&mut bytes);
        2i64.encode(&mut bytes);
        len.encode(&mut bytes);
        bytes.extend_from_slice(addresses.as_bytes());
        bytes
    }

    fn list(addresses: &str) -> Result<Vec<String>, InitialError> {
        let bytes = message(LIST, addresses.len() as i32, addresses);
        let (message, len) = InitialMessage::decode(&bytes)?.unwrap();
        assert_eq!(len, bytes.len());
        Ok(message.reachable().map(ToString::to_string).collect())
    }

    #[test]
    fn a_first_long_that_is_not_negative_is_the_sid_of_an_old_server() {
        for sid in [0, 5, i64::MAX] {
            let bytes = sid.to_be_bytes();
            let (message, len) = InitialMessage::decode(&bytes).unwrap().unwrap();
            assert_eq!(
                (message.form, message.sid.0, len),
                (InitialForm::Bare, sid, 8)
            );
            let mut again = Vec::new();
            message.encode(&mut again).unwrap();
            assert_eq!(again, bytes);
        }
    }

    #[test]
    fn unknown_versions_are_refused_at_once() {
        for version in [-1, -65_534, -65_537, i64::MIN] {
            let refused = Err(InitialError::UnknownVersion(version));
            assert_eq!(InitialMessage::decode(&version.to_be_bytes()), refused);
        }
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_the_addresses_arrive() {
        for len in [0, -1, 2049, i32::MAX, i32::MIN] {
            let refused = Err(InitialError::AddressesLength(len.into()));
            assert_eq!(InitialMessage::decode(&message(SINGLE, len, "")), refused);
        }
        assert_eq!(
            InitialMessage::decode(&message(SINGLE, 2048, "a")),
            Ok(None)
        );
    }

    #[test]
    fn a_list_too_long_for_receivers_is_not_sent() {
        let mut out = Vec::new();
        let mut host = "h".repeat(ADDRESSES_LEN_MAX - 1);
        let refused = InitialError::AddressesLength(ADDRESSES_LEN_MAX as i64 + 1);
        for expected in [Err(refused), Ok(())] {
            let message = InitialMessage {
                form: InitialForm::Single,
                sid: Sid(1),
                addresses: vec![ElectionAddress {
                    host: host.as_str().into(),
                    port: 1,
                }],
            };
            assert_eq!(message.encode(&mut out), expected);
            host.pop();
        }
        assert_eq!(out.len(), 20 + ADDRESSES_LEN_MAX);
    }

    #[test]
    fn ipv6_literals_stand_in_brackets() {
        assert_eq!(
            list("[fe80::1]:31032|b:2").unwrap(),
            ["[fe80::1]:31032", "b:2"]
        );
    }

    #[test]
    fn wildcards_are_not_reachable() {
        assert_eq!(list("0.0.0.0:1|[::]:2|c:3").unwrap(), ["c:3"]);
        assert!(list("0.0.0.0:1").unwrap().is_empty());
    }

    #[test]
    fn an_address_that_is_not_host_and_port_is_refused() {
        for address in [
            "a",
            "a:",
            ":1",
            "a:65536",
            "a:-1",
            "fe80::1:2",
            "[fe80::1]2",
            "a:1|",
        ] {
            assert!(
                matches!(list(address), Err(InitialError::Address(_))),
                "{address}"
            );
        }
    }
}
