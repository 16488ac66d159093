//! What waits for one reader, bounded.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Items in their order, and perhaps why none comes any more.
#[derive(Debug)]
pub(crate) struct Queue<T, E> {
    waiting: Mutex<Waiting<T, E>>,
}

#[derive(Debug)]
struct Waiting<T, E> {
    items: VecDeque<T>,
    end: Option<E>,
    task: Option<Waker>,
}

impl<T, E> Default for Queue<T, E> {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                items: VecDeque::new(),
                end: None,
                task: None,
            }),
        }
    }
}

impl<T, E: Copy> Queue<T, E> {
    /// Over the bound all that waits is worth no more than the advice to read again (P95).
    pub(crate) fn put(&self, item: T, missed: impl FnOnce() -> T) {
        let mut waiting = self.lock();
        if waiting.items.len() >= ITEMS_MAX {
            waiting.items.clear();
            waiting.items.push_back(missed());
        }
        waiting.items.push_back(item);
        wake(waiting);
    }

    /// Nothing comes any more.
    pub(crate) fn end(&self, why: E) {
        let mut waiting = self.lock();
        waiting.end.get_or_insert(why);
        wake(waiting);
    }

    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Result<T, E>> {
        let mut waiting = self.lock();
        if let Some(item) = waiting.items.pop_front() {
            return Poll::Ready(Ok(item));
        }
        if let Some(end) = waiting.end {
            return Poll::Ready(Err(end));
        }
        waiting.task = Some(cx.waker().clone());
        Poll::Pending
    }

    /// An item that is there already.
    pub(crate) fn take(&self) -> Option<T> {
        self.lock().items.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T, E>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake<T, E>(mut waiting: MutexGuard<'_, Waiting<T, E>>) {
    let task = waiting.task.take();
    drop(waiting);
    if let Some(task) = task {
        task.wake();
    }
}

/// So many wait for their reader.
const ITEMS_MAX: usize = 65_536;
