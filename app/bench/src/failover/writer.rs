//! One session that writes without pause and takes itself up again on the next server when its own is gone.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use zabra_jute::Text;
use zabra_proto::client::{ReplyHeader, SetDataRequest};
use zabra_proto::{ErrorCode, OpCode, SessionId, Xid, Zxid};

use super::connection::{Broken, Connection, silent, wrong_xid};
use super::gaps::Gaps;
use super::ledger::{self, Ledger};
use crate::link::{Clock, Nanos, Pending};
use crate::recorder::Recorder;
use crate::request::{self, Known};

/// What all sessions of a run share.
pub(crate) struct Plan {
    pub(crate) servers: Vec<SocketAddr>,
    /// The session timeout to ask for.
    pub(crate) timeout: Duration,
    /// After so long without an answer a session leaves its server; else after two thirds of its timeout, as clients do.
    pub(crate) silence: Option<Duration>,
    /// Writes that a session keeps outstanding.
    pub(crate) depth: usize,
    pub(crate) size: usize,
    pub(crate) clock: Clock,
    pub(crate) begin: Nanos,
    pub(crate) end: Nanos,
    pub(crate) tally: Mutex<Tally>,
}

/// What is counted over all sessions.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) recorder: Recorder,
    pub(crate) gaps: Gaps,
}

/// A session.
pub(crate) struct Writer<'a> {
    plan: &'a Plan,
    /// Its znodes.
    paths: Vec<String>,
    /// Which server is next.
    turn: usize,
    session: Known,
    silence: Duration,
    outcome: Outcome,
}

/// What became of its writes.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ledger: Ledger,
    pub(crate) gaps: Gaps,
    pub(crate) acknowledged: u64,
    /// Sent, with a connection that ended before the answer.
    pub(crate) unknown: u64,
    /// Answered with an error.
    pub(crate) refused: u64,
    /// The first such error.
    pub(crate) refusal: Option<ErrorCode>,
    pub(crate) connections: u64,
    pub(crate) expired: u64,
}

/// A write without an answer.
struct Sent {
    xid: Xid,
    slot: usize,
    number: u64,
    at: Nanos,
}

impl Plan {
    /// How long a server may take to be connected to, and then to answer a greeting.
    pub(crate) fn connect_limit(&self) -> Duration {
        // As clients do, so that all servers are tried within the timeout.
        let share = self.timeout / self.servers.len().max(1) as u32;
        share.min(self.silence.unwrap_or(share)).max(CONNECT_MIN)
    }

    /// What is counted.
    pub(crate) fn lock_tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Writer<'a> {
    /// A session that begins on the server of that number, in a circle.
    pub(crate) fn new(plan: &'a Plan, number: usize, paths: Vec<String>) -> Self {
        Self {
            plan,
            turn: number,
            session: Known::NONE,
            silence: plan.silence.unwrap_or(plan.timeout),
            outcome: Outcome {
                ledger: Ledger::new(paths.len()),
                gaps: Gaps::new(plan.begin),
                acknowledged: 0,
                unknown: 0,
                refused: 0,
                refusal: None,
                connections: 0,
                expired: 0,
            },
            paths,
        }
    }

    /// Writes until the end.
    pub(crate) fn run(mut self) -> Result<Outcome> {
        while !self.is_over() {
            let server = self.plan.servers[self.turn % self.plan.servers.len()];
            self.turn += 1;
            match self.work_on(server) {
                Ok(()) => {}
                Err(Broken::Link(_)) => std::thread::sleep(PAUSE),
                Err(Broken::Protocol(error)) => {
                    return Err(error).with_context(|| server.to_string());
                }
            }
        }
        self.outcome.gaps.note(self.plan.end);
        Ok(self.outcome)
    }

    fn is_over(&self) -> bool {
        self.plan.clock.now() >= self.plan.end
    }

    fn work_on(&mut self, server: SocketAddr) -> Result<(), Broken> {
        let mut connection = self.connect(server)?;
        let mut pending = VecDeque::new();
        let end = self.write(&mut connection, &mut pending);
        self.outcome.unknown += pending.len() as u64;
        end
    }

    /// Takes the session up on this server; a new one if there is none or it has expired.
    fn connect(&mut self, server: SocketAddr) -> Result<Connection, Broken> {
        loop {
            let greeting = request::connect_again(self.plan.timeout, &self.session);
            let limit = self.plan.connect_limit();
            let (connection, granted) = Connection::open(server, &greeting, limit)?;
            if granted.timeout_ms > 0 {
                self.outcome.connections += 1;
                self.session.id = granted.session;
                self.session.password = granted.password;
                let timeout = Duration::from_millis(granted.timeout_ms.unsigned_abs().into());
                self.silence = self.plan.silence.unwrap_or(timeout * 2 / 3);
                return Ok(connection);
            }
            if self.session.id == SessionId::NONE {
                return Err(silent());
            }
            self.outcome.expired += 1;
            self.session.id = SessionId::NONE;
            self.session.password = [0; 16];
        }
    }

    /// Writes until the end or until the connection breaks; what is left in `pending` has no answer.
    fn write(
        &mut self,
        connection: &mut Connection,
        pending: &mut VecDeque<Sent>,
    ) -> Result<(), Broken> {
        let mut heard = self.plan.clock.now();
        loop {
            let now = self.plan.clock.now();
            if now < self.plan.end {
                self.fill(connection, pending, now)?;
            } else if pending.is_empty() {
                let xid = connection.send(OpCode::CloseSession, &());
                connection.flush()?;
                connection.await_reply(xid, LAST)?;
                return Ok(());
            } else if now.since(self.plan.end) > LAST {
                return Err(silent());
            }
            match connection.receive()? {
                Some((header, _)) => {
                    heard = self.plan.clock.now();
                    self.on_reply(&header, pending)?;
                }
                None if self.plan.clock.now().since(heard) > self.silence => return Err(silent()),
                None => {}
            }
        }
    }

    fn fill(
        &mut self,
        connection: &mut Connection,
        pending: &mut VecDeque<Sent>,
        now: Nanos,
    ) -> Result<(), Broken> {
        while pending.len() < self.plan.depth {
            let (slot, number) = self.outcome.ledger.attempt();
            let request = SetDataRequest {
                path: Text::from(self.paths[slot].as_str()),
                data: Some(&ledger::data(number, self.plan.size)),
                version: -1,
            };
            let xid = connection.send(OpCode::SetData, &request);
            pending.push_back(Sent {
                xid,
                slot,
                number,
                at: now,
            });
        }
        connection.flush()
    }

    fn on_reply(
        &mut self,
        header: &ReplyHeader,
        pending: &mut VecDeque<Sent>,
    ) -> Result<(), Broken> {
        let due = pending.front().map_or(Xid(0), |sent| sent.xid);
        if header.xid != due {
            return Err(wrong_xid(header.xid, due));
        }
        if header.zxid > Zxid::ZERO {
            self.session.last_zxid = self.session.last_zxid.max(header.zxid);
        }
        let Some(sent) = pending.pop_front() else {
            return Ok(());
        };
        let outcome = &mut self.outcome;
        if !header.error.is_ok() {
            outcome.refused += 1;
            outcome.refusal.get_or_insert(header.error);
            return match header.error {
                // The session is to be taken up elsewhere, or anew.
                ErrorCode::SESSION_EXPIRED | ErrorCode::SESSION_MOVED => Err(silent()),
                _ => Ok(()),
            };
        }
        outcome.acknowledged += 1;
        outcome.ledger.on_acknowledged(sent.slot, sent.number);
        let mut tally = self.plan.lock_tally();
        // Read under the lock, so that it does not go back from one session to the next.
        let now = self.plan.clock.now();
        if now < self.plan.end {
            outcome.gaps.note(now);
            tally.gaps.note(now);
        }
        let request = Pending {
            due: sent.at,
            sent: sent.at,
            xid: sent.xid,
            template: 0,
        };
        tally
            .recorder
            .record(&request, now)
            .map_err(Broken::Protocol)
    }
}

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the last answers are waited for.
const LAST: Duration = Duration::from_secs(2);
/// Below this a busy machine looks like a dead one.
const CONNECT_MIN: Duration = Duration::from_millis(50);
