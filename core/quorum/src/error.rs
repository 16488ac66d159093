//! Why a text is not a configuration.

use crate::Sid;

/// What is wrong with a membership text. Nothing of such a text is used (R14).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Longer than any frame that could carry it.
    #[error("the membership text has {0} bytes, more than fit into a message")]
    TooLong(usize),
    /// A `\u` escape without four hexadecimal digits.
    #[error("line {line}: malformed \\u escape")]
    Escape {
        /// Counted from 1.
        line: usize,
    },
    /// A key that means nothing here.
    #[error("unknown key `{0}`: only server.N, group.N, weight.N and version may stand here")]
    UnknownKey(String),
    /// An oracle would let one of two servers decide alone.
    #[error("oraclePath: oracle quorums are not supported; run three servers instead")]
    Oracle,
    /// The number in a key is missing, negative or too big.
    #[error("`{0}`: a number from 0 on must follow the dot")]
    KeyNumber(String),
    /// A version that is not hexadecimal.
    #[error("version={0}: not a hexadecimal number")]
    Version(String),
    /// A server line that cannot be understood.
    #[error("server.{sid}={value}: {why}")]
    Server {
        /// Whose line.
        sid: Sid,
        /// What was written.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A group line that is not a list of ids.
    #[error("{key}={value}: not a list of server ids")]
    Group {
        /// The line's key.
        key: String,
        /// What was written.
        value: String,
    },
    /// A weight that is not a number from 0 on.
    #[error("{key}={value}: not a number from 0 on")]
    Weight {
        /// The line's key.
        key: String,
        /// What was written.
        value: String,
    },
    /// Weights whose sum cannot be computed.
    #[error("the weights of a group add up to too much")]
    WeightSum,
    /// A server may be in one group only.
    #[error("server {0} is in more than one group")]
    SeveralGroups(Sid),
    /// Groups are named, but not for this voter.
    #[error("server {0} is in no group, though there are groups")]
    NoGroup(Sid),
    /// A group names a server that cannot vote and has no weight, so that the group's weight is unknown.
    #[error("server {0} is in a group, but is no participant and has no weight")]
    NoWeight(Sid),
    /// Nobody could ever decide anything.
    #[error("there is no participant among the servers")]
    NoParticipant,
}

impl MembershipError {
    /// The key of the line that is wrong, if it is one line.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        match self {
            Self::UnknownKey(key) | Self::KeyNumber(key) => Some(key.clone()),
            Self::Group { key, .. } | Self::Weight { key, .. } => Some(key.clone()),
            Self::Server { sid, .. } => Some(format!("server.{sid}")),
            Self::Version(_) => Some("version".to_owned()),
            Self::Oracle => Some("oraclePath".to_owned()),
            Self::TooLong(_) | Self::Escape { .. } | Self::WeightSum => None,
            Self::SeveralGroups(_) | Self::NoGroup(_) | Self::NoWeight(_) => None,
            Self::NoParticipant => None,
        }
    }
}
