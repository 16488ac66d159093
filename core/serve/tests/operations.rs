//! What each operation answers, and to whom (protocol 6, 7, 8.7, 8.10; pitfalls P96, P124).

mod common;

use common::say::{
    CONTAINER, EPHEMERAL, PERSISTENT, Request, SEQUENTIAL, TTL, about, anyone, auth, bare, check,
    children, children2, create, create_as, create_container, create_ttl, create_with, create2,
    delete, ephemerals, exists, get, get_acl, multi, multi_read, ping, raw_acl, set, set_acl, sync,
};
use common::{Client, Talk, serve_options, solo_with};
use zabra_proto::client::{
    GetAclResponse, GetAllChildrenNumberResponse, GetChildren2Response, WhoAmIResponse,
};
use zabra_proto::{ErrorCode, OpCode, Perms};
use zabra_testkit::solo::Solo;
use zabra_tree::acl::{DigestHash, digest_id};

const ALL: i32 = 31;

fn server() -> (Solo, Client) {
    let mut server = Solo::new();
    let client = server.client();
    (server, client)
}

/// A parent and a child with one entry each; what the owner may.
fn guarded(perms: Perms) -> (Solo, Client) {
    let (mut server, a) = server();
    server.must(a, &create("/p", 0));
    server.must(a, &create("/p/n", 0));
    server.must(a, &set_acl("/p/n", anyone(perms), -1));
    server.must(a, &set_acl("/p", anyone(perms), -1));
    (server, a)
}

#[test]
fn each_operation_asks_for_its_right_and_no_other() {
    const READ: i32 = 1;
    const WRITE: i32 = 2;
    const CREATE: i32 = 4;
    const DELETE: i32 = 8;
    const ADMIN: i32 = 16;
    let acl = || set_acl("/p/n", anyone(Perms::ALL), -1);
    let rows: [(&str, Request, i32); 17] = [
        ("create", create("/p/c", 0), CREATE),
        ("create2", create2("/p/c", SEQUENTIAL), CREATE),
        ("container", create_container("/p/c", CONTAINER), CREATE),
        ("ttl", create_ttl("/p/c", TTL, 1), CREATE),
        ("delete", delete("/p/n", -1), DELETE),
        ("set", set("/p/n", b"", -1), WRITE),
        ("setACL", acl(), ADMIN),
        ("exists", exists("/p/n", false), READ),
        ("get", get("/p/n", false), READ),
        ("children", children("/p/n", false), READ),
        ("children2", children2("/p/n", false), READ),
        ("getACL", get_acl("/p/n"), READ | ADMIN),
        ("number", about(OpCode::GetAllChildrenNumber, "/p"), READ),
        ("sync", sync("/p/n"), ALL + 32),
        ("ephemerals", ephemerals(Some("/p")), ALL + 32),
        ("ping", ping(), ALL + 32),
        ("whoAmI", bare(OpCode::WhoAmI), ALL + 32),
    ];
    let single = (0..6).map(|bit| 1 << bit);
    for perms in single
        .clone()
        .chain(single.map(|bit| ALL & !bit))
        .chain([0])
    {
        for (name, request, wanted) in &rows {
            let (mut server, a) = guarded(Perms(perms));
            let granted = perms & wanted != 0 || *wanted > ALL;
            let expected = if granted {
                ErrorCode::OK
            } else {
                ErrorCode::NO_AUTH
            };
            assert_eq!(server.code(a, request), expected, "{name} with {perms}");
        }
        // In a multi the same rights hold, and check wants READ.
        for (element, wanted) in [(check("/p/n", 0), READ), (set("/p/n", b"", 0), WRITE)] {
            let (mut server, a) = guarded(Perms(perms));
            let results = server
                .ask(a, &multi(std::slice::from_ref(&element)))
                .results();
            let failed = results == [(-1, ErrorCode::NO_AUTH.code())];
            assert_eq!(failed, perms & wanted == 0, "{element:?} with {perms}");
        }
    }
}

#[test]
fn a_super_user_may_do_everything() {
    let mut options = serve_options();
    options.super_digest = Some(digest_id(b"super:secret"));
    let mut server = solo_with(options);
    let (a, root) = (server.client(), server.client());
    server.must(a, &create("/n", 0));
    server.must(a, &set_acl("/n", anyone(Perms(0)), -1));
    assert_eq!(server.code(root, &get("/n", false)), ErrorCode::NO_AUTH);
    server.must(root, &auth("digest", b"super:secret"));
    server.must(root, &get("/n", false));
    server.must(root, &set("/n", b"", -1));
    assert_eq!(server.code(a, &get("/n", false)), ErrorCode::NO_AUTH);
}

#[test]
fn ids_are_of_the_hash_that_the_server_is_told_to_use() {
    let mut options = serve_options();
    options.acl.digest_hash = DigestHash::Sha256;
    let mut server = solo_with(options);
    let a = server.client();
    server.must(a, &auth("digest", b"bob:secret"));
    for (path, hash, code) in [
        ("/new", DigestHash::Sha256, ErrorCode::OK),
        ("/old", DigestHash::Sha1, ErrorCode::NO_AUTH),
    ] {
        server.must(a, &create(path, 0));
        let bob = raw_acl(Perms::ALL, "digest", &hash.id(b"bob:secret"));
        server.must(a, &set_acl(path, vec![bob], -1));
        assert_eq!(server.code(a, &get(path, false)), code, "{hash:?}");
    }
}

#[test]
fn refused_credentials_close() {
    for request in [
        auth("world", b"anyone"),
        auth("sasl", b""),
        auth("super", b""),
        auth("", b""),
        auth("Digest", b"u:p"),
    ] {
        let (mut server, a) = server();
        let reply = server.ask(a, &request);
        assert_eq!((reply.error, reply.zxid), (ErrorCode::AUTH_FAILED, 0));
        assert!(!server.is_open(a.conn));
    }
}

#[test]
fn identities_of_a_connection_are_bounded() {
    let (mut server, a) = server();
    let mut accepted = 0;
    for n in 0..10_000 {
        let mut user = vec![b'u'; 1000];
        user.extend_from_slice(format!("{n}:p").as_bytes());
        match server.code(a, &auth("digest", &user)) {
            ErrorCode::OK => accepted += 1,
            refused => {
                assert_eq!(refused, ErrorCode::AUTH_FAILED);
                break;
            }
        }
    }
    assert!((10..100).contains(&accepted), "{accepted}");
    assert!(!server.is_open(a.conn));
}

#[test]
fn who_am_i_shows_no_secret() {
    let (mut server, a) = server();
    for user in [&b"bob:secret"[..], b"eve:x", b"bob:secret", b"nocolon"] {
        server.must(a, &auth("digest", user));
    }
    server.must(a, &auth("ip", b"10.0.0.1"));
    let reply = server.must(a, &bare(OpCode::WhoAmI));
    let shown: Vec<(String, String)> = reply
        .record::<WhoAmIResponse<'_>>()
        .identities
        .into_iter()
        .map(|who| (who.scheme.into(), who.user.into()))
        .collect();
    let expected = [
        ("ip", "127.0.0.1"),
        ("digest", "bob"),
        ("digest", "eve"),
        ("digest", "nocolon"),
    ];
    assert_eq!(
        shown,
        expected.map(|(scheme, user)| (scheme.into(), user.into()))
    );
}

#[test]
fn digests_in_acls_are_masked_without_admin() {
    let (mut server, a) = server();
    let b = server.client();
    server.must(a, &auth("digest", b"bob:secret"));
    let bob = digest_id(b"bob:secret");
    let acl = vec![
        raw_acl(Perms::ALL, "auth", ""),
        raw_acl(Perms::READ, "world", "anyone"),
        raw_acl(Perms::READ, "ip", "10.0.0.0/8"),
    ];
    server.must(a, &create_as(OpCode::Create, "/n", None, acl, 0));
    let ids = |reply: &common::Reply| -> Vec<String> {
        let response = reply.record::<GetAclResponse<'_>>();
        response.acl.into_iter().map(|acl| acl.id.into()).collect()
    };
    let (own, others) = (
        server.must(a, &get_acl("/n")),
        server.must(b, &get_acl("/n")),
    );
    assert_eq!(ids(&own), [bob.as_str(), "anyone", "10.0.0.0/8"]);
    assert_eq!(ids(&others), ["bob:x", "anyone", "10.0.0.0/8"]);
}

#[test]
fn acls_that_say_nothing_are_refused() {
    let (mut server, a) = server();
    let mut null = create("/n", 0);
    // The list's count is behind the path and the empty data.
    null.body.truncate(4 + 2 + 4);
    null.body.extend_from_slice(&(-1i32).to_be_bytes());
    null.body.extend_from_slice(&0i32.to_be_bytes());
    assert_eq!(server.code(a, &null), ErrorCode::INVALID_ACL);
    for acl in [
        vec![],
        vec![raw_acl(Perms::ALL, "auth", "")],
        vec![raw_acl(Perms::ALL, "world", "nobody")],
        vec![raw_acl(Perms::ALL, "super", "")],
        vec![raw_acl(Perms::ALL, "digest", "nocolon")],
    ] {
        let request = create_as(OpCode::Create, "/n", None, acl.clone(), 0);
        assert_eq!(server.code(a, &request), ErrorCode::INVALID_ACL);
        let request = set_acl("/", acl, -1);
        assert_eq!(server.code(a, &request), ErrorCode::INVALID_ACL);
    }
}

#[test]
fn the_acl_version_is_its_own() {
    let (mut server, a) = server();
    server.must(a, &create("/n", 0));
    server.must(a, &set("/n", b"x", 0));
    let stat = server.must(a, &set_acl("/n", anyone(Perms::ALL), 0)).stat();
    assert_eq!((stat.version, stat.aversion), (1, 1));
    let again = set_acl("/n", anyone(Perms::ALL), 0);
    assert_eq!(server.code(a, &again), ErrorCode::BAD_VERSION);
}

#[test]
fn null_data_stays_null() {
    let (mut server, a) = server();
    let null = create_as(OpCode::Create, "/n", None, anyone(Perms::ALL), 0);
    server.must(a, &null);
    let reply = server.must(a, &get("/n", false));
    assert_eq!(reply.data(), None);
    server.must(a, &set("/n", b"", -1));
    assert_eq!(server.must(a, &get("/n", false)).data(), Some(vec![]));
}

#[test]
fn a_created_znode_answers_by_its_op() {
    let (mut server, a) = server();
    assert_eq!(
        server.must(a, &create("/s", SEQUENTIAL)).path(),
        "/s0000000000"
    );
    for (request, owner) in [
        (create2("/e", EPHEMERAL), a.session.0),
        (create2("/p", PERSISTENT), 0),
        (create_container("/c", CONTAINER), 0),
        (create_ttl("/t", TTL, 1000), 0),
    ] {
        let reply = server.must(a, &request);
        let (path, stat) = reply.created();
        assert_eq!(
            (stat.czxid, stat.ephemeral_owner),
            (reply.zxid, owner),
            "{path}"
        );
        assert_eq!(server.must(a, &exists(&path, false)).stat(), stat);
    }
}

#[test]
fn children_are_listed_whole_and_counted() {
    let (mut server, a) = server();
    server.must(a, &create("/p", 0));
    let mut names: Vec<String> = (0..3000).map(|n| format!("child-{n:05}")).collect();
    for name in &names {
        server.say(a, 1, &create(&format!("/p/{name}"), 0));
    }
    assert_eq!(server.hear(a).len(), 3000);
    server.must(a, &create("/p/child-00000/deep", 0));
    assert_eq!(server.must(a, &children("/p", false)).names(), names);
    let reply = server.must(a, &children2("/p", false));
    let response = reply.record::<GetChildren2Response<'_>>();
    assert_eq!(response.stat.num_children, 3000);
    let mut listed: Vec<String> = response.names.into_iter().map(Into::into).collect();
    listed.sort_unstable();
    names.sort_unstable();
    assert_eq!(listed, names);
    for (path, total) in [("/p", 3001), ("/p/child-00001", 0), ("/", 3005)] {
        let reply = server.must(a, &about(OpCode::GetAllChildrenNumber, path));
        let response = reply.record::<GetAllChildrenNumberResponse>();
        assert_eq!(response.total, total, "{path}");
    }
}

#[test]
fn ephemerals_are_ones_own_by_a_plain_prefix() {
    let (mut server, a) = server();
    let b = server.client();
    for path in ["/a1", "/a2", "/b"] {
        server.must(a, &create(path, EPHEMERAL));
    }
    server.must(b, &create("/a3", EPHEMERAL));
    server.must(a, &create("/a4", PERSISTENT));
    for prefix in [None, Some(""), Some("  "), Some("/")] {
        let names = server.must(a, &ephemerals(prefix)).names();
        assert_eq!(names, ["/a1", "/a2", "/b"], "{prefix:?}");
    }
    assert_eq!(
        server.must(a, &ephemerals(Some("/a"))).names(),
        ["/a1", "/a2"]
    );
    assert_eq!(server.must(a, &ephemerals(Some("/c"))).names(), [""; 0]);
}

#[test]
fn reads_take_the_empty_path_for_the_root_and_any_other_as_it_is() {
    let (mut server, a) = server();
    server.must(a, &set("/", b"root", -1));
    assert_eq!(server.must(a, &get("", false)).data().unwrap(), b"root");
    assert_eq!(server.must(a, &children("", false)).names(), ["zookeeper"]);
    for path in ["a", "//", "/zookeeper/", "/zookeeper//quota", "/./"] {
        assert_eq!(server.code(a, &get(path, false)), ErrorCode::NO_NODE);
        assert_eq!(server.code(a, &exists(path, false)), ErrorCode::NO_NODE);
    }
    assert_eq!(
        server.code(a, &exists("/a\0", false)),
        ErrorCode::BAD_ARGUMENTS
    );
    assert_eq!(server.must(a, &sync("not a path\0")).path(), "not a path\0");
}

#[test]
fn results_of_a_multi_have_the_types_of_their_elements() {
    let (mut server, a) = server();
    let batch = multi(&[
        create("/a", 0),
        create2("/b", SEQUENTIAL),
        create_container("/c", CONTAINER),
        create_ttl("/d", TTL, 9),
        set("/a", b"1", 0),
        check("/a", 1),
        delete("/a", 1),
    ]);
    let reply = server.must(a, &batch);
    let types: Vec<i32> = reply.results().iter().map(|(kind, _)| *kind).collect();
    assert_eq!(types, [1, 15, 15, 15, 5, 13, 2]);
    assert_eq!(server.must(a, &multi(&[])).results(), []);
}

#[test]
fn results_of_a_failed_multi_are_all_errors() {
    let (mut server, a) = server();
    let before = server.replica.last_zxid();
    let batch = multi(&[create("/a", 0), set("/a", b"", 5), delete("/a", -1)]);
    let reply = server.must(a, &batch);
    assert_eq!(reply.results(), [(-1, 0), (-1, -103), (-1, -2)]);
    assert_eq!(reply.zxid, before.next().to_wire());
    assert_eq!(server.code(a, &get("/a", false)), ErrorCode::NO_NODE);
    let undecodable = server.ask(a, &multi(&[set_acl("/", anyone(Perms::ALL), -1)]));
    assert_eq!(undecodable.error, ErrorCode::MARSHALLING_ERROR);
}

#[test]
fn stats_in_a_multi_are_those_right_after_their_element() {
    let (mut server, a) = server();
    server.must(a, &create("/a", 0));
    let reply = server.must(a, &multi(&[set("/a", b"1", 0), set("/a", b"22", 1)]));
    // Header, then Stat: version and dataLength stand at 32 and 52 in it.
    let field = |at: usize| {
        let bytes: [u8; 4] = reply.body[at..at + 4].try_into().unwrap();
        i32::from_be_bytes(bytes)
    };
    assert_eq!((field(9 + 32), field(9 + 52)), (1, 1));
    assert_eq!((field(86 + 32), field(86 + 52)), (2, 2));
}

#[test]
fn a_multi_read_answers_each_element_on_its_own() {
    let (mut server, a) = server();
    server.must(a, &create_with("/a", b"data"));
    let batch = [
        get("/a", true),
        get("/none", true),
        children("/", true),
        children("/none", false),
    ];
    let reply = server.must(a, &multi_read(&batch));
    assert_eq!(reply.results(), [(4, 0), (-1, -101), (8, 0), (-1, -101)]);
    assert_eq!(server.clients.watches().watch_count(), 0);
    for bad in [
        multi_read(&[get("/a", false), set("/a", b"", -1)]),
        multi_read(&[exists("/a", false)]),
        multi_read(&batch).cut(20),
    ] {
        assert_eq!(server.code(a, &bad), ErrorCode::MARSHALLING_ERROR);
    }
}

/// `/q` with these limits and one child of one byte.
fn with_quota(limits: &str) -> (Solo, Client) {
    let (mut server, a) = server();
    server.must(a, &create_with("/q", b""));
    server.must(a, &create_with("/q/one", b"1"));
    server.must(a, &create("/zookeeper/quota/q", 0));
    let limits = create_with("/zookeeper/quota/q/zookeeper_limits", limits.as_bytes());
    server.must(a, &limits);
    let stats = create_with("/zookeeper/quota/q/zookeeper_stats", b"");
    server.must(a, &stats);
    (server, a)
}

#[test]
fn a_hard_quota_refuses_what_exceeds_it() {
    let (mut server, a) = with_quota("count=-1,bytes=-1=;byteHardLimit=4;countHardLimit=3");
    assert_eq!(
        server.code(a, &create_with("/q/big", b"1234")),
        ErrorCode::QUOTA_EXCEEDED
    );
    assert_eq!(
        server.code(a, &set("/q/one", b"12345", -1)),
        ErrorCode::QUOTA_EXCEEDED
    );
    server.must(a, &create_with("/q/two", b"123"));
    assert_eq!(
        server.code(a, &create("/q/three", 0)),
        ErrorCode::QUOTA_EXCEEDED
    );
    server.must(a, &set("/q/two", b"321", -1));
    server.must(a, &delete("/q/one", -1));
    server.must(a, &create("/q/three", 0));
    server.must(a, &create("/quite-another", 0));
    let stats = server.must(a, &get("/zookeeper/quota/q/zookeeper_stats", false));
    assert_eq!(stats.data().unwrap(), b"count=3,bytes=3");
    let batch = multi(&[create("/x", 0), create("/q/four", 0)]);
    assert_eq!(server.must(a, &batch).results(), [(-1, 0), (-1, -125)]);
}

#[test]
fn quotas_refuse_before_versions_do() {
    let (mut server, a) = with_quota("byteHardLimit=1");
    let request = set("/q/one", b"12", 99);
    assert_eq!(server.code(a, &request), ErrorCode::QUOTA_EXCEEDED);
}

#[test]
fn soft_and_unreadable_quotas_refuse_nothing() {
    for limits in ["count=1,bytes=1", "nonsense", "count="] {
        let (mut server, a) = with_quota(limits);
        server.must(a, &create_with("/q/big", b"123456"));
        server.must(a, &set("/q/one", b"123456", -1));
    }
}

#[test]
fn reads_that_cannot_be_decoded_are_malformed() {
    let (mut server, a) = server();
    for request in [
        exists("/a", false),
        get("/a", false),
        children("/a", false),
        children2("/a", false),
        get_acl("/a"),
        sync("/a"),
        about(OpCode::GetAllChildrenNumber, "/a"),
        ephemerals(Some("/")),
    ] {
        for len in 0..request.body.len() {
            let code = server.code(a, &request.clone().cut(len));
            assert_eq!(code, ErrorCode::MARSHALLING_ERROR, "{request:?}");
        }
        if request.op != OpCode::GetEphemerals.code() {
            let null = Request {
                op: request.op,
                body: [&[0xff; 4][..], &[0]].concat(),
            };
            assert_eq!(server.code(a, &null), ErrorCode::MARSHALLING_ERROR);
        }
    }
}

#[test]
fn writes_that_cannot_be_decoded_leave_no_trace() {
    let (mut server, a) = server();
    let before = server.replica.last_zxid();
    for request in [
        create("/a", 0),
        create_ttl("/a", TTL, 1),
        delete("/a", 0),
        set("/a", b"x", 0),
        set_acl("/a", anyone(Perms::ALL), 0),
    ] {
        for len in 0..request.body.len() {
            let code = server.code(a, &request.clone().cut(len));
            assert_eq!(code, ErrorCode::MARSHALLING_ERROR, "{request:?}");
        }
    }
    assert_eq!(server.replica.last_zxid(), before);
    assert_eq!(server.clients.outstanding(), 0);
}
