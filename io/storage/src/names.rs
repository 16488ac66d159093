//! How files are called: Apache's names, and ours that Apache's parser never takes for its own.
//!
//! Apache reads `log.<hex>` and `snapshot.<hex>[.gz|.snappy]` and leaves every other name alone. Ours all begin with
//! `zabra-` (protocol 12.1, 13.1, 16).

use std::fmt;

use zabra_proto::Zxid;

/// The directory below dataDir and dataLogDir that holds everything of this format.
pub const VERSION_DIR: &str = "version-2";
/// Marks an empty database as a valid start (protocol 16).
pub const INITIALIZE: &str = "initialize";
/// Highest epoch promised to a would-be leader.
pub const ACCEPTED_EPOCH: &str = "acceptedEpoch";
/// Epoch of the history that this server accepted.
pub const CURRENT_EPOCH: &str = "currentEpoch";
/// Prefix of everything of our own.
pub const OWN_PREFIX: &str = "zabra-";
/// Prefix of our unfinished files: whatever is left of them after a crash is removed at the next start.
pub const TEMP_PREFIX: &str = "zabra-tmp-";
/// What is known to be durable.
pub const MARK: &str = "zabra-mark";
/// A truncation that has begun.
pub const TRUNCATION: &str = "zabra-truncation";
/// Both epochs in one record.
pub const EPOCHS: &str = "zabra-epochs";
/// Held while a process uses the directory.
pub const LOCK: &str = "zabra-lock";

/// How a snapshot is compressed (`zookeeper.snapshot.compression.method`); the reader goes by the suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, suffix `.gz`.
    Gzip,
    /// The stream format of Java's snappy library, suffix `.snappy`.
    Snappy,
}

impl Compression {
    /// What follows the zxid in the file's name.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Snappy => ".snappy",
        }
    }
}

/// The name of the segment whose first txn is this one.
#[must_use]
pub fn log_name(first: Zxid) -> String {
    format!("log.{:x}", first.0)
}

/// The name of the snapshot begun at this zxid.
#[must_use]
pub fn snapshot_name(zxid: Zxid, compression: Compression) -> String {
    format!("snapshot.{:x}{}", zxid.0, compression.suffix())
}

/// The zxid in a segment's name. A claim only: a segment's name proves nothing about its content (P39).
#[must_use]
pub fn parse_log_name(name: &str) -> Option<Zxid> {
    parse_hex(name.strip_prefix("log.")?)
}

/// The zxid and compression in a snapshot's name.
#[must_use]
pub fn parse_snapshot_name(name: &str) -> Option<(Zxid, Compression)> {
    let rest = name.strip_prefix("snapshot.")?;
    let (hex, compression) = if let Some(hex) = rest.strip_suffix(".gz") {
        (hex, Compression::Gzip)
    } else if let Some(hex) = rest.strip_suffix(".snappy") {
        (hex, Compression::Snappy)
    } else {
        (rest, Compression::None)
    };
    Some((parse_hex(hex)?, compression))
}

fn parse_hex(hex: &str) -> Option<Zxid> {
    // `from_str_radix` would take a sign.
    if hex.is_empty() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(hex, 16).ok().map(Zxid)
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gz",
            Self::Snappy => "snappy",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_apaches() {
        assert_eq!(log_name(Zxid::new(1, 5)), "log.100000005");
        assert_eq!(snapshot_name(Zxid(0), Compression::Gzip), "snapshot.0.gz");
        assert_eq!(parse_log_name("log.ff"), Some(Zxid(255)));
        assert_eq!(
            parse_snapshot_name("snapshot.11.snappy"),
            Some((Zxid(0x11), Compression::Snappy))
        );
    }

    #[test]
    fn other_names_are_nobodys() {
        for name in [
            "log.",
            "log.x",
            "log.+1",
            "log.1.tmp",
            "log.1.fixed",
            "zabra-mark",
            "log",
        ] {
            assert_eq!(parse_log_name(name), None, "{name}");
        }
        for name in [
            "snapshot.1.tmp",
            "snapshot.gz",
            "snapshot.-1",
            "zabra-tmp-snapshot.1",
        ] {
            assert_eq!(parse_snapshot_name(name), None, "{name}");
        }
        // 17 digits do not fit a zxid.
        assert_eq!(parse_log_name("log.11111111111111111"), None);
    }
}
