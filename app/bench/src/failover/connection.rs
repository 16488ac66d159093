//! A blocking connection of one session. What breaks it is sorted: a link that is gone is what failover is about, an
//! answer that no server of the protocol gives ends the run.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use zabra_jute::{Decode, Encode, Reader};
use zabra_proto::client::{ConnectResponse, ReplyHeader, RequestHeader};
use zabra_proto::{OpCode, Xid};

use crate::link::next_frame;
use crate::request;

/// Why a connection is of no more use.
#[derive(Debug)]
pub(crate) enum Broken {
    /// It was closed, refused or silent.
    Link(io::Error),
    /// The server answered something that is not of the protocol, or not what was asked.
    Protocol(anyhow::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Link(error)
    }
}

/// A connection that stands.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    xid: i32,
}

impl Connection {
    /// Connects and says `greeting`; each of the two may take so long.
    pub(crate) fn open(
        server: SocketAddr,
        greeting: &[u8],
        limit: Duration,
    ) -> Result<(Self, ConnectResponse), Broken> {
        let socket = TcpStream::connect_timeout(&server, limit)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TICK))?;
        socket.set_write_timeout(Some(limit))?;
        let mut connection = Self {
            socket,
            input: Vec::new(),
            output: greeting.to_vec(),
            xid: 0,
        };
        connection.flush()?;
        let begun = Instant::now();
        let frame = connection.await_frame(begun, limit)?;
        let response = ConnectResponse::decode(&mut Reader::new(&frame))
            .map_err(|error| Broken::Protocol(error.into()))?;
        Ok((connection, response))
    }

    /// Appends a request to what is to be sent.
    pub(crate) fn send(&mut self, op: OpCode, record: &impl Encode) -> Xid {
        // Negative xids have meanings of their own.
        self.xid = self.xid.checked_add(1).unwrap_or(1);
        let xid = Xid(self.xid);
        let start = self.output.len();
        self.output.extend_from_slice(&[0; 4]);
        RequestHeader { xid, op: op.code() }.encode(&mut self.output);
        record.encode(&mut self.output);
        let len = (self.output.len() - start - 4) as u32;
        self.output[start..start + 4].copy_from_slice(&len.to_be_bytes());
        xid
    }

    /// Sends it.
    pub(crate) fn flush(&mut self) -> Result<(), Broken> {
        self.socket.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// The next reply with its header; `None` when a tick has passed without one.
    pub(crate) fn receive(&mut self) -> Result<Option<(ReplyHeader, Vec<u8>)>, Broken> {
        let Some(frame) = self.next()? else {
            return Ok(None);
        };
        let header = request::reply_header(&frame).map_err(Broken::Protocol)?;
        if header.xid == Xid::NOTIFICATION {
            return Ok(None);
        }
        Ok(Some((header, frame)))
    }

    /// The next reply, which must come in so long a time and be the one to `xid`.
    pub(crate) fn await_reply(
        &mut self,
        xid: Xid,
        limit: Duration,
    ) -> Result<(ReplyHeader, Vec<u8>), Broken> {
        let frame = self.await_frame(Instant::now(), limit)?;
        let header = request::reply_header(&frame).map_err(Broken::Protocol)?;
        if header.xid != xid {
            return Err(wrong_xid(header.xid, xid));
        }
        Ok((header, frame))
    }

    fn await_frame(&mut self, begun: Instant, limit: Duration) -> Result<Vec<u8>, Broken> {
        loop {
            if let Some(frame) = self.next()? {
                return Ok(frame);
            }
            if begun.elapsed() > limit {
                return Err(silent());
            }
        }
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        loop {
            if let Some((frame, taken)) = next_frame(&self.input).map_err(Broken::Protocol)? {
                let frame = frame.to_vec();
                self.input.drain(..taken);
                return Ok(Some(frame));
            }
            let mut buffer = [0; 16 << 10];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(Broken::Link(ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A reply that is not the one that is due.
pub(crate) fn wrong_xid(found: Xid, due: Xid) -> Broken {
    let (found, due) = (found.0, due.0);
    Broken::Protocol(anyhow::anyhow!(
        "a reply with xid {found}, while {due} was due"
    ))
}

/// A server that says nothing.
pub(crate) fn silent() -> Broken {
    Broken::Link(io::Error::new(ErrorKind::TimedOut, "no answer"))
}

/// How long a read waits, after which its caller looks at the clock.
const TICK: Duration = Duration::from_millis(50);
