//! What the workers of a load share: orders, journals, and what each of them has come to.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::journal::Journal;

/// What the workers are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orders {
    /// Write, read and watch.
    Work,
    /// Come to rest, with nothing under way.
    Settle,
    /// End.
    Stop,
}

/// What the workers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) workers: usize,
    pub(super) orders: AtomicU8,
    /// The highest zxid that was acknowledged to anybody.
    pub(super) acknowledged: AtomicI64,
    pub(super) journals: Vec<Mutex<Journal>>,
    pub(super) seats: Vec<SeatOfWorker>,
    pub(super) violations: Mutex<Vec<String>>,
    pub(super) stale: Mutex<Vec<String>>,
    pub(super) lapsed: Mutex<Vec<(i64, Instant)>>,
    pub(super) left: AtomicU64,
    pub(super) expired: AtomicU64,
    /// Writes that were refused for want of space.
    pub(super) refused: AtomicU64,
    pub(super) kept: AtomicU64,
    pub(super) events: AtomicU64,
}

/// What others see of a worker.
#[derive(Debug, Default)]
pub(super) struct SeatOfWorker {
    pub(super) session: AtomicI64,
    pub(super) acknowledged: AtomicU64,
    /// What its register 0 must show at least.
    pub(super) certain: AtomicU64,
    pub(super) settled: AtomicU64,
    /// What it met last, for a message.
    pub(super) met: Mutex<String>,
}

impl Shared {
    /// For `workers` workers, each writing under `root` of its number.
    pub(super) fn new(workers: usize, root: fn(usize) -> String) -> Self {
        Self {
            workers,
            orders: AtomicU8::new(Orders::Work as u8),
            acknowledged: AtomicI64::new(0),
            journals: (0..workers)
                .map(|worker| Mutex::new(Journal::new(root(worker))))
                .collect(),
            seats: (0..workers).map(|_| SeatOfWorker::default()).collect(),
            violations: Mutex::default(),
            stale: Mutex::default(),
            lapsed: Mutex::default(),
            left: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            events: AtomicU64::new(0),
        }
    }

    pub(super) fn orders(&self) -> Orders {
        match self.orders.load(Ordering::SeqCst) {
            0 => Orders::Work,
            1 => Orders::Settle,
            _ => Orders::Stop,
        }
    }

    pub(super) fn give(&self, orders: Orders) {
        self.orders.store(orders as u8, Ordering::SeqCst);
    }

    pub(super) fn journal(&self, worker: usize) -> MutexGuard<'_, Journal> {
        lock(&self.journals[worker])
    }

    pub(super) fn violation(&self, text: String) {
        lock(&self.violations).push(text);
    }

    pub(super) fn stale(&self, text: String) {
        lock(&self.stale).push(text);
    }

    pub(super) fn live(&self, worker: usize, session: i64) {
        self.seats[worker].session.store(session, Ordering::SeqCst);
    }

    pub(super) fn lapsed(&self, session: i64, until: Instant) {
        lock(&self.lapsed).push((session, until));
        self.left.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn settled(&self, worker: usize) {
        self.seats[worker].settled.store(1, Ordering::SeqCst);
    }

    pub(super) fn is_settled(&self, worker: usize) -> bool {
        self.seats[worker].settled.load(Ordering::SeqCst) == 1
    }

    pub(super) fn certain(&self, worker: usize) -> u64 {
        self.seats[worker].certain.load(Ordering::SeqCst)
    }

    pub(super) fn certain_is(&self, worker: usize, number: u64) {
        self.seats[worker].certain.store(number, Ordering::SeqCst);
    }

    pub(super) fn met(&self, worker: usize, text: String) {
        *lock(&self.seats[worker].met) = text;
    }

    /// What the workers met last.
    pub(super) fn show(&self) -> String {
        let mut shown = String::new();
        for (worker, seat) in self.seats.iter().enumerate() {
            let settled = if self.is_settled(worker) {
                "at rest"
            } else {
                "at work"
            };
            let session = seat.session.load(Ordering::SeqCst);
            let met = lock(&seat.met);
            shown.push_str(&format!("\n  {worker}: 0x{session:x}, {settled}, {met}"));
        }
        shown
    }

    pub(super) fn acknowledge(&self, worker: usize, zxid: i64) {
        self.acknowledged.fetch_max(zxid, Ordering::SeqCst);
        self.seats[worker]
            .acknowledged
            .fetch_add(1, Ordering::SeqCst);
    }
}

/// A lock that a panic of another worker does not take away.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
