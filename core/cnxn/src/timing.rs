//! What follows from the session timeout (features CL-04).

/// Intervals of a session, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    session_ms: u64,
    hosts: u64,
}

impl Timing {
    /// Pings are never further apart than this.
    const PING_MS_MAX: u64 = 10_000;
    /// How much earlier than necessary a ping leaves, where there is room for it.
    const PING_MARGIN_MS: u64 = 1_000;

    /// For a session timeout, wanted or granted, over so many servers.
    #[must_use]
    pub fn new(session_ms: i32, hosts: usize) -> Self {
        Self {
            session_ms: u64::try_from(session_ms).unwrap_or(0).max(1),
            hosts: hosts.max(1) as u64,
        }
    }

    /// How long one server may take to accept and to greet: all of them get their turn within the session timeout.
    #[must_use]
    pub fn connect_ms(self) -> u64 {
        (self.session_ms / self.hosts).max(1)
    }

    /// Silence after which a link counts as dead. A third of the timeout is left to find another server.
    #[must_use]
    pub fn read_ms(self) -> u64 {
        (self.session_ms * 2 / 3).max(1)
    }

    /// How long after the last request a ping leaves.
    #[must_use]
    pub fn ping_ms(self) -> u64 {
        let half = (self.read_ms() / 2).max(1);
        let early = half.saturating_sub(Self::PING_MARGIN_MS);
        early
            .max(Self::PING_MARGIN_MS.min(half))
            .min(Self::PING_MS_MAX)
    }

    /// Silence after which the session has probably expired.
    #[must_use]
    pub fn lost_ms(self) -> u64 {
        self.session_ms
    }

    /// Silence after which the client itself may declare it expired (features CL-18).
    #[must_use]
    pub fn local_expiry_ms(self) -> u64 {
        self.session_ms * 4 / 3
    }

    /// The session timeout.
    #[must_use]
    pub fn session_ms(self) -> u64 {
        self.session_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_derived_as_apaches_client_does() {
        let timing = Timing::new(30_000, 3);
        assert_eq!(timing.connect_ms(), 10_000);
        assert_eq!(timing.read_ms(), 20_000);
        assert_eq!(timing.ping_ms(), 9_000);
        assert_eq!(timing.local_expiry_ms(), 40_000);
    }

    #[test]
    fn pings_are_at_most_ten_seconds_apart_and_two_fit_into_every_read_timeout() {
        for session_ms in [1, 10, 100, 999, 1500, 3000, 4000, 10_000, 60_000, i32::MAX] {
            let timing = Timing::new(session_ms, 1);
            assert!(timing.ping_ms() <= 10_000, "{session_ms}");
            assert!(timing.ping_ms() >= 1, "{session_ms}");
            assert!(
                session_ms < 3 || timing.ping_ms() * 2 <= timing.read_ms().max(2),
                "{session_ms}"
            );
        }
    }
}
