//! `zabra check`: the report on good, doubtful and wrong configurations.

use std::fs;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zabra_config::check::{Finding, Report};
use zabra_config::{Invocation, Machine, Mode, SystemProperties, World};

/// This machine's files, and one name that resolves.
struct OneName;

impl World for OneName {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Machine.read(path)
    }

    fn resolve(&self, host: &str) -> io::Result<IpAddr> {
        let address = if host == "known" { "127.0.0.1" } else { host };
        address
            .parse()
            .map_err(|_| io::Error::other("no such name"))
    }
}

struct Case {
    root: TempDir,
}

impl Case {
    fn new() -> Self {
        Self {
            root: TempDir::new().expect("a temporary directory"),
        }
    }

    fn data_dir(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The report on a `zoo.cfg` with this case's data directory and `lines`.
    fn report(&self, lines: &str) -> Report {
        let path = self.root.path().join("zoo.cfg");
        fs::write(
            &path,
            format!("dataDir={}\n{lines}", self.data_dir().display()),
        )
        .expect("a file in it");
        Report::on(&Invocation::File(path), &SystemProperties::new(), &OneName)
    }
}

fn has_line(report: &Report, parts: &[&str]) -> bool {
    report
        .render()
        .lines()
        .any(|line| parts.iter().all(|part| line.contains(part)))
}

#[test]
fn a_good_configuration_tells_what_each_setting_became() {
    let case = Case::new();
    let report =
        case.report("clientPort=0\nclientPortAddress=127.0.0.1\ntickTime=2000\nsnapCount=1\n");
    assert_eq!(report.exit_code(), 0, "{}", report.render());
    assert_eq!(report.mode, Some(Mode::Standalone));
    for line in [
        ["tickTime = 2000", "zoo.cfg:4"],
        ["minSessionTimeout = 4000", "default"],
        ["snapCount = 2", "zoo.cfg:5"],
        ["maxClientCnxns = 60", "default"],
        ["ok", "data/version-2 will be created"],
        ["warning", "snapCount = 1 is less than 2"],
    ] {
        assert!(has_line(&report, &line), "{line:?}\n{}", report.render());
    }
    assert!(!case.data_dir().exists(), "a check creates nothing");
}

#[test]
fn unknown_keys_are_shown_with_a_suggestion_even_when_the_configuration_is_wrong() {
    let report = Case::new().report("clinetPort=2181\ntickTime=x\n");
    assert_eq!((report.exit_code(), &report.mode), (2, &None));
    assert!(has_line(
        &report,
        &[
            "zoo.cfg:2: unknown setting clinetPort",
            "did you mean clientPort?"
        ]
    ));
    assert!(has_line(
        &report,
        &["error", "zoo.cfg:3: tickTime = \"x\"", "exit code 2"]
    ));
    assert!(
        report
            .render()
            .ends_with("a server would not start and end with code 2\n")
    );
}

#[test]
fn a_port_in_use_is_found() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let report = Case::new().report(&format!("clientPort={port}\nclientPortAddress=127.0.0.1\n"));
    assert_eq!(report.exit_code(), 1, "{}", report.render());
    assert!(has_line(
        &report,
        &["error", "client port", "cannot be bound"]
    ));
}

#[test]
fn a_directory_that_cannot_be_used_is_code_3() {
    let case = Case::new();
    fs::write(case.data_dir(), "a file").unwrap();
    let report = case.report("clientPort=0\n");
    assert_eq!(report.exit_code(), 3, "{}", report.render());
}

#[test]
fn secrets_are_not_shown() {
    let report = Case::new()
        .report("clientPort=0\nDigestAuthenticationProvider.superDigest=super:hunter2\n");
    assert!(
        has_line(&report, &["DigestAuthenticationProvider.superDigest = ***"]),
        "{}",
        report.render()
    );
    assert!(!report.render().contains("hunter2") && !format!("{report:?}").contains("hunter2"));
}

#[test]
fn an_ensemble_needs_myid_and_names_that_resolve() {
    let case = Case::new();
    let lines = "clientPort=0\ninitLimit=10\nsyncLimit=5\n\
                 server.1=127.0.0.1:0:1\nserver.2=unknown:2888:3888\nserver.3=known:2888:3888\n";
    assert!(has_line(
        &case.report(lines),
        &["error", "myid file is missing"]
    ));
    fs::create_dir(case.data_dir()).unwrap();
    let my_id = case.data_dir().join("myid");
    fs::write(&my_id, "9\n").unwrap();
    let report = case.report(lines);
    assert!(
        has_line(&report, &["error", "myid is 9, but the servers", "1, 2, 3"]),
        "{}",
        report.render()
    );
    assert_eq!(report.exit_code(), 1);
    fs::write(&my_id, "1\n").unwrap();
    let report = case.report(lines);
    assert!(matches!(report.mode, Some(Mode::Member(_))));
    assert!(
        has_line(&report, &["warning", "server.2: unknown does not resolve"]),
        "{}",
        report.render()
    );
    assert!(
        has_line(&report, &["ok", "server.3: known is 127.0.0.1"]),
        "{}",
        report.render()
    );
}

#[test]
fn an_ensemble_is_explained() {
    let case = Case::new();
    fs::create_dir(case.data_dir()).unwrap();
    fs::write(case.data_dir().join("myid"), "1\n").unwrap();
    let report = case.report(
        "clientPort=0\ntickTime=2000\ninitLimit=10\nsyncLimit=5\nserver.1=127.0.0.1:0:1\n\
         server.2=127.0.0.1:2888:3888\nserver.3=known:2888:3888;2181\nserver.4=10.0.0.4:2888:3888:observer\n",
    );
    for line in [
        "zoo.cfg, version 0",
        "server.1, this server: votes; 127.0.0.1, quorum port 0, election port 1; clients at 0.0.0.0:0",
        "server.3: votes; known, quorum port 2888, election port 3888; clients at 0.0.0.0:2181",
        "server.4: observes; 10.0.0.4",
        "a quorum is 2 of 3 voters: 1 may fail",
        "a learner has 20 s to connect",
        "who is silent for 10 s is given up",
        "reconfigEnabled=false: the members stay",
    ] {
        assert!(has_line(&report, &[line]), "{line}:\n{}", report.render());
    }
    for sid in [1, 2] {
        let doubt = format!("server.{sid}: other machines cannot reach 127.0.0.1");
        assert!(has_line(&report, &["warning", &doubt]), "{doubt}");
    }
}

#[test]
fn a_port_that_two_servers_share_is_doubtful() {
    let case = Case::new();
    fs::create_dir(case.data_dir()).unwrap();
    fs::write(case.data_dir().join("myid"), "1\n").unwrap();
    let report = case.report(
        "clientPort=0\ninitLimit=10\nsyncLimit=5\nserver.1=127.0.0.1:0:1\n\
         server.2=127.0.0.1:2888:3888\nserver.3=127.0.0.1:2889:3888\n",
    );
    let doubt = "server.2 and server.3 have a port of 127.0.0.1 in common";
    assert!(
        has_line(&report, &["warning", doubt]),
        "{}",
        report.render()
    );
}

#[test]
fn a_quorum_port_that_is_taken_ends_a_server_with_code_14() {
    let case = Case::new();
    fs::create_dir(case.data_dir()).unwrap();
    fs::write(case.data_dir().join("myid"), "1\n").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let report = case.report(&format!(
        "clientPort=0\ninitLimit=10\nsyncLimit=5\nserver.1=127.0.0.1:{port}:0\nserver.2=10.0.0.2:2888:3888\n"
    ));
    assert!(
        has_line(&report, &["error", "quorum port", "cannot be bound", "14"]),
        "{}",
        report.render()
    );
    assert_eq!(report.exit_code(), 14);
}

#[test]
fn a_missing_file_is_code_2() {
    let report = Report::on(
        &Invocation::File("/no/such/zoo.cfg".into()),
        &SystemProperties::new(),
        &Machine,
    );
    assert!(
        matches!(report.findings.as_slice(), [Finding::Bad(text, 2)] if text.starts_with("cannot read /no/such"))
    );
}
