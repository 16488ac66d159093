//! Requests are validated against what is pending (protocol 11.2; pitfalls P76, P77, P96, P99, P101, P102).

mod common;

use common::say::{
    CONTAINER, EPHEMERAL, EPHEMERAL_SEQUENTIAL, PERSISTENT, SEQUENTIAL, TTL, TTL_SEQUENTIAL, check,
    close_session, create, create_container, create_ttl, create_with, create2, delete, multi, set,
    set_acl,
};
use common::{Bench, decode, force, say};
use zabra_peer::{Effect, Input};
use zabra_proto::client::ReconfigRequest;
use zabra_proto::txn::CreateTxn;
use zabra_proto::{ErrorCode, Identity, OpCode, Perms, SessionId, Txn, TxnKind, Zxid};
use zabra_tree::NodeKind;

fn bench() -> (Bench, SessionId) {
    let mut bench = Bench::new();
    let session = bench.open();
    (bench, session)
}

fn created(txn: Txn<'_>) -> String {
    match txn {
        Txn::Create(t) | Txn::Create2(t) => t.path.into_owned(),
        Txn::CreateContainer(t) => t.path.into_owned(),
        Txn::CreateTtl(t) => t.path.into_owned(),
        other => panic!("{other:?}"),
    }
}

fn paths_to_close(bench: &mut Bench, session: SessionId) -> Vec<String> {
    match bench.prepare(session, &close_session()) {
        Txn::CloseSession(Some(t)) => t.paths.into_iter().map(Into::into).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_write_sees_the_ones_before_it() {
    let (mut b, s) = bench();
    let script = [
        (create("/a", PERSISTENT), ErrorCode::OK),
        (create("/a", PERSISTENT), ErrorCode::NODE_EXISTS),
        (create("/a/b", PERSISTENT), ErrorCode::OK),
        (delete("/a", -1), ErrorCode::NOT_EMPTY),
        (set("/a/b", b"1", 0), ErrorCode::OK),
        (set("/a/b", b"2", 0), ErrorCode::BAD_VERSION),
        (set("/a/b", b"2", 1), ErrorCode::OK),
        (delete("/a/b", 1), ErrorCode::BAD_VERSION),
        (delete("/a/b", 2), ErrorCode::OK),
        (set("/a/b", b"3", -1), ErrorCode::NO_NODE),
        (create("/a/b/c", PERSISTENT), ErrorCode::NO_NODE),
        (delete("/a", 0), ErrorCode::OK),
        (delete("/a", -1), ErrorCode::NO_NODE),
        (create("/a", EPHEMERAL), ErrorCode::OK),
        (
            create("/a/b", PERSISTENT),
            ErrorCode::NO_CHILDREN_FOR_EPHEMERALS,
        ),
        (set_acl("/a", say::anyone(Perms::READ), 0), ErrorCode::OK),
        (
            set_acl("/a", say::anyone(Perms::READ), -1),
            ErrorCode::NO_AUTH,
        ),
        (set("/a", b"", -1), ErrorCode::NO_AUTH),
        (set("/", b"root", 0), ErrorCode::OK),
        (create("/b", PERSISTENT), ErrorCode::OK),
        (set("/", b"root", 1), ErrorCode::OK),
        (set_acl("/", say::anyone(Perms::ALL), 0), ErrorCode::OK),
        (create("/c", PERSISTENT), ErrorCode::OK),
    ];
    for (request, expected) in &script {
        assert_eq!(b.code(s, request), *expected, "{request:?}");
    }
    assert!(!b.exists("/b"));
    // Every payload carries the digest of a tree that does not exist yet; applying compares.
    b.settle();
    let root = b.tree.stat(b.tree.find("/").unwrap());
    assert_eq!((root.version, root.aversion, root.num_children), (2, 1, 4));
}

#[test]
fn versions_other_than_minus_one_are_compared_as_they_are() {
    let (mut b, s) = bench();
    b.code(s, &create("/a", 0));
    for version in [-2, 1, i32::MIN, i32::MAX] {
        assert_eq!(b.code(s, &set("/a", b"", version)), ErrorCode::BAD_VERSION);
        assert_eq!(b.code(s, &delete("/a", version)), ErrorCode::BAD_VERSION);
        let acl = set_acl("/a", say::anyone(Perms::ALL), version);
        assert_eq!(b.code(s, &acl), ErrorCode::BAD_VERSION);
    }
    b.settle();
}

#[test]
fn applying_one_by_one_never_changes_what_is_foretold() {
    for applied_between in 0..6 {
        let (mut b, s) = bench();
        for n in 0..6 {
            b.code(s, &create("/q-", SEQUENTIAL));
            b.code(s, &set("/", &[n], i32::from(n)));
            b.flush();
            for _ in 0..applied_between.min(n) {
                b.apply_one();
            }
        }
        b.settle();
        assert!(b.exists("/q-0000000005"));
    }
}

#[test]
fn sequence_numbers_go_on_over_what_is_pending() {
    let (mut b, s) = bench();
    let mut names = Vec::new();
    for request in [
        create("/s-", SEQUENTIAL),
        create("/plain", PERSISTENT),
        create2("/t-", EPHEMERAL_SEQUENTIAL),
        create_ttl("/u-", TTL_SEQUENTIAL, 1),
        create("/", SEQUENTIAL),
    ] {
        names.push(created(b.prepare(s, &request)));
    }
    assert_eq!(
        names,
        [
            "/s-0000000000",
            "/plain",
            "/t-0000000002",
            "/u-0000000003",
            "/0000000004"
        ]
    );
    b.code(s, &delete("/plain", -1));
    b.settle();
    assert_eq!(
        created(b.prepare(s, &create("/s-", SEQUENTIAL))),
        "/s-0000000005"
    );
}

/// A tree whose `/p` has had as many children as can be counted, less some.
fn nearly_full(less: i32) -> (Bench, SessionId) {
    let (mut b, s) = bench();
    b.code(s, &create("/p", PERSISTENT));
    b.settle();
    let child = CreateTxn {
        path: "/p/x".into(),
        data: None,
        acl: None,
        ephemeral: false,
        parent_cversion: i32::MAX - less,
    };
    force(&mut b.tree, &Txn::Create(child));
    (b, s)
}

#[test]
fn the_sequence_sticks_at_its_end() {
    let (mut b, s) = nearly_full(1);
    let names: Vec<String> = (0..2)
        .map(|_| created(b.prepare(s, &create("/p/s", SEQUENTIAL))))
        .collect();
    assert_eq!(names, ["/p/s2147483646", "/p/s2147483647"]);
    assert_eq!(
        b.code(s, &create("/p/s", SEQUENTIAL)),
        ErrorCode::NODE_EXISTS
    );
    assert_eq!(
        created(b.prepare(s, &create("/p/t", SEQUENTIAL))),
        "/p/t2147483647"
    );
    b.code(s, &create("/p/plain", PERSISTENT));
    b.settle();
    assert_eq!(
        b.code(s, &create("/p/s", SEQUENTIAL)),
        ErrorCode::NODE_EXISTS
    );
    b.code(s, &delete("/p/plain", -1));
    b.settle();
}

#[test]
fn a_close_takes_what_the_session_owns_at_its_place_in_the_order() {
    let (mut b, s) = bench();
    let other = b.open();
    b.code(s, &create("/settled", EPHEMERAL));
    b.code(s, &create("/goes", EPHEMERAL));
    b.code(s, &create("/moves", EPHEMERAL));
    b.code(other, &create("/others", EPHEMERAL));
    b.settle();
    b.code(s, &create("/pending", EPHEMERAL));
    b.code(s, &create("/brief", EPHEMERAL));
    b.code(s, &delete("/brief", -1));
    b.code(s, &delete("/goes", -1));
    b.code(s, &delete("/moves", -1));
    b.code(other, &create("/moves", EPHEMERAL));
    b.code(s, &set("/settled", b"x", -1));
    let inside = multi(&[create("/in-multi", EPHEMERAL), create("/keeps", PERSISTENT)]);
    b.prepare(s, &inside);
    let failing = multi(&[create("/never", EPHEMERAL), check("/none", -1)]);
    b.prepare(s, &failing);
    assert_eq!(
        paths_to_close(&mut b, s),
        ["/in-multi", "/pending", "/settled"]
    );
    b.settle();
    assert!(b.tree.ephemerals(s).is_empty());
    assert!(b.exists("/moves") && b.exists("/keeps") && b.exists("/others"));
}

#[test]
fn nothing_of_a_session_comes_after_its_end() {
    let (mut b, s) = bench();
    b.propose(s, &close_session());
    let logged = b.log.len();
    for request in [create("/ghost", EPHEMERAL), close_session()] {
        let seq = b.propose(s, &request);
        assert_eq!(b.replies.pop(), Some((seq, ErrorCode::SESSION_EXPIRED)));
    }
    assert_eq!(b.log.len(), logged);
    b.settle();
    b.propose(s, &create("/ghost", EPHEMERAL));
    assert!(matches!(b.others.pop(), Some(Effect::HangUp(common::CONN))));
    assert_eq!(b.log.len(), logged);
}

#[test]
fn a_close_too_long_to_list_leaves_the_list_to_each_server() {
    for lists in [true, false] {
        let mut options = common::options();
        options.prep.close_session_len_max = 20;
        options.prep.close_session_lists_paths = lists;
        let mut b = Bench::with(options, &[]);
        let s = b.open();
        for n in 0..if lists { 5 } else { 1 } {
            b.code(s, &create(&format!("/e{n}"), EPHEMERAL));
        }
        assert_eq!(b.prepare(s, &close_session()), Txn::CloseSession(None));
        b.settle();
        assert!(!b.exists("/e0") && !b.exists("/e4"));
    }
}

#[test]
fn a_failing_multi_leaves_no_trace_wherever_it_fails() {
    let elements = [
        create("/m", PERSISTENT),
        create("/m/e", EPHEMERAL),
        set("/a", b"2", 1),
        delete("/d", -1),
        create("/d", EPHEMERAL),
        create("/s-", SEQUENTIAL),
        delete("/m/e", 0),
        set("/", b"x", -1),
    ];
    for at in 0..=elements.len() {
        for outstanding in [false, true] {
            let (mut b, s) = bench();
            b.code(s, &create("/a", PERSISTENT));
            b.code(s, &create("/d", EPHEMERAL));
            if !outstanding {
                b.settle();
            }
            b.code(s, &set("/a", b"1", 0));
            let mut batch = elements.to_vec();
            batch.insert(at, check("/a", 77));
            let Txn::Multi(txns) = b.prepare(s, &multi(&batch)) else {
                panic!("not a multi")
            };
            let codes: Vec<ErrorCode> = txns
                .iter()
                .filter_map(|txn| match txn {
                    Txn::Error(code) => Some(*code),
                    _ => None,
                })
                .collect();
            assert_eq!(codes[0], ErrorCode::BAD_VERSION);
            assert_eq!(codes.len(), batch.len() - at);
            assert!(
                codes[1..]
                    .iter()
                    .all(|code| *code == ErrorCode::RUNTIME_INCONSISTENCY)
            );
            // As if it had never been, for those who come next.
            assert_eq!(b.code(s, &create("/m/x", 0)), ErrorCode::NO_NODE);
            assert_eq!(b.code(s, &set("/a", b"3", 1)), ErrorCode::OK);
            let next = created(b.prepare(s, &create("/s-", SEQUENTIAL)));
            assert_eq!(next, "/s-0000000002");
            assert_eq!(paths_to_close(&mut b, s), ["/d"]);
            b.settle();
        }
    }
}

#[test]
fn elements_of_a_multi_see_each_other() {
    let (mut b, s) = bench();
    let batch = multi(&[
        create("/p", PERSISTENT),
        create("/p/s-", SEQUENTIAL),
        create("/p/s-", SEQUENTIAL),
        set("/p", b"1", 0),
        check("/p", 1),
        delete("/p/s-0000000000", 0),
        create("/p/s-0000000000", EPHEMERAL),
        delete("/p/s-0000000000", 0),
        create("/p/s-", SEQUENTIAL),
    ]);
    let Txn::Multi(txns) = b.prepare(s, &batch) else {
        panic!("not a multi")
    };
    assert_eq!(txns.len(), 9);
    assert_eq!(created(txns[8].clone()), "/p/s-0000000003");
    b.settle();
    assert!(!b.exists("/p/s-0000000000"));
    assert_eq!(b.tree.child_count(b.tree.find("/p").unwrap()), 2);
    assert!(b.tree.ephemerals(s).is_empty());
}

#[test]
fn a_multi_that_replaces_an_ephemeral_owns_the_new_one() {
    let (mut b, s) = bench();
    b.code(s, &create("/e", EPHEMERAL));
    b.settle();
    b.prepare(s, &multi(&[delete("/e", -1), create("/e", EPHEMERAL)]));
    b.prepare(
        s,
        &multi(&[delete("/e", -1), create("/e", PERSISTENT), delete("/e", -1)]),
    );
    b.prepare(s, &multi(&[create("/e", EPHEMERAL), set("/e", b"", 0)]));
    assert_eq!(paths_to_close(&mut b, s), ["/e"]);
    b.settle();
    assert!(!b.exists("/e"));
}

#[test]
fn an_empty_multi_costs_a_zxid() {
    let (mut b, s) = bench();
    let before = b.peer.proposed();
    assert_eq!(b.prepare(s, &multi(&[])), Txn::Multi(vec![]));
    assert_eq!(b.peer.proposed(), before.next());
}

#[test]
fn a_multi_that_cannot_be_decoded_is_an_error_with_a_zxid() {
    let (mut b, s) = bench();
    let batches = [
        multi(&[create("/a", 99)]),
        multi(&[create("/a", TTL)]),
        multi(&[create("/a", 0), say::get("/a", false)]),
        multi(&[set_acl("/a", say::anyone(Perms::ALL), 0)]),
        multi(&[multi(&[])]),
        multi(&[create("/a", 0)]).cut(30),
    ];
    for batch in &batches {
        assert_eq!(b.code(s, batch), ErrorCode::MARSHALLING_ERROR, "{batch:?}");
    }
    b.settle();
    assert!(!b.exists("/a"));
}

#[test]
fn op_flags_and_ttl_of_a_create_must_agree() {
    const BAD: ErrorCode = ErrorCode::BAD_ARGUMENTS;
    let (mut b, s) = bench();
    let mut n = 0;
    let mut path = || {
        n += 1;
        format!("/n{n}")
    };
    for op in [OpCode::Create, OpCode::Create2] {
        for flags in -2..=8 {
            let request = say::create_as(op, &path(), None, say::anyone(Perms::ALL), flags);
            let expected = if (0..=3).contains(&flags) {
                ErrorCode::OK
            } else {
                BAD
            };
            assert_eq!(b.code(s, &request), expected, "{op:?} {flags}");
        }
    }
    for flags in -2..=8 {
        let expected = if matches!(flags, 0 | 4) {
            ErrorCode::OK
        } else {
            BAD
        };
        let at = path();
        assert_eq!(
            b.code(s, &create_container(&at, flags)),
            expected,
            "{flags}"
        );
        b.settle();
        if expected.is_ok() {
            let node = b.tree.find(&at).unwrap();
            assert_eq!(b.tree.kind(node), NodeKind::Container);
        }
        for ttl in [
            i64::MIN,
            -1,
            0,
            1,
            0xff_ffff_ffff,
            0x100_0000_0000,
            i64::MAX,
        ] {
            let valid =
                matches!(flags, TTL | TTL_SEQUENTIAL) && (1..=0xff_ffff_ffff).contains(&ttl);
            let expected = if valid { ErrorCode::OK } else { BAD };
            let request = create_ttl(&path(), flags, ttl);
            assert_eq!(b.code(s, &request), expected, "{flags} {ttl}");
        }
    }
    b.settle();
}

#[test]
fn a_container_flag_in_a_multi_makes_a_container() {
    let (mut b, s) = bench();
    let batch = [
        create("/a", CONTAINER),
        create2("/b", CONTAINER),
        create_container("/c", PERSISTENT),
        create_ttl("/d", TTL, 5),
    ];
    let Txn::Multi(txns) = b.prepare(s, &multi(&batch)) else {
        panic!("not a multi")
    };
    let kinds: Vec<TxnKind> = txns.iter().map(Txn::kind).collect();
    assert_eq!(
        kinds,
        [
            TxnKind::CreateContainer,
            TxnKind::CreateContainer,
            TxnKind::CreateContainer,
            TxnKind::CreateTtl
        ]
    );
    b.settle();
    // None of them is the session's, whatever their owner field holds.
    assert_eq!(paths_to_close(&mut b, s), [""; 0]);
    b.settle();
}

#[test]
fn ttl_modes_are_unknown_without_extended_types() {
    let mut options = common::options();
    options.prep.owner.extended_types = false;
    let mut b = Bench::with(options, &[]);
    let s = b.open();
    for request in [
        create_ttl("/a", TTL, 1),
        create_ttl("/a", TTL_SEQUENTIAL, 0),
        create("/a", TTL),
    ] {
        assert_eq!(b.code(s, &request), ErrorCode::UNIMPLEMENTED);
    }
    assert_eq!(b.code(s, &create_container("/c", CONTAINER)), ErrorCode::OK);
    b.settle();
}

#[test]
fn paths_are_checked_as_apache_checks_them() {
    use ErrorCode as E;
    let (mut b, s) = bench();
    b.code(s, &create("/a", 0));
    let creates = [
        ("", E::BAD_ARGUMENTS),
        ("foo", E::BAD_ARGUMENTS),
        ("a/b", E::NO_NODE),
        ("/", E::NODE_EXISTS),
        ("//", E::BAD_ARGUMENTS),
        ("//b", E::BAD_ARGUMENTS),
        ("/a//b", E::NO_NODE),
        ("/a/.", E::BAD_ARGUMENTS),
        ("/a/..", E::BAD_ARGUMENTS),
        ("/a/", E::BAD_ARGUMENTS),
        ("/b\0", E::BAD_ARGUMENTS),
        ("/b\u{1}", E::BAD_ARGUMENTS),
        ("/none/b", E::NO_NODE),
        ("/zookeeper/x", E::OK),
    ];
    for (path, expected) in creates {
        assert_eq!(b.code(s, &create(path, 0)), expected, "create {path:?}");
    }
    let deletes = [
        ("", E::BAD_ARGUMENTS),
        ("foo", E::BAD_ARGUMENTS),
        ("/", E::BAD_ARGUMENTS),
        ("/zookeeper", E::BAD_ARGUMENTS),
        ("/zookeeper/quota", E::BAD_ARGUMENTS),
        ("/zookeeper/config", E::BAD_ARGUMENTS),
        ("/a\0", E::BAD_ARGUMENTS),
        ("/none", E::NO_NODE),
        ("/none/b", E::NO_NODE),
        ("/a/", E::NO_NODE),
        ("/zookeeper/x", E::OK),
    ];
    for (path, expected) in deletes {
        assert_eq!(b.code(s, &delete(path, -1)), expected, "delete {path:?}");
    }
    for path in [
        "",
        "foo",
        "/a/",
        "//",
        "/a//b",
        "/a/.",
        "/\u{7f}",
        "/\u{1f600}",
    ] {
        assert_eq!(b.code(s, &set(path, b"", -1)), E::BAD_ARGUMENTS, "{path:?}");
        let acl = set_acl(path, say::anyone(Perms::ALL), -1);
        assert_eq!(b.code(s, &acl), E::BAD_ARGUMENTS, "{path:?}");
    }
    b.settle();
}

#[test]
fn reconfig_is_off_or_not_for_a_server_alone() {
    let request = ReconfigRequest {
        joining: None,
        leaving: Some("2".into()),
        members: None,
        config_id: -1,
    };
    let request = say::Request::new(OpCode::Reconfig, &request);
    for (enabled, expected) in [
        (false, ErrorCode::RECONFIG_DISABLED),
        (true, ErrorCode::UNIMPLEMENTED),
    ] {
        let mut options = common::options();
        options.prep.reconfig_enabled = enabled;
        let mut b = Bench::with(options, &[]);
        let s = b.open();
        assert_eq!(b.code(s, &request), expected);
    }
}

#[test]
fn a_reconfig_that_cannot_be_decoded_is_answered_without_a_transaction() {
    let (mut b, s) = bench();
    let before = b.peer.proposed();
    b.propose(s, &say::bare(OpCode::Reconfig));
    assert_eq!(b.peer.proposed(), before);
}

#[test]
fn an_acl_cannot_make_a_transaction_much_larger_than_its_request() {
    let (mut b, s) = bench();
    b.identities = (0..500)
        .map(|n| Identity::new("digest", &format!("user{n}:secret")))
        .collect();
    let auth = |n: i32| say::raw_acl(Perms(n), "auth", "");
    let bomb: Vec<_> = (0..20_000).map(auth).collect();
    let request = say::create_as(OpCode::Create, "/bomb", None, bomb, 0);
    assert_eq!(b.code(s, &request), ErrorCode::INVALID_ACL);
    // Nor many small ones in one request.
    let small = |n| say::create_as(OpCode::Create, &format!("/b{n}"), None, vec![auth(1)], 0);
    let many: Vec<_> = (0..100).map(small).collect();
    b.propose(s, &multi(&many));
    assert!(b.log.last().unwrap().len() < 0xfffff);
    assert_eq!(b.code(s, &small(1)), ErrorCode::OK);
    b.settle();
    assert!(!b.exists("/b0"));
}

fn sweepable() -> (Bench, SessionId) {
    let (mut b, s) = bench();
    b.code(s, &create_container("/c", CONTAINER));
    b.code(s, &create("/c/child", PERSISTENT));
    b.code(s, &delete("/c/child", -1));
    b.code(s, &create_container("/fresh", CONTAINER));
    b.code(s, &create_ttl("/t", TTL, 5000));
    b.settle();
    (b, s)
}

fn swept(b: &mut Bench) -> Vec<String> {
    let before = b.log.len();
    b.advance(60_000);
    let payloads = b.log[before..].iter().map(|payload| decode(payload));
    let mut paths: Vec<String> = payloads
        .filter_map(|payload| match payload.txn {
            Txn::DeleteContainer(t) => {
                assert_eq!(payload.header.session, SessionId::NONE);
                Some(t.path.into_owned())
            }
            _ => None,
        })
        .collect();
    paths.sort_unstable();
    paths
}

#[test]
fn the_sweep_takes_used_containers_and_outlived_ttls_once() {
    let (mut b, _) = sweepable();
    assert_eq!(swept(&mut b), ["/c", "/t"]);
    // Not flushed, not applied, and due again.
    assert_eq!(swept(&mut b), [""; 0]);
    b.settle();
    assert!(!b.exists("/c") && !b.exists("/t") && b.exists("/fresh"));
}

#[test]
fn what_is_refreshed_before_the_sweep_stays() {
    let (mut b, s) = sweepable();
    // Pending only: the tree still shows both as due.
    b.now.wall.0 += 59_000;
    b.code(s, &set("/t", b"", -1));
    b.code(s, &create("/c/again", PERSISTENT));
    b.now.wall.0 -= 59_000;
    assert_eq!(swept(&mut b), [""; 0]);
    b.settle();
    assert!(b.exists("/c") && b.exists("/t"));
}

#[test]
fn a_sweep_takes_no_more_than_it_may() {
    let (mut b, s) = bench();
    for n in 0..150 {
        b.code(s, &create_ttl(&format!("/t{n}"), TTL, 1));
    }
    b.settle();
    assert_eq!(swept(&mut b).len(), 100);
    b.settle();
    assert_eq!(swept(&mut b).len(), 50);
}

#[test]
fn a_container_never_used_goes_only_if_it_was_said_so() {
    let mut options = common::options();
    options.sweep.never_used_ms_max = 100_000;
    let mut b = Bench::with(options, &[]);
    let s = b.open();
    b.code(s, &create_container("/c", CONTAINER));
    b.settle();
    assert_eq!(swept(&mut b), [""; 0]);
    assert_eq!(swept(&mut b), ["/c"]);
}

#[test]
fn a_nearly_full_disk_takes_only_ends_of_sessions() {
    let (mut b, s) = sweepable();
    let idle = b.open();
    b.step(Input::DiskLow(true));
    let logged = b.log.len();
    let seq = b.propose(s, &create_with("/x", b"x"));
    assert_eq!(b.replies.pop(), Some((seq, ErrorCode::SYSTEM_ERROR)));
    assert_eq!(b.log.len(), logged);
    b.propose(s, &close_session());
    assert_eq!(swept(&mut b), [""; 0]);
    let ended: Vec<SessionId> = b.log[logged..]
        .iter()
        .map(|payload| decode(payload).header)
        .filter(|header| header.kind == TxnKind::CloseSession)
        .map(|header| header.session)
        .collect();
    assert_eq!(ended, [s, idle]);
    b.settle();
    b.step(Input::DiskLow(false));
    let s = b.open();
    assert_eq!(b.code(s, &create_with("/x", b"x")), ErrorCode::OK);
}

#[test]
fn a_sync_is_answered_behind_everything_before_it() {
    let (mut b, s) = bench();
    let at_once = b.origin(OpCode::Sync);
    b.step(Input::Sync {
        origin: at_once,
        session: s,
    });
    assert_eq!(b.replies.pop(), Some((at_once.seq, ErrorCode::OK)));
    b.propose(s, &create("/a", 0));
    let first = b.unflushed.clone();
    let waits = b.origin(OpCode::Sync);
    b.step(Input::Sync {
        origin: waits,
        session: s,
    });
    b.propose(s, &create("/b", 0));
    assert_eq!(b.replies, []);
    b.step(Input::Flushed(first[0]));
    assert_eq!(b.replies, [(waits.seq, ErrorCode::OK)]);
    assert_eq!(b.commits.len(), 1);
    b.settle();
}

#[test]
fn a_flush_commits_everything_up_to_it_and_no_more() {
    let (mut b, s) = bench();
    for n in 0..5 {
        b.propose(s, &create(&format!("/{n}"), 0));
    }
    let proposed = b.unflushed.clone();
    b.step(Input::Flushed(proposed[2]));
    let committed: Vec<Zxid> = b.commits.iter().map(|commit| commit.zxid).collect();
    assert_eq!(committed, proposed[..3]);
    b.step(Input::Flushed(proposed[2]));
    assert_eq!(b.commits.len(), 3);
    assert_eq!(b.peer.outstanding(), 2);
    b.settle();
    assert_eq!(b.peer.outstanding(), 0);
}
