//! Back-pressure: which connections are read, what they may keep, and when they are given up (R11).
//!
//! A connection is not read while its session is undecided, its output is not taken, or too many requests wait for the
//! peer. It never keeps more than a bounded number of bytes, whatever its client does.

use zabra_peer::Input;
use zabra_proto::{ConnId, MonoMillis, SessionId};

use crate::clients::Upstream;
use crate::conn::State;
use crate::{Clients, CloseReason, Conn, Replica};

/// How many unused output buffers are kept, and how large each may be.
const SPARE_BUFFERS_MAX: usize = 64;
const SPARE_LEN_MAX: usize = 256 * 1024;

/// A connection whose parked requests keep more bytes than this is not read.
const PARKED_LEN_PAUSE: usize = 1 << 20;

impl Clients {
    /// Goes on with connections that may be read again: their session was decided, or the load has eased. Their
    /// sockets may hold more.
    pub fn resume(
        &mut self,
        replica: &Replica,
        now: MonoMillis,
        upstream: &mut impl Upstream,
    ) -> Vec<ConnId> {
        let resumed = std::mem::take(&mut self.resumable);
        for id in &resumed {
            self.consume_input(*id, replica, now, upstream);
        }
        self.release_held();
        resumed
    }

    /// Whether [`Self::resume`] has something to do.
    #[must_use]
    pub fn has_resumable(&self) -> bool {
        !self.resumable.is_empty()
    }

    /// Whether the connection's socket should be read.
    #[must_use]
    pub fn is_readable(&self, id: ConnId) -> bool {
        self.conn(id).is_some_and(|conn| self.may_read(conn))
    }

    pub(crate) fn may_read(&self, conn: &Conn) -> bool {
        matches!(conn.state, State::Greeting | State::Open)
            && !conn.throttled
            && !conn.held
            && conn.unsent_len() < self.options.out_len_pause
    }

    pub(crate) fn will_resume(&mut self, id: ConnId) {
        self.resumable.push(id);
    }

    /// Stops reading a connection that has just parked a request, if too much waits.
    pub(crate) fn throttle(&mut self, id: ConnId) {
        let is_crowded = self.outstanding > self.options.outstanding_max;
        if let Some(conn) = self.conn_mut(id)
            && (is_crowded || conn.parked_len > PARKED_LEN_PAUSE)
            && !conn.throttled
        {
            conn.throttled = true;
            self.throttled.push(id);
        }
    }

    /// With the load eased, connections that were not read are read again.
    pub(crate) fn ease(&mut self) {
        self.release_held();
        if self.throttled.is_empty() || self.outstanding > self.options.outstanding_max {
            return;
        }
        for id in std::mem::take(&mut self.throttled) {
            match self.conn_mut(id) {
                Some(conn) if conn.parked_len > PARKED_LEN_PAUSE => self.throttled.push(id),
                Some(conn) => {
                    conn.throttled = false;
                    self.resumable.push(id);
                }
                None => {}
            }
        }
    }

    /// Gives a connection a buffer to write into.
    pub(crate) fn ready_to_write(&mut self, id: ConnId) {
        let Some(slot) = self.slots.get_mut(id.0 as u32 as usize) else {
            return;
        };
        if let Some(conn) = slot.conn.as_deref_mut()
            && conn.out.capacity() == 0
        {
            conn.out = self.spare.pop().unwrap_or_default();
        }
    }

    /// Notes that a connection has output or is to be closed; closes it if its client does not read (P95).
    pub(crate) fn mark(&mut self, id: ConnId) {
        let out_len_max = self.options.out_len_max;
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        let was_dirty = std::mem::replace(&mut conn.dirty, true);
        let is_too_much = conn.unsent_len() > out_len_max;
        if !was_dirty {
            self.dirty.push(id);
        }
        if is_too_much {
            self.close(id, CloseReason::SlowReader);
        }
    }

    /// The connections that have output or are to be closed, each once.
    pub fn take_dirty(&mut self) -> Vec<ConnId> {
        let dirty = std::mem::take(&mut self.dirty);
        for id in &dirty {
            if let Some(conn) = self.conn_mut(*id) {
                conn.dirty = false;
            }
        }
        dirty
    }

    /// What is to be sent to a client.
    #[must_use]
    pub fn output(&self, id: ConnId) -> &[u8] {
        self.conn(id).map_or(&[], Conn::unsent)
    }

    /// Notes that the first `n` bytes of the output went.
    pub fn sent(&mut self, id: ConnId, n: usize) {
        let pause = self.options.out_len_pause;
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        let was_paused = conn.unsent_len() >= pause;
        conn.out_sent = (conn.out_sent + n).min(conn.out.len());
        conn.takes |= was_paused && n > 0;
        let is_paused = conn.unsent_len() >= pause;
        if conn.out_sent == conn.out.len() {
            let mut buffer = std::mem::take(&mut conn.out);
            conn.out_sent = 0;
            buffer.clear();
            if self.spare.len() < SPARE_BUFFERS_MAX
                && (1..=SPARE_LEN_MAX).contains(&buffer.capacity())
            {
                self.spare.push(buffer);
            }
        } else if conn.out_sent > conn.out.len() / 2 {
            // Moved once in a while, not at each send: a long output would be moved as often as it has parts.
            conn.out.drain(..conn.out_sent);
            conn.out_sent = 0;
        }
        if was_paused && !is_paused {
            self.resumable.push(id);
        }
    }

    /// Tells the peer which sessions were heard of since the last call. Whom the server itself keeps waiting counts as
    /// heard: the protection must not expire sessions (P120). Whose reading was paused for its output shows that it
    /// lives by taking some of it. What a connection that has ended since was told before counts as well (I-29).
    pub fn report_touches(&mut self, now: MonoMillis, upstream: &mut impl Upstream) {
        for (session, (timeout_ms, heard)) in std::mem::take(&mut self.last_heard) {
            upstream.input(Input::Touched {
                session,
                timeout_ms,
                heard,
            });
        }
        for conn in self.iter_mut() {
            let takes = std::mem::take(&mut conn.takes);
            if conn.throttled || conn.held || !conn.parked.is_empty() || takes {
                conn.heard = now;
                conn.touched |= conn.state == State::Open;
            }
            if std::mem::take(&mut conn.touched) && conn.session != SessionId::NONE {
                upstream.input(Input::Touched {
                    session: conn.session,
                    timeout_ms: conn.timeout_ms,
                    heard: conn.heard,
                });
            }
        }
    }

    /// Closes connections that have been silent too long (protocol 10.4), and gives up on output that a closing one
    /// does not take. Call [`Self::report_touches`] before: it says who counts as heard.
    pub fn close_idle(&mut self, now: MonoMillis) {
        self.drop_stale(now);
        let greeting_ms_max = self.options.greeting_ms_max;
        let patience = |conn: &Conn| match conn.state {
            State::Greeting | State::Closing(_) => greeting_ms_max,
            State::Open => u64::try_from(conn.timeout_ms)
                .unwrap_or(0)
                .max(greeting_ms_max),
            // The peer has still to decide.
            State::Connecting { .. } => u64::MAX,
        };
        let mut idle = Vec::new();
        for conn in self.iter() {
            if now.since(conn.heard) > patience(conn) {
                idle.push(conn.id);
            }
        }
        for id in idle {
            match self.conn_mut(id) {
                Some(conn) if conn.closing().is_some() => {
                    conn.drop_output();
                    self.mark(id);
                }
                Some(conn) => {
                    let is_sessionless = conn.state == State::Greeting;
                    self.stats.sessionless_closed += u64::from(is_sessionless);
                    self.close(id, CloseReason::Idle);
                }
                None => {}
            }
        }
    }
}
