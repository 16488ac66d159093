//! Who changed what (SB-20). What is expected here is what Apache 3.9.5 logged for the same requests.

mod common;

use common::say::{
    Request, auth, bare, check, create, create_ttl, create_with, create2, delete, get, multi,
    raw_acl, set, set_acl,
};
use common::{Client, Talk};
use zabra_proto::{CreateMode, OpCode, Perms, SessionId};
use zabra_serve::{AuditEntry, AuditOperation as Op, AuditResult};
use zabra_testkit::solo::Solo;

fn audited() -> (Solo, Client) {
    let mut server = Solo::new();
    server.clients.keep_audit();
    let client = server.client();
    (server, client)
}

/// Operation, znode, kind and result of each entry.
type Told = (Op, Option<String>, Option<CreateMode>, AuditResult);

fn told(server: &mut Solo) -> Vec<Told> {
    let tell = |entry: AuditEntry| {
        let znode = entry.znode.map(Into::into);
        (entry.operation, znode, entry.znode_type, entry.result)
    };
    server.clients.take_audit().into_iter().map(tell).collect()
}

fn entry(op: Op, znode: &str, mode: Option<CreateMode>, result: AuditResult) -> Told {
    (op, Some(znode.to_owned()), mode, result)
}

fn done(op: Op, znode: &str) -> Told {
    entry(op, znode, None, AuditResult::Success)
}

fn failed(op: Op, znode: &str) -> Told {
    entry(op, znode, None, AuditResult::Failure)
}

fn created(znode: &str, mode: CreateMode) -> Told {
    entry(Op::Create, znode, Some(mode), AuditResult::Success)
}

fn not_created(znode: &str, mode: CreateMode) -> Told {
    entry(Op::Create, znode, Some(mode), AuditResult::Failure)
}

fn all(requests: &[Request]) -> Vec<Told> {
    let (mut server, client) = audited();
    server.must(client, &create_with("/n", b""));
    server.clients.take_audit();
    for request in requests {
        server.ask(client, request);
    }
    told(&mut server)
}

#[test]
fn a_create_is_logged_under_the_name_that_the_znode_got_and_as_what() {
    use CreateMode::{
        Ephemeral, EphemeralSequential, Persistent, PersistentSequential,
        PersistentSequentialWithTtl, PersistentWithTtl,
    };
    let requests = [
        create("/c0", 0),
        create("/c1", 1),
        create2("/c2", 2),
        create("/c3", 3),
        create_ttl("/t5", 5, 1000),
        create_ttl("/t6", 6, 1000),
    ];
    let expected = [
        created("/c0", Persistent),
        created("/c1", Ephemeral),
        created("/c20000000003", PersistentSequential),
        created("/c30000000004", EphemeralSequential),
        created("/t5", PersistentWithTtl),
        created("/t60000000006", PersistentSequentialWithTtl),
    ];
    assert_eq!(all(&requests), expected);
}

#[test]
fn what_is_refused_is_logged_as_it_was_asked_for() {
    let requests = [
        create("/n", 0),
        create("no", 0),
        create2("/none/x", 2),
        set("/n", b"", 7),
        set("/none", b"", -1),
        delete("/zookeeper", -1),
        delete("/n", 9),
    ];
    let expected = [
        not_created("/n", CreateMode::Persistent),
        not_created("no", CreateMode::Persistent),
        not_created("/none/x", CreateMode::PersistentSequential),
        failed(Op::SetData, "/n"),
        failed(Op::SetData, "/none"),
        failed(Op::Delete, "/zookeeper"),
        failed(Op::Delete, "/n"),
    ];
    assert_eq!(all(&requests), expected);
}

#[test]
fn what_cannot_be_read_is_logged_without_what_it_meant() {
    let short = create("/x", 0).cut(6);
    let expected = (Op::Create, None, None, AuditResult::Failure);
    assert_eq!(all(&[short]), [expected]);
}

#[test]
fn reads_are_not_logged() {
    assert_eq!(all(&[get("/n", false), bare(OpCode::WhoAmI)]), []);
}

#[test]
fn a_multi_is_logged_by_its_operations_and_a_failed_one_as_a_whole() {
    let requests = [
        multi(&[
            create("/m1", 0),
            create2("/m2", 2),
            create_ttl("/m3", 5, 1000),
            set("/m1", b"", -1),
            check("/m1", -1),
            delete("/m1", -1),
        ]),
        multi(&[]),
        multi(&[create("/m5", 0), set("/none", b"", -1)]),
    ];
    let expected = [
        created("/m1", CreateMode::Persistent),
        // Neither the name that was asked for nor, for a TTL, the kind is known to Apache's log.
        done(Op::Create, "/m20000000002"),
        done(Op::Create, "/m3"),
        done(Op::SetData, "/m1"),
        done(Op::Delete, "/m1"),
        (Op::Multi, None, None, AuditResult::Failure),
    ];
    assert_eq!(all(&requests), expected);
}

#[test]
fn a_new_acl_is_told_as_it_was_asked_for() {
    let (mut server, client) = audited();
    let acl = vec![
        raw_acl(Perms::ALL, "world", "anyone"),
        raw_acl(Perms::READ, "ip", "10.0.0.0/8"),
        raw_acl(Perms(17), "digest", "u:x"),
    ];
    server.must(client, &set_acl("/", acl, -1));
    let entries = server.clients.take_audit();
    let acl = entries[0].acl.as_deref();
    assert_eq!(acl, Some("world:anyone:cdrwaip:10.0.0.0/8:rdigest:u:x:ra"));
}

#[test]
fn a_client_is_told_by_its_names_but_not_by_what_proves_them() {
    let (mut server, client) = audited();
    server.must(client, &auth("digest", b"ann:secret"));
    server.must(client, &set("/", b"", -1));
    let entries = server.clients.take_audit();
    let who = entries[0].client.clone().unwrap();
    assert_eq!(who.users, ["127.0.0.1".into(), "ann".into()]);
    assert_eq!(who.ip.to_string(), "127.0.0.1");
    assert_eq!(entries[0].session, client.session);
}

#[test]
fn who_hangs_up_before_the_outcome_is_logged_all_the_same() {
    let (mut server, client) = audited();
    server.flushes_at_once = false;
    server.say(client, 1, &create("/gone", 0));
    server.hang_up(client.conn);
    assert_eq!(told(&mut server), []);
    server.flush();
    let expected = [created("/gone", CreateMode::Persistent)];
    assert_eq!(told(&mut server), expected);
}

#[test]
fn what_is_in_flight_when_the_server_stops_serving_is_logged_as_asked_for() {
    let (mut server, client) = audited();
    server.flushes_at_once = false;
    server.say(client, 1, &set("/", b"", -1));
    server.clients.stop_serving();
    let expected = [entry(Op::SetData, "/", None, AuditResult::Invoked)];
    assert_eq!(told(&mut server), expected);
}

#[test]
fn ephemerals_that_go_with_their_session_are_logged_and_nobody_is_blamed() {
    let (mut server, client) = audited();
    server.must(client, &create("/e2", 1));
    server.must(client, &create("/e1", 1));
    server.must(client, &create("/stays", 0));
    server.clients.take_audit();
    server.say(client, 1, &bare(OpCode::CloseSession));
    let entries = server.clients.take_audit();
    let is_server = |entry: &AuditEntry| entry.client.is_none() && entry.session == client.session;
    assert!(entries.iter().all(is_server));
    assert_ne!(client.session, SessionId::NONE);
    let znodes: Vec<_> = entries.iter().map(|e| e.znode.as_deref()).collect();
    assert_eq!(znodes, [Some("/e1"), Some("/e2")]);
    let ended = |entry: &AuditEntry| (entry.operation, entry.result);
    assert!(
        entries
            .iter()
            .all(|e| ended(e) == (Op::EphemeralEnd, AuditResult::Success))
    );
}

#[test]
fn without_a_trail_nothing_is_kept() {
    let mut server = Solo::new();
    let client = server.client();
    server.must(client, &create("/n", 0));
    assert_eq!(told(&mut server), []);
}
