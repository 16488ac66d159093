//! Requests that waited for others for too long (SB-04, SB-05), and clients that look for another ensemble (AC-23).

mod common;

use common::say::{Request, auth, bare, create_with, get, ping, raw_acl, set, set_acl};
use common::{Client, Talk, serve_options, solo_with};
use zabra_proto::{ErrorCode, OpCode, Perms};
use zabra_serve::{EnsembleStats, LateRules, LateStats, LoadLimits, ServeOptions};
use zabra_testkit::solo::Solo;

/// What Apache's server does unless it is told otherwise.
const USUAL: LateRules = LateRules {
    stale_by_age: false,
    stale_by_close: true,
    drops_stale: true,
    refuse_after_ms: None,
};

const BY_AGE: LateRules = LateRules {
    stale_by_age: true,
    ..USUAL
};

/// A server that has one request in flight and lets no other in, which never ends by itself, and a second client that
/// has to wait.
fn crowded(late: LateRules) -> (Solo, Client, Client) {
    let mut server = solo_with(ServeOptions {
        load: LoadLimits {
            requests_max: Some(1),
            late,
            ..LoadLimits::default()
        },
        ..serve_options()
    });
    let (first, second) = (server.client(), server.client());
    server.must(first, &create_with("/n", b"0"));
    server.flushes_at_once = false;
    server.say(first, 1, &set("/n", b"1", -1));
    (server, first, second)
}

fn late(server: &Solo) -> LateStats {
    server.clients.stats().late
}

/// What a client was answered.
fn answers(server: &mut Solo, client: Client) -> Vec<(i32, ErrorCode)> {
    let heard = server.hear(client);
    heard.iter().map(|reply| (reply.xid, reply.error)).collect()
}

/// Time passes while the clients' pings keep their sessions.
fn pass(server: &mut Solo, ms: u64) {
    for _ in 0..ms / 1000 {
        server.advance(1000);
    }
}

#[test]
fn a_request_that_waits_for_less_than_its_session_lasts_is_run() {
    let (mut server, _, second) = crowded(BY_AGE);
    server.say(second, 1, &set("/n", b"2", -1));
    pass(&mut server, 29_000);
    server.flush();
    server.flush();
    assert_eq!(answers(&mut server, second), [(1, ErrorCode::OK)]);
    assert_eq!(late(&server), LateStats::default());
}

#[test]
fn a_request_older_than_its_session_is_dropped_and_its_connection_closed() {
    let (mut server, first, second) = crowded(BY_AGE);
    server.say(second, 1, &set("/n", b"2", -1));
    server.say(second, 2, &set("/n", b"3", -1));
    pass(&mut server, 31_000);
    assert!(!server.is_open(second.conn));
    server.flush();
    let first_replies = answers(&mut server, first);
    assert_eq!(first_replies, [(1, ErrorCode::OK)]);
    assert_eq!(server.must(first, &get("/n", false)).data().unwrap(), b"1");
    assert_eq!(answers(&mut server, second), []);
    assert_eq!(
        late(&server).stale_dropped,
        1,
        "the one behind it is not looked at"
    );
}

#[test]
fn without_dropping_stale_requests_are_run_and_counted() {
    let (mut server, _, second) = crowded(LateRules {
        drops_stale: false,
        ..BY_AGE
    });
    server.say(second, 1, &set("/n", b"2", -1));
    pass(&mut server, 31_000);
    server.flush();
    server.flush();
    assert_eq!(answers(&mut server, second), [(1, ErrorCode::OK)]);
    let LateStats {
        stale,
        stale_dropped,
        ..
    } = late(&server);
    assert_eq!((stale, stale_dropped), (1, 0));
}

#[test]
fn by_default_the_age_of_a_request_does_not_matter() {
    let (mut server, _, second) = crowded(USUAL);
    server.say(second, 1, &set("/n", b"2", -1));
    pass(&mut server, 100_000);
    server.flush();
    server.flush();
    assert_eq!(answers(&mut server, second), [(1, ErrorCode::OK)]);
    assert_eq!(late(&server), LateStats::default());
}

#[test]
fn what_a_closed_connection_asked_for_is_not_run_and_counted_as_it_is_set() {
    for (rules, counted) in [(USUAL, 1), (LateRules::default(), 0)] {
        let (mut server, first, second) = crowded(rules);
        for xid in 1..=3 {
            server.say(second, xid, &set("/n", b"2", -1));
        }
        server.hang_up(second.conn);
        server.flush();
        assert_eq!(answers(&mut server, first), [(1, ErrorCode::OK)]);
        assert_eq!(server.must(first, &get("/n", false)).data().unwrap(), b"1");
        assert_eq!(late(&server).stale_dropped, counted);
    }
}

#[test]
fn an_answer_that_finds_nobody_is_counted_unless_it_ends_the_session() {
    let (mut server, first, second) = crowded(USUAL);
    server.say(second, 1, &bare(OpCode::CloseSession));
    server.hang_up(first.conn);
    server.hang_up(second.conn);
    server.flush();
    assert_eq!(late(&server).stale_replies, 1);
}

#[test]
fn a_request_that_waited_too_long_is_refused_in_its_turn_and_those_behind_it_go_on() {
    let (mut server, _, second) = crowded(LateRules {
        refuse_after_ms: Some(5000),
        ..USUAL
    });
    let batch: &[(i32, Request)] = &[
        (1, set("/n", b"2", -1)),
        (2, get("/n", false)),
        (-2, ping()),
    ];
    for (xid, request) in batch {
        server.say(second, *xid, request);
    }
    pass(&mut server, 6000);
    server.flush();
    let refused = ErrorCode::THROTTLED_OP;
    let expected = [(1, refused), (2, refused), (-2, ErrorCode::OK)];
    assert_eq!(answers(&mut server, second), expected);
    assert_eq!(late(&server).refused, 2);
    assert_eq!(server.must(second, &get("/n", false)).data().unwrap(), b"1");
}

#[test]
fn the_time_of_waiting_is_part_of_the_latency_and_told_apart() {
    let (mut server, _, second) = crowded(USUAL);
    server.say(second, 1, &set("/n", b"2", -1));
    pass(&mut server, 4000);
    server.flush();
    server.flush();
    assert_eq!(server.clients.stats().latency_ms.max, 4000);
    let waits: Vec<_> = server.clients.latencies().throttled.take().collect();
    assert_eq!(waits.last(), Some(&(4000, 1)));
}

fn member_of(names: Option<&[&str]>) -> Solo {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    solo_with(ServeOptions {
        ensemble: names.map(own),
        ..serve_options()
    })
}

#[test]
fn a_client_that_names_this_ensemble_is_welcome_and_one_that_names_another_must_go() {
    let mut server = member_of(Some(&["east", "test"]));
    let (right, wrong) = (server.client(), server.client());
    for name in ["east", "test"] {
        server.say(right, -4, &auth("ensemble", name.as_bytes()));
        assert_eq!(answers(&mut server, right), [(-4, ErrorCode::OK)]);
    }
    server.say(wrong, -4, &auth("ensemble", b"West"));
    // No error is said: that would end the session, which another server may serve.
    assert_eq!(answers(&mut server, wrong), []);
    assert!(!server.is_open(wrong.conn));
    assert!(server.replica.sessions().contains_key(&wrong.session));
    let expected = EnsembleStats {
        success: 2,
        fail: 1,
        skip: 0,
    };
    assert_eq!(server.clients.stats().ensemble, expected);
}

#[test]
fn a_client_that_names_none_is_not_judged_and_neither_is_any_by_a_server_without_a_name() {
    for (names, said) in [(&["east"][..], &b""[..]), (&[], b"west"), (&[], b"")] {
        let mut server = member_of(Some(names));
        let client = server.client();
        server.say(client, -4, &auth("ensemble", said));
        assert_eq!(answers(&mut server, client), [(-4, ErrorCode::OK)]);
        assert_eq!(server.clients.stats().ensemble.skip, 1);
    }
}

#[test]
fn without_the_scheme_its_name_is_as_unknown_as_any() {
    let mut server = member_of(None);
    let client = server.client();
    server.say(client, -4, &auth("ensemble", b"east"));
    assert_eq!(answers(&mut server, client), [(-4, ErrorCode::AUTH_FAILED)]);
    assert!(!server.is_open(client.conn));
}

#[test]
fn the_name_of_an_ensemble_is_no_identity() {
    let mut server = member_of(Some(&["east"]));
    let client = server.client();
    server.must(client, &auth("ensemble", b"east"));
    let acl = vec![raw_acl(Perms::ALL, "ensemble", "east")];
    let code = server.code(client, &set_acl("/", acl, -1));
    assert_eq!(code, ErrorCode::INVALID_ACL);
}
