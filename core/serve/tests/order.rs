//! Replies come in the order of the requests; a session reads its own writes and no later one (protocol 5.2, P90, P98).

mod common;

use common::say::{self, Request, create, create_with, exists, get, ping, set, sync};
use common::{Client, Reply, Talk, connect, frames};
use zabra_proto::{ConnId, ErrorCode, EventKind, OpCode, SessionId, Zxid};
use zabra_testkit::solo::Solo;

/// A server whose disk waits for `flush`, with a znode, and two clients.
fn slow_disk() -> (Solo, Client, Client) {
    let mut server = Solo::new();
    let (a, b) = (server.client(), server.client());
    server.must(a, &create_with("/n", b"0"));
    server.flushes_at_once = false;
    (server, a, b)
}

fn xids(replies: &[Reply]) -> Vec<i32> {
    replies.iter().map(|reply| reply.xid).collect()
}

#[test]
fn a_read_between_two_writes_of_its_session_reads_the_first() {
    let (mut server, a, _) = slow_disk();
    server.say(a, 1, &set("/n", b"1", -1));
    server.say(a, 2, &get("/n", false));
    server.say(a, 3, &set("/n", b"2", -1));
    server.say(a, 4, &get("/n", false));
    assert_eq!(server.hear(a), []);
    server.flush();
    let heard = server.hear(a);
    assert_eq!(xids(&heard), [1, 2, 3, 4]);
    assert_eq!(heard[1].data().unwrap(), b"1");
    assert_eq!(heard[3].data().unwrap(), b"2");
}

#[test]
fn reads_of_other_sessions_do_not_wait() {
    let (mut server, a, b) = slow_disk();
    server.say(a, 1, &set("/n", b"1", -1));
    server.say(b, 1, &get("/n", false));
    assert_eq!(server.hear(b)[0].data().unwrap(), b"0");
    assert_eq!(server.hear(a), []);
}

#[test]
fn pings_syncs_and_malformed_requests_keep_their_place() {
    let (mut server, a, _) = slow_disk();
    server.say(a, 1, &set("/n", b"1", -1));
    server.say(a, 2, &ping());
    server.say(a, 3, &sync("/any"));
    server.say(a, 4, &create("/m", 0).cut(9));
    server.say(a, 5, &get("/n", false).cut(3));
    server.say(a, 6, &set("/n", b"2", -1));
    server.say(a, 7, &sync("/any").cut(2));
    assert_eq!(server.hear(a), []);
    server.flush();
    let heard = server.hear(a);
    assert_eq!(xids(&heard), [1, -2, 3, 4, 5, 6, 7]);
    let errors: Vec<i32> = heard.iter().map(|reply| reply.error.code()).collect();
    assert_eq!(errors, [0, 0, 0, -5, -5, 0, -5]);
    assert_eq!(heard[2].path(), "/any");
}

#[test]
fn a_malformed_write_costs_no_zxid() {
    let mut server = Solo::new();
    let a = server.client();
    let before = server.replica.last_zxid();
    assert_eq!(
        server.code(a, &create("/m", 0).cut(9)),
        ErrorCode::MARSHALLING_ERROR
    );
    assert_eq!(server.replica.last_zxid(), before);
    assert_eq!(server.code(a, &get("/none", false)), ErrorCode::NO_NODE);
}

#[test]
fn a_refused_write_costs_a_zxid() {
    let mut server = Solo::new();
    let a = server.client();
    let before = server.replica.last_zxid();
    let reply = server.ask(a, &set("/none", b"", -1));
    assert_eq!(reply.error, ErrorCode::NO_NODE);
    assert_eq!(reply.zxid, before.next().to_wire());
    assert_eq!(reply.body, b"");
}

#[test]
fn zxids_of_replies_never_fall() {
    let (mut server, a, b) = slow_disk();
    for n in 0..20 {
        server.say(a, n, &set("/n", b"x", -1));
        server.say(b, n, &set("/n", b"y", n));
        server.say(a, 100 + n, &get("/n", false));
        server.say(b, 100 + n, &ping());
        if n % 3 == 0 {
            server.flush();
        }
    }
    server.flush();
    for client in [a, b] {
        let heard = server.hear(client);
        assert_eq!(heard.len(), 40);
        assert!(heard.is_sorted_by_key(|reply| reply.zxid));
    }
}

#[test]
fn repeated_xids_are_only_echoed() {
    let (mut server, a, _) = slow_disk();
    for data in [b"1", b"2", b"3"] {
        server.say(a, 5, &set("/n", data, -1));
        server.say(a, 5, &get("/n", false));
    }
    server.flush();
    let heard = server.hear(a);
    assert_eq!(xids(&heard), [5; 6]);
    let data: Vec<_> = heard.iter().skip(1).step_by(2).map(Reply::data).collect();
    assert_eq!(data, [b"1", b"2", b"3"].map(|data| Some(data.to_vec())));
}

#[test]
fn the_own_create_is_told_to_its_exists_watch_before_it_is_answered() {
    let mut server = Solo::new();
    let a = server.client();
    assert_eq!(server.code(a, &exists("/w", true)), ErrorCode::NO_NODE);
    server.say(a, 9, &create("/w", 0));
    let heard = server.hear(a);
    assert_eq!(
        heard[0].event(),
        Some((EventKind::NodeCreated, "/w".into()))
    );
    assert_eq!((heard[1].xid, heard.len()), (9, 2));
    assert_eq!(heard[0].zxid, heard[1].zxid);
}

#[test]
fn an_event_comes_before_any_read_that_shows_its_cause() {
    let (mut server, a, b) = slow_disk();
    server.must(b, &get("/n", true));
    server.say(b, 1, &set("/n", b"own", -1));
    server.say(b, 2, &get("/n", false));
    server.say(a, 1, &set("/n", b"other", -1));
    server.flush();
    let heard = server.hear(b);
    assert_eq!(xids(&heard), [-1, 1, 2]);
}

#[test]
fn a_watch_set_by_a_parked_read_sees_the_next_write() {
    let (mut server, a, _) = slow_disk();
    server.say(a, 1, &set("/n", b"1", -1));
    server.say(a, 2, &get("/n", true));
    server.say(a, 3, &set("/n", b"2", -1));
    server.flush();
    assert_eq!(xids(&server.hear(a)), [1, 2, -1, 3]);
}

#[test]
fn auth_overtakes_and_holds_for_what_is_read_after_it() {
    let (mut server, a, _) = slow_disk();
    server.say(a, 1, &set("/n", b"1", -1));
    server.say(a, -4, &say::auth("digest", b"u:p"));
    assert_eq!(xids(&server.hear(a)), [-4]);
    let mine = vec![say::raw_acl(zabra_proto::Perms::ALL, "auth", "")];
    server.say(a, 2, &say::set_acl("/n", mine, -1));
    server.flush();
    let heard = server.hear(a);
    assert_eq!(xids(&heard), [1, 2]);
    assert_eq!(heard[1].error, ErrorCode::OK);
}

#[test]
fn an_unknown_op_overtakes_and_closes() {
    for op in [0, -1, 10, 13, 20, -10, 999, i32::MIN] {
        let (mut server, a, _) = slow_disk();
        server.say(a, 1, &set("/n", b"1", -1));
        server.say(
            a,
            2,
            &Request {
                op,
                body: create("/x", 0).body,
            },
        );
        let heard = server.hear(a);
        assert_eq!(xids(&heard), [2], "{op}");
        assert_eq!(
            (heard[0].error, heard[0].zxid),
            (ErrorCode::UNIMPLEMENTED, -1)
        );
        assert!(!server.is_open(a.conn));
        server.flush();
        assert!(server.replica.tree.find("/x").is_none());
        // What was accepted before is done, though nobody is there to hear of it.
        let node = server.replica.tree.find("/n").unwrap();
        assert_eq!(server.replica.tree.data(node).unwrap(), b"1");
    }
}

#[test]
fn a_connection_that_closes_with_reads_between_its_writes_harms_nobody() {
    for unknown in [true, false] {
        let (mut server, a, b) = slow_disk();
        server.say(a, 1, &set("/n", b"1", -1));
        server.say(a, 2, &get("/n", false));
        server.say(a, 3, &set("/n", b"2", -1));
        server.say(a, 4, &sync("/"));
        if unknown {
            server.say(a, 5, &Request::raw(999, &()));
        } else {
            // The session moves to another connection.
            let conn = server.accept();
            let password = common::password_of(a.session);
            server.send(conn, &connect(a.session, &password, 30_000, Zxid::ZERO));
        }
        server.flush();
        assert_eq!(server.clients.outstanding(), 0);
        assert_eq!(server.must(b, &get("/n", false)).data().unwrap(), b"2");
    }
}

/// Everything that came on a connection when these bytes went in, cut as given.
fn conversation(bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut server = Solo::new();
    let conn = server.accept();
    let mut from = 0;
    let mut heard = Vec::new();
    for cut in cuts.iter().chain([&bytes.len()]) {
        server.send(conn, &bytes[from..*cut]);
        heard.extend(server.receive(conn));
        from = *cut;
    }
    heard
}

fn script() -> Vec<u8> {
    let mut bytes = connect(SessionId::NONE, &[0; 16], 5000, Zxid::ZERO);
    let requests = [
        say::auth("digest", b"u:p"),
        create_with("/a", b"data"),
        get("/a", true),
        set("/a", b"more", 0),
        say::children2("/", false),
        say::multi(&[create("/a/b", 0), say::delete("/a/b", 0)]),
        ping(),
        sync("/"),
        say::bare(OpCode::WhoAmI),
        say::close_session(),
    ];
    for (xid, request) in requests.iter().enumerate() {
        bytes.extend(request.frame(xid as i32));
    }
    bytes
}

#[test]
fn frames_cut_at_any_byte_get_the_same_answers() {
    let bytes = script();
    let whole = conversation(&bytes, &[]);
    assert_eq!(frames(&whole).len(), 12);
    for at in 0..bytes.len() {
        assert_eq!(conversation(&bytes, &[at]), whole, "cut at {at}");
    }
    let every: Vec<usize> = (1..bytes.len()).collect();
    assert_eq!(conversation(&bytes, &every), whole);
}

#[test]
fn requests_behind_the_connect_request_wait_for_the_session() {
    let mut server = Solo::new();
    server.flushes_at_once = false;
    let conn = server.accept();
    server.send(conn, &script());
    assert_eq!(server.receive(conn), b"");
    assert!(!server.clients.is_readable(conn));
    server.flush();
    server.flush();
    let heard = server.receive(conn);
    assert_eq!(heard, conversation(&script(), &[]));
}

#[test]
fn bad_frames_close_without_a_word() {
    let open = |server: &mut Solo| server.client().conn;
    let too_long = |len: i32| len.to_be_bytes().to_vec();
    let table: [(&str, Vec<u8>); 5] = [
        ("negative", too_long(-1)),
        ("one too long", too_long(0x10_0000)),
        ("empty", too_long(0)),
        (
            "shorter than its header",
            [&[0, 0, 0, 7][..], &[1; 7]].concat(),
        ),
        (
            "auth that cannot be decoded",
            say::auth("digest", b"u:p").cut(6).frame(-4),
        ),
    ];
    for (what, bytes) in table {
        let mut server = Solo::new();
        let conn: ConnId = open(&mut server);
        server.send(conn, &bytes);
        assert!(!server.is_open(conn), "{what}");
        assert_eq!(server.receive(conn), b"", "{what}");
    }
}

#[test]
fn the_longest_frame_is_taken() {
    let mut server = Solo::new();
    let a = server.client();
    let empty = create_with("/n", b"").body.len();
    let request = create_with("/n", &vec![7; 0xfffff - 8 - empty]);
    assert_eq!(request.frame(1).len(), 4 + 0xfffff);
    server.must(a, &request);
}
