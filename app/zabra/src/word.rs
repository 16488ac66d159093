//! `zabra word`: a four-letter word and its answer.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server
    host: String,
    /// Its client port
    port: u16,
    /// `srvr`, `ruok`, `mntr`, ...
    word: String,
}

/// How long a server may take to connect and to answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Args { host, port, word } = args;
    let peer = || format!("{host}:{port}");
    let mut addresses = (host.as_str(), *port)
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {host}"))?;
    let address = addresses
        .next()
        .with_context(|| format!("{host} has no address"))?;
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("cannot connect to {}", peer()))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket
        .write_all(word.as_bytes())
        .with_context(|| format!("cannot send to {}", peer()))?;
    let mut answer = Vec::new();
    socket
        .read_to_end(&mut answer)
        .with_context(|| format!("no answer from {}", peer()))?;
    std::io::stdout().write_all(&answer)?;
    Ok(())
}
