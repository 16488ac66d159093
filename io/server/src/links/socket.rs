//! A socket between two servers: it never blocks, and what does not fit waits behind it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::net::{Interest, Poller, Source};

/// How sockets between servers are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketOptions {
    /// `tcpKeepAlive`.
    pub(crate) keep_alive: bool,
    /// Sent bytes that nobody acknowledges for so long end the connection: the other host is gone (pitfalls P66).
    pub(crate) unacknowledged_max: Duration,
}

/// A watched socket with its output.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    source: Source,
    interest: Interest,
    out: Vec<u8>,
    /// How much of `out` has gone.
    sent: usize,
    is_detached: bool,
}

/// With so much gone from the front of the output, the rest moves up.
const SENT_KEPT_MAX: usize = 1 << 20;

impl Socket {
    /// Takes in a connected socket, and watches it for bytes.
    pub(crate) fn new(
        stream: TcpStream,
        source: Source,
        options: SocketOptions,
        poller: &Poller,
    ) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let socket = socket2::SockRef::from(&stream);
        socket.set_keepalive(options.keep_alive)?;
        socket.set_tcp_user_timeout(Some(options.unacknowledged_max))?;
        poller.add(&stream, source, Interest::READ)?;
        Ok(Self {
            stream,
            source,
            interest: Interest::READ,
            out: Vec::new(),
            sent: 0,
            is_detached: false,
        })
    }

    /// Reads once: so many bytes, or none for now. The end of the stream is an error.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(into) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "it was closed")),
                Ok(n) => return Ok(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    }

    /// Where output is appended; [`Self::flush`] sends it.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        if self.sent > SENT_KEPT_MAX {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.out
    }

    /// How much output waits.
    pub(crate) fn unsent_len(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Sends what the socket has room for, and has the poller tell when there is room for the rest.
    pub(crate) fn flush(&mut self, poller: &Poller) -> io::Result<()> {
        while self.sent < self.out.len() {
            match self
                .stream
                .write(self.out.get(self.sent..).unwrap_or_default())
            {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.sent == self.out.len() {
            self.sent = 0;
            self.out.clear();
            self.out.shrink_to(SENT_KEPT_MAX);
        }
        let left = self.unsent_len() > 0;
        self.watch(poller, |interest| interest.write = left)
    }

    /// Takes the output away, to be sent by somebody else.
    pub(crate) fn take_unsent(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        out.drain(..self.sent);
        self.sent = 0;
        out
    }

    /// Changes what it is watched for.
    pub(crate) fn watch(
        &mut self,
        poller: &Poller,
        change: impl FnOnce(&mut Interest),
    ) -> io::Result<()> {
        let mut interest = self.interest;
        change(&mut interest);
        if interest != self.interest {
            if !self.is_detached {
                poller.change(&self.stream, self.source, interest)?;
            }
            self.interest = interest;
        }
        Ok(())
    }

    /// Has the poller report nothing of it any more, not even its end.
    pub(crate) fn detach(&mut self, poller: &Poller) -> io::Result<()> {
        self.is_detached = true;
        poller.remove(&self.stream)
    }

    /// Undoes [`Self::detach`].
    pub(crate) fn attach(&mut self, poller: &Poller) -> io::Result<()> {
        self.is_detached = false;
        poller.add(&self.stream, self.source, self.interest)
    }

    /// Another handle of the same socket, for a thread of its own.
    pub(crate) fn share(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Ends both directions, also for whoever shares it.
    pub(crate) fn shut(&self) {
        // An error means that the other side is gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
