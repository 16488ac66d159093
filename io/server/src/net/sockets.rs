//! The sockets of the connections.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};

use zabra_proto::{ConnId, MonoMillis};

use super::{Interest, Poller, Source};

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// So many bytes; there may be more, and the poller tells.
    Bytes(usize),
    /// None, for now.
    Nothing,
    /// The client ended the connection, or it broke.
    Ended,
}

/// What a send did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendOutcome {
    /// So many bytes went.
    Sent(usize),
    /// The connection is gone.
    Ended,
}

/// The sockets by their [`ConnId`], each with what the poller watches it for.
///
/// Sockets never block: what does not fit is left to the next time the poller reports room (R10, pitfalls P67).
#[derive(Debug)]
pub struct Sockets {
    slots: Vec<Option<Socket>>,
    poller: Poller,
}

#[derive(Debug)]
struct Socket {
    conn: ConnId,
    stream: TcpStream,
    address: IpAddr,
    interest: Interest,
    /// When the wait for the last bytes of a closing connection ends.
    linger_until: Option<MonoMillis>,
}

impl Sockets {
    /// None yet; they will be watched by `poller`.
    #[must_use]
    pub fn new(poller: Poller) -> Self {
        Self {
            slots: Vec::new(),
            poller,
        }
    }

    /// The poller that watches them.
    #[must_use]
    pub fn poller(&self) -> &Poller {
        &self.poller
    }

    /// Takes in a socket that does not block, and watches it for bytes.
    pub fn insert(&mut self, conn: ConnId, stream: TcpStream, address: IpAddr) -> io::Result<()> {
        self.poller
            .add(&stream, Source::Conn(conn), Interest::READ)?;
        let index = index(conn);
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let interest = Interest::READ;
        self.slots[index] = Some(Socket {
            conn,
            stream,
            address,
            interest,
            linger_until: None,
        });
        Ok(())
    }

    /// Closes a socket, and gives the address that its client had.
    pub fn remove(&mut self, conn: ConnId) -> Option<IpAddr> {
        let slot = self.slots.get_mut(index(conn))?;
        let socket = slot.take_if(|socket| socket.conn == conn)?;
        Some(socket.address)
    }

    /// Reads once.
    pub fn read(&mut self, conn: ConnId, into: &mut [u8]) -> ReadOutcome {
        let Some(socket) = self.socket(conn) else {
            return ReadOutcome::Nothing;
        };
        loop {
            return match socket.stream.read(into) {
                Ok(0) => ReadOutcome::Ended,
                Ok(n) => ReadOutcome::Bytes(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => ReadOutcome::Nothing,
                Err(_) => ReadOutcome::Ended,
            };
        }
    }

    /// Sends as much of `bytes` as the socket has room for, as a rule in one call.
    pub fn send(&mut self, conn: ConnId, bytes: &[u8]) -> SendOutcome {
        let Some(socket) = self.socket(conn) else {
            return SendOutcome::Ended;
        };
        let mut sent = 0;
        while sent < bytes.len() {
            match socket.stream.write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return SendOutcome::Ended,
            }
        }
        SendOutcome::Sent(sent)
    }

    /// Changes what a socket is watched for, if it is not that already.
    pub fn watch(&mut self, conn: ConnId, change: impl FnOnce(&mut Interest)) -> io::Result<()> {
        let Some(socket) = self.slots.get_mut(index(conn)).and_then(Option::as_mut) else {
            return Ok(());
        };
        let mut interest = socket.interest;
        change(&mut interest);
        if socket.conn == conn && interest != socket.interest {
            self.poller
                .change(&socket.stream, Source::Conn(conn), interest)?;
            socket.interest = interest;
        }
        Ok(())
    }

    /// What a socket is watched for.
    #[must_use]
    pub fn interest(&self, conn: ConnId) -> Option<Interest> {
        let socket = self.slots.get(index(conn))?.as_ref()?;
        (socket.conn == conn).then_some(socket.interest)
    }

    /// Says to a client that nothing more comes.
    pub fn finish(&mut self, conn: ConnId) {
        if let Some(socket) = self.socket(conn) {
            // An error means that the client is gone already.
            let _ = socket.stream.shutdown(Shutdown::Write);
        }
    }

    /// Notes that a connection is only kept for its last bytes, and until when.
    pub fn linger(&mut self, conn: ConnId, until: MonoMillis) {
        if let Some(socket) = self.socket(conn) {
            socket.linger_until.get_or_insert(until);
        }
    }

    /// The connections whose last bytes nobody took in time: closing needs no help of the other side (pitfalls P68).
    #[must_use]
    pub fn lingered_out(&self, now: MonoMillis) -> Vec<ConnId> {
        let sockets = self.slots.iter().flatten();
        sockets
            .filter(|socket| socket.linger_until.is_some_and(|until| until <= now))
            .map(|s| s.conn)
            .collect()
    }

    fn socket(&mut self, conn: ConnId) -> Option<&mut Socket> {
        self.slots
            .get_mut(index(conn))?
            .as_mut()
            .filter(|socket| socket.conn == conn)
    }
}

/// The low half of an id is a slot, as `zabra-serve` gives them out.
fn index(conn: ConnId) -> usize {
    (conn.0 & u64::from(u32::MAX)) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::net::TcpListener;

    use super::*;

    const OLD: ConnId = ConnId(1 << 32);
    const NEW: ConnId = ConnId(2 << 32);

    fn connect(sockets: &mut Sockets, conn: ConnId) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        sockets.insert(conn, stream, peer.ip()).unwrap();
        client
    }

    fn no_sockets() -> Sockets {
        Sockets::new(Poller::new().unwrap())
    }

    #[test]
    fn the_id_of_a_closed_connection_reaches_nobody_in_the_slot_it_had() {
        let mut sockets = no_sockets();
        let _gone = connect(&mut sockets, OLD);
        assert!(sockets.remove(OLD).is_some());
        let mut client = connect(&mut sockets, NEW);
        assert_eq!(sockets.send(OLD, b"late reply"), SendOutcome::Ended);
        assert_eq!(sockets.remove(OLD), None);
        assert_eq!(sockets.send(NEW, b"reply"), SendOutcome::Sent(5));
        let mut got = [0; 5];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"reply");
    }

    #[test]
    fn a_client_that_does_not_read_takes_what_fits_and_holds_nobody_up() {
        let mut sockets = no_sockets();
        let _client = connect(&mut sockets, OLD);
        let out = vec![0; 24 << 20];
        let SendOutcome::Sent(sent) = sockets.send(OLD, &out) else {
            panic!("the client is there")
        };
        assert!(sent > 0 && sent < out.len());
        assert_eq!(sockets.send(OLD, &out), SendOutcome::Sent(0));
    }

    #[test]
    fn the_end_of_a_client_is_told_from_its_silence() {
        let mut sockets = no_sockets();
        let client = connect(&mut sockets, OLD);
        let mut scratch = [0; 16];
        assert_eq!(sockets.read(OLD, &mut scratch), ReadOutcome::Nothing);
        drop(client);
        let mut ready = VecDeque::new();
        sockets.poller().wait(&mut ready, None).unwrap();
        assert_eq!(ready[0].source, Source::Conn(OLD));
        assert_eq!(sockets.read(OLD, &mut scratch), ReadOutcome::Ended);
    }

    #[test]
    fn a_socket_that_is_not_watched_for_bytes_is_not_reported() {
        let mut sockets = no_sockets();
        let mut client = connect(&mut sockets, OLD);
        sockets
            .watch(OLD, |interest| interest.read = false)
            .unwrap();
        client.write_all(b"get").unwrap();
        let mut ready = VecDeque::new();
        sockets
            .poller()
            .wait(&mut ready, Some(std::time::Duration::ZERO))
            .unwrap();
        assert!(ready.is_empty());
        sockets.watch(OLD, |interest| interest.read = true).unwrap();
        sockets.poller().wait(&mut ready, None).unwrap();
        assert!(ready[0].read && !ready[0].write);
    }

    #[test]
    fn the_wait_for_the_last_bytes_ends() {
        let mut sockets = no_sockets();
        let _client = connect(&mut sockets, OLD);
        sockets.linger(OLD, MonoMillis(10));
        sockets.linger(OLD, MonoMillis(99));
        assert!(sockets.lingered_out(MonoMillis(9)).is_empty());
        assert_eq!(sockets.lingered_out(MonoMillis(10)), [OLD]);
    }
}
