//! Requests that waited for others for so long that their answer is of no use any more (SB-04, SB-05).
//!
//! Nothing waits like that unless the requests in flight are limited ([`LoadLimits::requests_max`]). Whose connection is
//! gone gets nothing begun in any case; the rest is for the operator to choose, and off by default as with Apache.
//!
//! [`LoadLimits::requests_max`]: crate::LoadLimits::requests_max

use zabra_jute::{Decode, Reader};
use zabra_peer::Ask;
use zabra_proto::client::RequestHeader;
use zabra_proto::{ConnId, ErrorCode, MonoMillis, OpCode};

use crate::conn::{Asked, State, Wait};
use crate::{Clients, CloseReason, Conn, Replica};

/// What is too late, and what becomes of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LateRules {
    /// A request older than its session's timeout is stale (`request_stale_latency_check`).
    pub stale_by_age: bool,
    /// What a closed connection still waits for is stale (`request_stale_connection_check`). This is for the counters.
    pub stale_by_close: bool,
    /// A stale request that has waited for others is dropped, and its connection with it: those behind it must not be
    /// run without it (`request_throttle_drop_stale`).
    pub drops_stale: bool,
    /// A request that has waited for others longer than this is refused, ms (`throttled_op_wait_time`).
    pub refuse_after_ms: Option<u64>,
}

/// What becomes of a request whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is run.
    Run,
    /// It is refused as throttled.
    Refuse,
    /// It is dropped, and so is its connection.
    Drop,
}

impl Clients {
    /// Judges the next request of a connection by how long it has waited. What came while the connection was not read
    /// is as old as the last bytes that came.
    pub(crate) fn judge(&mut self, id: ConnId, frame: &[u8], now: MonoMillis) -> Verdict {
        let rules = self.options.load.late;
        if self.options.load.requests_max.is_none() {
            return Verdict::Run;
        }
        let Some(conn) = self.conn(id).filter(|conn| conn.state == State::Open) else {
            return Verdict::Run;
        };
        let op = op_of(frame);
        if matches!(op, Some(OpCode::Auth | OpCode::Sasl | OpCode::CloseSession)) {
            return Verdict::Run;
        }
        let waited = now.since(conn.came);
        let is_stale = rules.stale_by_age && is_older_than_session(conn, waited);
        self.latencies.throttled.add(waited);
        if is_stale && rules.drops_stale {
            self.stats.late.stale_dropped += 1;
            return Verdict::Drop;
        }
        self.stats.late.stale += u64::from(is_stale);
        let is_over = |max| waited > max;
        let may_refuse = op.is_some_and(|op| op != OpCode::Ping);
        if may_refuse && rules.refuse_after_ms.is_some_and(is_over) {
            self.stats.late.refused += 1;
            return Verdict::Refuse;
        }
        Verdict::Run
    }

    /// Answers a request that it is throttled, in its turn.
    pub(crate) fn refuse_throttled(
        &mut self,
        id: ConnId,
        frame: &[u8],
        replica: &Replica,
        now: MonoMillis,
    ) {
        self.stats.received += 1;
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        conn.stats.received += 1;
        conn.ticket = None;
        let header = RequestHeader::decode(&mut Reader::new(frame));
        let (Ok(RequestHeader { xid, .. }), Some(op)) = (header, op_of(frame)) else {
            return self.close(id, CloseReason::Malformed);
        };
        let since = conn.came;
        let wait = Wait::Answered {
            error: ErrorCode::THROTTLED_OP,
            echo: None,
        };
        conn.park(Asked { xid, op, since }, wait);
        self.outstanding += 1;
        self.serve_parked(id, replica, now);
    }

    /// Closes connections whose next request has become stale while it waits for others.
    pub(crate) fn drop_stale(&mut self, now: MonoMillis) {
        let rules = self.options.load.late;
        if !rules.stale_by_age || !rules.drops_stale {
            return;
        }
        let is_stale = |conn: &&Conn| is_older_than_session(conn, now.since(conn.came));
        let held = self.held.iter().filter_map(|(_, id)| self.conn(*id));
        let stale: Vec<ConnId> = held.filter(is_stale).map(Conn::id).collect();
        for id in stale {
            self.stats.late.stale_dropped += 1;
            self.close(id, CloseReason::Stale);
        }
    }

    /// A connection ends whose next request waits for others. It is never run; those behind it are not counted, as
    /// Apache's server does not look at them any more.
    pub(crate) fn on_held_end(&mut self) {
        self.stats.late.stale_dropped += u64::from(self.options.load.late.stale_by_close);
    }

    /// The answer to a request comes when its connection is gone. A session may well be ended like that.
    pub(crate) fn on_late_reply(&mut self, ask: Ask) {
        if self.options.load.late.stale_by_close && ask != Ask::Op(OpCode::CloseSession) {
            self.stats.late.stale_replies += 1;
        }
    }
}

pub(crate) fn is_older_than_session(conn: &Conn, waited_ms: u64) -> bool {
    u64::try_from(conn.timeout_ms).is_ok_and(|timeout| waited_ms > timeout)
}

fn op_of(frame: &[u8]) -> Option<OpCode> {
    let code = frame.get(4..)?.first_chunk::<4>()?;
    OpCode::from_code(i32::from_be_bytes(*code))
}
