//! What no client can do to the server: memory, starvation, endless output (pitfalls P95, P118, P119, P120).

mod common;

use common::say::{bare, create_with, get, multi_read, ping, set};
use common::{Talk, connect, frames, serve_options, solo_with};
use zabra_proto::{ErrorCode, OpCode, SessionId, Xid, Zxid};
use zabra_serve::{CloseReason, ServeOptions};
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
