//! The listening socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, Socket, Type};

/// How to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerOptions {
    /// `clientPortAddress`; none for every address of the machine.
    pub address: Option<IpAddr>,
    /// `clientPort`; 0 lets the system choose.
    pub port: u16,
    /// `clientPortListenBacklog`; none for as many as the system allows.
    pub backlog: Option<u32>,
    /// `clientTcpKeepAlive`.
    pub keep_alive: bool,
}

/// What accepting gave.
#[derive(Debug)]
pub enum Accepted {
    /// A connection that does not block.
    Conn(TcpStream, SocketAddr),
    /// None waits.
    Nothing,
    /// None can be taken, for want of descriptors or memory as a rule: the listener pauses, it never ends (P74).
    Exhausted(io::Error),
}

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds and listens.
    pub fn bind(options: &ListenerOptions) -> io::Result<Self> {
        let port = options.port;
        let socket = match options.address {
            Some(address) => open(SocketAddr::new(address, port), options)?,
            // One socket for IPv6 and IPv4 as Java has it, unless the machine knows no IPv6.
            None => match open(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), options) {
                Ok(socket) => socket,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
                Err(_) => open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), options)?,
            },
        };
        let socket = TcpListener::from(socket);
        Ok(Self {
            address: socket.local_addr()?,
            socket,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes one connection that waits.
    pub fn accept(&self) -> Accepted {
        loop {
            match rustix::net::acceptfrom_with(
                &self.socket,
                SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            ) {
                Ok((fd, Some(peer))) => {
                    let Ok(peer) = SocketAddr::try_from(peer) else {
                        continue;
                    };
                    return Accepted::Conn(TcpStream::from(fd), canonical(peer));
                }
                Err(Errno::WOULDBLOCK) => return Accepted::Nothing,
                // A connection that ended while it waited, or a fault of its own: the next one may be sound.
                Ok((_, None))
                | Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO | Errno::PERM) => {}
                Err(Errno::NETDOWN | Errno::NETUNREACH | Errno::HOSTDOWN | Errno::HOSTUNREACH) => {}
                Err(error) => return Accepted::Exhausted(error.into()),
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(address: SocketAddr, options: &ListenerOptions) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit these two from the listening one.
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(options.keep_alive)?;
    socket.bind(&address.into())?;
    // The kernel cuts it to net.core.somaxconn. Apache's 50 makes a storm of clients wait a second for their SYN.
    socket.listen(options.backlog.map_or(i32::MAX, |backlog| {
        i32::try_from(backlog).unwrap_or(i32::MAX)
    }))?;
    Ok(socket)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const LOOPBACK: ListenerOptions = ListenerOptions {
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        port: 0,
        backlog: None,
        keep_alive: false,
    };

    #[test]
    fn accepted_sockets_do_not_block_and_do_not_delay() {
        let listener = Listener::bind(&LOOPBACK).unwrap();
        assert!(matches!(listener.accept(), Accepted::Nothing));
        let client = TcpStream::connect(listener.address()).unwrap();
        let Accepted::Conn(mut socket, peer) = listener.accept() else {
            panic!("a connection waits")
        };
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(socket.nodelay().unwrap());
        assert_eq!(
            socket.read(&mut [0]).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn listening_everywhere_takes_ipv4_clients_under_their_own_address() {
        let listener = Listener::bind(&ListenerOptions {
            address: None,
            ..LOOPBACK
        })
        .unwrap();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, listener.address().port())).unwrap();
        let Accepted::Conn(_, peer) = listener.accept() else {
            panic!("a connection waits")
        };
        assert_eq!(peer, client.local_addr().unwrap());
    }

    #[test]
    fn a_port_that_is_taken_is_an_error() {
        let listener = Listener::bind(&LOOPBACK).unwrap();
        let options = ListenerOptions {
            port: listener.address().port(),
            ..LOOPBACK
        };
        assert_eq!(
            Listener::bind(&options).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }
}
