//! Quotas: which subtrees have one, what they hold, and whether a write fits (protocol 8.10).

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use foldhash::quality::FixedState;

use crate::tree::{DataTree, NodeId, ROOT};

const QUOTA_PREFIX: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// The paths that have a limits node.
pub(crate) struct QuotaPaths {
    guarded: HashSet<Box<str>, FixedState>,
}

impl QuotaPaths {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            guarded: HashSet::with_hasher(FixedState::with_seed(seed)),
        }
    }

    /// The deepest guarded path that is this one or above it.
    fn guard<'p>(&self, path: &'p str) -> Option<&'p str> {
        if self.guarded.is_empty() {
            return None;
        }
        let mut at = path;
        loop {
            if self.guarded.contains(at) {
                return Some(at);
            }
            at = &at[..at.rfind('/')?];
        }
    }
}

/// What a limits or stats node says: `key=number` pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaTrack {
    /// Znodes; −1 is not set.
    pub count: i64,
    /// Bytes of data; −1 is not set.
    pub bytes: i64,
    /// All other keys.
    pub others: BTreeMap<String, i64>,
}

impl QuotaTrack {
    /// Reads the text form. `None` if it cannot be read.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut track = Self {
            count: -1,
            bytes: -1,
            others: BTreeMap::new(),
        };
        let text = text.trim_end_matches([',', ';']);
        if text.is_empty() {
            return Some(track);
        }
        let mut separated = false;
        for pair in text.split([',', ';']) {
            // A run of separators is one; a leading one is not.
            if pair.is_empty() && separated {
                continue;
            }
            separated = true;
            let (key, rest) = pair.split_once('=')?;
            let value = match rest.split('=').next().unwrap_or_default() {
                "" if rest.trim_matches('=').is_empty() => return None,
                "" => -1,
                number => number.parse().ok()?,
            };
            match key {
                "count" => track.count = value,
                "bytes" => track.bytes = value,
                _ => {
                    track.others.insert(key.to_owned(), value);
                }
            }
        }
        Some(track)
    }

    fn hard_limit(&self, key: &str) -> Option<i64> {
        self.others.get(key).copied().filter(|limit| *limit > -1)
    }
}

impl fmt::Display for QuotaTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count={},bytes={}", self.count, self.bytes)?;
        if !self.others.is_empty() {
            // Parsers before 3.7 take the rest for a part of the bytes, and drop it.
            f.write_str("=")?;
        }
        self.others
            .iter()
            .try_for_each(|(key, value)| write!(f, ";{key}={value}"))
    }
}

/// A quota that a write would exceed. Prints as Apache logs it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Quota exceeded: {path} [current {what}={current}, {}{}Limit={limit}]", if *.hard { "hard" } else { "soft" }, .what.title())]
pub struct QuotaExceeded {
    /// The path that has the quota.
    pub path: String,
    /// Of what there is too much.
    pub what: QuotaKind,
    /// Whether the write must be refused; else it is only worth a line in the log.
    pub hard: bool,
    /// What there would be.
    pub current: i64,
    /// What there may be.
    pub limit: i64,
}

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaKind {
    /// Znodes.
    Count,
    /// Bytes of data.
    Bytes,
}

impl QuotaKind {
    const fn title(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Bytes => "Byte",
        }
    }
}

impl fmt::Display for QuotaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
        })
    }
}

impl DataTree {
    /// Whether a write may add this many znodes and bytes at a path. Ok with the soft limits that it exceeds.
    ///
    /// Only for servers that enforce quotas. Limits that cannot be read are none.
    ///
    /// # Errors
    /// The hard limit that it exceeds, count before bytes.
    pub fn quota_check(
        &self,
        path: &str,
        count: i64,
        bytes: i64,
    ) -> Result<Vec<QuotaExceeded>, QuotaExceeded> {
        let mut warnings = Vec::new();
        let Some(guard) = self.quotas.guard(path) else {
            return Ok(warnings);
        };
        let (Some(limits), Some(stats)) = (self.track(guard, LIMITS), self.track(guard, STATS))
        else {
            return Ok(warnings);
        };
        let sides = [
            (
                QuotaKind::Count,
                count,
                stats.count,
                limits.count,
                limits.hard_limit("countHardLimit"),
            ),
            (
                QuotaKind::Bytes,
                bytes,
                stats.bytes,
                limits.bytes,
                limits.hard_limit("byteHardLimit"),
            ),
        ];
        for (what, change, now, soft, hard) in sides {
            let limit = hard.unwrap_or(soft);
            let current = now.saturating_add(change);
            if change == 0 || limit < 0 || current <= limit {
                continue;
            }
            let exceeded = QuotaExceeded {
                path: guard.to_owned(),
                what,
                hard: hard.is_some(),
                current,
                limit,
            };
            if exceeded.hard {
                return Err(exceeded);
            }
            warnings.push(exceeded);
        }
        Ok(warnings)
    }

    /// Number of quotas.
    #[must_use]
    pub fn quota_count(&self) -> usize {
        self.quotas.guarded.len()
    }

    fn track(&self, guard: &str, name: &str) -> Option<QuotaTrack> {
        let node = self.find(&format!("{QUOTA_PREFIX}{guard}/{name}"))?;
        QuotaTrack::parse(self.data(node).unwrap_or_default())
    }

    /// After a znode was created: a quota may begin, and what is used grows.
    pub(crate) fn quota_created(&mut self, path: &str, bytes: usize) {
        if let Some((guard, name)) = quota_node(path) {
            match name {
                LIMITS => drop(self.quotas.guarded.insert(guard.into())),
                STATS => self.quota_recount(guard),
                _ => {}
            }
        }
        self.quota_add(path, 1, bytes as i64);
    }

    /// After a znode was deleted.
    pub(crate) fn quota_deleted(&mut self, path: &str, bytes: usize) {
        if let Some((guard, LIMITS)) = quota_node(path) {
            self.quotas.guarded.remove(guard);
        }
        self.quota_add(path, -1, -(bytes as i64));
    }

    /// Adds to what is used at a path. No Stat field changes, and nobody is told.
    pub(crate) fn quota_add(&mut self, path: &str, count: i64, bytes: i64) {
        let Some(guard) = self.quotas.guard(path) else {
            return;
        };
        // Text that cannot be read is left as it is: a write must not fail for it.
        if let Some(mut track) = self.track(guard, STATS) {
            track.count = track.count.wrapping_add(count);
            track.bytes = track.bytes.wrapping_add(bytes);
            self.quota_write(guard, &track);
        }
    }

    /// Counts anew what a quota holds.
    fn quota_recount(&mut self, guard: &str) {
        let mut track = QuotaTrack {
            count: 0,
            bytes: 0,
            others: BTreeMap::new(),
        };
        if let Some(NodeId(top)) = self.find(guard) {
            for slot in self.subtree(top) {
                track.count += 1;
                track.bytes += self.nodes[slot].packed.data_len() as i64;
            }
        }
        self.quota_write(guard, &track);
    }

    fn quota_write(&mut self, guard: &str, track: &QuotaTrack) {
        let path = format!("{QUOTA_PREFIX}{guard}/{STATS}");
        if let Some(NodeId(slot)) = self.find(&path) {
            self.image_touch(slot);
            self.digest_sub(slot);
            self.set_bytes(slot, Some(track.to_string().as_bytes()));
            self.digest_add(slot, &path);
        }
    }

    /// After a snapshot was loaded: finds all quotas and counts anew.
    pub(crate) fn quota_rebuild(&mut self) {
        self.quotas.guarded.clear();
        let Some(NodeId(top)) = self.find(QUOTA_PREFIX) else {
            return;
        };
        let limits: Vec<String> = self
            .subtree(top)
            .filter(|slot| *slot != ROOT && self.nodes[*slot].packed.name() == LIMITS.as_bytes())
            .map(|slot| self.path(slot))
            .collect();
        for path in limits {
            if let Some((guard, _)) = quota_node(&path) {
                self.quotas.guarded.insert(guard.into());
                self.quota_recount(guard);
            }
        }
    }
}

/// The guarded path and the name, for a znode below `/zookeeper/quota`. The root has no quota.
fn quota_node(path: &str) -> Option<(&str, &str)> {
    let (guard, name) = path.strip_prefix(QUOTA_PREFIX)?.rsplit_once('/')?;
    guard.starts_with('/').then_some((guard, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_in_every_form_that_was_ever_written() {
        let track = |text: &str| QuotaTrack::parse(text.as_bytes()).map(|t| t.to_string());
        let table = [
            ("", Some("count=-1,bytes=-1")),
            ("count=3,bytes=10", Some("count=3,bytes=10")),
            ("bytes=10;count=3", Some("count=3,bytes=10")),
            (
                "count=3,bytes=10=;byteHardLimit=12;countHardLimit=4",
                Some("count=3,bytes=10=;byteHardLimit=12;countHardLimit=4"),
            ),
            (
                "countHardLimit=4,;,byteHardLimit=12;",
                Some("count=-1,bytes=-1=;byteHardLimit=12;countHardLimit=4"),
            ),
            ("count==7", Some("count=-1,bytes=-1")),
            ("count=", None),
            (",count=1", None),
            ("count", None),
            ("count=x", None),
        ];
        for (text, wanted) in table {
            assert_eq!(track(text).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn a_guard_is_the_deepest_by_whole_names() {
        let mut quotas = QuotaPaths::new(0);
        assert_eq!(quotas.guard("/a"), None);
        quotas.guarded.extend(["/a".into(), "/a/b/c".into()]);
        let table = [
            ("/a", Some("/a")),
            ("/ab", None),
            ("/a/b", Some("/a")),
            ("/a/b/c/d", Some("/a/b/c")),
            ("/", None),
            ("", None),
        ];
        for (path, wanted) in table {
            assert_eq!(quotas.guard(path), wanted, "{path}");
        }
    }

    #[test]
    fn an_exceeded_quota_prints_as_operators_know_it() {
        let mut exceeded = QuotaExceeded {
            path: "/p".into(),
            what: QuotaKind::Count,
            hard: false,
            current: 3,
            limit: 2,
        };
        assert_eq!(
            exceeded.to_string(),
            "Quota exceeded: /p [current count=3, softCountLimit=2]"
        );
        exceeded.what = QuotaKind::Bytes;
        exceeded.hard = true;
        assert_eq!(
            exceeded.to_string(),
            "Quota exceeded: /p [current bytes=3, hardByteLimit=2]"
        );
    }
}
