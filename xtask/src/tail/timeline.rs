//! What was seen when: each second of the load, and what happened to the servers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One second of the load, as `zabra bench --per-second` tells it. Times in µs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Second {
    /// Its number, from 0.
    pub(super) number: u32,
    /// Operations.
    pub(super) rate: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

impl Second {
    /// From a line such as `12 s   1,234 /s   p50   100 µs   p99   200 µs   p99.9   250 µs   max   300 µs`.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [number, "s", rate, "/s", ..] = words[..] else {
            return None;
        };
        let of = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            value(words.get(at + 1)?)
        };
        Some(Self {
            number: number.parse::<u32>().ok()?.checked_sub(1)?,
            rate: value(rate)?,
            p50: of("p50")?,
            p99: of("p99")?,
            p999: of("p99.9")?,
            max: of("max")?,
        })
    }

    /// p99.9 over p50.
    pub(super) fn ratio(&self) -> f64 {
        self.p999 / self.p50
    }
}

/// A number with commas between its thousands.
fn value(text: &str) -> Option<f64> {
    text.replace(',', "").parse().ok()
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A server begins to write a snapshot.
    Snapshot,
    /// A server begins a log file.
    Log,
    /// Clients with a thousand sessions are gone.
    Left,
    /// Those sessions have expired.
    Expired,
    /// A follower is killed and starts with an empty disk.
    Emptied,
    /// It serves again.
    Joined,
}

impl Event {
    pub(super) const ALL: [Self; 6] = [
        Self::Snapshot,
        Self::Log,
        Self::Left,
        Self::Expired,
        Self::Emptied,
        Self::Joined,
    ];

    /// For people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "a snapshot begins",
            Self::Log => "a log begins",
            Self::Left => "1,000 clients are gone",
            Self::Expired => "their sessions have expired",
            Self::Emptied => "a follower starts on an empty disk",
            Self::Joined => "it serves again",
        }
    }
}

/// An event and when it was, in seconds from the begin of the load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moment {
    pub(super) at: f64,
    pub(super) event: Event,
    /// The server, from 0, where it was one.
    pub(super) server: Option<usize>,
}

/// Snapshots and logs of a server, as they appear in its folder.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    known: BTreeSet<String>,
}

impl Files {
    /// Those of a server that runs in this folder; what is there is known.
    pub(super) fn of(server: &Path) -> Self {
        let mut files = Self {
            folder: server.join("data/version-2"),
            known: BTreeSet::new(),
        };
        files.appeared();
        files
    }

    /// What has appeared since the last look.
    pub(super) fn appeared(&mut self) -> Vec<Event> {
        // While a disk is emptied the folder is not there.
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let names: Vec<String> = names.collect();
        names.iter().filter_map(|name| self.note(name)).collect()
    }

    /// What the name says, unless it is known; a file gets its last name when it is complete.
    fn note(&mut self, name: &str) -> Option<Event> {
        let name = name.trim_end_matches(".tmp");
        let event = match name.split_once('.')?.0 {
            "snapshot" => Event::Snapshot,
            "log" => Event::Log,
            _ => return None,
        };
        self.known.insert(name.to_owned()).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_second_is_read() {
        let line = "   12 s       12,345 /s   p50        410 µs   p99      1,234 µs   p99.9      5,000 µs   max     20,001 µs";
        let second = Second::parse(line).unwrap();
        assert_eq!((second.number, second.rate), (11, 12_345.0));
        assert_eq!(
            (second.p50, second.p99, second.p999, second.max),
            (410.0, 1_234.0, 5_000.0, 20_001.0)
        );
        assert!((second.ratio() - 5_000.0 / 410.0).abs() < 1e-9);
        for line in [
            "",
            "0 s 1 /s p50 1 µs p99 1 µs p99.9 1 µs max 1 µs",
            "mix, 64 × 1",
            "1 s soon /s",
        ] {
            assert_eq!(Second::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_file_is_told_once_under_whatever_name() {
        let mut files = Files {
            folder: PathBuf::new(),
            known: BTreeSet::new(),
        };
        let mut told = Vec::new();
        for name in [
            "log.1",
            "snapshot.5.tmp",
            "log.1",
            "snapshot.5",
            "currentEpoch",
            "acceptedEpoch.tmp",
        ] {
            told.extend(files.note(name));
        }
        assert_eq!(told, [Event::Log, Event::Snapshot]);
    }
}
