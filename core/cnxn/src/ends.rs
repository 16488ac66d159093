//! How calls, watches and the session end.

use zabra_proto::{MonoMillis, OpCode};

use crate::cnxn::Phase;
use crate::pending::Whose;
use crate::{After, CallError, Cnxn, Output, Reply, SessionState};

impl<C> Cnxn<C> {
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

    pub(crate) fn set_state(&mut self, state: SessionState) {
        if self.state != state && !self.state.is_final() {
            self.state = state;
            self.outputs.push(Output::State(state));
        }
    }

    pub(crate) fn done(&mut self, call: C, result: Result<Reply, CallError>) {
        self.outputs.push(Output::Done { call, result });
    }

    pub(crate) fn closed(&mut self, call: C) {
        let reply = Reply {
            zxid: self.session.seen,
            body: Vec::new(),
        };
        self.done(call, Ok(reply));
    }

    pub(crate) fn fail_pending(&mut self, error: CallError) {
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
