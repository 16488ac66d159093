//! A queue whose items are taken at their moments.

use std::time::SystemTime;

use crate::decide::queue::due_prefix;
use crate::error::Error;
use crate::queue::{Delivery, Queue, ms};
use crate::sessions::Sessions;

/// A queue at a path whose items may be taken from a given moment on; the layout of Curator's `DistributedDelayQueue`.
///
/// - Guaranteed: what [`Queue`] guarantees; no item is taken before its moment by the taker's clock.
/// - Order: that of the moments, then of putting.
/// - Not guaranteed: that clocks agree. A taker whose clock is ahead takes early.
/// - A put whose answer is lost may put the item twice.
#[derive(Debug, Clone)]
pub struct DelayQueue(Queue);

impl DelayQueue {
    /// The queue at a path, whose items are locked under `locks` while they are worked on. Nothing is asked of the server yet.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, path: &str, locks: &str) -> Self {
        Self(Queue::new(sessions, path, locks).with_delays())
    }

    /// As [`Queue::items_max`].
    #[must_use]
    pub fn items_max(self, items: usize) -> Self {
        Self(self.0.items_max(items))
    }

    /// Puts an item that may be taken from this moment on.
    ///
    /// # Errors
    /// As [`Queue::put`].
    pub async fn put(&self, item: &[u8], due: SystemTime) -> Result<(), Error> {
        self.0.put_as(&due_prefix(ms(due)), item).await
    }

    /// How many items there are, due or not.
    ///
    /// # Errors
    /// As [`Queue::len`].
    pub async fn len(&self) -> Result<usize, Error> {
        self.0.len().await
    }

    /// Whether there are none, due or not.
    ///
    /// # Errors
    /// As [`Queue::len`].
    pub async fn is_empty(&self) -> Result<bool, Error> {
        self.0.is_empty().await
    }

    /// Waits for the first item that is due and that nobody works on, and takes it. Cancel safe.
    ///
    /// # Errors
    /// As [`Queue::take`].
    pub async fn take(&self) -> Result<Delivery, Error> {
        self.0.take().await
    }
}
