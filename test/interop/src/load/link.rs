//! A session that goes from server to server: what a real client does between its requests.
//!
//! The session id and password are kept over every loss of the connection, the newest zxid seen is told to the next server,
//! and what comes is held against ZooKeeper's promises: zxids never go backwards, and no session that was heard of in time
//! is expired.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::wire::{Body, Came, Frame, Grant, Hello, Wire, XID_NOTIFICATION, XID_PING, op};

/// How long a server may take to answer a request before the client turns to another. Longer than an election,
/// shorter than a time-out.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// How long a server may take to shake hands.
const PATIENCE_AT_HANDSHAKE: Duration = Duration::from_millis(1_500);
/// Between two attempts, when nobody takes the session.
const PAUSE: Duration = Duration::from_millis(10);
/// What a server's clock and ours may differ by over a time-out, ticks included.
const SLACK: Duration = Duration::from_millis(1_500);

/// A session and its connection, if it has one.
#[derive(Debug)]
pub(super) struct Link {
    addrs: Arc<[SocketAddr]>,
    at: usize,
    wire: Option<Wire>,
    hello: Hello,
    wanted: i32,
    granted: Duration,
    heard: Instant,
    xid: i32,
}

/// What an attempt to connect came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// The session goes on.
    Kept,
    /// A session was opened.
    Opened,
    /// The session was expired; the next attempt opens another.
    Expired {
        /// How long nothing had been heard.
        silence: Duration,
        /// Whether that is less than was granted.
        early: bool,
    },
    /// This server did not take it.
    Refused,
}

/// What came over the connection.
#[derive(Debug)]
pub(super) enum Heard {
    /// A reply.
    Reply(Frame),
    /// A notification.
    Event(Frame),
    /// Nothing within the limit.
    Nothing,
    /// The connection is over.
    Lost,
    /// Something that must not come.
    Wrong(String),
}

impl Link {
    pub(super) fn new(addrs: Arc<[SocketAddr]>, first: usize, timeout: Duration) -> Self {
        let wanted = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        Self {
            at: first % addrs.len(),
            addrs,
            wire: None,
            hello: Hello::new(wanted),
            wanted,
            granted: timeout,
            heard: Instant::now(),
            xid: 0,
        }
    }

    pub(super) const fn session(&self) -> i64 {
        self.hello.session
    }

    pub(super) const fn last_zxid(&self) -> i64 {
        self.hello.last_zxid
    }

    pub(super) const fn is_up(&self) -> bool {
        self.wire.is_some()
    }

    pub(super) const fn granted(&self) -> Duration {
        self.granted
    }

    /// The server that it is connected to, or tries next.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addrs[self.at]
    }

    /// Gives the connection up, not the session; the next server is tried next.
    pub(super) fn drop_connection(&mut self) {
        self.wire = None;
        self.at = (self.at + 1) % self.addrs.len();
    }

    /// Forgets the session without a word to anybody.
    pub(super) fn forget_session(&mut self) -> i64 {
        let session = self.hello.session;
        self.wire = None;
        self.hello = Hello {
            // What this client has seen it has seen, whatever its session.
            last_zxid: self.hello.last_zxid,
            ..Hello::new(self.wanted)
        };
        session
    }

    /// One attempt to take the session up again, or to open one.
    pub(super) fn join(&mut self) -> Joined {
        let Ok(Some((wire, grant))) =
            Wire::connect_within(self.addr(), &self.hello, PATIENCE_AT_HANDSHAKE)
        else {
            self.drop_connection();
            if self.at == 0 {
                std::thread::sleep(PAUSE);
            }
            return Joined::Refused;
        };
        if grant.session == 0 || grant.timeout <= 0 {
            let silence = self.heard.elapsed();
            let early = silence + SLACK < self.granted;
            self.forget_session();
            return Joined::Expired { silence, early };
        }
        self.wire = Some(wire);
        self.heard = Instant::now();
        self.granted = Duration::from_millis(u64::try_from(grant.timeout).unwrap_or(0));
        let joined = if self.hello.session == 0 {
            Joined::Opened
        } else {
            Joined::Kept
        };
        let Grant {
            session, password, ..
        } = grant;
        self.hello.session = session;
        self.hello.password = password;
        joined
    }

    /// Sends a request; `None` when the connection is over.
    pub(super) fn send(&mut self, op: i32, body: &Body) -> Option<i32> {
        let wire = self.wire.as_mut()?;
        // Positive, so that it is never one of the protocol's own.
        self.xid = self.xid.wrapping_add(1) & i32::MAX;
        if wire.send(self.xid, op, body).is_err() {
            self.drop_connection();
            return None;
        }
        Some(self.xid)
    }

    /// Sends a request with one of the protocol's own xids.
    pub(super) fn send_as(&mut self, xid: i32, op: i32, body: &Body) {
        if let Some(wire) = &mut self.wire
            && wire.send(xid, op, body).is_err()
        {
            self.drop_connection();
        }
    }

    /// The next reply or notification; the connection is given up when none comes.
    pub(super) fn receive(&mut self) -> Heard {
        match self.receive_within(PATIENCE) {
            Heard::Nothing => {
                self.drop_connection();
                Heard::Lost
            }
            heard => heard,
        }
    }

    /// The next reply or notification within `limit`.
    pub(super) fn receive_within(&mut self, limit: Duration) -> Heard {
        let Some(wire) = &mut self.wire else {
            return Heard::Lost;
        };
        let frame = match wire.receive_within(limit) {
            Ok(Some(Came::Frame(frame))) => frame,
            Ok(None) => return Heard::Nothing,
            Ok(Some(Came::Closed)) | Err(_) => {
                self.drop_connection();
                return Heard::Lost;
            }
        };
        self.heard = Instant::now();
        if frame.xid == XID_NOTIFICATION {
            return Heard::Event(frame);
        }
        if frame.zxid > 0 {
            if frame.zxid < self.hello.last_zxid {
                return Heard::Wrong(format!(
                    "session 0x{:x} at {}: zxid 0x{:x} after 0x{:x} (xid {}, error {})",
                    self.session(),
                    self.addr(),
                    frame.zxid,
                    self.hello.last_zxid,
                    frame.xid,
                    frame.err
                ));
            }
            self.hello.last_zxid = frame.zxid;
        }
        Heard::Reply(frame)
    }

    /// Keeps the session alive.
    pub(super) fn ping(&mut self) {
        self.send_as(XID_PING, op::PING, &Body::new());
    }
}
