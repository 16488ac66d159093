//! Who is told of what, over the wire (protocol 9; pitfalls P87 to P94).

mod common;

use common::say::{
    EPHEMERAL, Request, add_watch, anyone, auth, check_watches, children, close_session, create,
    create_as, create_with, delete, exists, get, multi, raw_acl, remove_watches, set, set_acl,
    set_watches,
};
use common::{Client, Talk};
use zabra_proto::{ErrorCode, EventKind, OpCode, Perms, RemoveWatchesKind, WatchAddMode, Zxid};
use zabra_testkit::solo::Solo;

use EventKind::{NodeChildrenChanged, NodeCreated, NodeDataChanged, NodeDeleted};

fn server() -> (Solo, Client, Client) {
    let mut server = Solo::new();
    let (a, b) = (server.client(), server.client());
    server.must(a, &create("/p", 0));
    server.must(a, &create("/p/n", 0));
    (server, a, b)
}

fn at(kind: EventKind, path: &str) -> (EventKind, String) {
    (kind, path.to_owned())
}

#[test]
fn each_kind_of_watch_hears_what_it_should() {
    let persistent = || add_watch("/p/n", WatchAddMode::Persistent);
    let recursive = || add_watch("/p", WatchAddMode::PersistentRecursive);
    let table: [(Request, &[(EventKind, &str)]); 6] = [
        (exists("/p/n", true), &[(NodeDataChanged, "/p/n")]),
        (get("/p/n", true), &[(NodeDataChanged, "/p/n")]),
        (children("/p/n", true), &[(NodeChildrenChanged, "/p/n")]),
        (children("/p", true), &[(NodeChildrenChanged, "/p")]),
        (
            persistent(),
            &[
                (NodeDataChanged, "/p/n"),
                (NodeChildrenChanged, "/p/n"),
                (NodeChildrenChanged, "/p/n"),
                (NodeDeleted, "/p/n"),
                (NodeCreated, "/p/n"),
            ],
        ),
        (
            recursive(),
            &[
                (NodeDataChanged, "/p/n"),
                (NodeCreated, "/p/n/c"),
                (NodeDeleted, "/p/n/c"),
                (NodeDeleted, "/p/n"),
                (NodeCreated, "/p/n"),
            ],
        ),
    ];
    for (watch, expected) in table {
        let (mut server, a, b) = server();
        server.must(b, &watch);
        for change in [
            set("/p/n", b"1", -1),
            set_acl("/p/n", anyone(Perms::ALL), -1),
            create("/p/n/c", 0),
            delete("/p/n/c", -1),
            set("/none", b"", -1),
            multi(&[delete("/p/n", -1), create("/p/n", 0)]),
            multi(&[set("/p/n", b"", -1), delete("/none", -1)]),
        ] {
            server.ask(a, &change);
        }
        let expected: Vec<_> = expected
            .iter()
            .map(|(kind, path)| at(*kind, path))
            .collect();
        assert_eq!(server.events(b), expected, "{watch:?}");
    }
}

#[test]
fn an_event_bears_the_zxid_of_its_cause() {
    let (mut server, a, b) = server();
    server.must(b, &get("/p/n", true));
    let zxid = server.must(a, &set("/p/n", b"1", -1)).zxid;
    assert_eq!(server.hear(b)[0].zxid, zxid);
}

#[test]
fn a_deletion_is_told_once_to_a_connection_with_both_watches() {
    let (mut server, a, b) = server();
    for watch in [
        get("/p/n", true),
        children("/p/n", true),
        add_watch("/p/n", WatchAddMode::Persistent),
        add_watch("/", WatchAddMode::PersistentRecursive),
    ] {
        server.must(b, &watch);
    }
    server.must(a, &delete("/p/n", -1));
    assert_eq!(server.events(b), [at(NodeDeleted, "/p/n")]);
}

#[test]
fn no_watch_is_left_by_a_call_that_fails() {
    let (mut server, a, b) = server();
    for request in [get("/none", true), children("/none", true)] {
        assert_eq!(server.code(b, &request), ErrorCode::NO_NODE);
    }
    server.must(a, &set_acl("/p/n", anyone(Perms::ADMIN), -1));
    for request in [
        get("/p/n", true),
        children("/p/n", true),
        exists("/p/n", true),
    ] {
        assert_eq!(server.code(b, &request), ErrorCode::NO_AUTH);
    }
    assert_eq!(server.clients.watches().watch_count(), 0);
}

#[test]
fn the_end_of_a_session_is_told_path_by_path() {
    let (mut server, a, b) = server();
    server.must(a, &create("/p/e1", EPHEMERAL));
    server.must(a, &create("/p/e0", EPHEMERAL));
    server.must(b, &children("/p", true));
    server.must(b, &add_watch("/p", WatchAddMode::PersistentRecursive));
    server.must(a, &close_session());
    assert_eq!(
        server.events(b),
        [
            at(NodeDeleted, "/p/e0"),
            at(NodeChildrenChanged, "/p"),
            at(NodeDeleted, "/p/e1"),
        ]
    );
}

#[test]
fn events_are_told_to_those_who_may_read() {
    let (mut server, a, b) = server();
    server.must(b, &add_watch("/", WatchAddMode::PersistentRecursive));
    assert_eq!(server.code(b, &exists("/secret", true)), ErrorCode::NO_NODE);
    server.must(a, &auth("digest", b"a:a"));
    let mine = || vec![raw_acl(Perms::ALL, "auth", "")];
    let secret = create_as(OpCode::Create, "/secret", None, mine(), 0);
    server.must(a, &secret);
    server.must(a, &set("/secret", b"1", -1));
    server.must(a, &create("/secret/open", 0));
    server.must(a, &delete("/secret/open", -1));
    assert_eq!(
        server.events(b),
        [
            at(NodeCreated, "/secret/open"),
            at(NodeDeleted, "/secret/open"),
        ]
    );
    // The one-shot watch is spent all the same; credentials count from when they are shown.
    server.must(b, &auth("digest", b"a:a"));
    server.must(a, &set("/secret", b"2", -1));
    assert_eq!(server.events(b), [at(NodeDataChanged, "/secret")]);
    server.must(a, &delete("/secret", -1));
    assert_eq!(server.events(b), [at(NodeDeleted, "/secret")]);
}

#[test]
fn a_childs_coming_is_told_by_the_parents_acl() {
    let (mut server, a, b) = server();
    server.must(b, &children("/p", true));
    server.must(a, &set_acl("/p", anyone(Perms(30)), -1));
    server.must(a, &create("/p/new", 0));
    assert_eq!(server.events(b), []);
    assert_eq!(server.clients.watches().watch_count(), 0);
}

#[test]
fn watches_taken_up_again_hear_what_they_missed() {
    let (mut server, a, b) = server();
    for path in [
        "/same", "/set", "/gone", "/again", "/born", "/kids", "/calm",
    ] {
        if path != "/born" {
            server.must(a, &create(path, 0));
        }
    }
    let since = server.replica.last_zxid();
    for change in [
        set("/set", b"", -1),
        delete("/gone", -1),
        multi(&[delete("/again", -1), create("/again", 0)]),
        create("/born", 0),
        create("/kids/k", 0),
    ] {
        server.must(a, &change);
    }
    let lists: [&[&str]; 5] = [
        &["/same", "/set", "/gone", "/again"],
        &["/born", "/unborn"],
        &["/kids", "/calm", "/gone"],
        &["/set"],
        &["/gone"],
    ];
    server.say(b, -8, &set_watches(since, lists));
    let mut heard = server.hear(b);
    let reply = heard.pop().unwrap();
    assert_eq!((reply.xid, reply.error), (-8, ErrorCode::OK));
    assert!(heard.iter().all(|event| event.zxid == -1));
    let events: Vec<_> = heard.iter().map(|event| event.event().unwrap()).collect();
    assert_eq!(
        events,
        [
            at(NodeDataChanged, "/set"),
            at(NodeDeleted, "/gone"),
            at(NodeDataChanged, "/again"),
            at(NodeCreated, "/born"),
            at(NodeChildrenChanged, "/kids"),
            at(NodeDeleted, "/gone"),
        ]
    );
    // What was not missed is watched.
    for change in [
        set("/same", b"", -1),
        create("/unborn", 0),
        create("/calm/c", 0),
        set("/set", b"", -1),
        create("/gone", 0),
        create("/kids/l", 0),
    ] {
        server.must(a, &change);
    }
    assert_eq!(
        server.events(b),
        [
            at(NodeDataChanged, "/same"),
            at(NodeCreated, "/unborn"),
            at(NodeChildrenChanged, "/calm"),
            at(NodeDataChanged, "/set"),
            at(NodeCreated, "/gone"),
        ]
    );
}

#[test]
fn what_was_missed_is_not_told_to_those_who_may_not_read() {
    let (mut server, a, b) = server();
    server.must(a, &set("/p/n", b"1", -1));
    server.must(a, &create("/p/n/c", 0));
    server.must(a, &set_acl("/p/n", anyone(Perms::ADMIN), -1));
    let n: &[&str] = &["/p/n"];
    server.must(b, &set_watches(Zxid(1), [n, n, n, &[], &[]]));
    assert_eq!(server.clients.watches().watch_count(), 0);
}

#[test]
fn watch_lists_that_are_cut_set_nothing() {
    let (mut server, _, b) = server();
    let whole = set_watches(Zxid(99), [&["/p"], &[], &["/p"], &["/p"], &["/p"]]);
    for len in 0..whole.body.len() {
        let reply = server.code(b, &whole.clone().cut(len));
        assert_eq!(reply, ErrorCode::MARSHALLING_ERROR);
    }
    assert_eq!(server.clients.watches().watch_count(), 0);
}

#[test]
fn removing_and_asking_follow_the_table() {
    use RemoveWatchesKind::{Any, Children, Data, Persistent, PersistentRecursive};
    let watches = [
        (get("/p/n", true), [Data, Any, Any]),
        (children("/p/n", true), [Children, Any, Any]),
        (
            add_watch("/p/n", WatchAddMode::Persistent),
            [Persistent, Any, Any],
        ),
        (
            add_watch("/p/n", WatchAddMode::PersistentRecursive),
            [PersistentRecursive, Any, Any],
        ),
    ];
    for (watch, matching) in &watches {
        for kind in RemoveWatchesKind::ALL {
            let (mut server, _, b) = server();
            let other = server.client();
            server.must(b, watch);
            let expected = if matching.contains(kind) {
                ErrorCode::OK
            } else {
                ErrorCode::NO_WATCHER
            };
            assert_eq!(server.code(b, &check_watches("/p/n", *kind)), expected);
            assert_eq!(
                server.code(other, &check_watches("/p/n", *kind)),
                ErrorCode::NO_WATCHER
            );
            assert_eq!(
                server.code(b, &remove_watches("/p", *kind)),
                ErrorCode::NO_WATCHER
            );
            assert_eq!(
                server.code(other, &remove_watches("/p/n", *kind)),
                ErrorCode::NO_WATCHER
            );
            assert_eq!(
                server.code(b, &remove_watches("/p/n", *kind)),
                expected,
                "{watch:?} {kind:?}"
            );
            assert_eq!(
                server.clients.watches().watch_count() == 0,
                expected.is_ok()
            );
        }
    }
}

#[test]
fn removing_one_mode_leaves_the_others() {
    let (mut server, a, b) = server();
    for watch in [
        get("/p/n", true),
        add_watch("/p/n", WatchAddMode::Persistent),
        add_watch("/p/n", WatchAddMode::PersistentRecursive),
    ] {
        server.must(b, &watch);
    }
    server.must(b, &remove_watches("/p/n", RemoveWatchesKind::Persistent));
    server.must(a, &create("/p/n/c", 0));
    assert_eq!(server.events(b), [at(NodeCreated, "/p/n/c")]);
    server.must(
        b,
        &remove_watches("/p/n", RemoveWatchesKind::PersistentRecursive),
    );
    server.must(a, &set("/p/n", b"", -1));
    assert_eq!(server.events(b), [at(NodeDataChanged, "/p/n")]);
    assert_eq!(server.clients.watches().watch_count(), 0);
}

#[test]
fn unknown_modes_and_types_are_malformed() {
    let (mut server, _, b) = server();
    let with = |op, number: i32| {
        let mut request = add_watch("/p", WatchAddMode::Persistent);
        request.op = OpCode::code(op);
        let at = request.body.len() - 4;
        request.body[at..].copy_from_slice(&number.to_be_bytes());
        request
    };
    for (op, numbers) in [
        (OpCode::AddWatch, [-1, 2]),
        (OpCode::CheckWatches, [0, 6]),
        (OpCode::RemoveWatches, [0, 6]),
    ] {
        for number in numbers {
            let code = server.code(b, &with(op, number));
            assert_eq!(code, ErrorCode::MARSHALLING_ERROR);
        }
    }
}

#[test]
fn watches_end_with_their_connection() {
    let (mut server, a, b) = server();
    for n in 0..50 {
        let path = format!("/p/n/{n}");
        assert_eq!(server.code(b, &exists(&path, true)), ErrorCode::NO_NODE);
        server.must(b, &add_watch(&path, WatchAddMode::Persistent));
        server.must(b, &add_watch(&path, WatchAddMode::PersistentRecursive));
    }
    assert_eq!(server.clients.watches().watch_count(), 100);
    server.hang_up(b.conn);
    assert_eq!(server.clients.watches().watch_count(), 0);
    assert_eq!(server.clients.watches().counts().connections, 0);
    server.must(a, &create_with("/p/n/1", b""));
}
