//! The session: its link, its calls, its watches, its state.

use std::collections::VecDeque;

use zabra_jute::Encode;
use zabra_proto::client::RequestHeader;
use zabra_proto::{MonoMillis, OpCode, SessionId, Xid, Zxid, password};

use crate::handshake::{Session, put_frame};
use crate::identities::Identity;
use crate::pending::{Entry, Pending, Whose};
use crate::{
    After, CallError, CnxnOptions, HostPort, Hosts, Output, ResumedSession, SessionState, Timing,
    WatchSet, WatcherId,
};

/// One client's session. `C` stands for a call's caller and is given back with its result.
#[derive(Debug)]
pub struct Cnxn<C> {
    pub(crate) options: CnxnOptions,
    pub(crate) timing: Timing,
    pub(crate) hosts: Hosts,
    pub(crate) session: Session,
    pub(crate) phase: Phase,
    pub(crate) state: SessionState,
    /// Invariant: while the link is up, requests whose frames are in `out` or sent; otherwise those in `backlog`.
    pub(crate) pending: Pending<C>,
    pub(crate) watches: WatchSet,
    last_watcher: u64,
    pub(crate) identities: Vec<Identity<C>>,
    /// Which identities were sent on this link and not answered.
    pub(crate) auths_sent: VecDeque<usize>,
    /// Frames for the present link.
    pub(crate) out: Vec<u8>,
    /// Frames of calls that were made without a link.
    pub(crate) backlog: Vec<u8>,
    pub(crate) outputs: Vec<Output<C>>,
    pub(crate) heard_at: MonoMillis,
    pub(crate) sent_at: MonoMillis,
    pub(crate) probe: Option<Probe>,
}

/// Where the link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is none, and none is wanted yet.
    Waiting { until: MonoMillis },
    /// One is being made.
    Dialing { until: MonoMillis },
    /// It is there; the server's first frame is not.
    Greeting { until: MonoMillis },
    /// It carries requests.
    Up,
    /// So does it, up to the answer to closeSession.
    Closing { until: MonoMillis },
    /// There will be none any more.
    Ended,
}

/// When to look for a server that takes writes, again.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) at: MonoMillis,
    pub(crate) turn: usize,
}

/// What the owner of sockets is to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing, up to the deadline.
    Wait,
    /// Connect to this server, then [`Cnxn::on_connected`], or [`Cnxn::on_link_lost`] if it cannot be had.
    Dial(HostPort),
    /// Carry bytes both ways.
    Serve,
    /// Nothing, any more.
    End,
}

impl<C> Cnxn<C> {
    /// First and longest time between two looks for a server that takes writes (features CL-11).
    pub(crate) const PROBE_MS: (u64, u64) = (100, 60_000);

    /// A session that begins to look for a server at once.
    #[must_use]
    pub fn new(
        options: CnxnOptions,
        hosts: Hosts,
        resumed: Option<ResumedSession>,
        now: MonoMillis,
    ) -> Self {
        let timing = Timing::new(options.session_timeout_ms, hosts.len());
        Self {
            timing,
            hosts,
            session: Session::new(resumed),
            phase: Phase::Dialing {
                until: now.after(timing.connect_ms()),
            },
            state: SessionState::Connecting,
            pending: Pending::default(),
            watches: WatchSet::default(),
            last_watcher: 0,
            identities: Vec::new(),
            auths_sent: VecDeque::new(),
            out: Vec::new(),
            backlog: Vec::new(),
            outputs: Vec::new(),
            heard_at: now,
            sent_at: now,
            probe: None,
            options,
        }
    }

    /// What is to be done now.
    #[must_use]
    pub fn action(&self) -> Action {
        match self.phase {
            Phase::Waiting { .. } => Action::Wait,
            Phase::Dialing { .. } => match self.hosts.current() {
                Some(host) => Action::Dial(host.clone()),
                None => Action::Wait,
            },
            _ if self.is_serving() => Action::Serve,
            _ => Action::End,
        }
    }

    /// Whether bytes are to be carried both ways: whether [`Cnxn::action`] is [`Action::Serve`].
    #[must_use]
    pub fn is_serving(&self) -> bool {
        matches!(
            self.phase,
            Phase::Greeting { .. } | Phase::Up | Phase::Closing { .. }
        )
    }

    /// The session's state.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.state
    }

    /// The session's id and password; the id is [`SessionId::NONE`] before a server has given one.
    #[must_use]
    pub fn session(&self) -> (SessionId, [u8; password::LEN]) {
        (self.session.id, self.session.password)
    }

    /// The session timeout, as granted once there is a session.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// When the server was last heard on a link.
    #[must_use]
    pub fn heard_at(&self) -> MonoMillis {
        self.heard_at
    }

    /// The last transaction seen in a reply.
    #[must_use]
    pub fn seen(&self) -> Zxid {
        self.session.seen
    }

    /// Moves what is to be passed on behind `to`.
    pub fn take_outputs(&mut self, to: &mut Vec<Output<C>>) {
        to.append(&mut self.outputs);
    }

    /// How many requests wait for their replies.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Whether bytes wait to be written.
    #[must_use]
    pub fn has_out(&self) -> bool {
        !self.out.is_empty()
    }

    /// Moves the bytes to be written behind `to`.
    pub fn take_out(&mut self, now: MonoMillis, to: &mut Vec<u8>) {
        if self.out.is_empty() {
            return;
        }
        self.sent_at = now;
        if to.is_empty() {
            std::mem::swap(to, &mut self.out);
        } else {
            to.append(&mut self.out);
        }
    }

    /// A number for a watch that will come with a call.
    pub fn next_watcher(&mut self) -> WatcherId {
        self.last_watcher += 1;
        WatcherId(self.last_watcher)
    }

    /// Makes a call, and returns its number. Requests leave in the order of these calls; without a link they wait for the next
    /// one, at most until the session counts as lost.
    ///
    /// # Errors
    ///
    /// The caller back, if the session has ended or the request is too long.
    pub fn call(
        &mut self,
        now: MonoMillis,
        op: OpCode,
        body: &impl Encode,
        after: After,
        call: C,
    ) -> Result<Xid, (C, CallError)> {
        if let Some(error) = self.ended() {
            return Err((call, error));
        }
        self.request(now, op, body, after, Whose::Call(Some(call)))
            .map_err(|(whose, error)| match whose {
                Whose::Call(Some(call)) => (call, error),
                _ => unreachable!("what was given is given back"),
            })
    }

    pub(crate) fn request(
        &mut self,
        now: MonoMillis,
        op: OpCode,
        body: &impl Encode,
        after: After,
        whose: Whose<C>,
    ) -> Result<Xid, (Whose<C>, CallError)> {
        let xid = self.pending.next_xid();
        let out = match self.phase {
            Phase::Up | Phase::Closing { .. } => &mut self.out,
            _ => &mut self.backlog,
        };
        let begin = out.len();
        let len = put_frame(out, |out| {
            RequestHeader { xid, op: op.code() }.encode(out);
            body.encode(out);
        });
        let len_max = self.options.frame_len_max;
        if len > len_max {
            out.truncate(begin);
            return Err((whose, CallError::TooLong { len, len_max }));
        }
        self.pending.push(Entry {
            xid,
            whose,
            after,
            at: now,
        });
        Ok(xid)
    }

    /// How calls end that are made now, if they cannot be made.
    pub(crate) fn ended(&self) -> Option<CallError> {
        match (self.state, self.phase) {
            (SessionState::Expired, _) => Some(CallError::SessionExpired),
            (SessionState::AuthFailed, _) => Some(CallError::AuthFailed),
            (SessionState::Closed, _) | (_, Phase::Closing { .. } | Phase::Ended) => {
                Some(CallError::Closed)
            }
            _ => None,
        }
    }
}
