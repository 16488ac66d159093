//! Directories, transaction logs, snapshots and their purge, as configured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{ConfigError, Location};
use crate::source::Source;

/// Directories, transaction logs, snapshots and their purge.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// The directory of snapshots, `myid` and epoch files, as written.
    pub data_dir: PathBuf,
    /// The directory of transaction logs, as written.
    pub data_log_dir: PathBuf,
    /// Whether missing directories are created.
    pub creates_dirs: bool,
    /// Whether an empty directory is an empty database; if not, the file `initialize` must say so.
    pub creates_db: bool,
    /// Transactions between snapshots; the server draws from half of it to all.
    pub snap_count: u32,
    /// Bytes of log between snapshots, drawn likewise; `None` is no limit.
    pub snap_size_max_bytes: Option<u64>,
    /// Bytes by which a log file is extended; 0 does not extend ahead.
    pub prealloc_bytes: u64,
    /// Bytes after which a new log file begins; `None` is no limit.
    pub log_size_max_bytes: Option<u64>,
    /// Whether a write is on disk before it is acknowledged.
    pub force_sync: bool,
    /// From when a slow fsync is logged.
    pub fsync_warning: Duration,
    /// How new snapshots are compressed.
    pub compression: Compression,
    /// Whether logs without a snapshot are enough to start from.
    pub trusts_empty_snapshot: bool,
    /// Whether snapshots end in the last zxid.
    pub serializes_last_zxid: bool,
    /// Whether the tree keeps a digest.
    pub digest: bool,
    /// Whether closeSession transactions list the ephemerals.
    pub close_session_txn: bool,
    /// For how long a flush may be held back.
    pub flush_delay: Duration,
    /// How long to wait for more transactions while a flush is held back.
    pub write_queue_poll_max: Duration,
    /// Transactions after which the log is flushed; `None` is no limit.
    pub batch_max: Option<u32>,
    /// Snapshots that a purge keeps; at least [`SNAP_RETAIN_COUNT_MIN`].
    pub snap_retain_count: u32,
    /// Between purges; `None` is never.
    pub purge_interval: Option<Duration>,
}

/// How new snapshots are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, with the suffix `.gz`.
    Gzip,
    /// Snappy in Java's framing, with the suffix `.snappy`.
    Snappy,
}

/// A purge keeps at least this many snapshots, whatever is configured.
pub const SNAP_RETAIN_COUNT_MIN: u32 = 3;

/// The directory inside data and log directory that holds the files; Apache's format has had no
/// other version.
pub const VERSION_DIR: &str = "version-2";

impl Storage {
    pub(crate) fn read(source: &mut Source, file_name: &str) -> Result<Self, ConfigError> {
        let data_dir = source.text("dataDir").map(PathBuf::from).ok_or_else(|| {
            let at = source
                .location("dataDir")
                .or_else(|| Some(Location::file(file_name)));
            ConfigError::new(
                at,
                "dataDir is not set",
                "add dataDir=DIRECTORY for snapshots and myid",
            )
        })?;
        let data_log_dir = source
            .text("dataLogDir")
            .map_or_else(|| data_dir.clone(), PathBuf::from);
        for (key, dir) in [("dataDir", &data_dir), ("dataLogDir", &data_log_dir)] {
            if source.is_given(key)
                && dir.is_relative()
                && !dir.starts_with(".")
                && !dir.starts_with("..")
            {
                let text = format!(
                    "{key} = {} is relative to where the server is started; write ./ before it if that is meant",
                    dir.display()
                );
                source.warn(key, text);
            }
        }
        let flush_delay = source.millis("flushDelay")?;
        let poll = match source.is_given("maxWriteQueuePollTime") {
            true => source.long_if_given("maxWriteQueuePollTime")?,
            false => None,
        };
        Ok(Self {
            data_dir,
            data_log_dir,
            creates_dirs: source.flag("datadir.autocreate")?,
            creates_db: source.flag("db.autocreate")?,
            snap_count: snap_count(source)?,
            snap_size_max_bytes: kib("snapSizeLimitInKb", source)?,
            prealloc_bytes: kib("preAllocSize", source)?.unwrap_or(0),
            log_size_max_bytes: kib("txnLogSizeLimitInKb", source)?,
            force_sync: !source.is_word("forceSync", "no"),
            fsync_warning: source.millis("fsync.warningthresholdms")?,
            compression: compression(source),
            trusts_empty_snapshot: source.flag("snapshot.trust.empty")?,
            serializes_last_zxid: source.flag("serializeLastProcessedZxid.enabled")?,
            digest: source.flag("digest.enabled")?,
            close_session_txn: source.flag("closeSessionTxn.enabled")?,
            flush_delay,
            write_queue_poll_max: poll.map_or(flush_delay / 3, |ms| {
                Duration::from_millis(u64::try_from(ms).unwrap_or(0))
            }),
            batch_max: u32::try_from(source.int("maxBatchSize")?)
                .ok()
                .filter(|size| *size > 0),
            snap_retain_count: snap_retain_count(source)?,
            purge_interval: purge_interval(source)?,
        })
    }

    /// Where snapshots and epoch files are.
    pub fn snapshot_dir(&self) -> PathBuf {
        version_dir(&self.data_dir)
    }

    /// Where transaction logs are.
    pub fn log_dir(&self) -> PathBuf {
        version_dir(&self.data_log_dir)
    }
}

fn version_dir(dir: &Path) -> PathBuf {
    dir.join(VERSION_DIR)
}

fn snap_count(source: &mut Source) -> Result<u32, ConfigError> {
    let count = source.int("snapCount")?;
    if count < 2 {
        source.warn(
            "snapCount",
            format!("snapCount = {count} is less than 2; 2 is used"),
        );
    }
    Ok(u32::try_from(count).unwrap_or(0).max(2))
}

/// A size in KiB as bytes; zero and below is none.
fn kib(key: &str, source: &mut Source) -> Result<Option<u64>, ConfigError> {
    let kib = u64::try_from(source.long(key)?).unwrap_or(0);
    Ok((kib > 0).then(|| kib.saturating_mul(1024)))
}

fn compression(source: &mut Source) -> Compression {
    let method = source
        .text("snapshot.compression.method")
        .unwrap_or_default();
    match method.as_str() {
        "" => Compression::None,
        "gz" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        other => {
            let text = format!(
                "snapshot.compression.method = \"{other}\" is unknown and snapshots are not compressed; give gz or snappy"
            );
            source.warn("snapshot.compression.method", text);
            Compression::None
        }
    }
}

fn snap_retain_count(source: &mut Source) -> Result<u32, ConfigError> {
    let count = source.int("autopurge.snapRetainCount")?;
    let kept = u32::try_from(count).unwrap_or(0).max(SNAP_RETAIN_COUNT_MIN);
    if i64::from(kept) != i64::from(count) {
        source.warn(
            "autopurge.snapRetainCount",
            format!("autopurge.snapRetainCount = {count} is too few; {kept} is used"),
        );
    }
    Ok(kept)
}

/// Hours, or since 3.10 a number with a unit.
fn purge_interval(source: &mut Source) -> Result<Option<Duration>, ConfigError> {
    let text = source.text("autopurge.purgeInterval").unwrap_or_default();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_millis: Option<i64> = match &text[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "" | "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let count: Option<i32> = digits.trim().parse().ok();
    let (Some(unit_millis), Some(count)) = (unit_millis, count) else {
        let what = format!("autopurge.purgeInterval = \"{text}\" is not an interval");
        return Err(source.refuse(
            "autopurge.purgeInterval",
            what,
            "give hours, or a number with ms, s, m, h or d",
        ));
    };
    let millis = u64::try_from(i64::from(count) * unit_millis).unwrap_or(0);
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}
