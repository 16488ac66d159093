//! Listening for other servers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tracing::warn;
use zabra_config::BindAt;
use zabra_quorum::HostPort;

use super::dialer;
use crate::net::{Listener, ListenerOptions};

/// A port for other servers cannot be opened.
#[derive(Debug, Error)]
#[error("cannot listen for other servers on {at}: {error}")]
pub struct BindError {
    at: String,
    #[source]
    error: io::Error,
}

/// Between two attempts (quorum 4.4).
const PAUSE: Duration = Duration::from_secs(1);

/// Opens all ports. A name that cannot be resolved is no worse than a port that is taken.
pub(crate) fn bind(at: &[BindAt], keep_alive: bool) -> Result<Vec<Listener>, BindError> {
    let mut listeners: Vec<Listener> = Vec::new();
    for (already, at) in at.iter().enumerate().map(|(n, bind)| (&at[..n], bind)) {
        // Several addresses with one port are one wildcard.
        if already.contains(at) {
            continue;
        }
        let address = match at {
            BindAt::Everywhere(_) => None,
            BindAt::Host(host) => Some(own_address(host)?),
        };
        let listener = Listener::bind(&ListenerOptions {
            address,
            port: at.port(),
            backlog: None,
            keep_alive,
        });
        listeners.push(listener.map_err(|error| BindError {
            at: shown(at),
            error,
        })?);
    }
    Ok(listeners)
}

/// Tries that often, or for ever, with pauses (`electionPortBindRetry`).
pub(crate) fn bind_patiently(
    at: &[BindAt],
    keep_alive: bool,
    attempts: Option<u32>,
) -> Result<Vec<Listener>, BindError> {
    let mut made = 0;
    loop {
        made += 1;
        match bind(at, keep_alive) {
            Err(error) if attempts.is_none_or(|attempts| made < attempts) => {
                warn!("{error}; trying again");
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

fn shown(at: &BindAt) -> String {
    match at {
        BindAt::Everywhere(port) => format!("*:{port}"),
        BindAt::Host(at) => at.to_string(),
    }
}

/// A server is configured by one name that means one address, as Java takes it.
fn own_address(at: &HostPort) -> Result<IpAddr, BindError> {
    let found = dialer::resolve(std::slice::from_ref(at)).map_err(|error| BindError {
        at: at.to_string(),
        error: io::Error::other(error.to_string()),
    })?;
    let first = found.first().map(SocketAddr::ip);
    first.ok_or_else(|| BindError {
        at: at.to_string(),
        error: io::ErrorKind::AddrNotAvailable.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> BindAt {
        let host = host.to_owned();
        BindAt::Host(HostPort { host, port })
    }

    #[test]
    fn every_own_address_gets_a_listener_and_everywhere_one_per_port() {
        let listeners = bind(&[at("127.0.0.1", 0), at("127.0.0.2", 0)], false).unwrap();
        let hosts: Vec<String> = listeners
            .iter()
            .map(|listener| listener.address().ip().to_string())
            .collect();
        assert_eq!(hosts, ["127.0.0.1", "127.0.0.2"]);
        let port = listeners[0].address().port();
        drop(listeners);
        let everywhere = BindAt::Everywhere(port);
        let listeners = bind(&[everywhere.clone(), everywhere], false).unwrap();
        assert_eq!(listeners.len(), 1);
        assert!(listeners[0].address().ip().is_unspecified());
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let taken = bind(&[at("127.0.0.1", 0)], false).unwrap();
        let port = taken[0].address().port();
        let error = bind_patiently(&[at("127.0.0.1", port)], false, Some(1)).unwrap_err();
        let named = format!("cannot listen for other servers on 127.0.0.1:{port}: ");
        assert!(error.to_string().starts_with(&named), "{error}");
    }
}
