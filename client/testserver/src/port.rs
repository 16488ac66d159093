//! A port that nobody else gets.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port of loopback, kept from others while this lives: bound, and not listening. While no server listens there,
/// connections are refused.
#[derive(Debug)]
pub(crate) struct KeptPort {
    _socket: Socket,
    address: SocketAddr,
}

impl KeptPort {
    pub(crate) fn new() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket();
        Ok(Self {
            _socket: socket,
            address: address.ok_or(io::ErrorKind::AddrNotAvailable)?,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
