//! Known mistakes between threads, for the tests that must see each of them.
//!
//! As in `zabra-mutant` a mistake is a switch at the line that does the right thing. Only a build with `--cfg shuttle`
//! has them; in any other one [`slips`] is the constant `false`.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(shuttle),
    allow(dead_code, reason = "planted in tests of threads only")
)]
pub(crate) enum Slip {
    /// The poller keeps the seat until its flush is over.
    SeatKept,
    /// A letter is posted, and nobody is woken.
    WakeForgotten,
    /// The letters are taken before the wake-up is noted, which then takes one away that was meant for the next.
    WakeNotedLate,
    /// What is about to be flushed is reported.
    ToldTooEarly,
    /// Who runs on says that nobody flushes.
    TwoFlushers,
    /// The last flush without the seat is not reported.
    ReportForgotten,
    /// The last flush without the seat is reported, and nobody is woken.
    BellForgotten,
    /// A report that was left lies on when a later flush is told.
    ReportLeft,
    /// Who rests puts the standby to sleep that has been given a batch.
    BatchSleptOver,
    /// The standby is not told that the server has stopped.
    StandbyForgotten,
    /// The jobs' thread is not told.
    WorkerForgotten,
    /// The replica is held while a snapshot waits for the disk's sake.
    ReplicaHeld,
    /// A snapshot goes on in a replica that is another.
    ReplacedUnseen,
    /// A snapshot of a history that was cut meanwhile is kept.
    CutUnseen,
}

#[cfg(not(shuttle))]
#[inline(always)]
pub(crate) const fn slips(_: Slip) -> bool {
    false
}

#[cfg(shuttle)]
pub(crate) use switch::slips;

#[cfg(shuttle)]
mod switch {
    use std::cell::Cell;

    use super::Slip;

    // All threads of a schedule are one thread of the system.
    std::thread_local! {
        static PLANTED: Cell<Option<Slip>> = const { Cell::new(None) };
    }

    /// Whether this mistake is planted.
    pub(crate) fn slips(slip: Slip) -> bool {
        PLANTED.get() == Some(slip)
    }

    impl Slip {
        /// Plants it, or takes it out again.
        pub(crate) fn plant(slip: Option<Self>) {
            PLANTED.set(slip);
        }
    }
}
