//! What other threads tell the poller.

use std::sync::PoisonError;
use std::time::Duration;

use super::MemberLetter;
use crate::links::LinkLetter;
use crate::sync::{Mutex, MutexGuard, Slip, Waker, slips};

/// Messages, each kept until the poller looks.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// The server is to stop.
    pub(crate) stop: bool,
    /// Whether the disk is too full for writes.
    pub(crate) disk_low: Option<bool>,
    /// A snapshot is written, after so long, or could not be.
    pub(crate) snapshot: Option<Result<Duration, ()>>,
    /// From the threads that connect to other servers.
    pub(crate) links: Vec<LinkLetter>,
    /// From the threads that work on a member's history.
    pub(crate) member: Vec<MemberLetter>,
}

/// The poller's letter box, with the bell.
#[derive(Debug)]
pub struct Mailbox {
    letters: Mutex<Letters>,
    waker: Waker,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            letters: Mutex::default(),
            waker,
        }
    }

    /// Asks the server to stop in good order.
    pub fn stop(&self) {
        self.post(|letters| letters.stop = true);
    }

    pub(crate) fn post(&self, write: impl FnOnce(&mut Letters)) {
        write(&mut self.letters());
        if slips(Slip::WakeForgotten) {
            return;
        }
        self.waker.wake();
    }

    /// Wakes the poller without a letter.
    pub(crate) fn ring(&self) {
        self.waker.wake();
    }

    /// Takes the letters, after the bell rang. A letter that comes meanwhile rings again.
    pub(crate) fn take(&self) -> Letters {
        if slips(Slip::WakeNotedLate) {
            let letters = std::mem::take(&mut *self.letters());
            self.waker.acknowledge();
            return letters;
        }
        self.waker.acknowledge();
        std::mem::take(&mut *self.letters())
    }

    fn letters(&self) -> MutexGuard<'_, Letters> {
        // Every change is an assignment or a push: a panic elsewhere cannot leave it half done.
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
