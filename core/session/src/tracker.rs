//! The sessions that this server may expire.

use std::collections::BTreeMap;

use zabra_proto::{MonoMillis, SessionId};

use crate::ExpiryQueue;

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Alive.
    Open,
    /// Its closeSession is proposed; it may do nothing more (P76).
    Closing,
    /// Not known here.
    Unknown,
}

/// Smallest and largest session timeout that the server grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutBounds {
    /// At least this, ms.
    pub timeout_ms_min: i32,
    /// At most this, ms.
    pub timeout_ms_max: i32,
}

impl TimeoutBounds {
    /// What is granted to a client that asks for `wanted`, any number (P130).
    #[must_use]
    pub fn grant(self, wanted_ms: i32) -> i32 {
        wanted_ms.max(self.timeout_ms_min).min(self.timeout_ms_max)
    }
}

#[derive(Debug, Clone)]
struct Tracked {
    timeout_ms: i32,
    bucket: MonoMillis,
    closing: bool,
}

/// The sessions that this server may expire, and when.
///
/// Invariant: a session is in the expiry queue, under its `bucket`, if and only if it is not closing.
#[derive(Debug, Clone)]
pub struct SessionTracker {
    sessions: BTreeMap<SessionId, Tracked>,
    expiry: ExpiryQueue,
}

impl SessionTracker {
    /// No sessions; deadlines in ticks of this length.
    #[must_use]
    pub fn new(tick_ms: u64) -> Self {
        Self {
            sessions: BTreeMap::new(),
            expiry: ExpiryQueue::new(tick_ms),
        }
    }

    /// Begins to track a session, with its full timeout from now. A session that is closing stays so.
    pub fn open(&mut self, session: SessionId, timeout_ms: i32, now: MonoMillis) {
        if self.sessions.contains_key(&session) {
            self.touch_with(session, timeout_ms, now);
            return;
        }
        let bucket = self.expiry.bucket(now, millis(timeout_ms));
        self.expiry.insert(session, bucket);
        self.sessions.insert(
            session,
            Tracked {
                timeout_ms,
                bucket,
                closing: false,
            },
        );
    }

    /// Where a session stands.
    #[must_use]
    pub fn standing(&self, session: SessionId) -> Standing {
        match self.sessions.get(&session) {
            None => Standing::Unknown,
            Some(Tracked { closing: true, .. }) => Standing::Closing,
            Some(_) => Standing::Open,
        }
    }

    /// Notes that a session was heard of.
    pub fn touch(&mut self, session: SessionId, heard: MonoMillis) {
        if let Some(timeout_ms) = self.sessions.get(&session).map(|s| s.timeout_ms) {
            self.touch_with(session, timeout_ms, heard);
        }
    }

    /// Notes that a session was heard of, and that it now has this timeout.
    pub fn touch_with(&mut self, session: SessionId, timeout_ms: i32, heard: MonoMillis) {
        let Some(tracked) = self.sessions.get_mut(&session) else {
            return;
        };
        tracked.timeout_ms = timeout_ms;
        let bucket = self.expiry.bucket(heard, millis(timeout_ms));
        // A touch that comes late must not take back what a later one gave.
        if tracked.closing || bucket <= tracked.bucket {
            return;
        }
        self.expiry.remove(session, tracked.bucket);
        self.expiry.insert(session, bucket);
        tracked.bucket = bucket;
    }

    /// Marks a session as closing: from here on it may do nothing.
    pub fn begin_close(&mut self, session: SessionId) {
        if let Some(tracked) = self.sessions.get_mut(&session)
            && !tracked.closing
        {
            tracked.closing = true;
            self.expiry.remove(session, tracked.bucket);
        }
    }

    /// Forgets a session whose closeSession is applied.
    pub fn closed(&mut self, session: SessionId) {
        self.begin_close(session);
        self.sessions.remove(&session);
    }

    /// The sessions of the next bucket that is due, now marked as closing. Call until it returns nothing.
    pub fn expire(&mut self, now: MonoMillis) -> Vec<SessionId> {
        let due: Vec<_> = self
            .expiry
            .pop_due(now)
            .unwrap_or_default()
            .into_iter()
            .collect();
        for session in &due {
            if let Some(tracked) = self.sessions.get_mut(session) {
                tracked.closing = true;
            }
        }
        due
    }

    /// When the next bucket is due.
    #[must_use]
    pub fn next_due(&self) -> Option<MonoMillis> {
        self.expiry.next_due()
    }

    /// Number of sessions, closing ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The deadlines, for the `dump` word.
    #[must_use]
    pub fn expiry(&self) -> &ExpiryQueue {
        &self.expiry
    }
}

fn millis(timeout_ms: i32) -> u64 {
    u64::try_from(timeout_ms).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: SessionId = SessionId(5);

    fn tracker() -> SessionTracker {
        let mut tracker = SessionTracker::new(10);
        tracker.open(S, 30, MonoMillis(0));
        tracker
    }

    #[test]
    fn a_silent_session_expires_within_a_tick_of_its_timeout() {
        let mut tracker = tracker();
        assert_eq!(tracker.expire(MonoMillis(39)), []);
        assert_eq!(tracker.expire(MonoMillis(40)), [S]);
        assert_eq!(tracker.standing(S), Standing::Closing);
    }

    #[test]
    fn a_touch_gives_a_full_timeout_from_when_it_was_heard() {
        let mut tracker = tracker();
        tracker.touch(S, MonoMillis(25));
        assert_eq!(tracker.expire(MonoMillis(59)), []);
        assert_eq!(tracker.expire(MonoMillis(60)), [S]);
    }

    #[test]
    fn a_late_touch_takes_nothing_back() {
        let mut tracker = tracker();
        tracker.touch(S, MonoMillis(100));
        tracker.touch(S, MonoMillis(3));
        assert_eq!(tracker.expire(MonoMillis(130)), []);
    }

    #[test]
    fn a_closing_session_cannot_be_revived() {
        let mut tracker = tracker();
        tracker.begin_close(S);
        tracker.touch(S, MonoMillis(500));
        tracker.open(S, 30, MonoMillis(500));
        assert_eq!(tracker.standing(S), Standing::Closing);
        assert_eq!(tracker.expire(MonoMillis(10_000)), []);
        tracker.closed(S);
        assert_eq!(tracker.standing(S), Standing::Unknown);
    }

    #[test]
    fn timeouts_are_clamped_whatever_is_asked() {
        let bounds = TimeoutBounds {
            timeout_ms_min: 4000,
            timeout_ms_max: 40_000,
        };
        assert_eq!(bounds.grant(i32::MIN), 4000);
        assert_eq!(bounds.grant(30_000), 30_000);
        assert_eq!(bounds.grant(i32::MAX), 40_000);
    }
}
