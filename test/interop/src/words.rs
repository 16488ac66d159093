//! The four-letter words: the same small scene on both servers, each word asked, the texts compared after masking what
//! must differ (ports, session ids, times, latencies, the machine).
//!
//! `mntr` is compared as far as Zabra has it: the keys that it prints must be Apache's, in Apache's form, and the ones in
//! [`MNTR_NOW`] must be there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::peer::{Line, Peer, Server, Settings};
use crate::step::step;
use crate::wire::{Body, Grant, Hello, Wire, op};

/// Words whose whole text is compared.
const WORDS: [&str; 17] = [
    "ruok", "isro", "conf", "gtmk", "stmk", "dirs", "envi", "srvr", "stat", "cons", "dump", "hash",
    "wchs", "wchc", "wchp", "mntr", "srst",
];

/// Keys that `mntr` must have, and whose values must be Apache's in the scene.
const MNTR_NOW: [&str; 11] = [
    "zk_server_state",
    "zk_znode_count",
    "zk_watch_count",
    "zk_ephemerals_count",
    "zk_approximate_data_size",
    "zk_num_alive_connections",
    "zk_outstanding_requests",
    "zk_global_sessions",
    "zk_local_sessions",
    "zk_packets_received",
    "zk_packets_sent",
];

/// Compares every word between Apache 3.9 and `peer`.
///
/// # Errors
/// A difference, or something is missing.
pub fn run(peer: Peer) -> Result<String> {
    peer.provide()?;
    let mut differences = Vec::new();
    let mut asked = 0;
    step("four-letter words, all allowed", || {
        let settings = Settings::base().property("zookeeper.extendedTypesEnabled=true");
        let ours = answers(peer, &settings, true)?;
        let theirs = answers(Peer::Apache(Line::V3_9), &settings, true)?;
        asked += theirs.len();
        differences.extend(compare(&theirs, &ours));
        Ok(())
    })?;
    step("four-letter words, none allowed", || {
        let mut settings = Settings::base();
        settings.config.retain(|line| !line.starts_with("4lw"));
        let ours = answers(peer, &settings, false)?;
        let theirs = answers(Peer::Apache(Line::V3_9), &settings, false)?;
        asked += theirs.len();
        differences.extend(compare(&theirs, &ours));
        Ok(())
    })?;
    ensure!(
        differences.is_empty(),
        "{} words differ from Apache's:\n{}",
        differences.len(),
        differences.join("\n")
    );
    Ok(format!("{asked} answers are Apache's"))
}

fn compare(theirs: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) -> Vec<String> {
    let mut differences = Vec::new();
    for (word, expected) in theirs {
        let got = &ours[word];
        let difference = if word == "mntr" {
            mntr_difference(expected, got)
        } else {
            text_difference(expected, got)
        };
        if let Some(difference) = difference {
            differences.push(format!("{word}:\n{difference}"));
        }
    }
    differences
}

/// The lines that differ; `-` is Apache's, `+` is ours.
fn text_difference(expected: &str, got: &str) -> Option<String> {
    if expected == got {
        return None;
    }
    let (theirs, ours): (Vec<_>, Vec<_>) =
        (expected.split('\n').collect(), got.split('\n').collect());
    let mut text = String::new();
    for at in 0..theirs.len().max(ours.len()) {
        let (a, b) = (theirs.get(at), ours.get(at));
        if a != b {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  - {a:?}\n  + {b:?}");
        }
    }
    Some(text)
}

fn mntr_difference(expected: &str, got: &str) -> Option<String> {
    let table = |text: &str| -> BTreeMap<String, String> {
        text.lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    };
    let (theirs, ours) = (table(expected), table(got));
    let mut text = String::new();
    for (key, value) in &ours {
        match theirs.get(key) {
            None => {
                let _ = writeln!(text, "  + {key} {value}: Apache has no such key");
            }
            // Apache prints a mean over no values as NaN-free zero; a number must stay a number.
            Some(other) if other.parse::<f64>().is_ok() != value.parse::<f64>().is_ok() => {
                let _ = writeln!(text, "  - {key} {other}\n  + {key} {value}");
            }
            Some(_) => {}
        }
    }
    for key in MNTR_NOW {
        if theirs.get(key) != ours.get(key) {
            let _ = writeln!(
                text,
                "  - {key} {:?}\n  + {key} {:?}",
                theirs.get(key),
                ours.get(key)
            );
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Starts a server, sets the scene and asks every word, in one order.
fn answers(peer: Peer, settings: &Settings, allowed: bool) -> Result<BTreeMap<String, String>> {
    let dir = tempfile::tempdir()?;
    let server = peer.start(dir.path(), settings)?;
    if allowed {
        server.word("srst")?;
    }
    let scene = Scene::set(&server)?;
    let mut answers = BTreeMap::new();
    for word in WORDS {
        let asked = match word {
            "stmk" => "stmk\0\0\0\0\0\0\x01\x32",
            other => other,
        };
        let text = server.word(asked)?;
        let mut text = normal(word, &text, &server, &scene);
        if !allowed {
            // The counters cannot be reset here, and count how often it was asked whether the server serves yet.
            text = mask(&text, &["Received: ", "Sent: "]);
        }
        answers.insert(word.to_owned(), text);
    }
    for odd in ["ruok\n", "crst", "RUOK", "ru", "none"] {
        let text = if odd == "ru" {
            word_in_two_parts(&server)?
        } else {
            server.word(odd)?
        };
        answers.insert(format!("{odd:?}"), text);
    }
    let text = String::from_utf8_lossy(&raw(&server, &[&[0xff, 0xf4, 0xff, 0xfd]])?).into_owned();
    answers.insert("telnet interrupt".to_owned(), text);
    if allowed {
        let text = server.word("cons")?;
        answers.insert(
            "cons after crst".to_owned(),
            normal("cons", &text, &server, &scene),
        );
    }
    Ok(answers)
}

fn word_in_two_parts(server: &Server) -> Result<String> {
    Ok(String::from_utf8_lossy(&raw(server, &[b"ru", b"ok"])?).into_owned())
}

/// Sends the parts as separate segments and reads to the end.
fn raw(server: &Server, parts: &[&[u8]]) -> Result<Vec<u8>> {
    use std::io::{Read, Write};
    let mut socket = TcpStream::connect(server.addr())?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    for part in parts {
        socket.write_all(part)?;
        // Lets the part leave as a segment of its own; the answer must be the same however the parts arrive.
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Ok(_) => Ok(answer),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(answer),
        Err(error) => Err(error).with_context(|| format!("{} answering {parts:?}", server.peer())),
    }
}

/// Two sessions with znodes, an ephemeral and watches of every kind.
struct Scene {
    sessions: Vec<(Wire, Grant)>,
}

impl Scene {
    fn set(server: &Server) -> Result<Self> {
        let mut sessions = Vec::new();
        for timeout in [30_000, 20_000] {
            let met = Wire::connect(server.addr(), &Hello::new(timeout))?;
            sessions.push(met.context("closed at the handshake")?);
        }
        let any = [(31, "world", "anyone")];
        let create = |path: &str, flags: i32| {
            Body::new()
                .string(path)
                .buffer(Some(b"data"))
                .acl(&any)
                .i32(flags)
        };
        let first = &mut sessions[0].0;
        first.call(1, op::CREATE, &create("/a", 0))?;
        first.call(2, op::CREATE, &create("/a/e", 1))?;
        first.call(3, op::CREATE, &create("/a/s-", 3))?;
        first.call(4, op::EXISTS, &Body::new().string("/none").bool(true))?;
        first.call(5, op::GET_CHILDREN, &Body::new().string("/a").bool(true))?;
        let second = &mut sessions[1].0;
        second.call(1, op::GET_DATA, &Body::new().string("/a").bool(true))?;
        second.call(2, op::ADD_WATCH, &Body::new().string("/p").i32(0))?;
        second.call(3, op::ADD_WATCH, &Body::new().string("/r").i32(1))?;
        second.call(4, op::DELETE, &Body::new().string("/none").i32(-1))?;
        Ok(Self { sessions })
    }

    /// Names the sessions by their order.
    fn name(&self, text: &str) -> String {
        self.sessions
            .iter()
            .enumerate()
            .fold(text.to_owned(), |text, (n, (_, grant))| {
                text.replace(&format!("0x{:x}", grant.session), &format!("<session {n}>"))
            })
    }
}

/// The text with everything masked that must differ between two servers.
fn normal(word: &str, text: &str, server: &Server, scene: &Scene) -> String {
    let text = scene.name(&text.replace(&server.data().display().to_string(), "<data>"));
    match word {
        "conf" => mask(&text, &["clientPort=", "dataDirSize=", "dataLogSize="]),
        "dirs" => mask(&text, &["datadir_size: ", "logdir_size: "]),
        "envi" => keys_only(&text),
        "hash" => text
            .lines()
            .map(|line| line.split(':').next().unwrap_or(line).to_owned() + "\n")
            .collect(),
        "srvr" | "stat" => sorted_clients(&mask(
            &text,
            &["min/avg/max: ", "Zookeeper version: ", "127.0.0.1:"],
        )),
        "cons" => sorted_clients(&mask(
            &text,
            &[
                "127.0.0.1:",
                "est=",
                "lresp=",
                "llat=",
                "minlat=",
                "avglat=",
                "maxlat=",
            ],
        )),
        "dump" => dump(&text),
        "wchc" | "wchp" => sorted_groups(&text),
        _ => text,
    }
}

/// Replaces the word after each of `keys` with `#`; the version and the latencies go to the end of their line.
fn mask(text: &str, keys: &[&str]) -> String {
    let mut masked = text.to_owned();
    for key in keys {
        let mut rest = std::mem::take(&mut masked);
        while let Some(at) = rest.find(key) {
            let tail = rest.split_off(at + key.len());
            masked.push_str(&rest);
            masked.push('#');
            let to_line_end = matches!(*key, "Zookeeper version: " | "min/avg/max: ");
            let end = tail.find(|c: char| {
                if to_line_end {
                    c == '\n'
                } else {
                    !c.is_ascii_hexdigit() && c != '.'
                }
            });
            rest = tail[end.unwrap_or(tail.len())..].to_owned();
        }
        masked.push_str(&rest);
    }
    masked
}

fn keys_only(text: &str) -> String {
    text.lines()
        .map(|line| line.split('=').next().unwrap_or(line).to_owned() + "\n")
        .collect()
}

/// The lines of clients in one order; a server may list them in any.
fn sorted_clients(text: &str) -> String {
    let (mut clients, others): (Vec<&str>, Vec<&str>) =
        text.split('\n').partition(|line| line.starts_with(" /"));
    clients.sort_unstable();
    format!("{}\n--\n{}", clients.join("\n"), others.join("\n"))
}

/// Groups (a line, then lines with a TAB) in one order.
fn sorted_groups(text: &str) -> String {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut head = "";
    for line in text.split('\n') {
        if line.starts_with('\t') {
            groups.entry(head).or_default().push(line);
        } else {
            head = line;
            groups.entry(head).or_default();
        }
    }
    let mut sorted = String::new();
    for (head, mut lines) in groups {
        lines.sort_unstable();
        let _ = writeln!(sorted, "{head}\n{}", lines.join("\n"));
    }
    sorted
}

/// `dump` without what time decides (dates, how sessions and connections share a set, connections of words), each part in
/// one order.
fn dump(text: &str) -> String {
    let mut parts: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        if line.ends_with("dump:") {
            parts.push(Vec::new());
        }
        if line.contains(" expire at ") || line.contains("sessionId: 0x0") {
            continue;
        }
        let line = match line.split_once(" Sets (") {
            Some((title, _)) => format!("{title} Sets"),
            None => mask(line, &["127.0.0.1:"]),
        };
        if let Some(part) = parts.last_mut() {
            part.push(line);
        }
    }
    let title_first = |mut part: Vec<String>| {
        part[1..].sort();
        part.join("\n")
    };
    parts
        .into_iter()
        .map(title_first)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_leaves_the_shape_of_a_line() {
        let masked = mask(
            " /127.0.0.1:4711[1](queued=0,est=12,to=3)\n",
            &["127.0.0.1:", "est="],
        );
        assert_eq!(masked, " /127.0.0.1:#[1](queued=0,est=#,to=3)\n");
    }

    #[test]
    fn an_unknown_key_of_mntr_is_a_difference() {
        assert!(mntr_difference("zk_a\t1\n", "zk_b\t1\n").is_some());
        assert!(mntr_difference("", "").is_none());
    }
}
