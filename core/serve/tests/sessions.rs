//! How a client gets, keeps, takes up and loses its session (protocol 4.3, 4.10, 10).

mod common;

use common::say::{EPHEMERAL, auth, close_session, create, create_with, get, ping, set};
use common::{Talk, connect, frames, password_of, serve_options, solo_with};
use zabra_jute::{Decode, Encode, Reader};
use zabra_peer::{Ask, Commit, Input, Origin};
use zabra_proto::client::ConnectResponse;
use zabra_proto::txn::Payload;
use zabra_proto::{ConnId, ErrorCode, MonoMillis, OpCode, SessionId, Txn, TxnHeader, Xid, Zxid};
use zabra_serve::CloseReason;
use zabra_testkit::solo::Solo;

const NEW: SessionId = SessionId::NONE;

fn response(server: &mut Solo, conn: ConnId) -> ConnectResponse {
    let bytes = server.receive(conn);
    ConnectResponse::decode(&mut Reader::new(frames(&bytes)[0])).expect("a connect response")
}

#[test]
fn timeouts_are_clamped_into_the_bounds() {
    let mut server = Solo::new();
    for (wanted, granted) in [
        (i32::MIN, 4000),
        (0, 4000),
        (3999, 4000),
        (12_345, 12_345),
        (40_001, 40_000),
        (i32::MAX, 40_000),
    ] {
        let conn = server.accept();
        server.send(conn, &connect(NEW, &[0; 16], wanted, Zxid::ZERO));
        let response = response(&mut server, conn);
        assert_eq!(response.timeout_ms, granted);
        assert_eq!(response.password, password_of(response.session));
        assert_eq!(server.replica.sessions()[&response.session], granted);
    }
}

#[test]
fn a_new_session_may_bring_any_password() {
    for password in [&b""[..], &[1; 5], &[2; 100]] {
        let mut server = Solo::new();
        let conn = server.accept();
        server.send(conn, &connect(NEW, password, 5000, Zxid::ZERO));
        assert_ne!(response(&mut server, conn).session, NEW);
    }
}

#[test]
fn an_old_client_is_answered_without_the_read_only_byte() {
    let mut server = Solo::new();
    for (session, len) in [(NEW, 36), (SessionId(99), 36)] {
        let conn = server.accept();
        let mut bytes = connect(session, &[0; 16], 5000, Zxid::ZERO);
        bytes.pop();
        bytes[3] -= 1;
        server.send(conn, &bytes);
        let heard = server.receive(conn);
        assert_eq!(frames(&heard)[0].len(), len);
    }
}

#[test]
fn a_connection_whose_session_has_moved_is_closed_without_an_answer() {
    let moved = Txn::Error(ErrorCode::SESSION_MOVED);
    let multi = Txn::Multi(vec![Txn::Error(ErrorCode::OK), moved.clone()]);
    for txn in [moved, multi] {
        let mut server = Solo::new();
        let a = server.client();
        server.flushes_at_once = false;
        server.say(a, 1, &set("/zookeeper", b"1", -1));
        let zxid = server.replica.last_zxid().next();
        let header = TxnHeader {
            session: a.session,
            cxid: Xid(1),
            zxid,
            time: Solo::STARTED,
            kind: txn.kind(),
        };
        let mut payload = Vec::new();
        Payload {
            header,
            txn,
            digest: None,
        }
        .encode(&mut payload);
        let commit = Commit {
            zxid,
            payload: payload.into(),
            origin: Some(Origin {
                conn: a.conn,
                seq: 1,
                xid: Xid(1),
                ask: Ask::Op(OpCode::SetData),
            }),
        };
        let Solo {
            clients, replica, ..
        } = &mut server;
        clients.apply(replica, &commit, MonoMillis(0));
        assert!(!server.is_open(a.conn));
        assert_eq!(server.receive(a.conn), b"");
    }
}

/// I-29: the lease runs from when the session was heard of, whatever became of the connection.
#[test]
fn a_session_heard_of_just_before_its_connection_ended_counts_as_heard() {
    let mut server = Solo::new();
    let a = server.client();
    let told = |server: &mut Solo| {
        let mut told = Vec::new();
        let mut upstream = |input: Input<'_>| {
            if let Input::Touched { session, .. } = input {
                told.push(session);
            }
        };
        server.clients.report_touches(MonoMillis(0), &mut upstream);
        told
    };
    told(&mut server);
    server.say(a, 1, &set("/zookeeper", b"1", -1));
    server.clients.remove(a.conn);
    assert_eq!(told(&mut server), [a.session]);
    assert_eq!(told(&mut server), []);
}

#[test]
fn a_resumed_session_goes_on_and_its_older_connection_closes() {
    let mut server = Solo::new();
    let a = server.client();
    server.must(a, &create("/e", EPHEMERAL));
    server.must(a, &get("/e", true));
    let (conn, response) = server.resume(a.session, &password_of(a.session));
    assert_eq!((response.session, response.timeout_ms), (a.session, 30_000));
    assert!(!server.is_open(a.conn));
    assert_eq!(
        server.clients.conn(a.conn).unwrap().closing(),
        Some(CloseReason::SessionElsewhere)
    );
    assert_eq!(server.clients.watches().watch_count(), 0);
    let again = common::Client { conn, ..a };
    let stat = server.must(again, &common::say::exists("/e", false)).stat();
    assert_eq!(stat.ephemeral_owner, a.session.0);
    // The socket of the older one goes; the newer one keeps the session.
    server.hang_up(a.conn);
    server.must(again, &set("/e", b"", -1));
}

#[test]
fn a_wrong_password_is_refused_and_harms_nobody() {
    let mut server = Solo::new();
    let a = server.client();
    for password in [&[0; 16][..], &[], &password_of(SessionId(a.session.0 + 1))] {
        let (conn, response) = server.resume(a.session, password);
        assert_eq!(response, ConnectResponse::rejected(Some(false)));
        assert!(!server.is_open(conn));
    }
    server.must(a, &create("/still-here", 0));
}

#[test]
fn an_unknown_session_is_refused_with_its_right_password() {
    let mut server = Solo::new();
    for session in [1, -1, i64::MIN, i64::MAX] {
        let session = SessionId(session);
        let (conn, response) = server.resume(session, &password_of(session));
        assert_eq!(response, ConnectResponse::rejected(Some(false)));
        assert!(!server.is_open(conn));
    }
}

#[test]
fn a_session_asked_for_by_two_connections_at_once_is_the_last_ones() {
    let mut server = Solo::new();
    let a = server.client();
    server.hang_up(a.conn);
    let bytes = connect(a.session, &password_of(a.session), 30_000, Zxid::ZERO);
    let (first, second) = (server.accept(), server.accept());
    let now = MonoMillis(1_000_000);
    // Both are asked for before the peer's answers come.
    for conn in [first, second] {
        let mut ignore = |_: Input<'_>| {};
        server
            .clients
            .on_bytes(conn, &bytes, &server.replica, now, &mut ignore);
    }
    for conn in [first, second] {
        server.clients.on_session_granted(conn, a.session, 30_000);
    }
    assert!(!server.is_open(first) && server.is_open(second));
}

#[test]
fn a_client_that_has_seen_more_is_sent_elsewhere() {
    let mut server = Solo::new();
    let a = server.client();
    let last = server.replica.last_zxid();
    for (seen, welcome) in [
        (last.next(), false),
        (Zxid(u64::MAX >> 1), false),
        (last, true),
        // What clients keep that take the zxid of every header.
        (Zxid::from_wire(-1), true),
    ] {
        for session in [NEW, a.session] {
            let conn = server.accept();
            let password = password_of(session);
            server.send(conn, &connect(session, &password, 5000, seen));
            assert_eq!(server.is_open(conn), welcome, "{seen}");
            if !welcome {
                assert_eq!(server.receive(conn), b"");
            }
        }
    }
    assert_eq!(server.clients.stats().clients_ahead, 4);
}

#[test]
fn a_connect_request_that_is_none_closes_without_a_word() {
    let long = connect(NEW, &[0; 5000], 5000, Zxid::ZERO);
    let cut = {
        let mut body = Vec::new();
        5i32.encode(&mut body);
        [&4i32.to_be_bytes()[..], &body].concat()
    };
    let empty = 0i32.to_be_bytes().to_vec();
    for bytes in [cut, empty] {
        let mut server = Solo::new();
        let conn = server.accept();
        server.send(conn, &bytes);
        assert!(!server.is_open(conn));
        assert_eq!(server.receive(conn), b"");
    }
    // Nothing that long is kept for somebody who has not said who he is.
    let mut server = Solo::new();
    let conn = server.accept();
    server.send(conn, &long);
    assert_eq!(server.clients.take_words().len(), 1);
    assert_eq!(server.receive(conn), b"");
}

#[test]
fn a_word_is_answered_once_and_closes() {
    let mut server = Solo::new();
    let conn = server.accept();
    server.send(conn, b"ruok");
    server.send(conn, b"ruok");
    for asked in server.clients.take_words() {
        assert_eq!((&asked.word, asked.argument), (b"ruok", None));
        server.clients.answer_word(asked.conn, b"imok");
    }
    assert!(!server.is_open(conn));
    assert_eq!(server.receive(conn), b"imok");
}

#[test]
fn the_trace_mask_may_come_in_pieces_behind_its_word() {
    let mut server = Solo::new();
    let conn = server.accept();
    let bytes = [&b"stmk"[..], &0x1234_i64.to_be_bytes()].concat();
    for piece in bytes.chunks(5) {
        assert_eq!(server.clients.take_words(), []);
        server.send(conn, piece);
    }
    let words = server.clients.take_words();
    assert_eq!(words.len(), 1);
    assert_eq!((&words[0].word, words[0].argument), (b"stmk", Some(0x1234)));
}

#[test]
fn closing_deletes_the_ephemerals_answers_and_closes() {
    let mut server = Solo::new();
    let (a, b) = (server.client(), server.client());
    server.must(a, &create("/e", EPHEMERAL));
    server.must(b, &get("/e", true));
    server.flushes_at_once = false;
    server.say(a, 1, &create("/f", EPHEMERAL));
    server.say(a, 2, &close_session());
    // Whatever comes behind the end is not served any more (P84).
    server.say(a, 3, &get("/e", false));
    server.say(a, 4, &set("/e", b"", -1));
    server.say(a, 5, &ping());
    server.flush();
    let heard = server.hear(a);
    let answers: Vec<_> = heard.iter().map(|r| (r.xid, r.error.code())).collect();
    assert_eq!(answers, [(1, 0), (2, 0)]);
    assert!(server.clients.conn(a.conn).is_none());
    assert_eq!(server.events(b).len(), 1);
    assert!(server.replica.tree.find("/f").is_none());
    assert!(!server.replica.sessions().contains_key(&a.session));
    let (_, response) = server.resume(a.session, &password_of(a.session));
    assert_eq!(response.session, NEW);
}

#[test]
fn a_disconnected_session_lives_until_it_expires() {
    let mut server = Solo::new();
    let (a, b) = (server.client(), server.client());
    server.must(a, &create("/e", EPHEMERAL));
    server.hang_up(a.conn);
    for _ in 0..14 {
        server.advance(2000);
        server.must(b, &get("/e", false));
    }
    for _ in 0..3 {
        server.advance(2000);
        server.say(b, 1, &ping());
        server.hear(b);
    }
    assert_eq!(server.code(b, &get("/e", false)), ErrorCode::NO_NODE);
}

#[test]
fn an_expired_sessions_connection_is_closed_without_a_word() {
    let mut server = Solo::new();
    let (conn, session) = server.open(4000);
    server.advance(6000);
    assert!(!server.replica.sessions().contains_key(&session));
    assert_eq!(
        server.clients.conn(conn).unwrap().closing(),
        Some(CloseReason::SessionGone)
    );
    assert_eq!(server.receive(conn), b"");
}

#[test]
fn any_request_keeps_its_session_alive() {
    let mut server = Solo::new();
    let a = server.client();
    for request in [
        ping(),
        get("/none", false),
        set("/none", b"", -1),
        common::say::sync("/"),
        auth("digest", b"u:p"),
    ] {
        server.advance(14_000);
        server.say(a, 1, &request);
        server.hear(a);
        server.advance(14_000);
    }
    server.must(a, &get("/", false));
}

#[test]
fn silent_connections_are_closed() {
    let mut server = Solo::new();
    let silent = server.accept();
    server.advance(10_000);
    assert!(server.is_open(silent));
    server.advance(1);
    assert!(!server.is_open(silent));
    assert_eq!(
        server.clients.conn(silent).unwrap().closing(),
        Some(CloseReason::Idle)
    );
}

#[test]
fn a_closing_connection_that_does_not_take_its_output_is_given_up() {
    let mut server = Solo::new();
    let a = server.client();
    server.say(a, 1, &get("/", false));
    server.say(a, 2, &common::say::Request::raw(999, &()));
    let _ = server.clients.take_dirty();
    assert!(!server.clients.output(a.conn).is_empty());
    server.advance(10_001);
    assert_eq!(server.clients.output(a.conn), b"");
    // So that the caller, told once more, finds nothing to wait for.
    assert_eq!(server.clients.take_dirty(), [a.conn]);
}

#[test]
fn answers_never_reach_a_later_connection_in_the_same_place() {
    let mut server = solo_with(serve_options());
    let a = server.client();
    server.flushes_at_once = false;
    server.say(a, 1, &create("/n", 0));
    server.hang_up(a.conn);
    let (next, _) = (server.accept(), ());
    server.send(next, &connect(NEW, &[0; 16], 5000, Zxid::ZERO));
    server.flush();
    let heard = server.receive(next);
    assert_eq!(frames(&heard).len(), 1);
    assert!(server.replica.tree.find("/n").is_some());
    assert_eq!(server.clients.outstanding(), 0);
}

#[test]
fn the_last_xid_is_the_last_that_the_client_chose() {
    let mut server = Solo::new();
    let a = server.client();
    server.say(a, 7, &get("/", false));
    server.say(a, -2, &ping());
    let stats = server.clients.conn(a.conn).unwrap().stats();
    assert_eq!((stats.last_xid.0, stats.last_op), (7, "PING"));
}

#[test]
fn latencies_are_kept_by_kind_until_they_are_taken() {
    let mut server = Solo::new();
    let a = server.client();
    server.must(a, &get("/", false));
    server.must(a, &get("/", false));
    server.flushes_at_once = false;
    server.say(a, 1, &create_with("/n", b""));
    server.advance(30);
    server.flush();
    let latencies = server.clients.latencies();
    assert_eq!(latencies.reads.take().collect::<Vec<_>>(), [(0, 2)]);
    assert_eq!(latencies.updates.take().collect::<Vec<_>>(), [(30, 1)]);
}

#[test]
fn who_opens_no_session_and_whose_session_expires_is_counted() {
    let mut server = Solo::new();
    let (_, session) = server.open(4000);
    let silent = server.accept();
    for _ in 0..10 {
        server.advance(2000);
        server.flush();
    }
    assert!(!server.is_open(silent));
    assert!(!server.replica.sessions().contains_key(&session));
    assert_eq!(server.clients.stats().sessionless_closed, 1);
    assert_eq!(server.peer.expired_count(), 1);
}
