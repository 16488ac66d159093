//! The closed sets of the protocol: op codes, create modes, event kinds, watch modes.

use zabra_jute::{Decode, Encode, JuteError, JuteErrorKind, Reader};

macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$vmeta:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum $name { $($(#[$vmeta])* $variant = $code,)* }

        impl $name {
            /// All of them, in the order of their definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> i32 {
                self as i32
            }

            /// From the number on the wire; `None` if it names nothing.
            #[must_use]
            pub const fn from_code(code: i32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl<'a> Decode<'a> for $name {
            fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
                let offset = r.position();
                let value = r.i32()?;
                Self::from_code(value)
                    .ok_or(JuteError { offset, kind: JuteErrorKind::Unknown { what: $what, value } })
            }
        }

        impl Encode for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.code().encode(out);
            }
        }
    };
}
pub(crate) use wire_enum;

wire_enum! {
    /// What a client may ask. Codes that only servers use (−10, 20, −1) are not requests: see `TxnKind`.
    OpCode, "op code" {
        /// Create a znode; the reply has its path.
        Create = 1,
        /// Delete a znode.
        Delete = 2,
        /// Stat of a znode, or that there is none.
        Exists = 3,
        /// Data and Stat.
        GetData = 4,
        /// Replace the data.
        SetData = 5,
        /// ACL and Stat.
        GetAcl = 6,
        /// Replace the ACL.
        SetAcl = 7,
        /// Names of the children.
        GetChildren = 8,
        /// Catch up with the leader.
        Sync = 9,
        /// Keep the session.
        Ping = 11,
        /// Names of the children, and Stat.
        GetChildren2 = 12,
        /// Version check; only inside a multi.
        Check = 13,
        /// Several writes as one transaction.
        Multi = 14,
        /// Create a znode; the reply has its path and Stat.
        Create2 = 15,
        /// Change the ensemble's membership.
        Reconfig = 16,
        /// Ask for a watch.
        CheckWatches = 17,
        /// Remove watches.
        RemoveWatches = 18,
        /// Create a container.
        CreateContainer = 19,
        /// Create a znode with a time to live.
        CreateTtl = 21,
        /// Several reads, each answered on its own.
        MultiRead = 22,
        /// Add an identity to the connection.
        Auth = 100,
        /// Register watches again after a reconnect.
        SetWatches = 101,
        /// A SASL step.
        Sasl = 102,
        /// Ephemerals of the calling session.
        GetEphemerals = 103,
        /// Number of all descendants.
        GetAllChildrenNumber = 104,
        /// As SetWatches, with persistent watches.
        SetWatches2 = 105,
        /// Add a persistent watch.
        AddWatch = 106,
        /// Identities of the connection.
        WhoAmI = 107,
        /// End the session.
        CloseSession = -11,
    }
}

impl OpCode {
    /// Whether it becomes a transaction, and so goes through the peer. `Check` stands only inside a multi.
    #[must_use]
    pub const fn is_write(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Delete
                | Self::SetData
                | Self::SetAcl
                | Self::Multi
                | Self::Create2
                | Self::Reconfig
                | Self::CreateContainer
                | Self::CreateTtl
                | Self::CloseSession
        )
    }
}

wire_enum! {
    /// The `flags` of a create.
    CreateMode, "create mode" {
        /// Stays until deleted.
        Persistent = 0,
        /// Goes with its session.
        Ephemeral = 1,
        /// Persistent, with a counter behind its name.
        PersistentSequential = 2,
        /// Ephemeral, with a counter behind its name.
        EphemeralSequential = 3,
        /// Deleted some time after its last child went.
        Container = 4,
        /// Deleted when it has been childless and unmodified for its TTL.
        PersistentWithTtl = 5,
        /// The same with a counter behind its name.
        PersistentSequentialWithTtl = 6,
    }
}

impl CreateMode {
    /// Whether the server appends a counter.
    #[must_use]
    pub const fn is_sequential(self) -> bool {
        matches!(
            self,
            Self::PersistentSequential
                | Self::EphemeralSequential
                | Self::PersistentSequentialWithTtl
        )
    }

    /// Whether the znode belongs to its session.
    #[must_use]
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }

    /// Whether the znode has a time to live.
    #[must_use]
    pub const fn has_ttl(self) -> bool {
        matches!(
            self,
            Self::PersistentWithTtl | Self::PersistentSequentialWithTtl
        )
    }
}

wire_enum! {
    /// What happened to a watched path. Servers send no others.
    EventKind, "event type" {
        /// The znode was created.
        NodeCreated = 1,
        /// The znode was deleted.
        NodeDeleted = 2,
        /// Its data was set.
        NodeDataChanged = 3,
        /// A child was created or deleted.
        NodeChildrenChanged = 4,
    }
}

wire_enum! {
    /// The mode of addWatch.
    WatchAddMode, "addWatch mode" {
        /// Stays; events of the exact path.
        Persistent = 0,
        /// Stays; events of the path and all below.
        PersistentRecursive = 1,
    }
}

wire_enum! {
    /// Which watches checkWatches and removeWatches mean (3.9; earlier servers know the first three).
    RemoveWatchesKind, "watcher type" {
        /// Standard child watches.
        Children = 1,
        /// Standard data watches.
        Data = 2,
        /// All.
        Any = 3,
        /// Persistent ones.
        Persistent = 4,
        /// Persistent recursive ones.
        PersistentRecursive = 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_codes_are_not_requests() {
        for code in [0, -1, 10, 20, -10, 999] {
            assert_eq!(OpCode::from_code(code), None, "{code}");
        }
    }

    #[test]
    fn codes_survive_the_round_trip() {
        for op in OpCode::ALL {
            assert_eq!(OpCode::from_code(op.code()), Some(*op));
        }
    }
}
