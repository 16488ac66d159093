//! I-32: a watch tells once, of a change that it is for; one that stays, once of each. Held against what happened, with each
//! reply ([`super::watches`]).

/// An event that a client was told.
pub(super) const NAME: &str = "I-32 at most one event";
/// Something that a watch was for which then is spent.
pub(super) const ONCE: &str = "I-32 a watch that tells once";
/// Something that only a watch was for which stays.
pub(super) const LASTING: &str = "I-32 a watch that stays";
