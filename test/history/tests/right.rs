//! Histories that look strange and are right: nothing may be said against them.

mod common;

use common::{Tale, create, delete, ephemeral, owned, path, read, set, shown, watch};
use zabra_history::{Answer, Ask, Change, What, judge};

fn accepted(tell: impl FnOnce(&mut Tale)) {
    let mut tale = Tale::default();
    tell(&mut tale);
    let verdict = judge(tale.history());
    assert!(verdict.violations.is_empty(), "{:?}", verdict.violations);
    assert!(
        verdict.counts.values().sum::<u64>() > 0,
        "nothing was judged"
    );
}

#[test]
fn a_read_without_a_sync_may_be_old() {
    accepted(|tale| {
        tale.done(1, create("/a", 1), 10).done(1, set("/a", 2), 11);
        tale.call(2, read("/a"), 10, shown(1, 10, 10));
        tale.call(2, read("/a"), 11, shown(2, 10, 11));
    });
}

#[test]
fn writes_that_overlap_may_come_in_any_order() {
    accepted(|tale| {
        tale.done(1, create("/a", 1), 10);
        let one = tale.ask(1, set("/a", 2));
        let other = tale.ask(2, set("/a", 3));
        tale.tell(1, one, 12, Answer::Done)
            .tell(2, other, 11, Answer::Done);
        tale.call(3, Ask::Sync, 12, Answer::Done);
        tale.call(3, read("/a"), 12, shown(2, 10, 12));
    });
}

#[test]
fn an_unanswered_write_may_have_happened_or_not_or_later() {
    accepted(|tale| {
        tale.done(1, create("/a", 1), 10).lost(1, set("/a", 2));
        tale.done(1, create("/b", 3), 12);
        tale.call(2, Ask::Sync, 12, Answer::Done);
        tale.call(2, read("/a"), 12, shown(1, 10, 10));
        // It comes when its server does.
        tale.call(2, Ask::Sync, 15, Answer::Done);
        tale.call(2, read("/a"), 15, shown(2, 10, 14));
    });
    accepted(|tale| {
        tale.lost(1, create("/a", 1)).done(2, set("/a", 2), 12);
        tale.lost(2, delete("/a"))
            .call(3, read("/a"), 20, Answer::Absent);
        tale.call(3, create("/a", 4), 21, Answer::Done);
    });
}

#[test]
fn a_znode_of_before_the_history_is_taken_as_it_is() {
    let mut tale = Tale::default();
    tale.call(1, read("/old"), 10, shown(7, 3, 5));
    tale.done(1, set("/old", 8), 11).done(1, delete("/old"), 12);
    let mut history = tale.history().clone();
    history.since = 9;
    let verdict = judge(&history);
    assert!(verdict.violations.is_empty(), "{:?}", verdict.violations);
}

#[test]
fn an_event_before_the_data_and_a_new_watch_with_it() {
    accepted(|tale| {
        tale.done(1, create("/a", 1), 10)
            .call(2, watch("/a"), 10, shown(1, 10, 10));
        tale.done(1, set("/a", 2), 11)
            .event(2, "/a", Change::Data, Some(11));
        tale.call(2, watch("/a"), 11, shown(2, 10, 11));
        tale.note(2, What::Disconnected).done(1, delete("/a"), 12);
        tale.event(2, "/a", Change::Deleted, Some(12));
        tale.call(2, read("/a"), 12, Answer::Absent);
    });
}

#[test]
fn a_watch_on_children_tells_of_an_ephemeral_one_that_ends() {
    accepted(|tale| {
        let children = Ask::Children {
            path: path("/p"),
            watch: true,
        };
        tale.done(1, create("/p", 1), 10)
            .done(2, ephemeral("/p/e", 2), 11);
        tale.call(1, children, 11, Answer::Children(11))
            .note(2, What::Expired);
        tale.event(1, "/p", Change::Children, None);
    });
}

#[test]
fn ephemeral_znodes_that_go_with_their_session() {
    accepted(|tale| {
        tale.done(1, ephemeral("/e", 1), 10)
            .done(1, ephemeral("/f", 2), 11);
        tale.call(2, read("/e"), 11, owned(1, 10, 1))
            .note(1, What::Expired);
        // A server that has not heard of it yet.
        tale.call(2, read("/f"), 12, owned(2, 11, 1));
        tale.call(3, read("/f"), 13, Answer::Absent);
        tale.done(4, ephemeral("/e", 3), 14);
    });
}

#[test]
fn a_lock_that_goes_from_one_to_the_next() {
    accepted(|tale| {
        let lock = path("/lock");
        for (session, token) in [(1, 10), (2, 20), (1, 30)] {
            let (held, freed, done) = (lock.clone(), lock.clone(), lock.clone());
            tale.note(session, What::Holds { lock: held, token });
            tale.note(
                session,
                What::Guarded {
                    lock: done,
                    token,
                    zxid: token + 1,
                },
            );
            tale.note(session, What::Frees { lock: freed });
        }
        // A holder whose connection breaks does not hold any more.
        let (one, other) = (lock.clone(), lock);
        tale.note(
            3,
            What::Holds {
                lock: one,
                token: 40,
            },
        )
        .note(3, What::Disconnected);
        tale.note(
            4,
            What::Holds {
                lock: other,
                token: 41,
            },
        );
    });
}
