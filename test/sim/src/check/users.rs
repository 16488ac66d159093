//! Who clients can show themselves to be, and what an ACL grants them.

use zabra_proto::{Acl, Perms};

/// What clients say to be somebody, and the ids that this gives (protocol 8.8): made with another program than the server's.
const USERS: [(&str, &str); 3] = [
    ("u0:p0", "u0:kn4sLJzXfp7KZRbZugmnVcIMGpM="),
    ("u1:p1", "u1:fpT/y03U+EjItKZOSLGvjnJlyng="),
    ("u2:p2", "u2:o9NxcCGDPOlcV7JVhmKHOf5ctVE="),
];

/// Every client has this address.
pub const ADDRESS: &str = "127.0.0.1";

/// So many can be told apart.
pub const COUNT: usize = USERS.len();

/// Some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Users(u8);

impl Users {
    /// With one more.
    #[must_use]
    pub fn with(self, user: usize) -> Self {
        Self(self.0 | 1 << user)
    }

    /// Both.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, user: usize) -> bool {
        self.0 & 1 << user != 0
    }

    /// Whether an ACL grants them one of these rights (protocol 8.8).
    pub(super) fn may(self, list: &[Acl<'_>], wanted: Perms) -> bool {
        list.is_empty()
            || list.iter().any(|entry| {
                let is_named = match &*entry.scheme {
                    "world" => entry.id == "anyone",
                    "ip" => entry.id == ADDRESS,
                    "digest" => (0..COUNT).any(|user| self.has(user) && entry.id == id(user)),
                    _ => false,
                };
                entry.perms.0 & wanted.0 != 0 && is_named
            })
    }
}

/// What a client sends to be this user.
#[must_use]
pub fn credentials(user: usize) -> &'static str {
    USERS[user].0
}

/// The id of a user in an ACL.
#[must_use]
pub fn id(user: usize) -> &'static str {
    USERS[user].1
}
