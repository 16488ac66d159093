//! An address to listen on, as it is configured.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A port and the address it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    host: Option<String>,
    address: Option<IpAddr>,
    port: u16,
}

impl Listen {
    /// All addresses of the machine.
    pub fn everywhere(port: u16) -> Self {
        Self {
            host: None,
            address: None,
            port,
        }
    }

    /// The address that `host` resolved to. An unspecified address means all, as in Java.
    pub fn at(host: impl Into<String>, address: IpAddr, port: u16) -> Self {
        let address = (!address.is_unspecified()).then_some(address);
        Self {
            host: Some(host.into()),
            address,
            port,
        }
    }

    /// The port; 0 asks the system for a free one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as it was written, if it was.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The one address it is bound to; `None` is all of them.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Whether it can be reached from other machines.
    pub fn is_open(&self) -> bool {
        self.address.is_none_or(|address| !address.is_loopback())
    }

    /// What to bind, in the order to try: all addresses are one socket of version 6 for both, or
    /// one of version 4 where the machine has no version 6.
    pub fn candidates(&self) -> Vec<SocketAddr> {
        match self.address {
            Some(address) => vec![SocketAddr::new(address, self.port)],
            None => {
                let all = [
                    IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                ];
                all.map(|address| SocketAddr::new(address, self.port))
                    .to_vec()
            }
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.address) {
            (Some(host), _) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            (Some(host), _) => write!(f, "{host}:{}", self.port),
            (None, Some(address)) => write!(f, "{}", SocketAddr::new(address, self.port)),
            (None, None) => write!(f, "0.0.0.0:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_all_of_them() {
        let listen = Listen::at("0.0.0.0", IpAddr::V4(Ipv4Addr::UNSPECIFIED), 2181);
        assert_eq!(listen.address(), None);
        assert!(listen.is_open());
        assert_eq!(listen.candidates(), Listen::everywhere(2181).candidates());
    }

    #[test]
    fn loopback_is_not_open() {
        let listen = Listen::at("::1", IpAddr::V6(Ipv6Addr::LOCALHOST), 2181);
        assert!(!listen.is_open());
        assert_eq!(listen.to_string(), "[::1]:2181");
        assert_eq!(listen.candidates().len(), 1);
    }
}
