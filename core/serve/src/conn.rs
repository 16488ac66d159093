//! The server's end of one client connection.

use std::collections::VecDeque;
use std::net::SocketAddr;

use zabra_proto::{ConnId, ErrorCode, Identity, MonoMillis, OpCode, SessionId, Xid};

use crate::ConnStats;

/// Why a connection is closed by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client ended its session.
    SessionClosed,
    /// The session expired or was closed elsewhere.
    SessionGone,
    /// The session cannot be had.
    SessionRefused,
    /// The session is on a newer connection.
    SessionElsewhere,
    /// The client has seen a later zxid than this server (P85).
    ClientAhead,
    /// A frame length below zero or above `jute.maxbuffer`.
    BadLength,
    /// The first frame is no connect request, or a later one is shorter than its header.
    Malformed,
    /// An op code that is not served.
    UnknownOp,
    /// Credentials were refused.
    AuthFailed,
    /// A four-letter word was answered.
    WordAnswered,
    /// Clients connect faster than is allowed (SB-07).
    ConnectThrottled,
    /// More large requests are in flight than is allowed (SB-06).
    LargeRequests,
    /// Its next request has waited for others for longer than its session lasts (SB-04).
    Stale,
    /// It looks for another ensemble (AC-23).
    WrongEnsemble,
    /// Nothing came for too long.
    Idle,
    /// The client does not read what it asked for (P95).
    SlowReader,
    /// The server stops.
    Shutdown,
    /// The server has no leader, or is none any more: the client must look elsewhere.
    NotServing,
}

/// How far the connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing decided: a four-letter word or a connect request must come.
    Greeting,
    /// A connect request came; the peer decides about the session. No frame is read meanwhile.
    Connecting { read_only: Option<bool> },
    /// Requests are served.
    Open,
    /// Nothing is read any more; what is in the output buffer still goes.
    Closing(CloseReason),
}

/// What a reply and its counters need of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) xid: Xid,
    pub(crate) op: OpCode,
    pub(crate) since: MonoMillis,
}

/// A request that waits its turn.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) asked: Asked,
    pub(crate) wait: Wait,
    /// Its length, if it counts as large.
    pub(crate) large_len: usize,
}

/// What a parked request waits for.
#[derive(Debug)]
pub(crate) enum Wait {
    /// The peer has it; its answer bears this number.
    Peer { seq: u64, echo: Option<Box<str>> },
    /// The peer has answered, and only earlier requests are waited for.
    Answered {
        error: ErrorCode,
        echo: Option<Box<str>>,
    },
    /// A read behind a write of its session.
    Turn { body: Box<[u8]> },
}

impl Parked {
    /// Whether it waits for the peer's answer with this number.
    pub(crate) fn is_with_peer(&self, number: u64) -> bool {
        matches!(self.wait, Wait::Peer { seq, .. } if seq == number)
    }

    /// Bytes that it keeps.
    fn len(&self) -> usize {
        match &self.wait {
            Wait::Turn { body, .. } => body.len(),
            Wait::Peer { echo, .. } | Wait::Answered { echo, .. } => {
                echo.as_deref().map_or(0, str::len)
            }
        }
    }
}

/// One client connection. An idle one costs a few hundred bytes: its buffers are given back when they are empty.
#[derive(Debug)]
pub struct Conn {
    pub(crate) id: ConnId,
    pub(crate) remote: SocketAddr,
    pub(crate) state: State,
    pub(crate) session: SessionId,
    pub(crate) timeout_ms: i32,
    pub(crate) identities: Vec<Identity>,
    pub(crate) parked: VecDeque<Parked>,
    /// Bytes that the parked requests keep.
    pub(crate) parked_len: usize,
    pub(crate) next_seq: u64,
    /// The beginning of a frame whose rest has not come, or frames that may not be read yet.
    pub(crate) input: Vec<u8>,
    /// Frames to be sent, behind `out_sent` bytes that went already.
    pub(crate) out: Vec<u8>,
    pub(crate) out_sent: usize,
    pub(crate) heard: MonoMillis,
    /// When the last bytes came.
    pub(crate) came: MonoMillis,
    pub(crate) touched: bool,
    /// Its client has taken some of the output for which its reading was paused.
    pub(crate) takes: bool,
    pub(crate) dirty: bool,
    pub(crate) throttled: bool,
    /// Its next request waits for others to finish.
    pub(crate) held: bool,
    /// Since when, as a number that grows.
    pub(crate) ticket: Option<u64>,
    /// Bytes of its large requests, which come in or are parked.
    pub(crate) large_len: usize,
    /// The frame that comes in is a large one.
    pub(crate) gathers_large: bool,
    pub(crate) stats: ConnStats,
}

impl Conn {
    pub(crate) fn new(id: ConnId, remote: SocketAddr, now: MonoMillis) -> Self {
        Self {
            id,
            remote,
            state: State::Greeting,
            session: SessionId::NONE,
            timeout_ms: 0,
            identities: vec![Identity::new("ip", &remote.ip().to_canonical().to_string())],
            parked: VecDeque::new(),
            parked_len: 0,
            next_seq: 1,
            input: Vec::new(),
            out: Vec::new(),
            out_sent: 0,
            heard: now,
            came: now,
            touched: false,
            takes: false,
            dirty: false,
            throttled: false,
            held: false,
            ticket: None,
            large_len: 0,
            gathers_large: false,
            stats: ConnStats::new(now),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ConnId {
        self.id
    }

    /// The client's address.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Its session; none before the handshake is done.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The session's timeout in ms.
    #[must_use]
    pub fn timeout_ms(&self) -> i32 {
        self.timeout_ms
    }

    /// Requests that wait for an answer.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.parked.len()
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> &ConnStats {
        &self.stats
    }

    /// Why it is being closed, if it is. What is left in its output buffer should still be sent.
    #[must_use]
    pub fn closing(&self) -> Option<CloseReason> {
        match self.state {
            State::Closing(reason) => Some(reason),
            _ => None,
        }
    }

    /// Ends it, with all that came and is not answered; returns how many requests that are. A client that does not
    /// read is not waited for either.
    pub(crate) fn close(&mut self, reason: CloseReason) -> usize {
        self.state = State::Closing(reason);
        self.throttled = false;
        self.input = Vec::new();
        self.parked_len = 0;
        self.large_len = 0;
        self.gathers_large = false;
        if reason == CloseReason::SlowReader {
            self.drop_output();
        }
        std::mem::take(&mut self.parked).len()
    }

    /// Gives up on what is not sent.
    pub(crate) fn drop_output(&mut self) {
        self.out = Vec::new();
        self.out_sent = 0;
    }

    /// What is to be sent.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.out.get(self.out_sent..).unwrap_or_default()
    }

    pub(crate) fn unsent_len(&self) -> usize {
        self.out.len() - self.out_sent
    }

    pub(crate) fn park(&mut self, asked: Asked, wait: Wait) {
        let parked = Parked {
            asked,
            wait,
            large_len: 0,
        };
        self.parked_len += parked.len();
        self.parked.push_back(parked);
    }

    fn unpark(&mut self) -> Option<Parked> {
        let parked = self.parked.pop_front()?;
        self.parked_len -= parked.len();
        self.large_len -= parked.large_len;
        Some(parked)
    }

    /// Takes the first parked request, if it does not wait for the peer.
    pub(crate) fn next_in_turn(&mut self) -> Option<Parked> {
        let with_peer = matches!(self.parked.front()?.wait, Wait::Peer { .. });
        if with_peer { None } else { self.unpark() }
    }

    /// Takes the first parked request, which the peer has just committed.
    pub(crate) fn next_committed(&mut self, seq: u64) -> Option<Parked> {
        assert!(
            self.parked
                .front()
                .is_some_and(|parked| parked.is_with_peer(seq)),
            "a commit is answered out of the order of its session (P98)"
        );
        self.unpark()
    }
}

/// Stands for the name of a write that was refused, and of nothing.
pub(crate) const NO_NAME: &str = "NA";

/// The name of a request in the `cons` word.
pub(crate) const fn short_name(op: OpCode) -> &'static str {
    match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => "CREA",
        OpCode::Delete => "DELE",
        OpCode::Exists => "EXIS",
        OpCode::GetData => "GETD",
        OpCode::SetData => "SETD",
        OpCode::GetAcl => "GETA",
        OpCode::SetAcl => "SETA",
        OpCode::GetChildren | OpCode::GetChildren2 => "GETC",
        OpCode::GetAllChildrenNumber => "GETACN",
        OpCode::Sync => "SYNC",
        OpCode::Ping => "PING",
        OpCode::Check => "CHEC",
        OpCode::CheckWatches => "CHKW",
        OpCode::Multi => "MULT",
        OpCode::MultiRead => "MLTR",
        OpCode::Reconfig => "RECO",
        OpCode::RemoveWatches => "REMW",
        OpCode::SetWatches => "SETW",
        OpCode::SetWatches2 => "STW2",
        OpCode::AddWatch => "ADDW",
        OpCode::WhoAmI => "HOMI",
        OpCode::GetEphemerals => "GETE",
        OpCode::CloseSession => "CLOS",
        OpCode::Auth => "AUTH",
        OpCode::Sasl => "SASL",
    }
}
