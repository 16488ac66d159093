//! What `zabra cli` has and Apache's shell has not: on a server of each kind the same, and what is written here.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Shown, Tool, command, shell};
use crate::peer::Server;

/// How long an event may take to be printed.
const PATIENCE: Duration = Duration::from_millis(200);

/// How often it is tried.
const ATTEMPTS: u32 = 100;

/// What a script of commands prints, without the three lines of the start.
const SCRIPT: &[(&str, &[&str])] = &[
    ("create /b", &[]),
    ("create /b/x data", &[]),
    ("create /b/x/deep 'two words' world:anyone:cdrw", &[]),
    ("create /b/y", &[]),
    (
        "tree /b",
        &["/b", "├── x", "│   └── deep", "└── y", "4 znodes"],
    ),
    (
        "tree -L 1 -s /b",
        &["/b [0 B]", "├── x [4 B]", "└── y [0 B]", "3 znodes"],
    ),
    ("find /b -name *e*", &["/b/x/deep"]),
    ("find /b -data at", &["/b/x"]),
    ("find /b -owner any", &[]),
    ("export /b DIR/lines", &[]),
    ("export -d /b DIR/folder", &[]),
    ("import -n DIR/lines /c", &[]),
    ("import DIR/lines /c", &[]),
    ("import DIR/folder /d", &[]),
    ("import DIR/folder /d", &[]),
    ("get /c/x/deep", &["two words"]),
    ("getAcl /d/x/deep", &["'world,'anyone", ": cdrw"]),
    ("get /d/y", &["null"]),
    ("rmr /c", &[]),
    ("deleteall /d", &[]),
    ("ls -R /b", &["/b", "/b/x", "/b/y", "/b/x/deep"]),
    ("exit", &[]),
];

/// What the same commands say on standard error.
const NOTES: &[&str] = &[
    "Created /b",
    "Created /b/x",
    "Created /b/x/deep",
    "Created /b/y",
    "Exported 4 znodes of /b to DIR/lines",
    "Exported 4 znodes of /b to DIR/folder",
    "Would import 4 znodes into /c",
    "Imported 4 znodes into /c",
    "Imported 4 znodes into /d",
    "Imported 0 znodes into /d, 4 kept as they were",
    "The command 'rmr' has been deprecated. Please use 'deleteall' instead.",
];

/// Lines before the first command.
const START_LINES: usize = 3;

/// Runs it all.
///
/// # Errors
/// Something else is shown.
pub(super) fn check(server: &Server) -> Result<()> {
    script(server)?;
    json(server)?;
    follows(server)
}

fn script(server: &Server) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let name = dir.path().display().to_string();
    let lines: Vec<&str> = SCRIPT.iter().map(|(line, _)| *line).collect();
    let shown = run(server, &[], &lines.join("\n").replace("DIR", &name))?;
    let expected: Vec<&str> = SCRIPT
        .iter()
        .flat_map(|(_, lines)| *lines)
        .copied()
        .collect();
    let start = shown.out.len().min(START_LINES);
    ensure!(
        shown.out[start..] == expected,
        "the script printed {:#?}",
        shown.out
    );
    let notes: Vec<String> = shown
        .err
        .iter()
        .map(|line| line.replace(&name, "DIR"))
        .collect();
    ensure!(notes == NOTES, "the script said {notes:#?}");
    ensure!(shown.code == Some(0), "the exit code was {:?}", shown.code);
    Ok(())
}

/// One JSON value for each command, on standard output, whether it works or not.
fn json(server: &Server) -> Result<()> {
    for (args, expected, code) in [
        (
            &["-j", "ls", "/b"][..],
            r#"{"children":["x","y"],"path":"/b"}"#,
            0,
        ),
        (
            &["--json", "get", "/none"],
            r#"{"error":{"code":"NoNode","message":"Node does not exist: /none","path":"/none"}}"#,
            1,
        ),
        (
            &["-j", "foo"],
            r#"{"error":{"message":"Command not found: Command not found foo"}}"#,
            127,
        ),
        (
            &["-j", "deleteall", "/b/y"],
            r#"{"complete":true,"path":"/b/y","znodes":1}"#,
            0,
        ),
    ] {
        let shown = run(server, args, "")?;
        ensure!(
            shown.out == [expected] && shown.err.is_empty() && shown.code == Some(code),
            "{args:?} showed {shown:#?}"
        );
    }
    Ok(())
}

/// `watch` prints what happens below a path.
fn follows(server: &Server) -> Result<()> {
    let mut watch = command(Tool::Zabra)?;
    watch
        .args([
            "-server",
            &format!("127.0.0.1:{}", server.port()),
            "watch",
            "/b",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = watch.spawn().context("start `zabra cli watch`")?;
    let out = child.stdout.take().context("a pipe to the shell")?;
    let (sender, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if line.starts_with("Node") && sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut seen = None;
    // It cannot be seen from outside when the watch is set, so something happens until it is told.
    for attempt in 0..ATTEMPTS {
        run(server, &["create", &format!("/b/new{attempt}")], "")?;
        seen = lines.recv_timeout(PATIENCE).ok();
        if seen.is_some() {
            break;
        }
    }
    child.kill()?;
    child.wait()?;
    drop(lines);
    let _ = reader.join();
    let line = seen.context("`watch` printed nothing")?;
    ensure!(
        line.starts_with("NodeCreated /b/new") && line.contains(" zxid: "),
        "`watch` printed {line:?}"
    );
    Ok(())
}

fn run(server: &Server, args: &[&str], script: &str) -> Result<Shown> {
    shell(Tool::Zabra, server, args, script)
}
