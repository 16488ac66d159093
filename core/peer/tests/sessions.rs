//! Sessions as the peer decides about them (protocol 10; pitfalls P76, P79, P82, P130).

mod common;

use std::collections::BTreeSet;

use common::say::{EPHEMERAL, close_session, create, ping};
use common::{Bench, CONN, decode};
use zabra_peer::{Effect, Input};
use zabra_proto::{ErrorCode, SessionId, TxnKind, Xid};

fn ended(b: &Bench, from: usize) -> Vec<SessionId> {
    let headers = b.log[from..].iter().map(|payload| decode(payload).header);
    headers
        .filter(|header| header.kind == TxnKind::CloseSession)
        .inspect(|header| assert_eq!(header.cxid, Xid(0)))
        .map(|header| header.session)
        .collect()
}

#[test]
fn session_ids_are_never_given_twice() {
    let mut b = Bench::new();
    let mut seen = BTreeSet::new();
    for n in 0..200 {
        let session = b.open();
        assert!(seen.insert(session), "{session}");
        assert_eq!(session.0 >> 56, 1);
        if n % 2 == 0 {
            b.propose(session, &close_session());
            b.settle();
        }
    }
}

#[test]
fn ids_that_a_restart_finds_in_use_are_not_given_again() {
    let mut b = Bench::new();
    let first = b.open();
    // The clock has not moved since: the new server would count from the same number.
    let mut restarted = Bench::with(common::options(), &[(first, 10_000)]);
    assert_ne!(restarted.open(), first);
}

#[test]
fn a_silent_session_expires_with_all_of_its_bucket() {
    let mut b = Bench::new();
    let (first, second) = (b.open(), b.open());
    b.propose(first, &create("/e", EPHEMERAL));
    b.settle();
    let from = b.log.len();
    b.advance(11_999);
    assert_eq!(ended(&b, from), []);
    b.advance(1);
    assert_eq!(ended(&b, from), [first, second]);
    // Marked before anything is durable.
    let seq = b.propose(first, &create("/f", EPHEMERAL));
    assert_eq!(b.replies.pop(), Some((seq, ErrorCode::SESSION_EXPIRED)));
    b.advance(60_000);
    assert_eq!(ended(&b, from), [first, second]);
    b.settle();
    assert!(!b.exists("/e"));
    assert!(b.peer.tracker().is_empty());
}

#[test]
fn writes_and_touches_keep_a_session_alive_also_refused_ones() {
    let mut b = Bench::new();
    let session = b.open();
    let from = b.log.len();
    for n in 0..10 {
        b.advance(9000);
        if n % 2 == 0 {
            b.propose(session, &create("/none/x", 0));
        } else {
            b.step(Input::Touched {
                timeout_ms: 0,
                session,
                heard: b.now.mono,
            });
        }
    }
    b.settle();
    assert_eq!(ended(&b, from), []);
}

#[test]
fn every_session_has_its_full_timeout_after_a_restart() {
    let (a, c) = (
        SessionId(0x0100_0000_0000_0001),
        SessionId(0x0100_0000_0000_0002),
    );
    let mut b = Bench::with(common::options(), &[(a, 4000), (c, 20_000)]);
    b.advance(5999);
    assert_eq!(ended(&b, 0), []);
    b.advance(1);
    assert_eq!(ended(&b, 0), [a]);
    b.advance(16_000);
    assert_eq!(ended(&b, 0), [a, c]);
}

#[test]
fn a_session_is_resumed_while_it_is_open_and_only_then() {
    let mut b = Bench::new();
    let session = b.open();
    let resume = |session| Input::ResumeSession {
        conn: CONN,
        session,
        timeout_ms: 6000,
    };
    b.others.clear();
    b.step(resume(session));
    assert!(matches!(
        b.others.pop(),
        Some(Effect::SessionResumed { session: s, timeout_ms: 6000, .. }) if s == session
    ));
    for unknown in [0, -1, i64::MIN, session.0 + 1] {
        b.step(resume(SessionId(unknown)));
        assert!(matches!(b.others.pop(), Some(Effect::SessionRefused(CONN))));
    }
    b.propose(session, &close_session());
    b.step(resume(session));
    assert!(matches!(b.others.pop(), Some(Effect::SessionRefused(CONN))));
    b.settle();
    b.step(resume(session));
    assert!(matches!(b.others.pop(), Some(Effect::SessionRefused(CONN))));
}

#[test]
fn a_resumed_session_lives_by_its_new_timeout() {
    let mut b = Bench::new();
    let session = b.open();
    let from = b.log.len();
    b.step(Input::ResumeSession {
        conn: CONN,
        session,
        timeout_ms: 40_000,
    });
    b.advance(39_999);
    assert_eq!(ended(&b, from), []);
    b.step(Input::Touched {
        timeout_ms: 0,
        session,
        heard: b.now.mono,
    });
    b.advance(39_999);
    assert_eq!(ended(&b, from), []);
    b.advance(2001);
    assert_eq!(ended(&b, from), [session]);
}

#[test]
fn an_op_that_is_no_write_is_refused_as_unknown() {
    let mut b = Bench::new();
    let session = b.open();
    assert_eq!(b.code(session, &ping()), ErrorCode::UNIMPLEMENTED);
}
