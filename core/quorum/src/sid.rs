//! The number of a server within its ensemble.

use std::fmt;

use zabra_proto::ServerId;

/// A server's id as the quorum protocols carry it: the number in `server.N` and in `myid` (quorum 1.2).
///
/// Wider than [`ServerId`], which is the one byte of it that fits into session ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(pub i64);

impl Sid {
    /// Whom a server votes for that cannot be elected: an observer or a non-voting follower (quorum 5.5).
    pub const NONE: Self = Self(i64::MIN);

    /// The byte that session ids carry, if the id fits.
    #[must_use]
    pub fn server_id(self) -> Option<ServerId> {
        u8::try_from(self.0).ok().map(ServerId)
    }
}

impl From<ServerId> for Sid {
    fn from(id: ServerId) -> Self {
        Self(id.0.into())
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
