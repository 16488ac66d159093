//! Deadlines in buckets.

use std::collections::{BTreeMap, BTreeSet};

use zabra_proto::{MonoMillis, SessionId};

/// Sessions by the end of the tick in which they expire.
///
/// Deadlines are rounded up to whole ticks, so that a touch mostly changes nothing and all sessions of a tick expire
/// together (SB-14).
#[derive(Debug, Clone)]
pub struct ExpiryQueue {
    tick_ms: u64,
    buckets: BTreeMap<MonoMillis, BTreeSet<SessionId>>,
}

impl ExpiryQueue {
    /// An empty queue with this tick, at least 1 ms.
    #[must_use]
    pub fn new(tick_ms: u64) -> Self {
        Self {
            tick_ms: tick_ms.max(1),
            buckets: BTreeMap::new(),
        }
    }

    /// The bucket of a session heard of at `heard` with this timeout: (⌊(heard + timeout) / tick⌋ + 1) × tick.
    #[must_use]
    pub fn bucket(&self, heard: MonoMillis, timeout_ms: u64) -> MonoMillis {
        let deadline = heard.after(timeout_ms).0;
        MonoMillis(
            (deadline / self.tick_ms)
                .saturating_add(1)
                .saturating_mul(self.tick_ms),
        )
    }

    /// Puts a session into a bucket.
    pub fn insert(&mut self, session: SessionId, bucket: MonoMillis) {
        self.buckets.entry(bucket).or_default().insert(session);
    }

    /// Takes a session out of its bucket.
    pub fn remove(&mut self, session: SessionId, bucket: MonoMillis) {
        if let Some(sessions) = self.buckets.get_mut(&bucket) {
            sessions.remove(&session);
            if sessions.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
    }

    /// Takes out one bucket whose time has come, its sessions in the order of their ids.
    pub fn pop_due(&mut self, now: MonoMillis) -> Option<BTreeSet<SessionId>> {
        let first = self.buckets.first_entry()?;
        (*first.key() <= now).then(|| first.remove())
    }

    /// When the next bucket is due.
    #[must_use]
    pub fn next_due(&self) -> Option<MonoMillis> {
        self.buckets.first_key_value().map(|(due, _)| *due)
    }

    /// All buckets by time, for the `dump` word.
    pub fn buckets(&self) -> impl Iterator<Item = (MonoMillis, &BTreeSet<SessionId>)> {
        self.buckets.iter().map(|(due, sessions)| (*due, sessions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_rounded_up_to_the_next_tick() {
        let queue = ExpiryQueue::new(2000);
        assert_eq!(queue.bucket(MonoMillis(0), 4000), MonoMillis(6000));
        assert_eq!(queue.bucket(MonoMillis(1999), 4000), MonoMillis(6000));
        assert_eq!(queue.bucket(MonoMillis(2000), 4000), MonoMillis(8000));
    }

    #[test]
    fn a_deadline_at_the_end_of_time_does_not_wrap() {
        assert_eq!(
            ExpiryQueue::new(7).bucket(MonoMillis(u64::MAX), u64::MAX),
            MonoMillis(u64::MAX)
        );
    }

    #[test]
    fn sessions_of_one_tick_expire_together() {
        let mut queue = ExpiryQueue::new(10);
        queue.insert(SessionId(2), MonoMillis(20));
        queue.insert(SessionId(1), MonoMillis(20));
        queue.insert(SessionId(3), MonoMillis(30));
        assert_eq!(queue.pop_due(MonoMillis(19)), None);
        assert_eq!(
            queue.pop_due(MonoMillis(20)),
            Some([SessionId(1), SessionId(2)].into())
        );
        assert_eq!(queue.next_due(), Some(MonoMillis(30)));
    }
}
