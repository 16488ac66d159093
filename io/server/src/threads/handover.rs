//! The seat between two threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use shuttle::rand::Rng;
use shuttle::sync::mpsc;
use shuttle::thread;

use super::in_many_orders;
use crate::seat::{Handover, PATIENCE, Turn};
use crate::sync::pass;

/// The one that there is.
struct TheSeat;

/// A seat that changes hands, and no batch.
type Desk = Handover<TheSeat, ()>;

/// A poller that lays the seat down and picks it up again, and a standby that gives back what it took.
pub(super) fn one_seat() {
    let handover = Arc::new(Desk::new().unwrap());
    let held = Arc::new(AtomicU32::new(0));
    let (give, given) = mpsc::channel();
    let standby = thread::spawn({
        let (handover, held) = (Arc::clone(&handover), Arc::clone(&held));
        move || {
            while let Some(Turn::Poll(seat)) = handover.wait().unwrap() {
                hold(&handover, &held);
                give.send(seat).unwrap();
            }
        }
    });
    let mut seat = TheSeat;
    for _ in 0..4 {
        hold(&handover, &held);
        handover.lay_down(seat).unwrap();
        pass(PATIENCE / 2);
        let back = handover.pick_up();
        seat = back.unwrap_or_else(|| given.recv().unwrap());
    }
    handover.close().unwrap();
    standby.join().unwrap();
}

/// What a poller does with the seat, and no other thread at the same time.
fn hold(handover: &Desk, held: &AtomicU32) {
    let others = held.fetch_add(1, Ordering::Relaxed);
    assert_eq!(others, 0, "two threads have the seat");
    thread::yield_now();
    if shuttle::rand::thread_rng().gen_bool(0.5) {
        handover.rest().unwrap();
    }
    held.fetch_sub(1, Ordering::Relaxed);
}

#[test]
fn one_thread_at_a_time_has_the_seat() {
    in_many_orders(one_seat);
}

/// The seat is laid down and never picked up.
pub(super) fn a_seat_that_lies() {
    let handover = Arc::new(Desk::new().unwrap());
    let standby = thread::spawn({
        let handover = Arc::clone(&handover);
        move || handover.wait().unwrap().is_some()
    });
    handover.lay_down(TheSeat).unwrap();
    if handover.pick_up().is_some() {
        handover.rest().unwrap();
        handover.lay_down(TheSeat).unwrap();
    }
    assert!(standby.join().unwrap(), "the standby has it in the end");
}

#[test]
fn a_seat_that_nobody_picks_up_is_taken() {
    in_many_orders(a_seat_that_lies);
}
