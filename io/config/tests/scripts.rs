//! The scripts in `bin/`, run against a stand-in for the program: arguments, texts and exit codes
//! are Apache's.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use tempfile::TempDir;

/// Says how it was called; as a server it stays until it is stopped, unless its configuration says
/// `fail`.
const STAND_IN: &str = r#"#!/usr/bin/env bash
printf '%s\n' "$@" > "$CALLED"
echo "flags: $SERVER_JVMFLAGS|$JVMFLAGS" >> "$CALLED"
case $1 in
  server) grep -q '^fail' "$2" && exit 2
          exec sleep 600 ;;
  word) exec 3<>"/dev/tcp/$2/$3" && printf %s "$4" >&3 && cat <&3 ;;
  version) echo "Apache ZooKeeper, version 3.9.5-zabra-test 2026-01-01 00:00 UTC" ;;
esac
"#;

struct Case {
    root: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Case {
    /// A `zoo.cfg` with a data directory and `lines`.
    fn new(lines: &str) -> Self {
        let root = TempDir::new().expect("a temporary directory");
        let case = Self {
            root,
            variables: Vec::new(),
        };
        fs::create_dir(case.path("conf")).expect("conf");
        case.write(
            "conf/zoo.cfg",
            &format!("dataDir = {}\n{lines}", case.path("data").display()),
        );
        case.write("zabra", STAND_IN);
        fs::set_permissions(case.path("zabra"), fs::Permissions::from_mode(0o755))
            .expect("an executable");
        case
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file in a temporary directory");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn run(&self, script: &str, args: &[&str]) -> Answer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../bin")
            .join(script);
        let mut command = Command::new(script);
        command.args(args).current_dir(self.root.path());
        for name in [
            "ZOOCFG",
            "ZOOPIDFILE",
            "SERVER_JVMFLAGS",
            "JVMFLAGS",
            "JMXDISABLE",
            "ZOO_NOEXEC",
        ] {
            command.env_remove(name);
        }
        command
            .env("ZABRA", self.path("zabra"))
            .env("CALLED", self.path("called"));
        command
            .env("ZOOCFGDIR", self.path("conf"))
            .env("ZOO_LOG_DIR", self.path("logs"));
        // A server that fails has as long as it takes; one that runs is not watched for long.
        let fails = self.read("conf/zoo.cfg").contains("\nfail");
        command.env("ZABRA_START_WAIT", if fails { "600" } else { "1" });
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Answer::from(command.output().expect("bash is there"))
    }

    fn called_with(&self) -> Vec<String> {
        self.read("called").lines().map(str::to_owned).collect()
    }
}

#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

#[test]
fn start_and_stop_keep_a_pid_file_in_the_data_directory() {
    let case = Case::new("");
    let cfg = case.path("conf/zoo.cfg");
    let started = case.run("zkServer.sh", &["start"]);
    assert_eq!(
        (started.code, started.out.as_str()),
        (Some(0), "Starting zookeeper ... STARTED\n"),
        "{started:?}"
    );
    let preamble = format!(
        "ZooKeeper JMX enabled by default\nUsing config: {}\n",
        cfg.display()
    );
    assert_eq!(started.err, preamble);
    assert_eq!(
        case.called_with()[..2],
        ["server".to_owned(), cfg.display().to_string()]
    );
    let pid = case.read("data/zookeeper_server.pid");

    let again = case.run("zkServer.sh", &["start"]);
    let expected = format!("Starting zookeeper ... already running as process {pid}.\n");
    assert_eq!((again.code, again.out), (Some(1), expected));

    let stopped = case.run("zkServer.sh", &["stop"]);
    assert_eq!(
        (stopped.code, stopped.out.as_str()),
        (Some(0), "Stopping zookeeper ... STOPPED\n")
    );
    assert!(!case.path("data/zookeeper_server.pid").exists());
    assert!(has_ended(&pid), "the server still runs");

    let stopped = case.run("zkServer.sh", &["stop"]);
    assert_eq!(stopped.code, Some(0));
    assert!(
        stopped
            .out
            .starts_with("Stopping zookeeper ... no zookeeper to stop (could not find file "),
        "{stopped:?}"
    );
}

/// Gone, or ended and not yet collected by whoever it was left to.
fn has_ended(pid: &str) -> bool {
    let state = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    state.map_or(true, |state| state.contains(") Z "))
}

#[test]
fn a_server_that_ends_at_once_failed_to_start() {
    let case = Case::new("fail\n");
    let started = case.run("zkServer.sh", &["start"]);
    assert_eq!(
        (started.code, started.out.as_str()),
        (Some(1), "Starting zookeeper ... FAILED TO START\n")
    );
}

#[test]
fn a_pid_file_that_cannot_be_written_is_said() {
    let case = Case::new("");
    fs::create_dir(case.path("pid")).expect("a directory in the way");
    let case = Case {
        variables: vec![("ZOOPIDFILE", case.path("pid").display().to_string())],
        ..case
    };
    let started = case.run("zkServer.sh", &["start"]);
    assert_eq!(
        (started.code, started.out.as_str()),
        (Some(1), "Starting zookeeper ... FAILED TO WRITE PID\n")
    );
}

#[test]
fn restart_stops_and_starts() {
    let case = Case::new("");
    case.run("zkServer.sh", &["start"]);
    let before = case.read("data/zookeeper_server.pid");
    let restarted = case.run("zkServer.sh", &["restart"]);
    assert_eq!(
        restarted.out,
        "Stopping zookeeper ... STOPPED\nStarting zookeeper ... STARTED\n"
    );
    assert_ne!(case.read("data/zookeeper_server.pid"), before);
    case.run("zkServer.sh", &["stop"]);
}

#[test]
fn the_foreground_has_the_servers_exit_code() {
    let case = Case::new("fail\n");
    assert_eq!(case.run("zkServer.sh", &["start-foreground"]).code, Some(2));
    let case = case.with("ZOO_NOEXEC", "1");
    assert_eq!(case.run("zkServer.sh", &["start-foreground"]).code, Some(2));
}

#[test]
fn flags_go_through_the_environment_and_never_through_the_command_line() {
    let case = Case::new("fail\n")
        .with("SERVER_JVMFLAGS", "-Dzookeeper.snapCount=5")
        .with("JVMFLAGS", "-Da=b");
    case.write("conf/java.env", "JVMFLAGS=\"$JVMFLAGS -Dc=d\"\n");
    case.run("zkServer.sh", &["start-foreground"]);
    let called = case.called_with();
    assert_eq!(called.len(), 3, "{called:?}");
    assert_eq!(called[2], "flags: -Dzookeeper.snapCount=5|-Da=b -Dc=d");
}

#[test]
fn without_autocreation_a_missing_directory_stops_the_script() {
    let case = Case::new("").with("ZOO_DATADIR_AUTOCREATE_DISABLE", "1");
    let answer = case.run("zkServer.sh", &["start"]);
    assert_eq!(answer.code, Some(1));
    assert!(
        answer
            .out
            .starts_with("ZooKeeper data directory is missing at "),
        "{answer:?}"
    );

    fs::create_dir_all(case.path("data/version-2")).expect("data");
    case.write(
        "conf/zoo.cfg",
        &format!("dataDir={}\nfail\n", case.path("data").display()),
    );
    case.run("zkServer.sh", &["start-foreground"]);
    assert!(
        case.read("called")
            .contains("flags: -Dzookeeper.datadir.autocreate=false ")
    );
}

#[test]
fn the_configuration_is_chosen_by_option_name_or_path() {
    let case = Case::new("");
    fs::create_dir(case.path("other")).expect("other");
    for (args, expected) in [
        (vec!["print-cmd"], "conf/zoo.cfg"),
        (vec!["print-cmd", "b.cfg"], "conf/b.cfg"),
        (vec!["--config", "other", "print-cmd"], "other/zoo.cfg"),
        (vec!["print-cmd", "./c.cfg"], "./c.cfg"),
    ] {
        let answer = case.run("zkServer.sh", &args);
        let using = answer
            .err
            .lines()
            .find_map(|l| l.strip_prefix("Using config: "))
            .unwrap_or_default();
        assert!(using.ends_with(expected), "{args:?}: {answer:?}");
        assert!(
            answer
                .out
                .contains(&format!("zabra\" server \"{using}\" > ")),
            "{answer:?}"
        );
    }
}

#[test]
fn version_and_usage() {
    let case = Case::new("").with("JMXDISABLE", "true");
    let answer = case.run("zkServer.sh", &["version"]);
    assert_eq!(
        answer.out,
        "Apache ZooKeeper, version 3.9.5-zabra-test 2026-01-01 00:00 UTC\n"
    );
    for args in [&[][..], &["bogus"]] {
        let answer = case.run("zkServer.sh", args);
        assert_eq!((answer.code, answer.out.as_str()), (Some(0), ""));
        assert!(
            answer
                .err
                .starts_with("JMX disabled by user request\nUsing config: "),
            "{answer:?}"
        );
        let usage = "zkServer.sh [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd}\n";
        assert!(
            answer.err.contains("\nUsage: ") && answer.err.ends_with(usage),
            "{answer:?}"
        );
    }
    assert!(
        !case.path("data").exists() && !case.path("logs").exists(),
        "asking makes no directories"
    );
}

/// Answers one `srvr` on a port of its own with this.
fn serve_srvr(answer: String) -> (u16, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let server = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("the script connects");
        let mut word = [0; 4];
        client.read_exact(&mut word).expect("a word");
        assert_eq!(&word, b"srvr");
        client.write_all(answer.as_bytes()).expect("an answer");
    });
    (port, server)
}

fn srvr_of(mode: &str) -> String {
    format!("Zookeeper version: 3.9.5\nMode: {mode}\nNode count: 5\n")
}

#[test]
fn status_asks_the_server_for_its_mode() {
    for mode in ["standalone", "leader", "follower", "observer"] {
        let (port, server) = serve_srvr(srvr_of(mode));
        let case = Case::new(&format!("clientPort={port}\nclientPortAddress=127.0.0.1\n"));
        let answer = case.run("zkServer.sh", &["status"]);
        let expected = format!(
            "Client port found: {port}. Client address: 127.0.0.1. Client SSL: false.\nMode: {mode}\n"
        );
        assert_eq!((answer.code, answer.out), (Some(0), expected));
        server.join().expect("asked");
    }
}

#[test]
fn a_member_without_a_quorum_has_no_status() {
    let not_serving = "This ZooKeeper instance is not currently serving requests\n";
    let (port, server) = serve_srvr(not_serving.to_owned());
    let case = Case::new(&format!("clientPort={port}\nclientPortAddress=127.0.0.1\n"));
    let answer = case.run("zkServer.sh", &["status"]);
    let last = "Error contacting service. It is probably not running.\n";
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.out.ends_with(last), "{answer:?}");
    server.join().expect("asked");
}

#[test]
fn status_finds_the_port_in_the_own_server_line_or_in_the_dynamic_file() {
    for dynamic in [false, true] {
        let (port, server) = serve_srvr(srvr_of("standalone"));
        let line = format!("server.3=a:2888:3888:participant;127.0.0.1:{port}\n");
        let case = match dynamic {
            true => Case::new("dynamicConfigFile=members\n"),
            false => Case::new(&line),
        };
        case.write("members", &line);
        fs::create_dir(case.path("data")).expect("data");
        case.write("data/myid", "3\n");
        let answer = case.run("zkServer.sh", &["status"]);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        assert!(answer.out.ends_with("Mode: standalone\n"), "{answer:?}");
        assert_eq!(
            answer.out.contains("Looking in dynamic config file."),
            dynamic
        );
        server.join().expect("asked");
    }
}

#[test]
fn status_says_why_it_cannot_ask() {
    let unused = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a free port")
        .port();
    for (lines, last) in [
        (
            format!("clientPort={unused}\nclientPortAddress=127.0.0.1\n"),
            "Error contacting service. It is probably not running.\n",
        ),
        (
            String::new(),
            "Unable to find either secure or unsecure client port in any configs. Terminating.\n",
        ),
        (
            "secureClientPort=2281\n".to_owned(),
            "Error contacting service. It is probably not running.\n",
        ),
    ] {
        let answer = Case::new(&lines).run("zkServer.sh", &["status"]);
        assert_eq!(answer.code, Some(1), "{answer:?}");
        assert!(answer.out.ends_with(last), "{answer:?}");
    }
}

#[test]
fn the_tools_hand_their_arguments_on() {
    let case = Case::new("");
    let cfg = format!("--configfile={}", case.path("conf/zoo.cfg").display());
    for (script, args, expected) in [
        (
            "zkCli.sh",
            vec!["-server", "a:1", "get", "/a b"],
            vec!["cli", "-server", "a:1", "get", "/a b"],
        ),
        (
            "zkTxnLogToolkit.sh",
            vec!["-d", "log.1"],
            vec!["txnlog", "-d", "log.1"],
        ),
        (
            "zkSnapShotToolkit.sh",
            vec!["-json", "snapshot.0"],
            vec!["snapshot", "-json", "snapshot.0"],
        ),
        (
            "zkServer-initialize.sh",
            vec!["--myid=3"],
            vec!["initialize", &cfg, "--myid=3"],
        ),
        (
            "zkCleanup.sh",
            vec!["/log", "/snap", "-n", "3"],
            vec!["purge", "/log", "/snap", "-n", "3"],
        ),
    ] {
        let answer = case.run(script, &args);
        assert_eq!(answer.code, Some(0), "{script}: {answer:?}");
        let called = case.called_with();
        assert_eq!(called[..called.len() - 1], expected, "{script}");
    }
}

#[test]
fn cleanup_takes_its_directories_from_the_configuration() {
    let case = Case::new("");
    let data = case.path("data").display().to_string();
    case.run("zkCleanup.sh", &["-n", "5"]);
    assert_eq!(case.called_with()[..4], ["purge", data.as_str(), "-n", "5"]);
    case.write(
        "conf/zoo.cfg",
        &format!("dataDir={data}\ndataLogDir=/log\n"),
    );
    case.run("zkCleanup.sh", &["-n", "5"]);
    assert_eq!(
        case.called_with()[..5],
        ["purge", "/log", data.as_str(), "-n", "5"]
    );
}

#[test]
fn without_the_program_the_scripts_say_how_to_get_it() {
    let case = Case::new("").with("ZABRA", "");
    let root = case.path("elsewhere/bin");
    fs::create_dir_all(&root).expect("a place without the program");
    for script in ["zkCli.sh", "zkEnv.sh"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../bin")
            .join(script);
        fs::copy(from, root.join(script)).expect("a copy");
    }
    let mut command = Command::new(root.join("zkCli.sh"));
    let output = command
        .env_remove("ZABRA")
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("bash is there");
    let answer = Answer::from(output);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(
        answer
            .err
            .starts_with("Error: zabra was not found; set ZABRA"),
        "{answer:?}"
    );
}
