//! I-36: an event is told to who may read the znode, when it is told (protocol 9.4, P94; CVE-2024-23944), and to nobody else.
//! That something has happened at all is I-32's matter.

/// An event that was told, of something that happened.
pub(super) const NAME: &str = "I-36 no leak";
/// One that was for a watch, and not told.
pub(super) const WITHHELD: &str = "I-36 event withheld";
/// One that a watch had missed by moving, and not told.
pub(super) const WITHHELD_MOVING: &str = "I-36 catch-up withheld";
