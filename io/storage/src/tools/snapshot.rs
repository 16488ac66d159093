//! `zkSnapShotToolkit.sh`: what a snapshot holds, as text or JSON.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

use zabra_proto::{Acl, SessionId, StatPersisted};

use super::date::Date;
use super::{ToolFailure, file_name};
use crate::names::{Compression, parse_snapshot_name};
use crate::snapshot::{Refusal, SnapshotFile, SnapshotSink, read_snapshot};
use crate::vfs::Vfs;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotFormat {
    /// A block of lines per znode, with the length of its data.
    Text,
    /// The same with the data (`-d`), in base64.
    TextWithData,
    /// Nested arrays (`-json`), with the present time in ms.
    Json {
        /// Milliseconds since 1970.
        now: i64,
    },
}

/// Prints a snapshot file of any name.
pub fn print_snapshot(
    vfs: &dyn Vfs,
    path: &Path,
    format: SnapshotFormat,
    out: &mut dyn Write,
) -> Result<(), ToolFailure> {
    if !vfs
        .exists(path)
        .map_err(|e| ToolFailure::io("look for", path, &e))?
    {
        return Err(ToolFailure::new(
            2,
            format!("File '{}' does not exist.", path.display()),
        ));
    }
    let name = file_name(path);
    let (zxid, compression) = match parse_snapshot_name(&name) {
        Some((zxid, compression)) => (Some(zxid), compression),
        None if name.ends_with(".gz") => (None, Compression::Gzip),
        None if name.ends_with(".snappy") => (None, Compression::Snappy),
        None => (None, Compression::None),
    };
    let file = SnapshotFile {
        zxid: zxid.unwrap_or_default(),
        compression,
        name,
        len: 0,
    };
    let dir = path.parent().unwrap_or(Path::new(""));
    let mut content = Content::default();
    read_snapshot(vfs, dir, &file, &mut content)
        .map_err(|e| ToolFailure::new(1, format!("{} {e}", path.display())))?;
    match format {
        SnapshotFormat::Text => content.print_text(false, zxid.map_or(-1, |z| z.to_wire()), out),
        SnapshotFormat::TextWithData => {
            content.print_text(true, zxid.map_or(-1, |z| z.to_wire()), out)
        }
        SnapshotFormat::Json { now } => content.print_json(now, out),
    }
}

/// The znodes with their children in the order of the file.
#[derive(Default)]
struct Content {
    sessions: Vec<(SessionId, i32)>,
    nodes: Vec<Node>,
    by_path: HashMap<String, usize>,
}

struct Node {
    path: String,
    data: Option<Vec<u8>>,
    stat: StatPersisted,
    children: Vec<usize>,
}

impl SnapshotSink for Content {
    fn reset(&mut self) {
        *self = Self::default();
    }

    fn session(&mut self, id: SessionId, timeout_ms: i32) -> Result<(), Refusal> {
        self.sessions.push((id, timeout_ms));
        Ok(())
    }

    fn acl(&mut self, _: i64, _: Vec<Acl<'static>>) -> Result<(), Refusal> {
        Ok(())
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        _: i64,
        stat: &StatPersisted,
    ) -> Result<(), Refusal> {
        let index = self.nodes.len();
        if let Some((parent, _)) = path.rsplit_once('/') {
            let parent = self
                .by_path
                .get(parent)
                .and_then(|i| self.nodes.get_mut(*i));
            let parent =
                parent.ok_or_else(|| Refusal(format!("the parent of {path} is missing")))?;
            parent.children.push(index);
        }
        self.by_path.insert(path.to_owned(), index);
        let data = data.map(<[u8]>::to_vec);
        self.nodes.push(Node {
            path: path.to_owned(),
            data,
            stat: *stat,
            children: Vec::new(),
        });
        Ok(())
    }
}

/// A step of the walk over the tree; a stack of them replaces recursion, since depth comes from the file (P57).
enum Step {
    Enter(usize),
    Leave,
}

impl Content {
    fn print_text(
        &self,
        with_data: bool,
        name_zxid: i64,
        out: &mut dyn Write,
    ) -> Result<(), ToolFailure> {
        // Apache's tree counts its root twice, once for each of its names.
        writeln!(out, "ZNode Details (count={}):", self.nodes.len() + 1)?;
        let mut last = name_zxid;
        let mut todo = vec![0];
        while let Some(node) = todo.pop().and_then(|i| self.nodes.get(i)) {
            todo.extend(node.children.iter().rev());
            last = last.max(node.stat.mzxid).max(node.stat.pzxid);
            out.write_all(node.text(with_data).as_bytes())?;
        }
        writeln!(out, "----\nSession Details (sid, timeout, ephemeralCount):")?;
        let mut ephemerals: HashMap<i64, usize> = HashMap::new();
        for node in &self.nodes {
            *ephemerals.entry(node.stat.ephemeral_owner).or_default() += 1;
        }
        for (id, timeout) in &self.sessions {
            let owned = ephemerals.get(&id.0).copied().unwrap_or(0);
            writeln!(out, "{:#016x}, {timeout}, {owned}", id.0)?;
        }
        writeln!(out, "----\nLast zxid: {last:#x}")?;
        Ok(())
    }

    fn print_json(&self, now: i64, out: &mut dyn Write) -> Result<(), ToolFailure> {
        let head = r#"[1,0,{"progname":"SnapshotFormatter.java","progver":"0.01","timestamp":"#;
        write!(out, "{head}{now}}}")?;
        let mut number = 1000;
        let mut todo = vec![Step::Enter(0)];
        while let Some(step) = todo.pop() {
            let node = match step {
                Step::Enter(index) => self.nodes.get(index),
                Step::Leave => {
                    write!(out, "]")?;
                    continue;
                }
            };
            let Some(node) = node else { continue };
            number += 1;
            let name = if node.path.is_empty() {
                "/"
            } else {
                node.path.rsplit('/').next().unwrap_or_default()
            };
            let size = node.data.as_ref().map_or(0, Vec::len);
            let open = if node.children.is_empty() { "" } else { "[" };
            write!(
                out,
                r#",{open}{{"name":"{}","asize":{size},"dsize":{size},"dev":0,"ino":{number}}}"#,
                json_escaped(name)
            )?;
            if !node.children.is_empty() {
                todo.push(Step::Leave);
                todo.extend(node.children.iter().rev().map(|i| Step::Enter(*i)));
            }
        }
        write!(out, "]")?;
        Ok(())
    }
}

impl Node {
    fn text(&self, with_data: bool) -> String {
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        let stat = &self.stat;
        let mut text = format!("----\n{path}\n");
        let mut line = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name} = {value}");
        };
        let hex = |value: i64| format!("{value:#016x}");
        line("cZxid", hex(stat.czxid));
        line("ctime", Date::from_millis(stat.ctime).full());
        line("mZxid", hex(stat.mzxid));
        line("mtime", Date::from_millis(stat.mtime).full());
        line("pZxid", hex(stat.pzxid));
        line("cversion", stat.cversion.to_string());
        line("dataVersion", stat.version.to_string());
        line("aclVersion", stat.aversion.to_string());
        line("ephemeralOwner", hex(stat.ephemeral_owner));
        let data = self.data.as_deref().unwrap_or_default();
        if with_data {
            line("data", base64(data));
        } else {
            line("dataLength", data.len().to_string());
        }
        text
    }
}

fn json_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = 0u32;
        for (i, byte) in chunk.iter().enumerate() {
            group |= u32::from(*byte) << (16 - 8 * i);
        }
        for i in 0..4 {
            let digit = ALPHABET
                .get((group >> (18 - 6 * i)) as usize & 63)
                .copied()
                .unwrap_or(b'=');
            out.push(if i <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, packed) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), packed);
        }
    }
}
