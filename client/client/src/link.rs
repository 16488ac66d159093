//! One connection: its socket, and the bytes on their way in and out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tracing::warn;
use zabra_cnxn::Cnxn;
use zabra_proto::MonoMillis;

/// A connection to a server.
pub(crate) struct Link {
    stream: TcpStream,
    /// Bytes that came, from the first that is not used up; the rest is room.
    inbox: Vec<u8>,
    /// How many of the inbox have come.
    filled: usize,
    outbox: Vec<u8>,
    /// How many of the outbox are written.
    written: usize,
}

/// Whether a link can go on.
pub(crate) enum Linked {
    Up,
    Lost(io::Error),
}

impl Link {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            inbox: vec![0; READ_LEN],
            filled: 0,
            outbox: Vec::new(),
            written: 0,
        }
    }

    /// Reads once.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.filled == self.inbox.len() {
            // One frame is longer than the inbox; how long it may be was checked.
            self.inbox.resize(self.inbox.len() * 2, 0);
        }
        let room = self.inbox.get_mut(self.filled..).unwrap_or_default();
        let mut buf = ReadBuf::new(room);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
        let len = buf.filled().len();
        if len == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.filled += len;
        Poll::Ready(Ok(()))
    }

    /// Gives what has come to the session.
    pub(crate) fn take_in<C>(&mut self, cnxn: &mut Cnxn<C>, now: MonoMillis) {
        let bytes = self.inbox.get(..self.filled).unwrap_or_default();
        match cnxn.on_bytes(now, bytes) {
            Ok(used) => {
                self.inbox.copy_within(used..self.filled, 0);
                self.filled -= used;
                if self.filled == 0 && self.inbox.len() > INBOX_KEPT {
                    self.inbox.truncate(READ_LEN);
                    self.inbox.shrink_to(READ_LEN);
                }
            }
            Err(error) => warn!(%error, "the connection is given up"),
        }
    }

    /// Takes what the session wants written, if all before is.
    pub(crate) fn give_out<C>(&mut self, cnxn: &mut Cnxn<C>, now: MonoMillis) {
        if self.written == self.outbox.len() {
            self.outbox.clear();
            self.written = 0;
            if self.outbox.capacity() > INBOX_KEPT {
                self.outbox = Vec::new();
            }
            cnxn.take_out(now, &mut self.outbox);
        }
    }

    /// Writes what there is.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Linked {
        loop {
            let rest = self.outbox.get(self.written..).unwrap_or_default();
            if rest.is_empty() {
                return Linked::Up;
            }
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Pending => return Linked::Up,
                Poll::Ready(Ok(len)) => self.written += len,
                Poll::Ready(Err(error)) => return Linked::Lost(error),
            }
        }
    }
}

/// What one read may bring.
const READ_LEN: usize = 64 * 1024;
/// Buffers that grew longer are given back when they are empty.
const INBOX_KEPT: usize = 4 * READ_LEN;
