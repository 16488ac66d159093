//! What a user may know about the session.

/// Where a session stands (features CL-05, CL-06, RE-42).
///
/// `Expired`, `AuthFailed` and `Closed` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// No server has answered yet; there is no session.
    Connecting,
    /// A server serves the session.
    Connected,
    /// A server without a quorum serves reads; writes are refused.
    ReadOnly,
    /// The connection is lost; the session may still be alive, and another server is looked for.
    Suspended,
    /// No server was heard for the session timeout. The session has probably expired, so what depended on it must be taken
    /// for lost; should a server still know it, `Connected` follows.
    Lost,
    /// The session is gone, with its ephemerals.
    Expired,
    /// A server refused the credentials.
    AuthFailed,
    /// It was closed from here.
    Closed,
}

impl SessionState {
    /// Whether a server serves the session now.
    #[must_use]
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Connected | Self::ReadOnly)
    }

    /// Whether nothing can come after it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Expired | Self::AuthFailed | Self::Closed)
    }
}
