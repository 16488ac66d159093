//! The two things that reading a configuration asks of the outside: files and host names.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;

use crate::properties::BYTES_MAX;

/// Files and names as the process sees them. Tests and fuzzers bring their own.
pub trait World {
    /// The content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The address of a host name or of an address written out.
    fn resolve(&self, host: &str) -> io::Result<IpAddr>;
}

/// The machine that the process runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl World for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // One byte more than a configuration may have is enough to refuse it.
        let mut bytes = Vec::new();
        File::open(path)?
            .take(BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn resolve(&self, host: &str) -> io::Result<IpAddr> {
        let addresses: Vec<IpAddr> = (host, 0).to_socket_addrs()?.map(|a| a.ip()).collect();
        // Java takes an address of version 4 where a name has both.
        let preferred = addresses.iter().find(|a| a.is_ipv4()).or(addresses.first());
        preferred
            .copied()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
    }
}

/// Nothing outside: no file exists and only addresses written out resolve.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl World for Nowhere {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn resolve(&self, host: &str) -> io::Result<IpAddr> {
        host.parse().map_err(|_| io::ErrorKind::NotFound.into())
    }
}
