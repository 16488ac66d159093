//! The codes in reply headers.

use zabra_jute::{Decode, Encode, JuteError, Reader};

/// An error code of the protocol, as it stands in a reply header. Unknown codes are kept as they came (EC-37).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(i32);

macro_rules! codes {
    ($($(#[$meta:meta])* $konst:ident = $code:literal $name:literal;)*) => {
        impl ErrorCode {
            $($(#[$meta])* pub const $konst: Self = Self($code);)*

            /// The name that Apache's tools print, without spaces.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($code => $name,)*
                    _ => "Unknown",
                }
            }
        }
    };
}

codes! {
    /// Success.
    OK = 0 "Ok";
    /// The server cannot do it for a reason of its own: its disk is nearly full.
    SYSTEM_ERROR = -1 "SystemError";
    /// An operation of a multi that was not tried, since an earlier one failed.
    RUNTIME_INCONSISTENCY = -2 "RuntimeInconsistency";
    /// A request body that cannot be decoded.
    MARSHALLING_ERROR = -5 "MarshallingError";
    /// An op code that this server does not serve.
    UNIMPLEMENTED = -6 "Unimplemented";
    /// A path, mode or TTL that is not acceptable.
    BAD_ARGUMENTS = -8 "BadArguments";
    /// No such session; internal.
    UNKNOWN_SESSION = -12 "UnknownSession";
    /// No quorum of the new configuration is in sync.
    NEW_CONFIG_NO_QUORUM = -13 "NewConfigNoQuorum";
    /// A reconfiguration is under way.
    RECONFIG_IN_PROGRESS = -14 "ReconfigInProgress";
    /// The znode, or the parent of one to be created, does not exist.
    NO_NODE = -101 "NoNode";
    /// The ACL does not grant it.
    NO_AUTH = -102 "NoAuth";
    /// The version does not match.
    BAD_VERSION = -103 "BadVersion";
    /// Ephemerals have no children.
    NO_CHILDREN_FOR_EPHEMERALS = -108 "NoChildrenForEphemerals";
    /// The znode exists.
    NODE_EXISTS = -110 "NodeExists";
    /// The znode has children.
    NOT_EMPTY = -111 "NotEmpty";
    /// The session is closing or gone.
    SESSION_EXPIRED = -112 "SessionExpired";
    /// An ACL that is empty, of an unknown scheme, or with an id that its scheme refuses.
    INVALID_ACL = -114 "InvalidACL";
    /// An auth packet was refused.
    AUTH_FAILED = -115 "AuthFailed";
    /// The session lives on another server; clients never see it.
    SESSION_MOVED = -118 "SessionMoved";
    /// A write on a read-only server.
    NOT_READ_ONLY = -119 "NotReadOnly";
    /// An ephemeral on a local session.
    EPHEMERAL_ON_LOCAL_SESSION = -120 "EphemeralOnLocalSession";
    /// There is no such watch.
    NO_WATCHER = -121 "NoWatcher";
    /// reconfig is switched off.
    RECONFIG_DISABLED = -123 "ReconfigDisabled";
    /// The connection lacks an identity that the server demands.
    SESSION_CLOSED_REQUIRE_SASL_AUTH = -124 "SessionClosedRequireSaslAuth";
    /// A hard quota is exhausted.
    QUOTA_EXCEEDED = -125 "QuotaExceeded";
    /// The request waited too long at a busy server.
    THROTTLED_OP = -127 "ThrottledOp";
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i32 {
        self.0
    }

    /// From the number on the wire.
    #[must_use]
    pub const fn from_code(code: i32) -> Self {
        Self(code)
    }

    /// Whether this is success.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl std::fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ErrorCode {}

impl<'a> Decode<'a> for ErrorCode {
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        r.i32().map(Self)
    }
}

impl Encode for ErrorCode {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}
