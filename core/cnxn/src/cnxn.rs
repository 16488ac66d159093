//! The session: its link, its calls, its watches, its state.

use std::collections::VecDeque;

use zabra_jute::{Encode, Text};
use zabra_proto::client::{AuthPacket, RequestHeader, WatchesRequest};
use zabra_proto::{MonoMillis, OpCode, RemoveWatchesKind, SessionId, Xid, Zxid, password};

use crate::handshake::{Session, put_frame};
use crate::pending::{Entry, Pending, Whose};
use crate::{
    After, CallError, CnxnOptions, Credentials, HostPort, Hosts, LinkError, Output, Rebalance,
    ResumedSession, SessionState, Timing, WatchSet, Watched, WatcherId,
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
    identities: Vec<Identity<C>>,
    /// Which identities were sent on this link and not answered.
    auths_sent: VecDeque<usize>,
    /// Frames for the present link.
    out: Vec<u8>,
    /// Frames of calls that were made without a link.
    backlog: Vec<u8>,
    pub(crate) outputs: Vec<Output<C>>,
    heard_at: MonoMillis,
    sent_at: MonoMillis,
    probe: Option<Probe>,
}

/// An identity to claim on each link.
#[derive(Debug)]
struct Identity<C> {
    credentials: Credentials,
    /// Who waits to hear that it was taken.
    calls: Vec<C>,
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
struct Probe {
    at: MonoMillis,
    turn: usize,
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
    const PROBE_MS: (u64, u64) = (100, 60_000);

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

    fn is_serving(&self) -> bool {
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

    /// The last transaction seen in a reply.
    #[must_use]
    pub fn seen(&self) -> Zxid {
        self.session.seen
    }

    /// Moves what is to be passed on behind `to`.
    pub fn take_outputs(&mut self, to: &mut Vec<Output<C>>) {
        to.append(&mut self.outputs);
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

    // ---- calls

    /// Makes a call. Requests leave in the order of these calls; without a link they wait for the next one, at most until
    /// the session counts as lost.
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
    ) -> Result<(), (C, CallError)> {
        if let Some(error) = self.ended() {
            return Err((call, error));
        }
        self.request(now, op, body, after, Whose::Call(Some(call)))
            .map_err(|(whose, error)| match whose {
                Whose::Call(Some(call)) => (call, error),
                _ => unreachable!("what was given is given back"),
            })
    }

    fn request(
        &mut self,
        now: MonoMillis,
        op: OpCode,
        body: &impl Encode,
        after: After,
        whose: Whose<C>,
    ) -> Result<(), (Whose<C>, CallError)> {
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
        Ok(())
    }

    /// How calls end that are made now, if they cannot be made.
    fn ended(&self) -> Option<CallError> {
        match (self.state, self.phase) {
            (SessionState::Expired, _) => Some(CallError::SessionExpired),
            (SessionState::AuthFailed, _) => Some(CallError::AuthFailed),
            (SessionState::Closed, _) | (_, Phase::Closing { .. } | Phase::Ended) => {
                Some(CallError::Closed)
            }
            _ => None,
        }
    }

    /// Claims an identity, on this link and all later ones.
    ///
    /// # Errors
    ///
    /// The caller back, if the session has ended.
    pub fn add_auth(
        &mut self,
        credentials: Credentials,
        call: Option<C>,
    ) -> Result<(), (Option<C>, CallError)> {
        if let Some(error) = self.ended() {
            return Err((call, error));
        }
        let known = self
            .identities
            .iter()
            .position(|own| own.credentials == credentials);
        let at = known.unwrap_or(self.identities.len());
        match self.identities.get_mut(at) {
            Some(identity) => identity.calls.extend(call),
            None => self.identities.push(Identity {
                credentials,
                calls: call.into_iter().collect(),
            }),
        }
        if self.phase == Phase::Up {
            self.claim(at);
        }
        Ok(())
    }

    fn claim(&mut self, at: usize) {
        let Some(identity) = self.identities.get(at) else {
            return;
        };
        let credentials = &identity.credentials;
        put_frame(&mut self.out, |out| {
            let header = RequestHeader {
                xid: Xid::AUTH,
                op: OpCode::Auth.code(),
            };
            header.encode(out);
            AuthPacket {
                kind: 0,
                scheme: Some(Text::Borrowed(&credentials.scheme)),
                auth: Some(&credentials.auth),
            }
            .encode(out);
        });
        self.auths_sent.push_back(at);
    }

    /// The answer to the oldest claim on this link; `None` if there was no claim.
    pub(crate) fn on_claimed(&mut self) -> Option<()> {
        let at = self.auths_sent.pop_front()?;
        let calls = self
            .identities
            .get_mut(at)
            .map(|identity| std::mem::take(&mut identity.calls));
        for call in calls.into_iter().flatten() {
            let reply = crate::Reply {
                zxid: self.session.seen,
                body: Vec::new(),
            };
            self.done(call, Ok(reply));
        }
        Some(())
    }

    /// Forgets a watch. If it was the last one of its path, the server is told.
    pub fn unwatch(&mut self, now: MonoMillis, path: &str, watcher: WatcherId) {
        if self.watches.remove(path, watcher) {
            self.tell_unwatched(now, path);
            return;
        }
        let mut asks = self.pending.watch_asks(path);
        if let Some(ask) = asks.find(|ask| ask.watcher == Some(watcher)) {
            ask.watcher = None;
        }
    }

    /// Tells the server that nobody here watches a path any more, unless somebody does or is about to. All kinds at once,
    /// since servers before 3.9 do not tell them apart (protocol 9.6).
    pub(crate) fn tell_unwatched(&mut self, now: MonoMillis, path: &str) {
        let is_watched =
            self.watches.contains(path) || self.pending.watch_asks(path).next().is_some();
        if self.phase != Phase::Up || is_watched {
            return;
        }
        let request = WatchesRequest {
            path: Text::Borrowed(path),
            kind: RemoveWatchesKind::Any,
        };
        // Not sent if it is too long, which a path that could be watched is not.
        let _ = self.request(
            now,
            OpCode::RemoveWatches,
            &request,
            After::Nothing,
            Whose::Call(None),
        );
    }

    /// Ends the session in order. Calls made before are answered; the call ends when the server has confirmed, or with the
    /// link, or after the close timeout.
    pub fn close(&mut self, now: MonoMillis, call: Option<C>) {
        match self.phase {
            Phase::Up => {
                let until = now.after(self.options.close_timeout_ms);
                // Without a body it is never too long.
                let _ = self.request(
                    now,
                    OpCode::CloseSession,
                    &(),
                    After::Nothing,
                    Whose::Close(call),
                );
                self.phase = Phase::Closing { until };
            }
            Phase::Closing { .. } | Phase::Ended => {
                // Whoever closes twice learns nothing new; the first one waits for the server.
                if let Some(call) = call {
                    self.closed(call);
                }
            }
            _ => {
                self.end(SessionState::Closed, CallError::Closed);
                if let Some(call) = call {
                    self.closed(call);
                }
            }
        }
    }

    /// Ends the session here without telling a server: whoever carried bytes is gone.
    pub fn abandon(&mut self) {
        if self.phase != Phase::Ended {
            self.end(SessionState::Closed, CallError::Closed);
        }
    }

    // ---- the link

    /// The link is made.
    pub fn on_connected(&mut self) {
        if let Phase::Dialing { until } = self.phase {
            self.phase = Phase::Greeting { until };
            self.session.greet(&self.options, &mut self.out);
        }
    }

    /// The server has taken the session.
    pub(crate) fn on_granted(&mut self, now: MonoMillis, read_only: bool) {
        self.hosts.on_greeted();
        self.phase = Phase::Up;
        self.heard_at = now;
        self.sent_at = now;
        self.probe = read_only.then(|| Probe {
            at: now.after(Self::PROBE_MS.0),
            turn: 0,
        });
        for at in 0..self.identities.len() {
            self.claim(at);
        }
        self.register_watches(now);
        self.out.append(&mut self.backlog);
        let state = if read_only {
            SessionState::ReadOnly
        } else {
            SessionState::Connected
        };
        self.set_state(state);
        for watcher in self.watches.lasting() {
            let event = Watched::Missed;
            self.outputs.push(Output::Event { watcher, event });
        }
    }

    /// Registrations leave before the calls that wait, so that what those read is watched already.
    fn register_watches(&mut self, now: MonoMillis) {
        let requests = self
            .watches
            .registrations(self.session.seen, WatchSet::CHUNK_LEN);
        for (op, body) in requests {
            let header = RequestHeader {
                xid: Xid::SET_WATCHES,
                op: op.code(),
            };
            put_frame(&mut self.out, |out| {
                header.encode(out);
                out.extend_from_slice(&body);
            });
            self.pending.push_front(Entry {
                xid: Xid::SET_WATCHES,
                whose: Whose::Registration,
                after: After::Nothing,
                at: now,
            });
        }
    }

    /// Bytes of the server. Returns how many were used up; the rest is given again, with more behind it.
    ///
    /// # Errors
    ///
    /// What was wrong with them. The link counts as lost then.
    pub fn on_bytes(&mut self, now: MonoMillis, bytes: &[u8]) -> Result<usize, LinkError> {
        self.heard_at = now;
        let mut used = 0;
        while self.is_serving() {
            let rest = bytes.get(used..).unwrap_or_default();
            let Some((word, rest)) = rest.split_first_chunk::<4>() else {
                break;
            };
            let claimed = i32::from_be_bytes(*word);
            let checked = usize::try_from(claimed)
                .ok()
                .filter(|len| *len <= self.options.frame_len_max);
            let Some(len) = checked else {
                self.on_link_lost(now);
                return Err(LinkError::FrameLength(claimed));
            };
            let Some(frame) = rest.get(..len) else {
                break;
            };
            used += 4 + len;
            if let Err(error) = self.on_frame(now, frame) {
                self.on_link_lost(now);
                return Err(error);
            }
        }
        Ok(used)
    }

    /// The link could not be made, or is gone.
    ///
    /// Calls made before the loss of a link that was up end with [`CallError::ConnectionLoss`], in their order (features
    /// CL-07): the ones behind must not happen if the ones before did not.
    pub fn on_link_lost(&mut self, now: MonoMillis) {
        self.out.clear();
        self.auths_sent.clear();
        self.probe = None;
        match self.phase {
            Phase::Ended | Phase::Waiting { .. } => return,
            Phase::Closing { .. } => {
                self.end(SessionState::Closed, CallError::Closed);
                return;
            }
            Phase::Up => self.fail_pending(CallError::ConnectionLoss),
            Phase::Dialing { .. } | Phase::Greeting { .. } => {}
        }
        let pause = self.hosts.on_failed();
        self.phase = Phase::Waiting {
            until: now.after(pause),
        };
        match self.state {
            SessionState::Connected | SessionState::ReadOnly => {
                self.set_state(SessionState::Suspended);
            }
            // Nobody is there: those who wait learn it now rather than never.
            SessionState::Connecting | SessionState::Lost if self.hosts.is_round_over() => {
                self.fail_pending(CallError::ConnectionLoss);
            }
            _ => {}
        }
    }

    // ---- time

    /// When [`Cnxn::on_timer`] wants to be called, at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<MonoMillis> {
        let phase = match self.phase {
            Phase::Ended => return None,
            Phase::Waiting { until } | Phase::Dialing { until } | Phase::Greeting { until } => {
                until
            }
            Phase::Closing { until } => until.min(self.silent_at()),
            Phase::Up => self.silent_at().min(self.ping_at()),
        };
        let others = [
            self.overdue_at(),
            self.lost_at(),
            self.expired_at(),
            self.probe.as_ref().map(|probe| probe.at),
        ];
        Some(others.into_iter().flatten().fold(phase, MonoMillis::min))
    }

    /// Time has passed.
    pub fn on_timer(&mut self, now: MonoMillis) {
        match self.phase {
            Phase::Waiting { until } if until <= now => {
                let until = now.after(self.timing.connect_ms());
                self.phase = Phase::Dialing { until };
            }
            Phase::Dialing { until } | Phase::Greeting { until } if until <= now => {
                self.on_link_lost(now);
            }
            Phase::Closing { until } if until.min(self.silent_at()) <= now => {
                self.end(SessionState::Closed, CallError::Closed);
            }
            Phase::Up if self.silent_at() <= now => self.on_link_lost(now),
            Phase::Up if self.ping_at() <= now => self.ping(now),
            _ => {}
        }
        if self.overdue_at().is_some_and(|at| at <= now) {
            let timeout = self.options.request_timeout_ms.unwrap_or(0);
            let before = MonoMillis(now.0.saturating_sub(timeout));
            for call in self.pending.take_overdue(before) {
                self.done(call, Err(CallError::Timeout));
            }
        }
        if self.expired_at().is_some_and(|at| at <= now) {
            self.end(SessionState::Expired, CallError::SessionExpired);
        } else if self.lost_at().is_some_and(|at| at <= now) {
            self.set_state(SessionState::Lost);
            self.fail_pending(CallError::ConnectionLoss);
        }
        self.maybe_probe(now);
    }

    fn ping(&mut self, now: MonoMillis) {
        put_frame(&mut self.out, |out| {
            let header = RequestHeader {
                xid: Xid::PING,
                op: OpCode::Ping.code(),
            };
            header.encode(out);
        });
        self.sent_at = now;
    }

    fn silent_at(&self) -> MonoMillis {
        self.heard_at.after(self.timing.read_ms())
    }

    fn ping_at(&self) -> MonoMillis {
        self.sent_at.after(self.timing.ping_ms())
    }

    fn overdue_at(&self) -> Option<MonoMillis> {
        let timeout = self.options.request_timeout_ms?;
        Some(self.pending.oldest()?.after(timeout))
    }

    fn lost_at(&self) -> Option<MonoMillis> {
        (self.state == SessionState::Suspended).then(|| self.heard_at.after(self.timing.lost_ms()))
    }

    fn expired_at(&self) -> Option<MonoMillis> {
        let is_waiting = matches!(self.state, SessionState::Suspended | SessionState::Lost);
        (self.options.local_expiry && is_waiting)
            .then(|| self.heard_at.after(self.timing.local_expiry_ms()))
    }

    // ---- other servers

    /// Takes a new list of servers, and moves to another one if the loads ask for it (features CL-10).
    pub fn update_hosts(&mut self, now: MonoMillis, list: Vec<HostPort>) {
        let is_up = matches!(self.phase, Phase::Up | Phase::Greeting { .. });
        let rebalance = self.hosts.update(list, is_up);
        self.timing = Timing::new(
            i32::try_from(self.timing.session_ms()).unwrap_or(i32::MAX),
            self.hosts.len(),
        );
        if rebalance == Rebalance::Move {
            let next = self.hosts.current().cloned();
            self.move_to(now, next);
        }
    }

    fn maybe_probe(&mut self, now: MonoMillis) {
        let Some(probe) = self.probe.as_mut().filter(|probe| probe.at <= now) else {
            return;
        };
        let (first, most) = Self::PROBE_MS;
        let pause = first.saturating_mul(1 << probe.turn.min(16)).min(most);
        probe.at = now.after(pause);
        if let Some(host) = self.hosts.other(probe.turn) {
            self.outputs.push(Output::Probe(host.clone()));
        }
        probe.turn += 1;
    }

    /// A server that takes writes was found, as [`Output::Probe`] asked.
    pub fn on_probed(&mut self, now: MonoMillis, host: &HostPort) {
        if self.state == SessionState::ReadOnly && self.phase == Phase::Up {
            self.move_to(now, Some(host.clone()));
        }
    }

    /// Gives up the link for one to another server.
    fn move_to(&mut self, now: MonoMillis, host: Option<HostPort>) {
        self.on_link_lost(now);
        if let (Phase::Waiting { .. }, Some(host)) = (self.phase, host) {
            self.hosts.prefer(&host);
            self.phase = Phase::Waiting { until: now };
        }
    }

    // ---- ends

    pub(crate) fn set_state(&mut self, state: SessionState) {
        if self.state != state && !self.state.is_final() {
            self.state = state;
            self.outputs.push(Output::State(state));
        }
    }

    pub(crate) fn done(&mut self, call: C, result: Result<crate::Reply, CallError>) {
        self.outputs.push(Output::Done { call, result });
    }

    pub(crate) fn closed(&mut self, call: C) {
        let reply = crate::Reply {
            zxid: self.session.seen,
            body: Vec::new(),
        };
        self.done(call, Ok(reply));
    }

    fn fail_pending(&mut self, error: CallError) {
        self.backlog.clear();
        let entries: Vec<_> = self.pending.drain().collect();
        for entry in entries {
            if let After::Remove(removal) = &entry.after
                && removal.local
            {
                self.removed(removal);
            }
            match entry.whose {
                Whose::Call(Some(call)) => self.done(call, Err(error)),
                Whose::Close(Some(call)) => self.closed(call),
                _ => {}
            }
        }
    }

    pub(crate) fn removed(&mut self, removal: &crate::Removal) {
        for watcher in self.watches.remove_kind(&removal.path, removal.kind) {
            self.outputs.push(Output::Unwatched {
                watcher,
                error: None,
            });
        }
    }

    /// The session is over: every call and every watcher is told.
    pub(crate) fn end(&mut self, state: SessionState, error: CallError) {
        self.phase = Phase::Ended;
        self.probe = None;
        self.out.clear();
        self.fail_pending(error);
        let claims: Vec<_> = self
            .identities
            .iter_mut()
            .flat_map(|identity| std::mem::take(&mut identity.calls))
            .collect();
        for call in claims {
            self.done(call, Err(error));
        }
        for watcher in self.watches.clear() {
            let error = Some(error);
            self.outputs.push(Output::Unwatched { watcher, error });
        }
        self.set_state(state);
    }
}
