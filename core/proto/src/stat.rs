//! The numbers kept with each znode.

use zabra_jute::record;

record! {
    /// Stat as clients see it (68 bytes). `cversion` and `ephemeral_owner` are translated from what is stored
    /// (protocol 8.5), and the two lengths stand before `pzxid`.
    #[derive(Copy, Default)]
    pub struct Stat {
        /// zxid that created the znode.
        pub czxid: i64,
        /// zxid that last set its data.
        pub mzxid: i64,
        /// Wall clock of the creation, ms.
        pub ctime: i64,
        /// Wall clock of the last setData, ms.
        pub mtime: i64,
        /// Number of setData.
        pub version: i32,
        /// Number of children created plus number deleted.
        pub cversion: i32,
        /// Number of setACL.
        pub aversion: i32,
        /// The owning session of an ephemeral, else 0.
        pub ephemeral_owner: i64,
        /// Bytes of data.
        pub data_length: i32,
        /// Direct children.
        pub num_children: i32,
        /// zxid that last created or deleted a child.
        pub pzxid: i64,
    }

    /// Stat as it is stored (60 bytes): `cversion` counts creates only, `ephemeral_owner` also encodes containers and
    /// TTLs (protocol 8.4).
    #[derive(Copy, Default)]
    pub struct StatPersisted {
        /// zxid that created the znode.
        pub czxid: i64,
        /// zxid that last set its data.
        pub mzxid: i64,
        /// Wall clock of the creation, ms.
        pub ctime: i64,
        /// Wall clock of the last setData, ms.
        pub mtime: i64,
        /// Number of setData.
        pub version: i32,
        /// Number of children created.
        pub cversion: i32,
        /// Number of setACL.
        pub aversion: i32,
        /// Session, container mark, or TTL.
        pub ephemeral_owner: i64,
        /// zxid that last created or deleted a child.
        pub pzxid: i64,
    }
}
