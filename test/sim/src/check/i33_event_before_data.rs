//! I-33: on a connection the event of a txn comes before each answer that reflects it. Held against what happened, with each
//! reply ([`super::watches`]).

/// A reply to a client that watches, or was told of something.
pub(super) const NAME: &str = "I-33 event before data";
