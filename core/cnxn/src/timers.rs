//! What happens when time passes.

use zabra_jute::Encode;
use zabra_proto::client::RequestHeader;
use zabra_proto::{MonoMillis, OpCode, Xid};

use crate::cnxn::Phase;
use crate::handshake::put_frame;
use crate::{CallError, Cnxn, SessionState};

impl<C> Cnxn<C> {
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
}
