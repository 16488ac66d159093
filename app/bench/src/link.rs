//! One session's connection: bytes out, frames in, and what is outstanding between them.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use socket2::{Domain, Socket, Type};
use zabra_proto::{SessionId, Xid};

use crate::request::Template;

/// A moment of the run's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nanos(pub(crate) u64);

impl Nanos {
    /// This much later.
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_nanos() as u64))
    }

    /// Seconds since the clock began.
    pub(crate) fn seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// From `earlier` to here.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The clock of one run; copies agree with each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that begins at zero.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// The present moment.
    pub(crate) fn now(self) -> Nanos {
        Nanos(self.0.elapsed().as_nanos() as u64)
    }
}

/// A request whose reply has not come yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    /// When it should have been sent: in a closed loop that is when it was.
    pub(crate) due: Nanos,
    /// When it was put in the send buffer.
    pub(crate) sent: Nanos,
    /// Its xid, which the reply must carry.
    pub(crate) xid: Xid,
    /// Which of the job's templates it is.
    pub(crate) template: u8,
}

/// A connection and its session.
#[derive(Debug)]
pub(crate) struct Link {
    /// Its number, from 0.
    pub(crate) index: usize,
    /// When the connection was begun.
    pub(crate) begun: Nanos,
    /// The session, once the server has granted it.
    pub(crate) session: SessionId,
    /// After so long without a request the server ends the session.
    pub(crate) timeout: Duration,
    /// Requests in the order in which they were sent, which is that of the replies.
    pub(crate) pending: VecDeque<Pending>,
    socket: TcpStream,
    server: SocketAddr,
    /// The beginning of a frame that is not complete.
    partial: Vec<u8>,
    output: Vec<u8>,
    xid: i32,
    /// Whether the loop watches for room to write.
    pub(crate) awaits_room: bool,
}

impl Link {
    /// Begins to connect; `greeting` is sent as soon as the connection stands.
    pub(crate) fn connect(
        index: usize,
        server: SocketAddr,
        greeting: &[u8],
        now: Nanos,
    ) -> Result<Self> {
        let open = || {
            let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            socket.set_tcp_nodelay(true)?;
            match socket.connect(&server.into()) {
                Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
                _ => Ok(socket),
            }
        };
        let socket = open().with_context(|| format!("cannot connect to {server}"))?;
        Ok(Self {
            index,
            begun: now,
            session: SessionId::NONE,
            timeout: Duration::ZERO,
            pending: VecDeque::new(),
            socket: socket.into(),
            server,
            partial: Vec::new(),
            output: greeting.to_vec(),
            xid: 0,
            awaits_room: true,
        })
    }

    /// For the epoll instance.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Appends a request to what is to be sent, which was due at `due`.
    #[inline]
    pub(crate) fn send(
        &mut self,
        template: &Template,
        number: u8,
        key: u64,
        due: Nanos,
        now: Nanos,
    ) {
        let xid = if template.has_fixed_xid() {
            Xid::PING
        } else {
            // Negative xids have meanings of their own.
            self.xid = self.xid.checked_add(1).unwrap_or(1);
            Xid(self.xid)
        };
        template.emit(xid, key, &mut self.output);
        self.pending.push_back(Pending {
            due,
            sent: now,
            xid,
            template: number,
        });
    }

    /// Sends what the connection takes; whether something is left.
    pub(crate) fn flush(&mut self) -> Result<bool> {
        let mut written = 0;
        while written < self.output.len() {
            match self.socket.write(&self.output[written..]) {
                Ok(0) => bail!(self.closed()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.output.drain(..written);
        Ok(!self.output.is_empty())
    }

    /// Reads once into `buffer`, behind the frame begun before; how many bytes of the buffer count.
    pub(crate) fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        let begun = self.partial.len();
        let wanted = match self.partial.first_chunk() {
            Some(length) => frame_len(*length).with_context(|| self.name())? + 4,
            None => 4,
        };
        if buffer.len() < wanted.max(begun + 1) {
            buffer.resize(wanted.max(begun + 1), 0);
        }
        buffer[..begun].copy_from_slice(&self.partial);
        self.partial.clear();
        loop {
            match self.socket.read(&mut buffer[begun..]) {
                Ok(0) => bail!(self.closed()),
                Ok(count) => return Ok(begun + count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(begun),
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// Keeps the beginning of a frame for the next [`Self::receive`].
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.partial.extend_from_slice(rest);
    }

    /// How messages name this session.
    pub(crate) fn name(&self) -> String {
        let (number, server) = (self.index + 1, self.server);
        if self.session == SessionId::NONE {
            format!("connection {number} to {server}")
        } else {
            format!("session {number} ({}) at {server}", self.session)
        }
    }

    fn closed(&self) -> String {
        let name = self.name();
        if self.session == SessionId::NONE {
            return format!(
                "{name}: closed before a session was granted; is the server serving, and does it allow so many \
                 connections from one address (maxClientCnxns)?"
            );
        }
        let outstanding = self.pending.len();
        format!("{name}: closed by the server with {outstanding} requests outstanding")
    }

    fn failed(&self, error: std::io::Error) -> anyhow::Error {
        match error.kind() {
            ErrorKind::ConnectionRefused => {
                anyhow::anyhow!("nothing listens at {} (connection refused)", self.server)
            }
            // A close with requests unread arrives as a reset.
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => anyhow::anyhow!(self.closed()),
            _ => anyhow::Error::new(error).context(self.name()),
        }
    }
}

/// The first whole frame of `bytes` and how many bytes it takes with its length; `None` when there is none yet.
#[inline]
pub(crate) fn next_frame(bytes: &[u8]) -> Result<Option<(&[u8], usize)>> {
    let Some(length) = bytes.first_chunk() else {
        return Ok(None);
    };
    let end = 4 + frame_len(*length)?;
    Ok(bytes.get(4..end).map(|frame| (frame, end)))
}

fn frame_len(length: [u8; 4]) -> Result<usize> {
    let length = i32::from_be_bytes(length);
    match usize::try_from(length) {
        Ok(length) if length <= FRAME_MAX => Ok(length),
        _ => bail!("a frame of {length} bytes: this is no server of the protocol"),
    }
}

/// No reply that is asked for here comes near.
const FRAME_MAX: usize = 16 << 20;
/// `EINPROGRESS`: the connection is on its way.
const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_only_when_it_is_whole() {
        let bytes = [0, 0, 0, 2, 7, 8, 0, 0];
        assert_eq!(next_frame(&bytes).unwrap(), Some((&[7, 8][..], 6)));
        assert_eq!(next_frame(&bytes[..5]).unwrap(), None);
        assert_eq!(next_frame(&bytes[..3]).unwrap(), None);
    }

    #[test]
    fn a_length_that_no_server_sends_is_refused() {
        assert!(next_frame(&[0xff; 4]).is_err());
        assert!(next_frame(b"HTTP").is_err());
    }
}
