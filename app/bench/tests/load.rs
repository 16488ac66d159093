//! The load generator against a server that answers as a real one does, or fails in a chosen way.

use clap::Parser;
use map_server::{Fault, MapServer};
use zabra_bench::{Args, Report};

mod map_server;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn bench(server: &MapServer, work: &str) -> anyhow::Result<Report> {
    let line = format!("bench {work} --server {}", server.address());
    zabra_bench::run(&Cli::try_parse_from(line.split_whitespace())?.args)
}

/// What the run says that fails; `None` when it does not fail.
fn failure(fault: Fault, work: &str) -> Option<String> {
    let server = MapServer::start(fault).ok()?;
    let error = bench(&server, work).err()?;
    Some(format!("{error:#}"))
}

#[test]
fn every_operation_runs_to_its_count_and_leaves_nothing() {
    for work in [
        "get",
        "set",
        "mix",
        "create",
        "exists",
        "exists-watch",
        "multi",
        "ping",
        "children --children 7",
        "blend --children 7",
    ] {
        let server = MapServer::start(Fault::None).unwrap();
        let line = format!("{work} -n 3 -d 5 --keys 50 --ops 300 --warm-up 0");
        let report = bench(&server, &line).unwrap();
        assert_eq!(report.figure("operations"), Some(300.0), "{work}");
        assert!(report.figure("p99_us").unwrap() >= report.figure("p50_us").unwrap());
        assert_eq!(server.left(), 0, "{work}");
    }
}

#[test]
fn a_list_has_as_many_children_as_were_asked_for() {
    let server = MapServer::start(Fault::None).unwrap();
    let line = "children --children 20 --keys 50 --ops 10 --warm-up 0 --keep";
    bench(&server, line).unwrap();
    // The root, three parents, and their children.
    assert_eq!(server.left(), 1 + 3 + 60);
}

#[test]
fn a_blend_asks_by_weight_and_keeps_what_there_is_about_level() {
    let server = MapServer::start(Fault::None).unwrap();
    let line = "blend --weights create=2,get=1,delete=2 -n 4 -d 3 --children 5 --keys 10 \
                --ops 4000 --warm-up 0 --keep";
    let report = bench(&server, line).unwrap();
    let count = |kind: &str| report.figure(&format!("{kind}_operations")).unwrap();
    assert_eq!(count("create") + count("get") + count("delete"), 4000.0);
    assert!((600.0..1000.0).contains(&count("get")), "{report}");
    assert!(count("create") >= count("delete"));
    assert_eq!(report.figure("set_operations"), None);
    assert!(report.figure("delete_p99_us").is_some());
    // The root, two parents with ten children, four parents of the sessions' own.
    let own = server.left() - (1 + 2 + 10 + 4);
    assert!(own < 400, "{own}");
}

#[test]
fn what_is_kept_stays() {
    let server = MapServer::start(Fault::None).unwrap();
    bench(&server, "get --keys 50 --ops 10 --warm-up 0 --keep").unwrap();
    assert_eq!(server.left(), 51);
}

#[test]
fn a_rate_that_is_kept_leaves_no_backlog() {
    for work in [
        "get", "set", "mix", "create", "exists", "multi", "ping", "blend",
    ] {
        let server = MapServer::start(Fault::None).unwrap();
        let line = format!(
            "{work} -n 3 -d 500 --threads 2 --keys 50 --rate 2000 --duration 0.25 --warm-up 0"
        );
        let report = bench(&server, &line).unwrap();
        assert_eq!(report.figure("due"), Some(500.0), "{work}");
        assert_eq!(report.figure("backlog"), Some(0.0), "{work}");
        assert_eq!(report.figure("rate_asked_per_second"), Some(2000.0));
        assert!(report.figure("service_p99_us").is_some(), "{work}");
        assert_eq!(server.left(), 0, "{work}");
    }
}

#[test]
fn a_rate_that_is_not_kept_is_told() {
    let server = MapServer::start(Fault::None).unwrap();
    let line = "get --keys 50 --rate 5000000 --duration 0.1 --warm-up 0";
    let report = bench(&server, line).unwrap();
    assert_eq!(report.figure("due"), Some(500_000.0));
    assert!(report.figure("backlog").unwrap() > 0.0);
    assert!(report.notes()[0].contains("5,000,000 operations a second were asked for"));
    assert!(report.to_string().contains("were due and not yet sent"));
    assert_eq!(report.to_json()["notes"][0], report.notes()[0].as_str());
}

#[test]
fn sessions_are_kept_alive_where_the_rate_is_low() {
    let server = MapServer::start(Fault::ShortSessions).unwrap();
    let line = "get -n 3 --keys 5 --rate 10 --duration 0.5 --warm-up 0";
    assert_eq!(bench(&server, line).unwrap().figure("due"), Some(5.0));
    assert!(server.pings() > 0);
}

#[test]
fn deletes_end_when_nothing_is_left() {
    let server = MapServer::start(Fault::None).unwrap();
    let report = bench(&server, "delete --znodes 1003 -n 4 -d 7").unwrap();
    assert_eq!(report.figure("operations"), Some(1003.0));
    assert_eq!(server.left(), 0);
}

#[test]
fn threads_share_the_sessions_and_the_operations() {
    let server = MapServer::start(Fault::None).unwrap();
    let line = "create -n 5 -d 3 --threads 2 --ops 200 --warm-up 0";
    assert_eq!(
        bench(&server, line).unwrap().figure("operations"),
        Some(200.0)
    );
    assert_eq!(server.left(), 0);
}

#[test]
fn a_fill_creates_each_znode_and_its_parents_once() {
    let server = MapServer::start(Fault::None).unwrap();
    let report = bench(&server, "fill --znodes 2500").unwrap();
    assert_eq!(report.figure("operations"), Some(2500.0));
    assert_eq!(server.left(), 2500 + 3 + 1);
}

#[test]
fn every_session_is_opened_and_closed() {
    let server = MapServer::start(Fault::None).unwrap();
    let report = bench(&server, "sessions -n 100 --at-once 7").unwrap();
    assert!(report.figure("opened_per_second").unwrap() > 0.0);
    assert!(report.figure("closed_per_second").unwrap() > 0.0);
}

#[test]
fn every_watcher_is_waited_for() {
    let server = MapServer::start(Fault::None).unwrap();
    let report = bench(&server, "watch -n 20 --rounds 3 --warm-up 1").unwrap();
    let last = report.figure("set_to_last_notification_ms").unwrap();
    assert!(last >= report.figure("set_to_first_notification_ms").unwrap());
    assert_eq!(server.left(), 0);
}

#[test]
fn a_server_that_answers_is_ready() {
    let server = MapServer::start(Fault::None).unwrap();
    assert!(
        bench(&server, "ready")
            .unwrap()
            .figure("first_read_ms")
            .is_some()
    );
}

#[test]
fn what_was_acknowledged_is_found_again() {
    let server = MapServer::start(Fault::None).unwrap();
    let line = "failover -n 3 -d 4 --znodes 5 --duration 0.3";
    let report = bench(&server, line).unwrap();
    assert!(report.figure("acknowledged").unwrap() > 0.0, "{report}");
    for name in ["lost", "unknown", "refused", "reconnections"] {
        assert_eq!(report.figure(name), Some(0.0), "{report}");
    }
    assert_eq!(report.figure("servers_read"), Some(1.0));
    assert!(report.figure("window_s").unwrap() > 0.1, "{report}");
    assert_eq!((report.failure(), server.left()), (None, 0));
}

#[test]
fn a_session_goes_on_when_its_connection_ends() {
    let server = MapServer::start(Fault::ClosesAfterWrites(2)).unwrap();
    let report = bench(&server, "failover -n 2 -d 3 --duration 1").unwrap();
    for name in ["acknowledged", "unknown", "reconnections"] {
        assert!(report.figure(name).unwrap() > 0.0, "{name}: {report}");
    }
    assert_eq!(report.figure("lost"), Some(0.0), "{report}");
}

#[test]
fn acknowledged_values_that_are_not_there_are_a_failure() {
    let server = MapServer::start(Fault::Forgets).unwrap();
    let report = bench(&server, "failover -n 2 --znodes 1 --duration 0.3").unwrap();
    assert_eq!(report.figure("lost"), Some(2.0), "{report}");
    let failure = report.failure().unwrap();
    assert!(failure.contains("of 2 znodes are lost"), "{failure}");
    assert!(report.to_string().contains("holds 0; "), "{report}");
    assert_eq!(server.left(), 3);
}

#[test]
fn a_wrong_answer_ends_the_run_and_is_told() {
    let work = "get --keys 10 --ops 100 --warm-up 0";
    for (fault, told) in [
        (Fault::NoNode, "GetData was answered with NoNode (-101)"),
        (
            Fault::ShortData,
            "GetData: a reply of 187 bytes, 188 expected",
        ),
        (Fault::WrongXid, "a reply with xid 2, while 1 was due"),
        (
            Fault::ClosesAfter(3),
            "closed by the server with 1 requests outstanding",
        ),
        (Fault::RefusesSessions, "the server refused a new session"),
        (Fault::ClosesAtOnce, "closed before a session was granted"),
    ] {
        let message = failure(fault, work).unwrap();
        assert!(message.contains(told), "{fault:?}: {message}");
        assert!(message.contains("127.0.0.1:"), "{fault:?}: {message}");
    }
}

#[test]
fn silence_ends_the_run_when_patience_does() {
    let message = failure(
        Fault::Silent,
        "get -d 3 --keys 10 --ops 9 --warm-up 0 --patience 1",
    )
    .unwrap();
    assert!(message.contains("no answer for"), "{message}");
    assert!(message.contains("3 requests outstanding"), "{message}");
    let message = failure(
        Fault::Silent,
        "get -d 3 --keys 10 --rate 500 --warm-up 0 --patience 1",
    )
    .unwrap();
    assert!(message.contains("3 requests outstanding"), "{message}");
}

#[test]
fn what_cannot_be_reached_is_named() {
    let server = MapServer::start(Fault::None).unwrap();
    for (work, told) in [
        (
            "get --server-pid 4294967295",
            "there is no process 4294967295",
        ),
        (
            "get --threads 3 -n 2",
            "3 threads have nothing to do with 2 sessions",
        ),
        ("delete --rate 5", "has no --rate"),
        ("failover --server-pid 1", "leave out --server-pid"),
        (
            "failover --duration 5 --kill 4711@5",
            "the run is over after 5 s",
        ),
        (
            "failover --kill 2147483646@1:TERM",
            "TERM to 2147483646 at 1 s: there is no such process",
        ),
        (
            "multi --per-multi 20 --keys 10",
            "a multi sets 20 different znodes",
        ),
        (
            "multi --per-multi 1000 --size 10000",
            "larger than servers accept",
        ),
    ] {
        let message = format!("{:#}", bench(&server, work).unwrap_err());
        assert!(message.contains(told), "{work}: {message}");
    }
    let line = "bench get --server not-an-address";
    let args = Cli::try_parse_from(line.split_whitespace()).unwrap().args;
    let message = format!("{:#}", zabra_bench::run(&args).unwrap_err());
    assert!(
        message.contains("`not-an-address` is not HOST:PORT"),
        "{message}"
    );
}
