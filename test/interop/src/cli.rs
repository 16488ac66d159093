//! `zabra cli` beside Apache's `zkCli` of 3.9: the same scripts, to both, on a server of each kind.
//!
//! The scripts are those of the suite `zkcli` and `cli/*.txt`: every command, option and error. They are fed on standard
//! input; commands as arguments are runs of their own, for their exit codes. What is compared: standard output, standard
//! error, the watch events (printed by a thread of their own) as a list of their own, and the exit code. Masked: dates,
//! session ids, the port. Zxids are not masked: the same commands must take the same ones. Differences that are decided
//! are in [`known`].
//!
//! Without JLine on its class path Apache's shell prints neither prompts nor what it reads; with it, that comes besides.

mod beyond;
pub mod known;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::peer::{Line, Peer, Server, Settings, free_ports};
use crate::step::step;
use crate::zkcli::{class_path, difference_of_lines, is_log, masked, sort_identities};
use crate::{place, zkcli};

/// Command lines, each a run of its own.
const ONE_SHOT: [&[&str]; 10] = [
    &["create", "/one", "two words"],
    &["get", "/one"],
    &["get", "-s", "/one"],
    &["get", "/missing"],
    &["nosuchcommand"],
    &["ls", "-z", "/"],
    &["set", "/one"],
    &["quit"],
    &["-unknown", "ls", "/"],
    &["-waitforconnection", "ls", "/"],
];

/// Command lines on which Apache's shell dies with a stack trace: only the exit code is compared.
const CRASHES: [&[&str]; 7] = [
    &["delete", "-v", "x", "/one"],
    &["set", "-v", "x", "/one", "data"],
    &["set", "-b", "/one", "!"],
    &["redo", "x"],
    &["addWatch", "noslash"],
    &["-timeout", "x", "ls", "/"],
    &["-client-configuration", "/nonexistent", "ls", "/"],
];

/// Commands that change the membership, on an ensemble of one; A and B are its quorum ports, PORT is that of clients.
const RECONFIG: &str = "config
config -c
config -s
config -w
reconfig -s -add server.5=127.0.0.1:1111:2222:OBSERVER;3333
config
config -c
reconfig -v 5 -remove 5
reconfig -v x -remove 5
reconfig -remove 5
reconfig -members server.1=127.0.0.1:A:B:participant;PORT
reconfig -add server.5=bad
reconfig -remove 1
quit
";

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Apache,
    Zabra,
}

/// What a run of a shell showed.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    /// Lines on standard output, without events.
    pub out: Vec<String>,
    /// Lines on standard error, without what was logged.
    pub err: Vec<String>,
    /// Watch events.
    pub events: Vec<String>,
    /// The exit code; none after a signal.
    pub code: Option<i32>,
}

/// Compares both shells, on Apache 3.9 and on `peer`.
///
/// # Errors
/// A difference, or something is missing.
pub fn run(peer: Peer) -> Result<String> {
    Peer::Zabra.provide()?;
    peer.provide()?;
    let scripts = scripts()?;
    let commands: usize = scripts
        .iter()
        .map(|(_, script)| script.lines().count())
        .sum();
    let scripts = &scripts;
    let differences = std::thread::scope(|scope| {
        let kinds = [Peer::Apache(Line::V3_9), peer];
        let runs = kinds.map(|kind| scope.spawn(move || on(kind, scripts)));
        let mut differences = reconfig()?;
        for run in runs {
            let found = run
                .join()
                .map_err(|_| anyhow::anyhow!("a comparison panicked"))?;
            differences.extend(found?);
        }
        anyhow::Ok(differences)
    })?;
    ensure!(
        differences.is_empty(),
        "`zabra cli` shows something else than zkCli:\n{}",
        differences.join("\n")
    );
    Ok(format!(
        "{} commands show on both servers what they show in zkCli, {} differences are decided",
        commands + ONE_SHOT.len() + CRASHES.len() + RECONFIG.lines().count(),
        known::KNOWN.len()
    ))
}

/// Both shells on an ensemble of one Apache server each, which takes a `reconfig`.
fn reconfig() -> Result<Vec<String>> {
    let run = |tool: Tool| -> Result<Shown> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join("data"))?;
        fs::write(dir.path().join("data/myid"), "1")?;
        let ports = free_ports(2)?;
        let [a, b] = [ports, ports + 1].map(|port| port.to_string());
        let settings = Settings::base()
            .config(format!("server.1=127.0.0.1:{a}:{b}:participant"))
            .config("initLimit=10")
            .config("syncLimit=5")
            .config("reconfigEnabled=true")
            .config("standaloneEnabled=false")
            .property("zookeeper.skipACL=yes");
        let server = Peer::Apache(Line::V3_9).start(dir.path(), &settings)?;
        let script = RECONFIG.replace(":A:B:", &format!(":{a}:{b}:"));
        let mut shown = shell(tool, &server, &[], &script)?;
        for line in shown.out.iter_mut().chain(&mut shown.err) {
            *line = line
                .replace(&format!(":{a}:{b}:"), ":A:B:")
                .replace(&server.port().to_string(), "PORT");
        }
        server.kill()?;
        Ok(shown)
    };
    step("reconfig by zkCli and `zabra cli`", || {
        let found = difference(run(Tool::Apache)?, run(Tool::Zabra)?);
        Ok(found
            .map(|text| format!("reconfig:\n{text}"))
            .into_iter()
            .collect())
    })
}

/// The scripts with their names, in order.
fn scripts() -> Result<Vec<(String, String)>> {
    let mut scripts = Vec::new();
    for folder in ["zkcli", "cli"] {
        for entry in fs::read_dir(place::harness().join(folder))? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            scripts.push((format!("{folder}/{name}"), fs::read_to_string(&path)?));
        }
    }
    scripts.sort();
    Ok(scripts)
}

/// Both shells, each on a fresh server of one kind.
fn on(kind: Peer, scripts: &[(String, String)]) -> Result<Vec<String>> {
    let runs = |tool: Tool| -> Result<Vec<(String, Shown)>> {
        let dir = tempfile::tempdir()?;
        let settings = Settings::base()
            .property("zookeeper.extendedTypesEnabled=true")
            .property("zookeeper.enforceQuota=true");
        let server = kind.start(dir.path(), &settings)?;
        let mut runs = Vec::new();
        for (name, script) in scripts {
            runs.push((name.clone(), shell(tool, &server, &[], script)?));
        }
        for args in ONE_SHOT {
            let mut shown = shell(tool, &server, args, "")?;
            mask_zxids(&mut shown.out);
            runs.push((args.join(" "), shown));
        }
        for args in CRASHES {
            let code = shell(tool, &server, args, "")?.code;
            let shown = Shown {
                out: Vec::new(),
                err: Vec::new(),
                events: Vec::new(),
                code,
            };
            runs.push((args.join(" "), shown));
        }
        if tool == Tool::Zabra {
            beyond::check(&server).with_context(|| format!("beyond zkCli, on {kind}"))?;
        }
        // Fails if the server has ended meanwhile, and shows why.
        server.kill()?;
        Ok(runs)
    };
    step(format_args!("zkCli and `zabra cli` on {kind}"), || {
        let (theirs, ours) = (runs(Tool::Apache)?, runs(Tool::Zabra)?);
        let pairs = theirs.into_iter().zip(ours);
        let found = pairs.filter_map(|((name, theirs), (_, ours))| {
            let text = difference(theirs, ours)?;
            Some(format!("{name} on {kind}:\n{text}"))
        });
        Ok(found.collect())
    })
}

/// Hides the zxids of Stats: Apache's shell leaves the session of a single command to its time-out, and ours closes it.
fn mask_zxids(lines: &mut [String]) {
    for line in lines {
        if let Some(at) = line.find("Zxid = ") {
            line.truncate(at + "Zxid = ".len());
        }
    }
}

/// Runs a shell with `args`, or with `script` on standard input.
fn shell(tool: Tool, server: &Server, args: &[&str], script: &str) -> Result<Shown> {
    let port = server.port().to_string();
    let address = format!("127.0.0.1:{port}");
    let mut command = command(tool)?;
    command
        .args(["-server", &address])
        .args(args)
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    let mut stdin = child.stdin.take().context("a pipe to the shell")?;
    let script = script.replace("PORT", &port);
    // A shell may end before it has read everything; what it showed tells.
    let feeder = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
    let output = child.wait_with_output()?;
    let _ = feeder.join();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&address, "<server>");
    let (mut out, mut events) = zkcli::split(&text(&output.stdout));
    sort_identities(&mut out);
    // Both print them by another thread than results, and ours gathers them from several watches.
    events.sort();
    let err = text(&output.stderr);
    let err = err.lines().filter(|line| !is_log(line) && !line.is_empty());
    Ok(Shown {
        out,
        err: err.map(masked).collect(),
        events,
        code: output.status.code(),
    })
}

/// The program of a shell.
fn command(tool: Tool) -> Result<Command> {
    match tool {
        Tool::Apache => {
            let mut java = Command::new("java");
            java.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
                .arg(format!(
                    "-Dlogback.configurationFile={}",
                    place::harness().join("peers/logback.xml").display()
                ))
                .arg("-Dfile.encoding=UTF-8")
                .arg("-cp")
                .arg(class_path()?)
                .arg("org.apache.zookeeper.ZooKeeperMain");
            Ok(java)
        }
        Tool::Zabra => {
            let mut zabra = Command::new(place::zabra_binary());
            zabra.arg("cli");
            Ok(zabra)
        }
    }
}

/// What differs beyond what is decided.
fn difference(mut theirs: Shown, mut ours: Shown) -> Option<String> {
    for known in known::KNOWN {
        (known.theirs)(&mut theirs);
        (known.ours)(&mut ours);
    }
    if theirs == ours {
        return None;
    }
    let mut text = difference_of_lines(&theirs.out, &ours.out);
    text.push_str(&difference_of_lines(&theirs.err, &ours.err));
    text.push_str(&difference_of_lines(&theirs.events, &ours.events));
    if theirs.code != ours.code {
        text.push_str(&format!(
            "  exit code: - {:?} + {:?}\n",
            theirs.code, ours.code
        ));
    }
    Some(text)
}
