//! What no client can do to the server: memory, starvation, endless output (pitfalls P95, P118, P119, P120).

mod common;

use common::say::{auth, bare, create_with, get, multi_read, ping, set};
use common::{Talk, connect, frames, serve_options, solo_with};
use zabra_proto::{ErrorCode, OpCode, SessionId, Xid, Zxid};
use zabra_serve::{CloseReason, ConnectThrottle, LargeRequests, LoadLimits, ServeOptions};
use zabra_testkit::solo::Solo;

fn small() -> ServeOptions {
    ServeOptions {
        outstanding_max: 10,
        out_len_pause: 10_000,
        out_len_max: 100_000,
        ..serve_options()
    }
}

fn xids(server: &mut Solo, client: common::Client) -> Vec<i32> {
    server.hear(client).iter().map(|reply| reply.xid).collect()
}

#[test]
fn a_crowd_of_requests_is_throttled_and_none_is_lost() {
    let mut server = solo_with(small());
    let clients = [server.client(), server.client(), server.client()];
    server.must(clients[0], &create_with("/n", b""));
    server.flushes_at_once = false;
    let mut bytes = Vec::new();
    for xid in 0..100 {
        let request = if xid % 3 == 0 {
            get("/n", false)
        } else {
            set("/n", b"x", -1)
        };
        bytes.extend(request.frame(xid));
    }
    for client in clients {
        server.send(client.conn, &bytes);
    }
    let most = 10 + clients.len();
    assert!(server.clients.outstanding() <= most);
    assert!(clients.iter().any(|c| !server.clients.is_readable(c.conn)));
    let mut heard = [const { Vec::new() }; 3];
    for _ in 0..200 {
        server.flush();
        assert!(server.clients.outstanding() <= most);
        for (client, heard) in clients.iter().zip(&mut heard) {
            heard.extend(xids(&mut server, *client));
        }
    }
    for (client, heard) in clients.iter().zip(&heard) {
        assert_eq!(*heard, (0..100).collect::<Vec<_>>());
        assert!(server.clients.is_readable(client.conn));
    }
    assert_eq!(server.clients.outstanding(), 0);
}

#[test]
fn a_client_without_requests_in_flight_is_not_throttled() {
    let mut server = solo_with(small());
    let (a, b) = (server.client(), server.client());
    server.must(a, &create_with("/n", b""));
    server.flushes_at_once = false;
    for xid in 0..20 {
        server.say(a, xid, &set("/n", b"x", -1));
    }
    assert!(!server.clients.is_readable(a.conn));
    server.say(b, 1, &get("/n", false));
    server.say(b, 2, &ping());
    assert_eq!(xids(&mut server, b), [1, Xid::PING.0]);
}

#[test]
fn a_throttled_session_does_not_expire() {
    let mut server = solo_with(small());
    let a = server.client();
    server.must(a, &create_with("/n", b""));
    server.flushes_at_once = false;
    for xid in 0..20 {
        server.say(a, xid, &set("/n", b"x", -1));
    }
    // The disk stalls for minutes; the pings wait unread in the kernel.
    for _ in 0..100 {
        server.advance(2000);
    }
    assert!(server.is_open(a.conn));
    for _ in 0..20 {
        server.flush();
    }
    assert_eq!(xids(&mut server, a), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_session_whose_write_is_with_the_peer_does_not_expire() {
    let mut server = solo_with(small());
    let a = server.client();
    server.must(a, &create_with("/n", b""));
    server.flushes_at_once = false;
    server.say(a, 1, &set("/n", b"x", -1));
    for _ in 0..100 {
        server.advance(2000);
    }
    server.flush();
    assert_eq!(xids(&mut server, a), [1]);
    // From here on it is its client's turn.
    for _ in 0..20 {
        server.advance(2000);
        server.flush();
    }
    assert!(!server.is_open(a.conn));
}

#[test]
fn a_session_that_takes_its_output_slowly_does_not_expire_and_one_that_takes_none_does() {
    for (part, stays) in [(1, true), (0, false)] {
        let mut server = solo_with(small());
        let a = server.client();
        server.must(a, &create_with("/n", &[7; 1000]));
        for xid in 0..100 {
            server.say(a, xid, &get("/n", false));
        }
        assert!(!server.clients.is_readable(a.conn));
        for _ in 0..50 {
            server.clients.sent(a.conn, part);
            server.advance(2000);
        }
        assert_eq!(server.is_open(a.conn), stays, "{part}");
        assert_eq!(server.replica.sessions().contains_key(&a.session), stays);
    }
}

#[test]
fn a_throttled_connection_that_closes_is_given_up_like_any_other() {
    let mut server = solo_with(small());
    let a = server.client();
    server.must(a, &create_with("/n", b""));
    server.say(a, 1, &get("/n", false));
    server.flushes_at_once = false;
    for xid in 0..20 {
        server.say(a, xid, &set("/n", b"x", -1));
    }
    server.clients.close(a.conn, CloseReason::SessionElsewhere);
    assert!(!server.clients.output(a.conn).is_empty());
    for _ in 0..6 {
        server.advance(2000);
    }
    assert_eq!(server.clients.output(a.conn), b"");
}

#[test]
fn parked_requests_keep_a_bounded_number_of_bytes() {
    let mut server = solo_with(ServeOptions {
        outstanding_max: 1_000_000,
        ..small()
    });
    let a = server.client();
    server.must(a, &create_with("/n", b""));
    server.flushes_at_once = false;
    server.say(a, 0, &set("/n", b"x", -1));
    let long = "x".repeat(300_000);
    for xid in 1..=20 {
        server.say(a, xid, &get(&long, false));
    }
    assert!(!server.clients.is_readable(a.conn));
    assert!(server.clients.outstanding() < 10);
    for _ in 0..3 {
        server.flush();
    }
    assert_eq!(xids(&mut server, a), (0..=20).collect::<Vec<_>>());
    assert_eq!(server.clients.outstanding(), 0);
}

#[test]
fn reading_pauses_with_the_output_and_goes_on_with_it() {
    let mut server = solo_with(small());
    let a = server.client();
    server.must(a, &create_with("/n", &[7; 1000]));
    let mut bytes = Vec::new();
    for xid in 0..200 {
        bytes.extend(get("/n", false).frame(xid));
    }
    server.send(a.conn, &bytes);
    assert!(!server.clients.is_readable(a.conn));
    let first = server.clients.output(a.conn).len();
    assert!((10_000..12_000).contains(&first), "{first}");
    let mut heard = Vec::new();
    while heard.len() < 200 {
        heard.extend(xids(&mut server, a));
    }
    assert_eq!(heard, (0..200).collect::<Vec<_>>());
    assert!(server.clients.is_readable(a.conn));
}

#[test]
fn output_may_go_in_parts_of_any_size() {
    for part in [1, 7, 999, 5000] {
        let mut server = solo_with(small());
        let a = server.client();
        server.must(a, &create_with("/n", &[7; 1000]));
        let mut heard = Vec::new();
        for xid in 0..30 {
            server.say(a, xid, &get("/n", false));
            let out = server.clients.output(a.conn);
            let n = part.min(out.len());
            heard.extend_from_slice(&out[..n]);
            server.clients.sent(a.conn, n);
        }
        heard.extend(server.receive(a.conn));
        heard.extend(server.receive(a.conn));
        heard.extend(server.receive(a.conn));
        let numbers: Vec<i32> = frames(&heard)
            .iter()
            .map(|frame| i32::from_be_bytes(frame[..4].try_into().unwrap()))
            .collect();
        assert_eq!(numbers, (0..30).collect::<Vec<_>>(), "{part}");
    }
}

#[test]
fn a_client_that_does_not_read_its_events_is_cut_off() {
    let mut server = solo_with(small());
    let (a, b) = (server.client(), server.client());
    let path = format!("/{}", "n".repeat(1000));
    server.must(a, &create_with(&path, b""));
    let watch = common::say::add_watch(&path, zabra_proto::WatchAddMode::Persistent);
    server.must(b, &watch);
    for _ in 0..200 {
        server.must(a, &set(&path, b"", -1));
    }
    let conn = server.clients.conn(b.conn).unwrap();
    assert_eq!(conn.closing(), Some(CloseReason::SlowReader));
    // Nothing is kept for it.
    assert_eq!(server.clients.output(b.conn), b"");
    server.must(a, &get(&path, false));
}

#[test]
fn reads_behind_a_write_cannot_fill_the_memory() {
    let mut server = solo_with(ServeOptions {
        outstanding_max: 100_000,
        ..small()
    });
    let a = server.client();
    server.must(a, &create_with("/n", &[7; 10_000]));
    server.flushes_at_once = false;
    server.say(a, 0, &set("/n", &[8; 10_000], -1));
    for xid in 1..1000 {
        server.say(a, xid, &get("/n", false));
    }
    server.flush();
    let conn = server.clients.conn(a.conn).unwrap();
    assert_eq!(conn.closing(), Some(CloseReason::SlowReader));
    assert!(server.clients.stats().sent < 20);
    assert_eq!(server.clients.outstanding(), 0);
}

#[test]
fn a_multi_read_is_bounded_while_it_is_answered() {
    let mut server = solo_with(small());
    let a = server.client();
    server.must(a, &create_with("/n", &[7; 10_000]));
    let few = multi_read(&[get("/n", false), get("/n", false)]);
    assert_eq!(server.must(a, &few).results().len(), 2);
    let many: Vec<_> = (0..10_000).map(|_| get("/n", false)).collect();
    assert_eq!(
        server.code(a, &multi_read(&many)),
        ErrorCode::MARSHALLING_ERROR
    );
}

#[test]
fn an_idle_connection_keeps_no_buffers() {
    let mut server = Solo::new();
    let clients: Vec<_> = (0..100).map(|_| server.client()).collect();
    for client in &clients {
        server.must(*client, &bare(OpCode::WhoAmI));
    }
    assert!(
        clients
            .iter()
            .all(|c| server.clients.output(c.conn).is_empty())
    );
    assert_eq!(server.clients.len(), 100);
    for client in clients {
        server.hang_up(client.conn);
    }
    assert!(server.clients.is_empty());
}

#[test]
fn places_are_used_again_under_new_names() {
    let mut server = Solo::new();
    let first = server.accept();
    server.hang_up(first);
    let second = server.accept();
    assert_ne!(first, second);
    assert_eq!(first.0 as u32, second.0 as u32);
    server.send(first, &connect(SessionId::NONE, &[0; 16], 1, Zxid::ZERO));
    assert!(server.receive(second).is_empty());
    assert_eq!(server.clients.len(), 1);
}

#[test]
fn connects_that_come_too_fast_are_closed_before_there_is_a_session() {
    let connects = ConnectThrottle {
        tokens_max: 3,
        fill_ms: 100,
        fill_count: 1,
        freeze_ms: None,
        drop_increase: 0.0,
        drop_decrease: 0.0,
        decrease_ratio: 0.0,
        weight_new: 1,
        weight_renewed: 1,
    };
    let mut server = solo_with(loaded(LoadLimits {
        connects: Some(connects),
        ..LoadLimits::default()
    }));
    let clients: Vec<_> = (0..5).map(|_| server.open(30_000)).collect();
    let sessions = clients.iter().filter(|(conn, _)| server.is_open(*conn));
    assert_eq!(sessions.count(), 3);
    assert_eq!(server.replica.sessions().len(), 3);
    assert_eq!(server.clients.stats().connects_throttled, 2);
    assert_eq!(server.clients.stats().token_deficit.max, 3);
    server.advance(150);
    let (conn, _) = server.open(30_000);
    assert!(server.is_open(conn));
}

fn loaded(load: LoadLimits) -> ServeOptions {
    ServeOptions {
        load,
        ..serve_options()
    }
}

#[test]
fn large_requests_count_from_their_first_bytes_to_their_reply() {
    let mut server = solo_with(loaded(LoadLimits {
        large_requests: Some(LargeRequests {
            threshold: 1000,
            sum_max: 10_000,
        }),
        ..LoadLimits::default()
    }));
    let (a, b, c) = (server.client(), server.client(), server.client());
    server.must(a, &create_with("/n", b""));
    server.flushes_at_once = false;
    server.say(a, 1, &set("/n", &[1; 6000], -1));
    let second = set("/n", &[2; 6000], -1).frame(2);
    server.send(b.conn, &second[..10]);
    assert!(!server.is_open(b.conn), "there is no place for it");
    assert_eq!(server.clients.stats().large_rejected, 1);
    server.say(c, 3, &set("/n", &[3; 900], -1));
    server.send(c.conn, &set("/n", &[2; 3000], -1).frame(4)[..2000]);
    assert!(server.is_open(c.conn), "this is less");
    server.flush();
    server.send(a.conn, &second);
    assert!(server.is_open(a.conn), "the first one is done");
    server.hang_up(c.conn);
    server.flush();
    assert_eq!(xids(&mut server, a), [1, 2]);
    for xid in 5..50 {
        server.say(a, xid, &get("/", false));
        server.say(a, xid, &set("/n", &[4; 9000], -1));
        server.flush();
    }
    assert!(server.is_open(a.conn));
}

#[test]
fn requests_wait_in_turn_while_others_are_in_flight_and_none_is_lost() {
    let mut server = solo_with(loaded(LoadLimits {
        requests_max: Some(4),
        ..LoadLimits::default()
    }));
    let clients = [server.client(), server.client(), server.client()];
    server.must(clients[0], &create_with("/n", b""));
    server.flushes_at_once = false;
    for client in clients {
        let frames: Vec<u8> = (0..50)
            .flat_map(|xid| set("/n", b"x", -1).frame(xid))
            .collect();
        server.send(client.conn, &frames);
    }
    assert_eq!(server.clients.outstanding(), 4);
    let mut heard = [const { Vec::new() }; 3];
    for _ in 0..100 {
        server.flush();
        assert!(server.clients.outstanding() <= 4);
        for (client, heard) in clients.iter().zip(&mut heard) {
            heard.extend(xids(&mut server, *client));
        }
        let answered = heard.each_ref().map(Vec::len);
        let spread = answered.iter().max().unwrap() - answered.iter().min().unwrap();
        assert!(spread <= 8, "{answered:?}");
    }
    for heard in heard {
        assert_eq!(heard, (0..50).collect::<Vec<_>>());
    }
    assert!(server.clients.stats().held > 0);
}

#[test]
fn whoever_waits_gets_a_turn_also_after_one_that_is_gone_or_only_reads() {
    let mut server = solo_with(loaded(LoadLimits {
        requests_max: Some(1),
        ..LoadLimits::default()
    }));
    let clients: Vec<_> = (0..5).map(|_| server.client()).collect();
    server.must(clients[0], &create_with("/n", b""));
    server.flushes_at_once = false;
    server.say(clients[0], 1, &set("/n", b"x", -1));
    server.say(clients[1], 1, &set("/n", b"x", -1));
    server.say(clients[2], 1, &set("/n", b"x", -1));
    server.say(clients[3], 1, &get("/n", false));
    server.say(clients[4], 1, &set("/n", b"x", -1));
    server.hang_up(clients[1].conn);
    server.clients.close(clients[2].conn, CloseReason::Idle);
    server.flush();
    assert_eq!(xids(&mut server, clients[3]), [1]);
    server.flush();
    assert_eq!(xids(&mut server, clients[4]), [1]);
}

#[test]
fn pings_credentials_and_the_end_of_a_session_do_not_wait_for_others() {
    let mut server = solo_with(loaded(LoadLimits {
        requests_max: Some(1),
        ..LoadLimits::default()
    }));
    let (a, b) = (server.client(), server.client());
    server.must(a, &create_with("/n", b""));
    server.flushes_at_once = false;
    server.say(a, 1, &set("/n", b"x", -1));
    server.say(b, 1, &ping());
    server.say(b, -4, &auth("digest", b"b:b"));
    assert_eq!(xids(&mut server, b), [-2, -4]);
    server.say(b, 2, &bare(OpCode::CloseSession));
    let c = server.accept();
    server.send(c, &connect(SessionId::NONE, &[0; 16], 30_000, Zxid::ZERO));
    server.flush();
    assert!(!server.replica.sessions().contains_key(&b.session));
    assert!(server.is_open(c));
}
