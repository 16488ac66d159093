//! The grammar of Java's `Properties` files, each entry with the line it began on.
//!
//! This is the grammar of `zoo.cfg`, of dynamic configuration files and of client properties. It
//! knows nothing of what the keys mean: [`crate::Config`] does. Bytes are read as ISO 8859-1 and
//! everything else is written `\uXXXX`, because that is how Java reads the same file, and a
//! directory that Java created must be found again.
//!
//! ```text
//! logical line   natural lines joined where one ends in an odd number of backslashes; the blanks
//!                that begin the next one are dropped
//! comment        first visible character # or !; never continued
//! key            up to the first unescaped =, : or blank
//! value          after blanks, at most one = or :, and blanks again; blanks at its end belong to it
//! escapes        \t \n \r \f \uXXXX; a backslash before any other character stands for that one
//! ```

use std::fmt;

use crate::error::{ConfigError, Location};
use crate::secret::is_secret_key;

/// One `key = value` of a properties file.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key with its escapes resolved; not trimmed.
    pub key: String,
    /// The value with its escapes resolved; not trimmed.
    pub value: String,
    /// The natural line, counted from 1, on which the key begins.
    pub line: usize,
    /// The natural line on which the value ends.
    pub last_line: usize,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if is_secret_key(self.key.trim()) {
            "***"
        } else {
            &self.value
        };
        write!(f, "{}: {} = {value:?}", self.line, self.key)
    }
}

/// A properties file as it was written: every entry in order, repeated keys included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    name: String,
    entries: Vec<Entry>,
    foreign_line: Option<usize>,
}

impl Properties {
    /// Reads `bytes`; `name` is the file's name as messages shall show it.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.len() > BYTES_MAX {
            return Err(ConfigError::new(
                Some(Location::file(name)),
                format!(
                    "the file has {} bytes, more than the {BYTES_MAX} that a configuration may have",
                    bytes.len()
                ),
                "is it the right file?",
            ));
        }
        let mut entries = Vec::new();
        for logical in LogicalLines::new(bytes) {
            entries.push(logical.entry(name)?);
        }
        let foreign_line = bytes
            .split(|&b| b == b'\n')
            .position(|line| !line.is_ascii())
            .map(|i| i + 1);
        Ok(Self {
            name: name.to_owned(),
            entries,
            foreign_line,
        })
    }

    /// Entries that stand for arguments of the command line, all in line 0.
    pub(crate) fn from_arguments<'a>(lines: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let entries = lines.into_iter().map(|(key, value)| Entry {
            key: key.to_owned(),
            value,
            line: 0,
            last_line: 0,
        });
        Self {
            name: "command line".to_owned(),
            entries: entries.collect(),
            foreign_line: None,
        }
    }

    /// The name given to [`Properties::parse`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file without the entries whose key is one of `dropped`, everything else byte for byte, comments too. `bytes`
    /// are those that were parsed. The last line has an end, if there is one.
    pub(crate) fn without(&self, bytes: &[u8], dropped: impl Fn(&str) -> bool) -> Vec<u8> {
        let mut dropped = self.entries.iter().filter(|entry| dropped(&entry.key));
        let mut next = dropped.next();
        let mut lines = LogicalLines::new(bytes);
        let mut kept = Vec::with_capacity(bytes.len());
        while !lines.rest.is_empty() {
            let before = lines.rest;
            lines.natural();
            while next.is_some_and(|entry| entry.last_line < lines.line) {
                next = dropped.next();
            }
            if next.is_none_or(|entry| lines.line < entry.line) {
                kept.extend_from_slice(&before[..before.len() - lines.rest.len()]);
            }
        }
        if !kept.is_empty() && !kept.ends_with(b"\n") {
            kept.push(b'\n');
        }
        kept
    }

    /// All entries in the order in which they were written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The first line with a byte outside ASCII, which Java reads as ISO 8859-1 and not as UTF-8.
    pub fn foreign_line(&self) -> Option<usize> {
        self.foreign_line
    }

    /// The place of `entry` for a message.
    pub fn location(&self, entry: &Entry) -> Location {
        match entry.line {
            0 => Location::Argument,
            line => Location::line(&self.name, line),
        }
    }
}

/// A larger file than this is no configuration; Java would read it, and nobody has one.
pub(crate) const BYTES_MAX: usize = 16 << 20;

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | 0x0c)
}

/// One logical line: continuations joined, escapes still in place.
struct LogicalLine {
    bytes: Vec<u8>,
    line: usize,
    last_line: usize,
}

impl LogicalLine {
    fn entry(&self, name: &str) -> Result<Entry, ConfigError> {
        let bytes = &self.bytes;
        let mut at = 0;
        while at < bytes.len() && !is_blank(bytes[at]) && !matches!(bytes[at], b'=' | b':') {
            at += if bytes[at] == b'\\' { 2 } else { 1 };
        }
        let key_end = at.min(bytes.len());
        let mut value_start = key_end;
        let skip_blanks = |mut from: usize| {
            while from < bytes.len() && is_blank(bytes[from]) {
                from += 1;
            }
            from
        };
        value_start = skip_blanks(value_start);
        if value_start < bytes.len() && matches!(bytes[value_start], b'=' | b':') {
            value_start = skip_blanks(value_start + 1);
        }
        let unescaped = |part: &[u8]| {
            unescape(part).map_err(|BadUnicode| {
                ConfigError::new(
                    Some(Location::line(name, self.line)),
                    "\\u is not followed by four hexadecimal digits",
                    "write a backslash that stands for itself as two",
                )
            })
        };
        Ok(Entry {
            key: unescaped(&bytes[..key_end])?,
            value: unescaped(&bytes[value_start..])?,
            line: self.line,
            last_line: self.last_line,
        })
    }
}

/// Splits a file into logical lines, leaving out blank ones and comments.
struct LogicalLines<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> LogicalLines<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            line: 0,
        }
    }

    /// The next natural line without its end; CR, LF and CR LF end one alike.
    fn natural(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let end = self.rest.iter().position(|b| matches!(b, b'\n' | b'\r'));
        let Some(end) = end else {
            return Some(std::mem::take(&mut self.rest));
        };
        let (line, tail) = self.rest.split_at(end);
        let skip = if tail.starts_with(b"\r\n") { 2 } else { 1 };
        self.rest = &tail[skip..];
        Some(line)
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = LogicalLine;

    fn next(&mut self) -> Option<LogicalLine> {
        loop {
            let first = trim_start(self.natural()?);
            if first.is_empty() || matches!(first[0], b'#' | b'!') {
                continue;
            }
            let line = self.line;
            let mut bytes = first.to_vec();
            // A continued line that turns out blank ends the logical line. A # there begins a
            // comment only if nothing came before it.
            while ends_in_open_backslash(&bytes) {
                bytes.pop();
                let Some(more) = self.natural().map(trim_start) else {
                    break;
                };
                if bytes.is_empty() && matches!(more.first(), Some(b'#' | b'!')) {
                    break;
                }
                bytes.extend_from_slice(more);
            }
            // Java makes an entry without key and value of a backslash that ends the file; it would
            // say nothing.
            if !bytes.is_empty() {
                let last_line = self.line;
                return Some(LogicalLine {
                    bytes,
                    line,
                    last_line,
                });
            }
        }
    }
}

fn trim_start(line: &[u8]) -> &[u8] {
    let blanks = line.iter().take_while(|&&b| is_blank(b)).count();
    &line[blanks..]
}

fn ends_in_open_backslash(bytes: &[u8]) -> bool {
    bytes.iter().rev().take_while(|&&b| b == b'\\').count() % 2 == 1
}

struct BadUnicode;

/// Resolves escapes. Java's strings are UTF-16, so two `\u` may make up one character; a lone half
/// becomes U+FFFD.
fn unescape(bytes: &[u8]) -> Result<String, BadUnicode> {
    let mut units: Vec<u16> = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(&b) = rest.next() {
        if b != b'\\' {
            units.push(u16::from(b));
            continue;
        }
        let Some(&escaped) = rest.next() else { break };
        units.push(match escaped {
            b't' => 0x09,
            b'n' => 0x0a,
            b'r' => 0x0d,
            b'f' => 0x0c,
            b'u' => {
                let digits = rest.as_slice().get(..4).ok_or(BadUnicode)?;
                let mut unit = 0;
                for &digit in digits {
                    let digit = char::from(digit).to_digit(16).ok_or(BadUnicode)?;
                    // Four digits of four bits fill a u16 exactly.
                    unit = (unit << 4) | digit as u16;
                }
                rest = rest.as_slice()[4..].iter();
                unit
            }
            other => u16::from(other),
        });
    }
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &[u8]) -> Vec<(String, String, usize)> {
        let parsed = Properties::parse("zoo.cfg", text).expect("well formed");
        parsed
            .entries()
            .iter()
            .map(|e| (e.key.clone(), e.value.clone(), e.line))
            .collect()
    }

    fn one(text: &str) -> (String, String) {
        let all = pairs(text.as_bytes());
        assert_eq!(all.len(), 1, "{all:?}");
        (all[0].0.clone(), all[0].1.clone())
    }

    fn kv(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn dropping_entries_keeps_every_other_byte() {
        let text = b"# one\r\na=1\n\nb = 2\\\n  3 \n!two\nA=4\rc\t5\na:6";
        let parsed = Properties::parse("zoo.cfg", text).expect("well formed");
        let without = |keys: &[&str]| {
            let kept = parsed.without(text, |key| keys.contains(&key));
            String::from_utf8(kept).expect("ASCII")
        };
        assert_eq!(
            without(&["a"]),
            "# one\r\n\nb = 2\\\n  3 \n!two\nA=4\rc\t5\n"
        );
        assert_eq!(without(&["b", "c"]), "# one\r\na=1\n\n!two\nA=4\ra:6\n");
        assert_eq!(without(&[]).as_bytes(), [text, &b"\n"[..]].concat());
        assert_eq!(parsed.without(b"", |_| true), b"");
    }

    #[test]
    fn equals_colon_and_blank_all_separate() {
        for text in [
            "k=v",
            "k:v",
            "k v",
            "k\tv",
            "k = v",
            " k : v",
            "k\x0cv",
            "k   =   v",
        ] {
            assert_eq!(one(text), kv("k", "v"), "{text:?}");
        }
    }

    #[test]
    fn only_the_first_separator_counts() {
        assert_eq!(one("k==v"), kv("k", "=v"));
        assert_eq!(one("k = : v"), kv("k", ": v"));
        assert_eq!(
            one("server.1=host:2888:3888;2181"),
            kv("server.1", "host:2888:3888;2181")
        );
    }

    #[test]
    fn a_key_may_stand_alone_and_a_value_keep_its_end_blanks() {
        assert_eq!(one("k"), kv("k", ""));
        assert_eq!(one("k="), kv("k", ""));
        assert_eq!(one("k=v  "), kv("k", "v  "));
        assert_eq!(one("=v"), kv("", "v"));
    }

    #[test]
    fn comments_and_blank_lines_are_left_out_but_counted() {
        let text = b"# a\n! b=c\n\n   \t\n  # d\nk=v\n#last\\\nm=n";
        assert_eq!(
            pairs(text),
            vec![
                ("k".to_owned(), "v".to_owned(), 6),
                ("m".to_owned(), "n".to_owned(), 8)
            ]
        );
    }

    #[test]
    fn continuations_join_and_drop_the_blanks_that_begin_the_next_line() {
        assert_eq!(one("k=a\\\n   b\\\r\n\tc"), kv("k", "abc"));
        assert_eq!(one("k=a\\\n#b"), kv("k", "a#b"));
        assert_eq!(one("\\\n#b\nk=a"), kv("k", "a"));
        assert_eq!(pairs(b"\\"), []);
        assert_eq!(pairs(b"k=a\\\n\nm=n").len(), 2);
        assert_eq!(one("k=a\\\\"), kv("k", "a\\"));
        assert_eq!(one("k=a\\"), kv("k", "a"));
        assert_eq!(pairs(b"a\\\nb=1\nc=2")[1].2, 3);
    }

    #[test]
    fn every_line_end_counts_once() {
        let lines: Vec<usize> = pairs(b"a=1\r\nb=2\rc=3\nd=4").iter().map(|e| e.2).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
    }

    #[test]
    fn escapes_stand_for_their_characters() {
        assert_eq!(one(r"a\ b\=c=d"), kv("a b=c", "d"));
        assert_eq!(one(r"k=\t\n\r\f\x\\"), kv("k", "\t\n\r\u{c}x\\"));
        assert_eq!(one(r"k=\u0041\u00e9\uD83E\uDD93"), kv("k", "Aé🦓"));
        assert_eq!(one(r"k=\uD83E"), kv("k", "\u{fffd}"));
    }

    #[test]
    fn a_broken_unicode_escape_names_file_and_line() {
        for text in ["\n\nk=\\u00g0", "\n\nk=\\u00", "\n\n\\u=1"] {
            let error = Properties::parse("zoo.cfg", text.as_bytes()).expect_err(text);
            assert!(error.to_string().starts_with("zoo.cfg:3: "), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let parsed =
            Properties::parse("f", b"ssl.keyStore.password=hunter2\nk=v").expect("well formed");
        let shown = format!("{parsed:?}");
        assert!(
            !shown.contains("hunter2") && shown.contains("k = \"v\""),
            "{shown}"
        );
    }

    #[test]
    fn bytes_are_latin_1_as_java_reads_them() {
        let parsed = Properties::parse("zoo.cfg", "a=b\nk=é".as_bytes()).expect("well formed");
        assert_eq!(parsed.entries()[1].value, "Ã©");
        assert_eq!(parsed.foreign_line(), Some(2));
    }

    proptest! {
        #[test]
        fn what_is_kept_reads_as_before(text in "([ab#\\\\]{0,2}[=: ][x\\\\]{0,2}(\n|\r|\r\n)){0,6}") {
            let parsed = Properties::parse("zoo.cfg", text.as_bytes()).expect("no escapes of four digits");
            let kept = parsed.without(text.as_bytes(), |key| key == "a");
            let again = Properties::parse("zoo.cfg", &kept).expect("as before");
            let pairs = |of: &Properties| -> Vec<_> {
                of.entries().iter().map(|e| (e.key.clone(), e.value.clone())).collect()
            };
            let mut expected = pairs(&parsed);
            expected.retain(|(key, _)| key != "a");
            prop_assert_eq!(pairs(&again), expected);
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Properties::parse("f", &bytes);
        }

        #[test]
        fn no_input_of_meaningful_characters_panics(text in "[\\\\ u0-9a-f=:#!\\t\\r\\n]{0,200}") {
            let _ = Properties::parse("f", text.as_bytes());
        }

        #[test]
        // Without t, n, r, f and u, before which a backslash means another character.
        fn what_is_escaped_comes_back(key in "[ -eg-mo-qsv-~]{1,20}", value in "[ -eg-mo-qsv-~]{0,20}") {
            let escaped = |text: &str| text.chars().flat_map(|c| ['\\', c]).collect::<String>();
            let line = format!("{}={}", escaped(&key), escaped(&value));
            prop_assert_eq!(one(&line), (key, value));
        }
    }
}
