//! What can be wrong with jute bytes.

use thiserror::Error;

/// Bytes that are not the record they should be, and where that showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct JuteError {
    /// Position in the bytes given to the reader, at the start of the value that failed.
    pub offset: usize,
    /// What was wrong there.
    pub kind: JuteErrorKind,
}

/// The ways in which jute bytes can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JuteErrorKind {
    /// The bytes end inside a value. Log records of old releases are told from newer ones by this.
    #[error("unexpected end")]
    UnexpectedEnd,
    /// A length is below −1 or above the reader's limit.
    #[error("length {0} out of bounds")]
    BadLength(i32),
    /// A value that may not be null is null.
    #[error("null where a value is required")]
    UnexpectedNull,
    /// A number that names something (an op code, a mode) names nothing known.
    #[error("unknown {what} {value}")]
    Unknown {
        /// What the number should have named.
        what: &'static str,
        /// The number that was found.
        value: i32,
    },
}
