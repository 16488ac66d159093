//! The text of quotas: `count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=-1`, and where it is kept.
//!
//! `/zookeeper/quota/P/zookeeper_limits` holds what is allowed, `zookeeper_stats` beside it what is used. The odd `=`
//! after the bytes lets readers of 3.4 pass over what follows.

use std::collections::BTreeMap;
use std::fmt;

/// The root of all quotas.
pub(crate) const ROOT: &str = "/zookeeper/quota";

/// The name of the znode with the limits, below the quota's path.
pub(crate) const LIMITS: &str = "zookeeper_limits";

/// Where the quota of a path is.
pub(crate) fn path_of(path: &str) -> String {
    format!("{ROOT}{path}")
}

/// Where the limits of a path are.
pub(crate) fn limits_of(path: &str) -> String {
    format!("{ROOT}{path}/{LIMITS}")
}

/// Where the usage of a path is.
pub(crate) fn usage_of(path: &str) -> String {
    format!("{ROOT}{path}/zookeeper_stats")
}

/// A figure of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Znodes, the top one included; over the limit is logged.
    Count,
    /// Bytes of data; over the limit is logged.
    Bytes,
    /// Znodes; over the limit is refused.
    CountHard,
    /// Bytes of data; over the limit is refused.
    BytesHard,
}

impl Figure {
    /// All of them, with the option that names each.
    pub(crate) const ALL: [(&'static str, Self); 4] = [
        ("n", Self::Count),
        ("b", Self::Bytes),
        ("N", Self::CountHard),
        ("B", Self::BytesHard),
    ];

    const fn key(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::CountHard => "countHardLimit",
            Self::BytesHard => "byteHardLimit",
        }
    }

    /// Whether it counts znodes.
    pub(crate) const fn is_count(self) -> bool {
        matches!(self, Self::Count | Self::CountHard)
    }
}

/// Limits, or usage.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Figures(BTreeMap<String, i64>);

impl Figures {
    /// All four limits unset.
    pub(crate) fn unset() -> Self {
        let keys = Figure::ALL.map(|(_, figure)| (figure.key().to_owned(), -1));
        Self(keys.into())
    }

    /// Nothing used yet.
    pub(crate) fn unused() -> Self {
        Self([("count".to_owned(), 0), ("bytes".to_owned(), 0)].into())
    }

    /// Reads the text of a znode; what is no number is left out.
    pub(crate) fn parse(data: &[u8]) -> Self {
        let text = String::from_utf8_lossy(data);
        let pairs = text.split([',', ';']).filter_map(|pair| {
            let mut parts = pair.split('=');
            let (key, value) = (parts.next()?, parts.next()?);
            Some((key.to_owned(), value.parse().ok()?))
        });
        Self(pairs.collect())
    }

    /// A figure; -1 when it is not set.
    pub(crate) fn of(&self, figure: Figure) -> i64 {
        self.0.get(figure.key()).copied().unwrap_or(-1)
    }

    /// Sets a figure.
    pub(crate) fn set(&mut self, figure: Figure, value: i64) {
        self.0.insert(figure.key().to_owned(), value);
    }

    /// What is exceeded already by what is used, in Apache's words.
    pub(crate) fn warnings(&self, used: &Self) -> Vec<String> {
        let exceeded = |figure: Figure, used: i64| self.of(figure) > -1 && self.of(figure) < used;
        let (count, bytes) = (used.of(Figure::Count), used.of(Figure::Bytes));
        let mut warnings = Vec::new();
        if exceeded(Figure::Count, count) || exceeded(Figure::CountHard, count) {
            warnings.push(format!(
                "[Warning]: the count quota you create is less than the existing count:{count}"
            ));
        }
        if exceeded(Figure::Bytes, bytes) || exceeded(Figure::BytesHard, bytes) {
            warnings.push(format!(
                "[Warning]: the bytes quota you create is less than the existing bytes:{bytes}"
            ));
        }
        warnings
    }

    /// The figures that are set, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(key, value)| (key.as_str(), *value))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "count={},bytes={}",
            self.of(Figure::Count),
            self.of(Figure::Bytes)
        )?;
        let others = self
            .0
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "count" | "bytes"));
        for (index, (key, value)) in others.enumerate() {
            let separator = if index == 0 { "=;" } else { ";" };
            write!(f, "{separator}{key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_old_readers_need_them() {
        let mut limits = Figures::unset();
        limits.set(Figure::Count, 5);
        let text = "count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=-1";
        assert_eq!(limits.to_string(), text);
        assert_eq!(Figures::parse(text.as_bytes()), limits);
        assert_eq!(Figures::unused().to_string(), "count=0,bytes=0");
    }

    #[test]
    fn text_that_is_no_quota_has_no_figures() {
        assert_eq!(
            Figures::parse(b"=,x,count=,bytes=a;;").of(Figure::Count),
            -1
        );
    }

    #[test]
    fn what_is_exceeded_already_is_warned_of() {
        let used = Figures::parse(b"count=3,bytes=9");
        let mut limits = Figures::unset();
        assert!(limits.warnings(&used).is_empty());
        limits.set(Figure::CountHard, 2);
        limits.set(Figure::Bytes, 9);
        assert_eq!(
            limits.warnings(&used),
            ["[Warning]: the count quota you create is less than the existing count:3"]
        );
    }
}
