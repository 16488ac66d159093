//! Reads settings from `zoo.cfg` and system properties, with Apache's precedence and Apache's idea
//! of each type.
//!
//! A key of `zoo.cfg` that Apache's parser does not know becomes the system property
//! `zookeeper.<key>`, over a `-D` of that name. What the parser knows is checked strictly; what
//! becomes a property is read where it is used, and there a value that cannot be read counts as
//! absent. Both rules are kept, the second with a warning.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use crate::error::{ConfigError, Location};
use crate::notice::{Notice, Severity};
use crate::properties::{Entry, Properties};
use crate::setting::{Kind, PREFIX, Place, Setting};
use crate::system_properties::SystemProperties;
use crate::table;

/// A value that was given for a setting.
#[derive(Clone)]
pub(crate) struct Given {
    /// The value, trimmed as Apache trims it.
    pub value: String,
    /// Where it was given.
    pub location: Location,
    /// The name by which it was given.
    pub name: String,
}

/// Both sources of settings, and what there is to say about what is read from them.
pub(crate) struct Source<'a> {
    file: BTreeMap<String, (String, Location)>,
    properties: &'a SystemProperties,
    notices: Vec<Notice>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: Option<&Properties>, properties: &'a SystemProperties) -> Self {
        let mut last = BTreeMap::new();
        for (file, entry) in file
            .iter()
            .flat_map(|file| file.entries().iter().map(move |entry| (file, entry)))
        {
            last.insert(
                trimmed(&entry.key).to_owned(),
                (trimmed(&entry.value).to_owned(), file.location(entry)),
            );
        }
        Self {
            file: last,
            properties,
            notices: Vec::new(),
        }
    }

    /// The value that counts for `setting`, if one was given.
    pub(crate) fn given(&self, setting: &Setting) -> Option<Given> {
        let from_file = |name: &str| {
            let (value, location) = self.file.get(name)?;
            Some(Given {
                value: value.clone(),
                location: location.clone(),
                name: name.to_owned(),
            })
        };
        let from_properties = |name: &str| {
            let (value, location) = self.properties.found(name)?;
            Some(Given {
                value: trimmed(value).to_owned(),
                location: location.clone(),
                name: name.to_owned(),
            })
        };
        let own = setting.property();
        // What Apache would take, in its order.
        let first = || match setting.place {
            Place::File | Place::Prefixed => from_file(setting.key),
            Place::Bare => None,
        };
        let second = || own.as_deref().and_then(from_properties);
        let third = || setting.also.iter().find_map(|name| from_properties(name));
        // What Apache would not see: an unprefixed or a prefixed key in the file, and the names of
        // the documentation.
        let fourth = || match setting.place {
            Place::File => None,
            Place::Prefixed => from_file(&format!("{PREFIX}{}", setting.key)),
            Place::Bare => from_file(setting.key),
        };
        let fifth = || {
            let documented = |name: &&str| {
                from_file(name).or_else(|| from_properties(&format!("{PREFIX}{name}")))
            };
            setting.documented_as.iter().find_map(documented)
        };
        first()
            .or_else(second)
            .or_else(third)
            .or_else(fourth)
            .or_else(fifth)
    }

    /// All members of a family that were given, by the part of the key that follows the family's
    /// stem.
    pub(crate) fn family(&self, key: &str) -> BTreeMap<String, Given> {
        let setting = row(key);
        let stem = setting.family().unwrap_or(setting.key);
        let mut members = BTreeMap::new();
        let property_stem = format!("{PREFIX}{stem}");
        if setting.place == Place::Prefixed {
            for (name, value, location) in self.properties.iter() {
                if let Some(rest) = name.strip_prefix(&property_stem) {
                    let given = Given {
                        value: trimmed(value).to_owned(),
                        location: location.clone(),
                        name: name.to_owned(),
                    };
                    members.insert(rest.to_owned(), given);
                }
            }
        }
        for (name, (value, location)) in &self.file {
            if let Some(rest) = name.strip_prefix(stem) {
                let given = Given {
                    value: value.clone(),
                    location: location.clone(),
                    name: name.clone(),
                };
                members.insert(rest.to_owned(), given);
            }
        }
        members
    }

    pub(crate) fn file_entries(&self) -> impl Iterator<Item = (&str, &str, &Location)> {
        self.file
            .iter()
            .map(|(key, (value, location))| (key.as_str(), value.as_str(), location))
    }

    pub(crate) fn properties(&self) -> &SystemProperties {
        self.properties
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        let setting = row(key);
        self.given(setting)
            .map(|g| g.value)
            .or_else(|| default_of(setting))
            .filter(|text| !text.is_empty())
    }

    /// Whether a value was given at all.
    pub(crate) fn is_given(&self, key: &str) -> bool {
        self.given(row(key)).is_some()
    }

    pub(crate) fn location(&self, key: &str) -> Option<Location> {
        self.given(row(key)).map(|g| g.location)
    }

    pub(crate) fn int(&mut self, key: &str) -> Result<i32, ConfigError> {
        Ok(self
            .int_if_given(key)?
            .unwrap_or_else(|| parsed_default(key)))
    }

    /// As [`Source::int`], for a setting whose default is not a number.
    pub(crate) fn int_if_given(&mut self, key: &str) -> Result<Option<i32>, ConfigError> {
        self.number(
            key,
            "a whole number from -2147483648 to 2147483647",
            parse_java_int,
            |n| i32::try_from(n).ok(),
        )
    }

    pub(crate) fn long(&mut self, key: &str) -> Result<i64, ConfigError> {
        Ok(self
            .long_if_given(key)?
            .unwrap_or_else(|| parsed_default(key)))
    }

    pub(crate) fn long_if_given(&mut self, key: &str) -> Result<Option<i64>, ConfigError> {
        self.number(key, "a whole number of 64 bits", parse_java_long, Some)
    }

    pub(crate) fn real(&mut self, key: &str) -> Result<f64, ConfigError> {
        let finite = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite());
        let given = self.value(key, "a number", finite, finite)?;
        Ok(given.unwrap_or_else(|| parsed_default(key)))
    }

    /// A number of milliseconds; what is negative counts as none, since no wait is shorter.
    pub(crate) fn millis(&mut self, key: &str) -> Result<Duration, ConfigError> {
        let millis = match row(key).kind {
            Kind::Int => i64::from(self.int(key)?),
            _ => self.long(key)?,
        };
        Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
    }

    /// `true` or `false` in any case. In `zoo.cfg` a parser's key must be one of them; a property
    /// that is not true is false (features CF-04).
    pub(crate) fn flag(&mut self, key: &str) -> Result<bool, ConfigError> {
        let setting = row(key);
        let Some(given) = self.given(setting) else {
            return Ok(setting.default == "true");
        };
        match given.value.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ if setting.place == Place::File => {
                Err(bad_value(setting, &given, "neither true nor false"))
            }
            _ => {
                self.warn_of(
                    &given,
                    format!(
                        "{} = \"{}\" is not true and therefore false",
                        given.name, given.value
                    ),
                );
                Ok(false)
            }
        }
    }

    /// Whether the value of a yes/no setting is exactly `word`; anything else is the other word, as
    /// in Apache.
    pub(crate) fn is_word(&mut self, key: &str, word: &str) -> bool {
        let setting = row(key);
        let Some(given) = self.given(setting) else {
            return setting.default == word;
        };
        let Kind::Choice(words) = setting.kind else {
            return given.value == word;
        };
        if !words.contains(&given.value.as_str()) {
            let other = words.iter().find(|w| **w != word).unwrap_or(&word);
            self.warn_of(
                &given,
                format!(
                    "{} = \"{}\" counts as {other}; write {}",
                    given.name,
                    given.value,
                    words.join(" or ")
                ),
            );
        }
        given.value == word
    }

    fn number<T>(
        &mut self,
        key: &str,
        expected: &str,
        strict: impl Fn(&str) -> Option<T>,
        narrow: impl Fn(i64) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        self.value(key, expected, strict, |text| {
            decode_java(text).and_then(&narrow)
        })
    }

    /// Reads a value strictly where Apache's parser would, otherwise leniently with a warning.
    fn value<T>(
        &mut self,
        key: &str,
        expected: &str,
        strict: impl Fn(&str) -> Option<T>,
        lenient: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let setting = row(key);
        let Some(given) = self.given(setting) else {
            return Ok(None);
        };
        if setting.place == Place::File {
            return match strict(&given.value) {
                Some(value) => Ok(Some(value)),
                None => Err(bad_value(setting, &given, &format!("not {expected}"))),
            };
        }
        let value = lenient(&given.value);
        if value.is_none() {
            let default = if setting.default.is_empty() {
                "its default"
            } else {
                setting.default
            };
            self.warn_of(
                &given,
                format!(
                    "{} = \"{}\" is not {expected}; {default} is used",
                    given.name, given.value
                ),
            );
        }
        Ok(value)
    }

    pub(crate) fn warn_of(&mut self, given: &Given, text: impl Into<String>) {
        self.notices.push(Notice::new(
            Severity::Warning,
            Some(given.location.clone()),
            text,
        ));
    }

    pub(crate) fn warn(&mut self, key: &str, text: impl Into<String>) {
        self.say(Severity::Warning, key, text);
    }

    pub(crate) fn say(&mut self, severity: Severity, key: &str, text: impl Into<String>) {
        let location = self.location(key);
        self.notices.push(Notice::new(severity, location, text));
    }

    pub(crate) fn push(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// An error about the value of `key`, at the place where it was written.
    pub(crate) fn refuse(
        &self,
        key: &str,
        what: impl Display,
        advice: impl Into<String>,
    ) -> ConfigError {
        ConfigError::new(self.location(key), what.to_string(), advice)
    }

    pub(crate) fn into_notices(self) -> Vec<Notice> {
        self.notices
    }
}

/// The table's row of `key`.
pub(crate) fn row(key: &str) -> &'static Setting {
    let found = table::all().find(|s| s.key == key);
    debug_assert!(found.is_some(), "{key} is missing in the table");
    found.unwrap_or(&NO_ROW)
}

/// Stands in for a row that is missing; every key that is read has one, as the tests prove.
static NO_ROW: Setting = Setting::new("", "", Place::File, Kind::Text, "");

fn default_of(setting: &Setting) -> Option<String> {
    (!setting.default.is_empty()).then(|| setting.default.to_owned())
}

fn parsed_default<T: std::str::FromStr + Default>(key: &str) -> T {
    // The table's tests prove that every default is of its type.
    row(key).default.parse().unwrap_or_default()
}

fn bad_value(setting: &Setting, given: &Given, problem: &str) -> ConfigError {
    let shown = if setting.is_secret() {
        "***"
    } else {
        given.value.as_str()
    };
    let default = if setting.default.is_empty() {
        String::new()
    } else {
        format!(", e.g. {}", setting.default)
    };
    ConfigError::new(
        Some(given.location.clone()),
        format!("{} = \"{shown}\" is {problem}", given.name),
        format!("give {}{default}", setting.kind),
    )
}

/// Java's `trim`: everything up to the blank goes, not only what Unicode calls white.
pub(crate) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// Java's `Integer.parseInt`: decimal with an optional sign.
fn parse_java_int(text: &str) -> Option<i32> {
    text.parse().ok()
}

fn parse_java_long(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Java's `Long.decode`, with which number properties are read: `0x`, `#` and a leading `0` change
/// the base.
fn decode_java(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = if let Some(hex) = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        (16, hex)
    } else if let Some(hex) = digits.strip_prefix('#') {
        (16, hex)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    // A second sign would be taken by the parser below.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, base).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// The last of several entries with one key wins; the earlier ones, each with the line of its
/// successor.
pub(crate) fn repeated(file: &Properties) -> Vec<(&Entry, usize)> {
    let mut last: BTreeMap<&str, &Entry> = BTreeMap::new();
    let mut earlier = Vec::new();
    for entry in file.entries() {
        if let Some(before) = last.insert(trimmed(&entry.key), entry) {
            earlier.push((before, entry.line));
        }
    }
    earlier
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(
        cfg: &str,
        definitions: &[&str],
        ask: impl FnOnce(&mut Source) -> T,
    ) -> (T, Vec<String>) {
        let file = Properties::parse("zoo.cfg", cfg.as_bytes()).expect("well formed");
        let mut properties = SystemProperties::new();
        for definition in definitions {
            properties.define(definition);
        }
        let mut source = Source::new(Some(&file), &properties);
        let answer = ask(&mut source);
        (
            answer,
            source
                .into_notices()
                .iter()
                .map(Notice::to_string)
                .collect(),
        )
    }

    fn snap_count(cfg: &str, definitions: &[&str]) -> i32 {
        with(cfg, definitions, |s| s.int("snapCount"))
            .0
            .expect("properties are read leniently")
    }

    #[test]
    fn a_key_of_the_file_wins_over_the_property_it_becomes() {
        assert_eq!(snap_count("", &[]), 100_000);
        assert_eq!(snap_count("", &["zookeeper.snapCount=5"]), 5);
        assert_eq!(snap_count("snapCount=6", &["zookeeper.snapCount=5"]), 6);
        assert_eq!(snap_count("snapCount=6\nsnapCount = 7 ", &[]), 7);
    }

    #[test]
    fn a_prefixed_key_in_the_file_counts_only_when_nothing_else_is_given() {
        assert_eq!(snap_count("zookeeper.snapCount=8", &[]), 8);
        assert_eq!(
            snap_count("zookeeper.snapCount=8", &["zookeeper.snapCount=5"]),
            5
        );
        assert_eq!(snap_count("", &["snapCount=5"]), 100_000);
    }

    #[test]
    fn an_unprefixed_property_wins_over_the_file_from_which_apache_does_not_take_it() {
        let ask = |cfg, definitions: &[&str]| with(cfg, definitions, |s| s.int("jute.maxbuffer")).0;
        assert_eq!(ask("jute.maxbuffer=4194304", &[]), Ok(4_194_304));
        assert_eq!(
            ask("jute.maxbuffer=4194304", &["jute.maxbuffer=0x200000"]),
            Ok(2_097_152)
        );
    }

    #[test]
    fn documented_names_act_below_the_real_ones() {
        let ask = |cfg, definitions: &[&str]| {
            with(cfg, definitions, |s| s.int("connection_throttle_tokens")).0
        };
        assert_eq!(ask("connectionMaxTokens=9", &[]), Ok(9));
        assert_eq!(ask("", &["zookeeper.connectionMaxTokens=9"]), Ok(9));
        assert_eq!(
            ask(
                "connectionMaxTokens=9",
                &["zookeeper.connection_throttle_tokens=3"]
            ),
            Ok(3)
        );
    }

    #[test]
    fn older_names_of_a_property_come_second() {
        let ask =
            |definitions: &[&str]| with("", definitions, |s| s.long("fsync.warningthresholdms")).0;
        assert_eq!(ask(&["fsync.warningthresholdms=7"]), Ok(7));
        assert_eq!(
            ask(&[
                "fsync.warningthresholdms=7",
                "zookeeper.fsync.warningthresholdms=8"
            ]),
            Ok(8)
        );
    }

    #[test]
    fn a_bad_number_is_an_error_in_a_parsers_key_and_a_default_in_a_property() {
        let (tick, _) = with("\ntickTime=2 s", &[], |s| s.int("tickTime"));
        let error = tick.expect_err("not a number").to_string();
        assert!(
            error.starts_with("zoo.cfg:2: tickTime = \"2 s\" is not a whole number"),
            "{error}"
        );
        let (count, notices) = with("snapCount=many", &[], |s| s.int("snapCount"));
        assert_eq!(count, Ok(100_000));
        assert_eq!(notices.len(), 1);
        assert!(
            notices[0].starts_with("zoo.cfg:1: snapCount = \"many\""),
            "{notices:?}"
        );
    }

    #[test]
    fn numbers_are_decoded_as_java_decodes_them() {
        for (text, value) in [
            ("10", Some(10)),
            ("-10", Some(-10)),
            ("+10", Some(10)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("0x10", Some(16)),
            ("-#10", Some(-16)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("--1", None),
            ("0x-1", None),
            ("08", None),
            ("1 0", None),
            ("1k", None),
        ] {
            assert_eq!(decode_java(text), value, "{text:?}");
        }
    }

    #[test]
    fn a_flag_must_be_one_in_a_parsers_key_and_is_false_otherwise_in_a_property() {
        let flag = |cfg, key| with(cfg, &[], |s| s.flag(key)).0;
        assert_eq!(flag("syncEnabled=FALSE", "syncEnabled"), Ok(false));
        assert!(flag("syncEnabled=no", "syncEnabled").is_err());
        assert_eq!(flag("digest.enabled=yes", "digest.enabled"), Ok(false));
        assert_eq!(flag("digest.enabled=True", "digest.enabled"), Ok(true));
        assert_eq!(flag("", "digest.enabled"), Ok(true));
        assert_eq!(flag("", "enforceQuota"), Ok(false));
    }

    #[test]
    fn yes_and_no_are_compared_to_the_letter() {
        let is_no = |cfg| with(cfg, &[], |s| s.is_word("forceSync", "no"));
        assert!(is_no("forceSync=no").0);
        assert!(!is_no("").0);
        let (synced, notices) = is_no("forceSync=NO");
        assert!(!synced);
        assert!(notices[0].contains("counts as yes"), "{notices:?}");
    }

    #[test]
    fn families_join_file_and_properties() {
        let (members, _) = with(
            "authProvider.1=A",
            &["zookeeper.authProvider.1=B", "zookeeper.authProvider.x=C"],
            |s| {
                s.family("authProvider.N")
                    .into_iter()
                    .map(|(k, g)| (k, g.value))
                    .collect::<Vec<_>>()
            },
        );
        assert_eq!(
            members,
            [
                ("1".to_owned(), "A".to_owned()),
                ("x".to_owned(), "C".to_owned())
            ]
        );
    }

    #[test]
    fn repeated_keys_are_listed_with_the_line_that_wins() {
        let file = Properties::parse("f", b"a=1\nb=2\na=3\na=4").expect("well formed");
        let lines: Vec<_> = repeated(&file)
            .iter()
            .map(|(e, by)| (e.line, *by))
            .collect();
        assert_eq!(lines, [(1, 3), (3, 4)]);
    }
}
