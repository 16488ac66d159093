//! Who may do what: permissions, ACL entries, identities. The rules are in `zabra_tree::acl`.

use zabra_jute::{Decode, Encode, JuteError, Reader, Text, record};

/// Permission bits. Unknown bits are kept and mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Perms(pub i32);

impl Perms {
    /// Read data, children, Stat.
    pub const READ: Self = Self(1);
    /// Set data.
    pub const WRITE: Self = Self(2);
    /// Create children.
    pub const CREATE: Self = Self(4);
    /// Delete children.
    pub const DELETE: Self = Self(8);
    /// Set the ACL.
    pub const ADMIN: Self = Self(16);
    /// All of them.
    pub const ALL: Self = Self(31);

    /// Whether any bit is in both.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::ops::BitOr for Perms {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl<'a> Decode<'a> for Perms {
    fn decode(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        r.i32().map(Self)
    }
}

impl Encode for Perms {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

record! {
    /// An ACL entry as a client sent it: anything may be missing.
    #[derive(Hash)]
    pub struct RawAcl<'a> {
        /// What it grants.
        pub perms: Perms,
        /// Which kind of identity it names.
        pub scheme: Option<Text<'a>>,
        /// The identity.
        pub id: Option<Text<'a>>,
    }

    /// An ACL entry as it is logged and stored.
    #[derive(Hash)]
    pub struct Acl<'a> {
        /// What it grants.
        pub perms: Perms,
        /// Which kind of identity it names.
        pub scheme: Text<'a>,
        /// The identity.
        pub id: Text<'a>,
    }
}

impl Acl<'_> {
    /// `world:anyone` with these permissions.
    #[must_use]
    pub const fn world(perms: Perms) -> Acl<'static> {
        Acl {
            perms,
            scheme: Text::Borrowed("world"),
            id: Text::Borrowed("anyone"),
        }
    }

    /// The same entry, owning its text.
    #[must_use]
    pub fn into_owned(self) -> Acl<'static> {
        Acl {
            perms: self.perms,
            scheme: Text::Owned(self.scheme.into_owned()),
            id: Text::Owned(self.id.into_owned()),
        }
    }
}

/// Who is at the other end of a connection, in one scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// `ip`, `digest`, `x509`, `sasl` or `super`.
    pub scheme: String,
    /// What ACL ids of the scheme are compared with.
    pub id: String,
}

impl Identity {
    /// An identity of a scheme.
    #[must_use]
    pub fn new(scheme: &str, id: &str) -> Self {
        Self {
            scheme: scheme.to_owned(),
            id: id.to_owned(),
        }
    }
}
