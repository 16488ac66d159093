//! When a snapshot is due.

/// Counts what has been logged since the last snapshot began.
///
/// Each time the threshold is drawn between half of the configured number and all of it, so that the servers of an
/// ensemble do not all write at once (features SP-03, SP-04).
#[derive(Debug)]
pub(crate) struct SnapshotPlan {
    txns_max: u64,
    bytes_max: Option<u64>,
    txns_due: u64,
    bytes_due: Option<u64>,
    txns: u64,
}

impl SnapshotPlan {
    /// With so many transactions since the newest snapshot.
    pub(crate) fn new(txns_max: u32, bytes_max: Option<u64>, txns: u64) -> Self {
        let mut plan = Self {
            txns_max: u64::from(txns_max),
            bytes_max,
            txns_due: 0,
            bytes_due: None,
            txns,
        };
        plan.draw();
        plan
    }

    /// A transaction was logged.
    pub(crate) fn on_txn(&mut self) {
        self.txns += 1;
    }

    /// Whether a snapshot is due with so many bytes in the log's segment.
    pub(crate) fn is_due(&self, segment_len: u64) -> bool {
        self.txns >= self.txns_due || self.bytes_due.is_some_and(|bytes| segment_len >= bytes)
    }

    /// A snapshot begins.
    pub(crate) fn begun(&mut self) {
        self.txns = 0;
        self.draw();
    }

    fn draw(&mut self) {
        let draw = |max: u64| max / 2 + fastrand::u64(0..=max / 2);
        self.txns_due = draw(self.txns_max).max(1);
        self.bytes_due = self.bytes_max.map(draw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_between_half_of_the_count_and_all_of_it() {
        for _ in 0..200 {
            let mut plan = SnapshotPlan::new(100, None, 0);
            let count = (1..=100).find(|_| {
                plan.on_txn();
                plan.is_due(u64::MAX)
            });
            assert!((50..=100).contains(&count.unwrap()));
            plan.begun();
            assert!(!plan.is_due(0));
        }
    }

    #[test]
    fn a_long_log_is_reason_enough() {
        let plan = SnapshotPlan::new(100_000, Some(1000), 0);
        assert!(!plan.is_due(499) && plan.is_due(1000));
    }

    #[test]
    fn what_was_replayed_at_the_start_counts() {
        assert!(SnapshotPlan::new(100, None, 100).is_due(0));
    }
}
