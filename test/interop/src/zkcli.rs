//! Apache's own `zkCli` of 3.9: scripts with each of its commands, run against Apache and against the server under test.
//!
//! The scripts are `zkcli/*.txt`, one command per line. What is compared: everything printed on either stream, in order,
//! the watch events (printed by a thread of their own) as a list of their own, and the exit code. Masked: dates, the
//! port and session ids. Zxids are not masked: the same commands must take the same ones.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::peer::{Line, Peer, Server, Settings};
use crate::step::step;
use crate::{packages, place};

/// Commands given on the command line instead; each is a run of its own. The exit codes matter here.
const ONE_SHOT: [&[&str]; 4] = [
    &["create", "/one", "data"],
    &["get", "-s", "/one"],
    &["get", "/missing"],
    &["nosuchcommand"],
];

/// What a run of zkCli showed.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    lines: Vec<String>,
    events: Vec<String>,
    code: Option<i32>,
}

/// Compares every script between Apache 3.9 and `peer`.
///
/// # Errors
/// A difference, or something is missing.
pub fn run(peer: Peer) -> Result<String> {
    peer.provide()?;
    let mut scripts = Vec::new();
    for entry in fs::read_dir(place::harness().join("zkcli"))? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        scripts.push((name, fs::read_to_string(&path)?));
    }
    scripts.sort();
    let mut differences = Vec::new();
    let mut commands = 0;
    for (name, script) in &scripts {
        commands += script.lines().count();
        let difference = step(format_args!("zkCli script `{name}`"), || {
            let (theirs, ours) = both(peer, |server| zkcli(server, &[], script))?;
            Ok(difference(&theirs, &ours))
        })?;
        differences.extend(difference.map(|text| format!("{name}:\n{text}")));
    }
    let one_shots = step("zkCli with commands as arguments", || {
        let (theirs, ours) = both(peer, |server| {
            ONE_SHOT
                .iter()
                .map(|args| zkcli(server, args, ""))
                .collect::<Result<Vec<_>>>()
        })?;
        Ok(theirs
            .iter()
            .zip(&ours)
            .filter_map(|(a, b)| difference(a, b))
            .collect::<Vec<_>>())
    })?;
    differences.extend(one_shots);
    ensure!(
        differences.is_empty(),
        "zkCli shows something else:\n{}",
        differences.join("\n")
    );
    Ok(format!(
        "{} commands show what they show on Apache",
        commands + ONE_SHOT.len()
    ))
}

/// The same on a fresh Apache server and on a fresh server under test, at the same time.
fn both<T: Send>(peer: Peer, act: impl Fn(&Server) -> Result<T> + Sync) -> Result<(T, T)> {
    let settings = Settings::base()
        .property("zookeeper.extendedTypesEnabled=true")
        .property("zookeeper.enforceQuota=true");
    let one = |peer: Peer| -> Result<T> {
        let dir = tempfile::tempdir()?;
        let server = peer.start(dir.path(), &settings)?;
        let shown = act(&server).with_context(|| format!("on {peer}"))?;
        // Fails if the server has ended meanwhile, and shows why.
        server.kill()?;
        Ok(shown)
    };
    std::thread::scope(|scope| {
        let theirs = scope.spawn(|| one(Peer::Apache(Line::V3_9)));
        let ours = one(peer)?;
        let theirs = theirs
            .join()
            .map_err(|_| anyhow::anyhow!("the run on Apache panicked"))??;
        Ok((theirs, ours))
    })
}

/// Runs zkCli with `args` as its command, or with `script` on standard input.
fn zkcli(server: &Server, args: &[&str], script: &str) -> Result<Shown> {
    let (reader, writer) = std::io::pipe()?;
    let address = format!("127.0.0.1:{}", server.port());
    let mut command = Command::new("java");
    command
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg(format!(
            "-Dlogback.configurationFile={}",
            place::harness().join("peers/logback.xml").display()
        ))
        .arg("-cp")
        .arg(class_path()?)
        .args(["org.apache.zookeeper.ZooKeeperMain", "-server", &address])
        .args(args)
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn().context("start zkCli")?;
    // Holds the write ends of the pipe, which must be closed to see its end.
    drop(command);
    let mut stdin = child.stdin.take().context("a pipe to zkCli")?;
    let script = script.replace("PORT", &server.port().to_string());
    let feeder = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
    let text = std::io::read_to_string(reader)?;
    let status = child.wait()?;
    // zkCli may end before it has read everything; what it showed tells.
    let _ = feeder.join();
    let port = format!("127.0.0.1:{}", server.port());
    let (lines, events) = split(&text.replace(&port, "<server>"));
    Ok(Shown {
        lines,
        events,
        code: status.code(),
    })
}

/// The jars of Apache 3.9 without JLine: without it zkCli reads plain lines and prints no prompt.
pub(crate) fn class_path() -> Result<OsString> {
    let jars = packages::apache(Line::V3_9)?;
    let mut class_path = Vec::new();
    for entry in fs::read_dir(&jars)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "jar")
            && !path.to_string_lossy().contains("jline")
        {
            class_path.push(path);
        }
    }
    Ok(std::env::join_paths(&class_path)?)
}

/// Splits what was printed into the events and the rest, masked.
pub(crate) fn split(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut events) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if line.starts_with("WatchedEvent ") {
            events.push(line.to_owned());
        } else if line == "WATCHER::" || line.is_empty() || is_log(line) {
            // Printed around an event, by the thread that prints events; or logged.
        } else {
            lines.push(masked(line));
        }
    }
    sort_identities(&mut lines);
    sort_removals(&mut events);
    (lines, events)
}

/// Sorts neighbouring events that watches were removed: the client makes them, several at once in any order.
pub(crate) fn sort_removals(events: &mut [String]) {
    for run in
        events.chunk_by_mut(|a, b| a.contains("WatchRemoved ") && b.contains("WatchRemoved "))
    {
        run.sort();
    }
}

/// Sorts the lines below the header of `whoami`: the identities of a connection are a set.
pub(crate) fn sort_identities(lines: &mut [String]) {
    let identity = |line: &String| {
        ["digest: ", "ip: ", "super: "]
            .iter()
            .any(|scheme| line.starts_with(scheme))
    };
    for at in 0..lines.len() {
        if lines[at] == "Auth scheme: User" {
            let count = lines[at + 1..]
                .iter()
                .take_while(|line| identity(line))
                .count();
            lines[at + 1..at + 1 + count].sort();
        }
    }
}

/// Whether a line was logged, at the level of warnings or above.
pub(crate) fn is_log(line: &str) -> bool {
    let dated = line.len() > 24
        && line.as_bytes()[..4].iter().all(u8::is_ascii_digit)
        && line.as_bytes()[4] == b'-';
    dated && (line.contains(" ERROR ") || line.contains(" WARN "))
}

/// A line without dates and session ids.
pub(crate) fn masked(line: &str) -> String {
    for key in ["ctime = ", "mtime = "] {
        if line.starts_with(key) {
            return format!("{key}#");
        }
    }
    if let Some(paths) = line
        .strip_prefix("[/")
        .and_then(|rest| rest.strip_suffix(']'))
    {
        // `getEphemerals`: a set, in the order of the server's hash table.
        let mut paths: Vec<&str> = paths.split(", /").collect();
        paths.sort_unstable();
        return format!("[/{}]", paths.join(", /"));
    }
    match line.strip_prefix("ephemeralOwner = ") {
        Some(owner) if owner != "0x0" => "ephemeralOwner = <session>".to_owned(),
        _ => line.to_owned(),
    }
}

/// The first lines that differ with what stands before them.
fn difference(theirs: &Shown, ours: &Shown) -> Option<String> {
    if theirs == ours {
        return None;
    }
    let mut text = difference_of_lines(&theirs.lines, &ours.lines);
    text.push_str(&difference_of_lines(&theirs.events, &ours.events));
    if theirs.code != ours.code {
        text.push_str(&format!(
            "  exit code: - {:?} + {:?}\n",
            theirs.code, ours.code
        ));
    }
    Some(text)
}

/// The first lines that differ with what stands before them; nothing when all are the same.
pub(crate) fn difference_of_lines(theirs: &[String], ours: &[String]) -> String {
    let same = theirs.iter().zip(ours).take_while(|(a, b)| a == b).count();
    if same == theirs.len() && same == ours.len() {
        return String::new();
    }
    let before = theirs[same.saturating_sub(5)..same]
        .iter()
        .map(|line| format!("    {line}\n"));
    let minus = theirs[same..]
        .iter()
        .take(4)
        .map(|line| format!("  - {line}\n"));
    let plus = ours[same..]
        .iter()
        .take(4)
        .map(|line| format!("  + {line}\n"));
    before.chain(minus).chain(plus).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_out_of_the_text() {
        let (lines, events) = split("a\n\nWATCHER::\n\nWatchedEvent x\nb\n");
        assert_eq!(
            (lines, events),
            (
                vec!["a".to_owned(), "b".to_owned()],
                vec!["WatchedEvent x".to_owned()]
            )
        );
    }
}
