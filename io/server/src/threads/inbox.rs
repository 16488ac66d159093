//! Letters to the poller.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use super::in_many_orders;
use crate::seat::Mailbox;
use crate::sync::{Bell, Waker};

/// Letters of each kind from three threads, and a poller that sleeps until it is woken.
pub(super) fn letters_of_three_threads() {
    let bell = Arc::new(Bell::default());
    let mailbox = Arc::new(Mailbox::new(Waker(Arc::clone(&bell))));
    let post = |write: fn(&Mailbox)| {
        let mailbox = Arc::clone(&mailbox);
        thread::spawn(move || write(&mailbox))
    };
    let writers = [
        post(|mailbox| mailbox.post(|letters| letters.disk_low = Some(true))),
        post(|mailbox| mailbox.post(|letters| letters.snapshot = Some(Ok(Duration::ZERO)))),
        post(Mailbox::stop),
    ];
    let (mut low, mut written, mut stops) = (0, 0, 0);
    while low + written + stops < 3 {
        assert!(bell.wait(None).waker);
        let letters = mailbox.take();
        low += usize::from(letters.disk_low.is_some());
        written += usize::from(letters.snapshot.is_some());
        stops += usize::from(letters.stop);
    }
    assert_eq!([low, written, stops], [1; 3], "each letter is read once");
    writers
        .into_iter()
        .for_each(|writer| writer.join().unwrap());
}

#[test]
fn a_letter_wakes_the_poller_whenever_it_is_posted() {
    in_many_orders(letters_of_three_threads);
}
