//! Whose turn it is: the loop of the two threads of which one polls and one waits, or flushes.
//!
//! What is done in a round is the seat's ([`Seated`]). Here is when the seat is laid down, who has it next, who flushes,
//! and when the server has stopped.

use zabra_peer::Now;

use super::{Durable, Fatal, Letters, Pending, Record, Shared, Turn, clock};
use crate::sync::{Slip, slips};

/// What is asked of a seat. The server's is [`Seat`](super::Seat); tests of threads have one without sockets.
pub(crate) trait Seated: Sized {
    /// One round, up to the flush.
    fn round(&mut self, shared: &Shared<Self>) -> Result<(), Fatal>;

    /// What waits for the next flush.
    fn pending(&mut self) -> &mut Pending;

    /// Whether the other thread shall flush so many, while this one polls on.
    fn hands_on(&self, count: usize) -> bool;

    /// Everything up to here is on disk.
    fn on_durable(&mut self, durable: Durable, shared: &Shared<Self>, now: Now);

    /// Other threads have written.
    fn on_letters(&mut self, letters: Letters, now: Now);

    /// Whether nothing is left to be done that was begun.
    fn is_at_rest(&self) -> bool;

    /// The server has stopped.
    fn part(&mut self);
}

/// How holding the seat ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// The other thread has the seat.
    Lost,
    /// The server has stopped in good order.
    Stopped,
}

/// The life of each of the two threads: poll with the seat, wait without it.
pub(crate) fn take_turns<S: Seated>(shared: &Shared<S>, seat: Option<Box<S>>) -> Result<(), Fatal> {
    let mut seat = seat;
    loop {
        let held = match seat.take() {
            Some(seat) => hold(shared, seat)?,
            None => match shared.handover.wait()? {
                Some(Turn::Poll(seat)) => hold(shared, seat)?,
                Some(Turn::Flush(batch)) => {
                    run_on(shared, batch)?;
                    continue;
                }
                None => return Ok(()),
            },
        };
        if held == Held::Stopped {
            shared.handover.close()?;
            return Ok(());
        }
    }
}

/// Polls for as long as this thread holds the seat.
fn hold<S: Seated>(shared: &Shared<S>, mut seat: Box<S>) -> Result<Held, Fatal> {
    loop {
        seat.round(shared)?;
        if seat.is_at_rest() && seat.pending().is_over(&shared.flusher) {
            seat.part();
            return Ok(Held::Stopped);
        }
        if !seat.pending().is_due(&shared.flusher) {
            continue;
        }
        let Some(batch) = shared.flusher.offer(&mut seat.pending().batch) else {
            continue;
        };
        if seat.hands_on(batch.len()) {
            shared.handover.hand_on(batch)?;
            continue;
        }
        let mut kept = None;
        if slips(Slip::SeatKept) {
            kept = Some(seat);
        } else {
            shared.handover.lay_down(seat)?;
        }
        let durable = shared.flusher.flush(&batch)?;
        if let Some(back) = kept.or_else(|| shared.handover.pick_up()) {
            seat = back;
            seat.on_durable(shared.flusher.end(durable), shared, clock::now());
            continue;
        }
        if let Some(batch) = report(shared, durable) {
            run_on(shared, batch)?;
        }
        return Ok(Held::Lost);
    }
}

/// Flushes without the seat: this batch, and what gathers meanwhile.
fn run_on<S: Seated>(shared: &Shared<S>, batch: Vec<Record>) -> Result<(), Fatal> {
    let mut next = Some(batch);
    while let Some(batch) = next {
        let durable = shared.flusher.flush(&batch)?;
        next = report(shared, durable);
    }
    Ok(())
}

/// Tells the poller what is durable; what to flush next, as long as this thread is the flusher.
fn report<S: Seated>(shared: &Shared<S>, durable: Durable) -> Option<Vec<Record>> {
    let next = shared.flusher.run_on(durable);
    if next.is_some() || !slips(Slip::BellForgotten) {
        shared.mailbox.ring();
    }
    next
}

/// Takes what other threads have left, after the bell rang. What is durable comes first: a letter may speak of it.
pub(crate) fn hear<S: Seated>(seat: &mut S, shared: &Shared<S>, now: Now) {
    let letters = shared.mailbox.take();
    if let Some(durable) = shared.flusher.take_done() {
        seat.on_durable(durable, shared, now);
    }
    seat.on_letters(letters, now);
}
