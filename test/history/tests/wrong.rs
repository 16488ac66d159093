//! Histories that are wrong in one way each: the checker itself is checked.

mod common;

use common::{Tale, create, delete, ephemeral, owned, path, read, set, shown, watch};
use zabra_history::{Answer, Ask, Change, Rule, What, judge};

/// Tells a history and requires that it is refused for this, and for nothing that has no part in it.
fn refused(rule: Rule, tell: impl FnOnce(&mut Tale)) {
    let mut tale = Tale::default();
    tell(&mut tale);
    let verdict = judge(tale.history());
    assert!(
        verdict.breaks(rule),
        "{rule:?} was not seen: {:?}",
        verdict.violations
    );
}

#[test]
fn an_answer_that_overtakes_another_is_refused() {
    refused(Rule::AnswerOrder, |tale| {
        let first = tale.ask(1, create("/a", 1));
        let second = tale.ask(1, set("/a", 2));
        tale.tell(1, second, 11, Answer::Done);
        tale.tell(1, first, 10, Answer::Done);
    });
}

#[test]
fn an_answer_to_nothing_is_refused() {
    refused(Rule::AnswerOrder, |tale| {
        tale.done(1, create("/a", 1), 10)
            .tell(1, 7, 11, Answer::Done);
    });
}

#[test]
fn a_session_that_goes_back_in_time_is_refused_also_over_connections() {
    refused(Rule::WentBack, |tale| {
        tale.done(1, create("/a", 1), 10).done(1, set("/a", 2), 11);
        tale.note(1, What::Disconnected);
        tale.call(1, read("/a"), 10, shown(1, 10, 10));
    });
}

#[test]
fn two_writes_with_one_zxid_are_refused() {
    refused(Rule::ZxidTwice, |tale| {
        let one = tale.ask(1, create("/a", 1));
        let other = tale.ask(2, create("/b", 2));
        tale.tell(1, one, 10, Answer::Done)
            .tell(2, other, 10, Answer::Done);
    });
}

#[test]
fn a_write_before_one_that_was_answered_when_it_was_asked_for_is_refused() {
    refused(Rule::RealTime, |tale| {
        tale.done(1, create("/a", 1), 10)
            .done(2, create("/b", 2), 9);
    });
}

#[test]
fn a_stale_read_behind_a_sync_is_refused() {
    refused(Rule::StaleSync, |tale| {
        tale.done(1, create("/a", 1), 10).done(1, set("/a", 2), 11);
        tale.call(2, Ask::Sync, 10, Answer::Done);
        tale.call(2, read("/a"), 10, shown(1, 10, 10));
    });
}

#[test]
fn an_acknowledged_znode_that_is_not_there_is_refused() {
    refused(Rule::Lost, |tale| {
        tale.done(1, create("/a", 1), 10)
            .call(2, read("/a"), 12, Answer::Absent);
    });
}

#[test]
fn a_second_creation_without_a_deletion_between_is_refused() {
    refused(Rule::Lost, |tale| {
        tale.done(1, create("/a", 1), 10)
            .done(2, create("/a", 2), 11);
    });
}

#[test]
fn a_value_that_nobody_wrote_is_refused() {
    refused(Rule::Phantom, |tale| {
        tale.done(1, create("/a", 1), 10)
            .call(2, read("/a"), 12, shown(9, 10, 12));
    });
}

#[test]
fn a_value_of_a_write_that_was_refused_is_refused() {
    refused(Rule::Phantom, |tale| {
        tale.done(1, create("/a", 1), 10);
        tale.call(1, set("/a", 2), 11, Answer::Refused);
        tale.call(2, read("/a"), 12, shown(2, 10, 11));
    });
}

#[test]
fn another_value_under_the_zxid_of_a_write_is_refused() {
    refused(Rule::Phantom, |tale| {
        tale.done(1, create("/a", 1), 10).done(1, set("/a", 2), 11);
        tale.call(2, read("/a"), 12, shown(1, 10, 11));
    });
}

#[test]
fn a_write_to_a_znode_that_was_deleted_is_refused() {
    refused(Rule::Phantom, |tale| {
        tale.done(1, create("/a", 1), 10).done(1, delete("/a"), 11);
        tale.done(2, set("/a", 2), 12);
    });
}

#[test]
fn an_unanswered_write_that_happens_twice_is_refused() {
    refused(Rule::UnknownWrite, |tale| {
        tale.done(1, create("/a", 1), 10).lost(1, set("/a", 2));
        tale.call(2, read("/a"), 12, shown(2, 10, 12));
        tale.done(2, set("/a", 3), 13);
        tale.call(3, read("/a"), 14, shown(2, 10, 14));
    });
}

#[test]
fn an_unanswered_write_that_happened_before_it_was_asked_for_is_refused() {
    refused(Rule::UnknownWrite, |tale| {
        tale.done(1, create("/a", 1), 10)
            .done(1, create("/b", 2), 20);
        tale.lost(1, set("/a", 3));
        tale.call(2, read("/a"), 25, shown(3, 10, 15));
    });
}

#[test]
fn an_older_value_than_the_answers_zxid_says_is_refused() {
    refused(Rule::OldValue, |tale| {
        tale.done(1, create("/a", 1), 10).done(1, set("/a", 2), 11);
        tale.call(2, read("/a"), 12, shown(1, 10, 10));
    });
}

#[test]
fn a_znode_that_comes_back_by_itself_is_refused() {
    refused(Rule::OldValue, |tale| {
        tale.done(1, create("/a", 1), 10).lost(1, delete("/a"));
        tale.call(2, read("/a"), 12, Answer::Absent);
        tale.call(3, read("/a"), 13, shown(1, 10, 10));
    });
}

#[test]
fn answers_that_no_order_explains_are_refused_whatever_their_zxids_say() {
    refused(Rule::NotLinearizable, |tale| {
        tale.done(1, create("/a", 1), 10);
        tale.done(1, set("/a", 2), 11).done(2, set("/a", 3), 12);
        tale.call(3, Ask::Sync, 12, Answer::Done);
        tale.call(3, read("/a"), 12, shown(2, 10, 12));
    });
}

#[test]
fn a_lost_update_is_refused_without_believing_a_zxid() {
    refused(Rule::NotLinearizable, |tale| {
        tale.done(1, create("/a", 1), 10).done(1, delete("/a"), 11);
        tale.call(2, create("/a", 2), 12, Answer::Present);
    });
}

#[test]
fn an_event_without_a_watch_is_refused() {
    refused(Rule::EventWithoutWatch, |tale| {
        tale.done(1, create("/a", 1), 10);
        tale.event(2, "/a", Change::Data, None);
    });
}

#[test]
fn a_second_event_of_one_watch_is_refused() {
    refused(Rule::EventWithoutWatch, |tale| {
        tale.done(1, create("/a", 1), 10)
            .call(2, watch("/a"), 10, shown(1, 10, 10));
        tale.done(1, set("/a", 2), 11).done(1, set("/a", 3), 12);
        tale.event(2, "/a", Change::Data, None)
            .event(2, "/a", Change::Data, None);
    });
}

#[test]
fn an_event_for_nothing_is_refused() {
    refused(Rule::EventWithoutChange, |tale| {
        tale.done(1, create("/a", 1), 10)
            .call(2, watch("/a"), 10, shown(1, 10, 10));
        tale.event(2, "/a", Change::Deleted, None);
    });
}

#[test]
fn an_answer_that_shows_a_change_before_its_event_is_refused() {
    refused(Rule::EventLate, |tale| {
        tale.done(1, create("/a", 1), 10)
            .call(2, watch("/a"), 10, shown(1, 10, 10));
        tale.done(1, set("/a", 2), 11)
            .call(2, read("/a"), 11, shown(2, 10, 11));
        tale.event(2, "/a", Change::Data, None);
    });
}

#[test]
fn an_event_that_never_comes_is_refused_at_the_next_answer() {
    refused(Rule::EventLate, |tale| {
        tale.done(1, create("/a", 1), 10)
            .call(2, watch("/a"), 10, shown(1, 10, 10));
        tale.done(1, set("/a", 2), 11).done(2, create("/b", 3), 12);
    });
}

#[test]
fn a_missed_event_for_children_is_refused() {
    refused(Rule::EventLate, |tale| {
        let children = Ask::Children {
            path: path("/p"),
            watch: true,
        };
        tale.done(1, create("/p", 1), 10)
            .call(2, children, 10, Answer::Children(10));
        tale.done(1, create("/p/c", 2), 11)
            .done(2, create("/b", 3), 12);
    });
}

#[test]
fn events_in_another_order_than_their_changes_are_refused() {
    refused(Rule::EventOrder, |tale| {
        tale.done(1, create("/a", 1), 10)
            .done(1, create("/b", 2), 11);
        tale.call(2, watch("/a"), 11, shown(1, 10, 10));
        tale.call(2, watch("/b"), 11, shown(2, 11, 11));
        tale.done(1, set("/a", 3), 12).done(1, set("/b", 4), 13);
        tale.event(2, "/b", Change::Data, Some(13));
        tale.event(2, "/a", Change::Data, Some(12));
    });
}

#[test]
fn an_ephemeral_znode_of_another_session_is_refused() {
    refused(Rule::WrongOwner, |tale| {
        tale.done(1, ephemeral("/e", 1), 10)
            .call(2, read("/e"), 11, owned(1, 10, 2));
    });
}

#[test]
fn an_ephemeral_znode_that_outlives_its_closed_session_is_refused() {
    refused(Rule::SessionEnd, |tale| {
        tale.done(1, ephemeral("/e", 1), 10)
            .note(1, What::Closed(12));
        tale.call(2, read("/e"), 13, owned(1, 10, 1));
    });
}

#[test]
fn an_ephemeral_znode_that_outlives_its_expired_session_is_refused() {
    refused(Rule::SessionEnd, |tale| {
        tale.done(1, ephemeral("/e", 1), 10).note(1, What::Expired);
        tale.done(2, create("/a", 2), 20)
            .call(2, read("/e"), 20, owned(1, 10, 1));
    });
}

#[test]
fn an_ephemeral_znode_that_goes_before_its_session_is_refused() {
    refused(Rule::SessionEnd, |tale| {
        tale.done(1, ephemeral("/e", 1), 10)
            .call(2, read("/e"), 11, Answer::Absent);
        tale.done(1, create("/a", 2), 12);
    });
}

#[test]
fn ephemeral_znodes_that_go_one_after_the_other_are_refused() {
    refused(Rule::SessionEnd, |tale| {
        tale.done(1, ephemeral("/e", 1), 10)
            .done(1, ephemeral("/f", 2), 11);
        tale.call(2, read("/e"), 15, Answer::Absent);
        tale.call(2, read("/f"), 16, owned(2, 11, 1));
    });
}

fn holds(tale: &mut Tale, session: i64, token: i64) {
    let lock = path("/lock");
    tale.note(session, What::Holds { lock, token });
}

fn frees(tale: &mut Tale, session: i64) {
    let lock = path("/lock");
    tale.note(session, What::Frees { lock });
}

fn guarded(tale: &mut Tale, session: i64, token: i64, zxid: i64) {
    let lock = path("/lock");
    tale.note(session, What::Guarded { lock, token, zxid });
}

#[test]
fn a_lock_with_two_holders_is_refused() {
    refused(Rule::HeldTwice, |tale| {
        holds(tale, 1, 10);
        holds(tale, 2, 11);
        frees(tale, 1);
    });
}

#[test]
fn a_token_that_does_not_grow_is_refused() {
    refused(Rule::TokenOrder, |tale| {
        holds(tale, 1, 10);
        frees(tale, 1);
        holds(tale, 2, 10);
    });
}

#[test]
fn what_an_older_holder_does_after_a_newer_one_is_refused() {
    refused(Rule::FenceBroken, |tale| {
        guarded(tale, 1, 10, 20);
        guarded(tale, 2, 11, 21);
        guarded(tale, 1, 10, 22);
    });
}
