//! Hosts and ports as configurations write them.

use std::fmt;
use std::net::Ipv6Addr;

/// A host, by name or by number, and a port. Never resolved here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// A name or an address; IPv6 without its brackets.
    pub host: String,
    /// From 0 on; 0 lets the system choose.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Bracketed(&self.host), self.port)
    }
}

/// A host as it is written where a port may follow.
pub(crate) struct Bracketed<'a>(pub(crate) &'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') {
            write!(f, "[{}]", self.0)
        } else {
            f.write_str(self.0)
        }
    }
}

/// Takes the host, in brackets if it is IPv6, off the front; what follows its colon is the rest, if there is one.
pub(crate) fn split_host(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    let (host, rest, is_ipv6) = if let Some(inner) = text.strip_prefix('[') {
        let (host, rest) = inner
            .split_once(']')
            .ok_or("a bracket is opened and not closed")?;
        let rest = match rest.strip_prefix(':') {
            Some(rest) => Some(rest),
            None if rest.is_empty() => None,
            None => return Err("only a colon may follow the closing bracket"),
        };
        (host, rest, true)
    } else {
        match text.split_once(':') {
            Some((host, rest)) => (host, Some(rest), false),
            None => (text, None, false),
        }
    };
    let fits = if is_ipv6 {
        is_ipv6_literal(host)
    } else {
        is_name(host)
    };
    if fits {
        Ok((host, rest))
    } else {
        Err("not a host name or address")
    }
}

/// The parts between separators as Java sees them: empty ones at the end are none, but one part stays.
pub(crate) fn split(text: &str, by: char) -> impl Iterator<Item = &str> {
    text.trim_end_matches(by).split(by)
}

/// An IPv6 address as Java writes it, with all its groups, so that each address has one text; anything else as it is.
pub(crate) fn canonical_host(host: &str) -> String {
    let (address, zone) = match host.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (host, None),
    };
    let Ok(address) = address.parse::<Ipv6Addr>() else {
        return host.to_owned();
    };
    if let Some(mapped) = address.to_ipv4_mapped() {
        return mapped.to_string();
    }
    let groups = address.segments().map(|group| format!("{group:x}"));
    let zone = zone.map_or_else(String::new, |zone| format!("%{zone}"));
    groups.join(":") + &zone
}

/// A port in decimal digits.
pub(crate) fn parse_port(text: &str) -> Result<u16, &'static str> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal
        .then(|| text.parse().ok())
        .flatten()
        .ok_or("a port is a number from 0 to 65535")
}

fn is_name(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty() && host.len() <= HOST_LEN_MAX && host.bytes().all(plain)
}

fn is_ipv6_literal(host: &str) -> bool {
    let (address, zone) = match host.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (host, None),
    };
    let plain = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    host.len() <= HOST_LEN_MAX
        && address.contains(':')
        && address.bytes().all(plain)
        && zone.is_none_or(is_name)
}

/// No name of the DNS is longer.
const HOST_LEN_MAX: usize = 255;
