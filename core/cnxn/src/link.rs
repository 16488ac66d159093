//! The link: how it comes up, what it carries, how it goes, and which one is next.

use zabra_proto::MonoMillis;

use crate::cnxn::{Phase, Probe};
use crate::{
    CallError, Cnxn, HostPort, LinkError, Output, Rebalance, SessionState, Timing, Watched,
};

impl<C> Cnxn<C> {
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
        let watchers = self.watches.lasting();
        if !watchers.is_empty() {
            let event = Watched::Missed;
            self.outputs.push(Output::Event { watchers, event });
        }
    }

    /// Bytes of the server. Returns how many were used up; the rest is given again, with more behind it.
    ///
    /// # Errors
    ///
    /// What was wrong with them. The link counts as lost then.
    pub fn on_bytes(&mut self, now: MonoMillis, bytes: &[u8]) -> Result<usize, LinkError> {
        if !self.is_serving() {
            return Ok(0);
        }
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

    pub(crate) fn maybe_probe(&mut self, now: MonoMillis) {
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
}
