//! A small blocking client that shows everything: frames as they come, in the order in which they come.
//!
//! It hides nothing and repairs nothing, so that malformed requests, odd xids and lost connections can be tried. Requests
//! are built with [`Body`], which writes whatever it is told.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use zabra_jute::Reader;

/// How long an answer may take before it counts as missing.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// xid of notifications.
pub const XID_NOTIFICATION: i32 = -1;
/// xid of pings.
pub const XID_PING: i32 = -2;
/// xid of auth packets.
pub const XID_AUTH: i32 = -4;
/// xid of setWatches and setWatches2.
pub const XID_SET_WATCHES: i32 = -8;

/// Operation codes.
#[expect(missing_docs, reason = "the names are the protocol's")]
pub mod op {
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_ACL: i32 = 6;
    pub const SET_ACL: i32 = 7;
    pub const GET_CHILDREN: i32 = 8;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const GET_CHILDREN2: i32 = 12;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const RECONFIG: i32 = 16;
    pub const CHECK_WATCHES: i32 = 17;
    pub const REMOVE_WATCHES: i32 = 18;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const CREATE_TTL: i32 = 21;
    pub const MULTI_READ: i32 = 22;
    pub const AUTH: i32 = 100;
    pub const SET_WATCHES: i32 = 101;
    pub const SASL: i32 = 102;
    pub const GET_EPHEMERALS: i32 = 103;
    pub const GET_ALL_CHILDREN_NUMBER: i32 = 104;
    pub const SET_WATCHES2: i32 = 105;
    pub const ADD_WATCH: i32 = 106;
    pub const WHO_AM_I: i32 = 107;
    pub const CLOSE_SESSION: i32 = -11;
}

/// Bytes of a request, put together field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body(pub Vec<u8>);

impl Body {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A byte.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// A boolean.
    #[must_use]
    pub fn bool(self, value: bool) -> Self {
        self.u8(u8::from(value))
    }

    /// An int.
    #[must_use]
    pub fn i32(mut self, value: i32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A long.
    #[must_use]
    pub fn i64(mut self, value: i64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A buffer, or null.
    #[must_use]
    pub fn buffer(self, value: Option<&[u8]>) -> Self {
        match value {
            None => self.i32(-1),
            Some(bytes) => self.i32(length(bytes.len())).raw(bytes),
        }
    }

    /// A string.
    #[must_use]
    pub fn string(self, value: &str) -> Self {
        self.buffer(Some(value.as_bytes()))
    }

    /// A vector of strings.
    #[must_use]
    pub fn strings<S: AsRef<str>>(self, values: &[S]) -> Self {
        values
            .iter()
            .fold(self.i32(length(values.len())), |body, value| {
                body.string(value.as_ref())
            })
    }

    /// A vector of ACL entries.
    #[must_use]
    pub fn acl(self, acl: &[(i32, &str, &str)]) -> Self {
        let body = self.i32(length(acl.len()));
        acl.iter().fold(body, |body, (perms, scheme, id)| {
            body.i32(*perms).string(scheme).string(id)
        })
    }

    /// Bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// A length on the wire. Nothing that this client sends comes near the limit.
fn length(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// A frame after the handshake: a reply or a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// xid of the request, or [`XID_NOTIFICATION`].
    pub xid: i32,
    /// zxid of the header.
    pub zxid: i64,
    /// Error code of the header.
    pub err: i32,
    /// What follows the header.
    pub body: Vec<u8>,
}

/// What came, or why nothing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// A frame.
    Frame(Frame),
    /// The server closed the connection.
    Closed,
}

/// What the server granted at the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Protocol version of the response.
    pub version: i32,
    /// Granted time-out in milliseconds; 0 when refused.
    pub timeout: i32,
    /// Session id; 0 when refused.
    pub session: i64,
    /// Password.
    pub password: Vec<u8>,
    /// The read-only byte, if it was sent.
    pub read_only: Option<u8>,
}

/// What the client says at the handshake.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Highest zxid seen before.
    pub last_zxid: i64,
    /// Wanted time-out in milliseconds.
    pub timeout: i32,
    /// Session to take up again, or 0.
    pub session: i64,
    /// Its password.
    pub password: Vec<u8>,
    /// Whether to send the read-only byte (clients up to 3.3 do not), and its value.
    pub read_only: Option<bool>,
}

impl Hello {
    /// A new session.
    #[must_use]
    pub fn new(timeout: i32) -> Self {
        Self {
            last_zxid: 0,
            timeout,
            session: 0,
            password: vec![0; 16],
            read_only: Some(false),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Wire {
    socket: TcpStream,
    received: Vec<u8>,
    at: usize,
    patience: Duration,
}

impl Wire {
    /// Opens a connection without saying anything.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(addr: SocketAddr) -> Result<Self> {
        Self::open_within(addr, ANSWER_LIMIT)
    }

    fn open_within(addr: SocketAddr, patience: Duration) -> Result<Self> {
        let socket = TcpStream::connect_timeout(&addr, patience)
            .with_context(|| format!("connect to {addr}"))?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(patience))?;
        Ok(Self {
            socket,
            received: Vec::new(),
            at: 0,
            patience,
        })
    }

    /// Opens a connection and shakes hands. `None`: the server closed it instead of answering.
    ///
    /// # Errors
    /// Nobody listens, or nothing came.
    pub fn connect(addr: SocketAddr, hello: &Hello) -> Result<Option<(Self, Grant)>> {
        Self::connect_within(addr, hello, ANSWER_LIMIT)
    }

    /// The same with a bound on how long the connection and each later answer may take.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn connect_within(
        addr: SocketAddr,
        hello: &Hello,
        patience: Duration,
    ) -> Result<Option<(Self, Grant)>> {
        let mut wire = Self::open_within(addr, patience)?;
        let mut body = Body::new()
            .i32(0)
            .i64(hello.last_zxid)
            .i32(hello.timeout)
            .i64(hello.session)
            .buffer(Some(&hello.password));
        if let Some(read_only) = hello.read_only {
            body = body.bool(read_only);
        }
        wire.send_frame(&body.0)?;
        let Some(answer) = wire.frame()? else {
            return Ok(None);
        };
        let mut r = Reader::new(&answer);
        let grant = Grant {
            version: r.i32()?,
            timeout: r.i32()?,
            session: r.i64()?,
            password: r.buffer()?.unwrap_or_default().to_vec(),
            read_only: if r.is_empty() { None } else { Some(r.u8()?) },
        };
        Ok(Some((wire, grant)))
    }

    /// Sends a frame: its length, then the bytes. A connection that the server closed is not an error here; reading
    /// tells.
    ///
    /// # Errors
    /// The system refuses for another reason.
    pub fn send_frame(&mut self, bytes: &[u8]) -> Result<()> {
        let frame = Body::new().buffer(Some(bytes)).0;
        self.send_raw(&frame)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// As [`Self::send_frame`].
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        match self.socket.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(error) if is_close(error.kind()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// As [`Self::send_frame`].
    pub fn send(&mut self, xid: i32, op: i32, body: &Body) -> Result<()> {
        self.send_frame(&Body::new().i32(xid).i32(op).raw(&body.0).0)
    }

    /// The next frame.
    ///
    /// # Errors
    /// Nothing came in time, or what came is no frame with a reply header.
    pub fn receive(&mut self) -> Result<Came> {
        match self.receive_within(self.patience)? {
            Some(came) => Ok(came),
            None => bail!("no answer within {:?}", self.patience),
        }
    }

    /// The next frame, or `None` when there is none within `limit`.
    ///
    /// # Errors
    /// What came is no frame with a reply header.
    pub fn receive_within(&mut self, limit: Duration) -> Result<Option<Came>> {
        let bytes = match self.frame_within(limit)? {
            Arrival::Frame(bytes) => bytes,
            Arrival::Closed => return Ok(Some(Came::Closed)),
            Arrival::Nothing => return Ok(None),
        };
        let mut r = Reader::new(&bytes);
        let (xid, zxid, err) = (r.i32()?, r.i64()?, r.i32()?);
        Ok(Some(Came::Frame(Frame {
            xid,
            zxid,
            err,
            body: r.rest().to_vec(),
        })))
    }

    /// Sends a request and reads until its reply; what came before it is dropped.
    ///
    /// # Errors
    /// No reply.
    pub fn call(&mut self, xid: i32, op: i32, body: &Body) -> Result<Frame> {
        self.send(xid, op, body)?;
        loop {
            match self.receive()? {
                Came::Frame(frame) if frame.xid == xid => return Ok(frame),
                Came::Frame(_) => {}
                Came::Closed => bail!("closed instead of a reply to op {op}"),
            }
        }
    }

    /// The payload of the next frame; `None` when the server closed the connection.
    fn frame(&mut self) -> Result<Option<Vec<u8>>> {
        match self.frame_within(self.patience)? {
            Arrival::Frame(bytes) => Ok(Some(bytes)),
            Arrival::Closed => Ok(None),
            Arrival::Nothing => bail!("no answer within {:?}", self.patience),
        }
    }

    fn frame_within(&mut self, limit: Duration) -> Result<Arrival> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(Arrival::Frame(frame));
            }
            match self.fill(deadline)? {
                Filled::More => {}
                Filled::End => return Ok(Arrival::Closed),
                Filled::Nothing => return Ok(Arrival::Nothing),
            }
        }
    }

    fn take_frame(&mut self) -> Result<Option<Vec<u8>>> {
        let waiting = &self.received[self.at..];
        let Some((head, rest)) = waiting.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length =
            usize::try_from(i32::from_be_bytes(*head)).context("a frame of negative length")?;
        if rest.len() < length {
            return Ok(None);
        }
        let frame = rest[..length].to_vec();
        self.at += 4 + length;
        if self.at == self.received.len() {
            self.received.clear();
            self.at = 0;
        }
        Ok(Some(frame))
    }

    /// Reads what has come until `deadline`.
    fn fill(&mut self, deadline: Instant) -> Result<Filled> {
        if self.at > 0 {
            self.received.drain(..self.at);
            self.at = 0;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Filled::Nothing);
        }
        self.socket.set_read_timeout(Some(left))?;
        let start = self.received.len();
        self.received.resize(start + 64 * 1024, 0);
        let read = self.socket.read(&mut self.received[start..]);
        self.received
            .truncate(start + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => Ok(Filled::End),
            Ok(_) => Ok(Filled::More),
            Err(error) if is_close(error.kind()) => Ok(Filled::End),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(Filled::Nothing)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What a wait for a frame came to.
enum Arrival {
    Frame(Vec<u8>),
    Closed,
    Nothing,
}

/// What a read of the socket came to.
enum Filled {
    More,
    End,
    Nothing,
}

fn is_close(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted
    )
}
