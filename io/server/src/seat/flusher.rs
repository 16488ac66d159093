//! Whose turn it is to flush, and what waits for the next flush.
//!
//! One thread at a time is the flusher. The poller becomes it by flushing its own batch. If it loses the seat meanwhile
//! it *runs on*: it flushes what the new poller has gathered, without a hop through the poller, until a flush was short
//! again and little is left. So does the standby to which the poller handed a batch on
//! (docs/decisions/0001-poller-round.md).

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tracing::warn;
use zabra_proto::Zxid;
use zabra_storage::{LogError, TxnLog};

use super::handover::{PATIENCE, WORTH_A_WAKE};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, Slip, slips};

/// A transaction to be logged.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its number.
    pub zxid: Zxid,
    /// Its bytes.
    pub payload: Arc<[u8]>,
}

/// What a flush made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// Everything up to here.
    pub last: Zxid,
    /// How long the longest flush since the last report took.
    pub took: Duration,
    /// Bytes in the log's present segment.
    pub segment_len: u64,
}

/// The log and the queue before it.
#[derive(Debug)]
pub struct Flusher {
    log: Mutex<TxnLog>,
    queue: Mutex<Queue>,
    slow: SlowFlushes,
    /// One flush takes no more transactions than these.
    batch_max: usize,
}

/// Flushes that took longer than the operator likes: each is logged and counted (ST-20). A flush that is worth a line
/// takes so long that there are never many lines.
#[derive(Debug)]
struct SlowFlushes {
    after: Duration,
    count: AtomicU64,
}

impl SlowFlushes {
    fn note(&self, took: Duration, segment_len: u64) {
        if took <= self.after {
            return;
        }
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        warn!(
            ?took,
            segment_len,
            count,
            "a flush of the transaction log was slow, and every write waited for it; is the disk shared or worn?"
        );
    }
}

#[derive(Debug, Default)]
struct Queue {
    /// Somebody is the flusher.
    taken: bool,
    /// What came in meanwhile, in order.
    waiting: Vec<Record>,
    /// What a flusher without the seat has to report.
    done: Option<Durable>,
    /// The segment is to be finished with the next flush.
    roll: bool,
}

impl Flusher {
    /// For this log; flushes that take longer than `slow_after` are logged, and none takes more than `batch_max`.
    #[must_use]
    pub fn new(log: TxnLog, slow_after: Duration, batch_max: usize) -> Self {
        Self {
            log: Mutex::new(log),
            queue: Mutex::default(),
            slow: SlowFlushes {
                after: slow_after,
                count: AtomicU64::new(0),
            },
            batch_max: batch_max.max(1),
        }
    }

    /// Gives a batch to the flusher at work. If there is none the caller is the flusher from here on, and gets back
    /// what to flush; what one flush may not take stays in the batch.
    pub fn offer(&self, batch: &mut Vec<Record>) -> Option<Vec<Record>> {
        let mut queue = self.queue();
        queue.waiting.append(batch);
        if queue.taken || queue.waiting.is_empty() {
            return None;
        }
        queue.taken = true;
        let mut todo = std::mem::take(&mut queue.waiting);
        if todo.len() > self.batch_max {
            *batch = todo.split_off(self.batch_max);
        }
        Some(todo)
    }

    /// Appends and syncs a batch. Only for the flusher.
    pub fn flush(&self, batch: &[Record]) -> Result<Durable, LogError> {
        let rolls = std::mem::take(&mut self.queue().roll);
        // One thread at a time is the flusher, so this waits for nobody; a log whose flush panicked is poisoned itself.
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        for record in batch {
            log.append(record.zxid, &record.payload)?;
        }
        if slips(Slip::ToldTooEarly) {
            self.queue().done = batch.last().map(|record| Durable {
                last: record.zxid,
                took: Duration::ZERO,
                segment_len: 0,
            });
        }
        let flushed = log.flush()?;
        self.slow.note(flushed.sync_took, log.segment_len());
        if rolls {
            log.roll()?;
        }
        Ok(Durable {
            last: flushed.last,
            took: flushed.sync_took,
            segment_len: log.segment_len(),
        })
    }

    /// Works on the log itself, while nothing is flushed: to truncate it, or to let it go on behind a leader's snapshot.
    pub fn with_log<T>(&self, work: impl FnOnce(&mut TxnLog) -> T) -> T {
        work(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many flushes were slow.
    #[must_use]
    pub fn slow_count(&self) -> u64 {
        self.slow.count.load(Ordering::Relaxed)
    }

    /// Ends being the flusher, with the seat in hand. Gives back what to tell: a report that an earlier flusher left is
    /// part of it, or it would be told behind a later one.
    #[must_use]
    pub fn end(&self, durable: Durable) -> Durable {
        let mut queue = self.queue();
        queue.taken = false;
        if slips(Slip::ReportLeft) {
            return durable;
        }
        let left = queue.done.take();
        let took = left.map_or(durable.took, |left| left.took.max(durable.took));
        Durable { took, ..durable }
    }

    /// Leaves a report for the poller, and goes on as the flusher if there is much to flush, or flushes are long and
    /// there is something. Otherwise the caller is the flusher no more.
    pub fn run_on(&self, durable: Durable) -> Option<Vec<Record>> {
        let mut queue = self.queue();
        let took = queue
            .done
            .map_or(durable.took, |done| done.took.max(durable.took));
        let waiting = queue.waiting.len();
        let is_over = waiting == 0 || durable.took < PATIENCE && waiting < WORTH_A_WAKE;
        if !(is_over && slips(Slip::ReportForgotten)) {
            queue.done = Some(Durable { took, ..durable });
        }
        queue.taken = !is_over && !slips(Slip::TwoFlushers);
        if is_over {
            return None;
        }
        if queue.waiting.len() <= self.batch_max {
            return Some(std::mem::take(&mut queue.waiting));
        }
        let rest = queue.waiting.split_off(self.batch_max);
        Some(std::mem::replace(&mut queue.waiting, rest))
    }

    /// Whether somebody flushes. Who does rings the poller's bell at the end.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.queue().taken
    }

    /// Takes the report of a flusher without the seat.
    #[must_use]
    pub fn take_done(&self) -> Option<Durable> {
        self.queue().done.take()
    }

    /// Whether nobody flushes, nothing waits and nothing is to be reported.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let queue = self.queue();
        !queue.taken && queue.waiting.is_empty() && queue.done.is_none()
    }

    /// Asks for a new segment: the present one is finished with the next flush.
    pub fn ask_for_roll(&self) {
        self.queue().roll = true;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here panics while the lock is held.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_is_slow_when_it_takes_longer_than_the_threshold() {
        let slow = SlowFlushes {
            after: Duration::from_millis(1000),
            count: AtomicU64::new(0),
        };
        for took in [0, 999, 1000, 1001, 5000] {
            slow.note(Duration::from_millis(took), 64);
        }
        assert_eq!(slow.count.into_inner(), 2);
    }
}
