//! What waits for the next flush, and until when.

use std::time::Duration;

use zabra_proto::MonoMillis;

use super::{Flusher, Gathering, Record, clock};

/// Transactions to be logged, and whether more will come.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) batch: Vec<Record>,
    pub(crate) gathering: Gathering,
    /// No more requests are taken; what was taken is finished.
    pub(crate) stopping: bool,
}

impl Pending {
    /// Nothing so far.
    pub(crate) fn new(gathering: Gathering) -> Self {
        Self {
            batch: Vec::new(),
            gathering,
            stopping: false,
        }
    }

    /// Whether what is gathered goes to the disk now. What is held back goes by itself if nobody else is flushing.
    pub(crate) fn is_due(&mut self, flusher: &Flusher) -> bool {
        let gathering = &mut self.gathering;
        let waits = gathering.holds_back()
            && !self.batch.is_empty()
            && !self.stopping
            && !gathering.is_full()
            && (flusher.is_at_work() || !gathering.wait(clock::now().mono).is_zero());
        if !waits {
            gathering.begin();
        }
        !waits
    }

    /// How long nothing need be done unless somebody comes, with `tick` until the next thing that is due by itself.
    pub(crate) fn timeout(
        &self,
        flusher: &Flusher,
        now: MonoMillis,
        tick: Duration,
    ) -> Option<Duration> {
        if !self.batch.is_empty() && (self.stopping || !self.gathering.holds_back()) {
            return Some(Duration::ZERO);
        }
        if self.stopping {
            // A flusher without the seat rings when it is done.
            return flusher.is_idle().then_some(Duration::ZERO);
        }
        if self.batch.is_empty() || flusher.is_at_work() {
            return Some(tick);
        }
        Some(tick.min(self.gathering.wait(now)))
    }

    /// Whether the server is to stop and everything is on disk and told.
    pub(crate) fn is_over(&self, flusher: &Flusher) -> bool {
        self.stopping && self.batch.is_empty() && flusher.is_idle()
    }
}
