//! A znode in the slab, and the part of it that plain leaves do without.
//!
//! Most znodes are leaves that never had a child, an owner or another ACL. They take 80 bytes here, one allocation for
//! name and data, and about 14 bytes in the index.

use zabra_proto::StatPersisted;

use crate::acl_table::AclId;
use crate::packed::Packed;
use crate::slab::{NIL, Slot};

/// A znode.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) czxid: i64,
    pub(crate) mzxid: i64,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    pub(crate) packed: Packed,
    pub(crate) version: i32,
    /// The parent's slot; the root's is its own; [`NIL`] marks a vacant slot.
    pub(crate) parent: u32,
    /// Siblings, in a list without order; in a vacant slot `next` is the next vacant one.
    pub(crate) next: u32,
    pub(crate) prev: u32,
    pub(crate) acl: AclId,
    /// Slot of its [`Extra`]; [`NIL`] means `Extra::of_leaf`.
    pub(crate) extra: u32,
    /// Its part in the digest of the tree, 0 without digests. Kept, since each change of a znode takes the former part
    /// out, and what it was made from is seldom in the processor's caches.
    pub(crate) digest: u32,
}

/// What plain leaves do without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extra {
    pub(crate) pzxid: i64,
    pub(crate) owner: i64,
    pub(crate) cversion: i32,
    pub(crate) aversion: i32,
    pub(crate) first_child: u32,
    pub(crate) child_count: u32,
    /// The list of the owner: a session's ephemerals, all containers, or all TTL znodes.
    pub(crate) owner_next: u32,
    /// [`NIL`] at the head of the list.
    pub(crate) owner_prev: u32,
    vacant: bool,
}

impl Node {
    /// A childless znode of which the slab knows nothing yet.
    pub(crate) const fn new(packed: Packed, parent: u32, acl: AclId, stat: &StatPersisted) -> Self {
        Self {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            ctime: stat.ctime,
            mtime: stat.mtime,
            packed,
            version: stat.version,
            parent,
            next: NIL,
            prev: NIL,
            acl,
            extra: NIL,
            digest: 0,
        }
    }
}

impl Extra {
    /// What a znode without extra has.
    pub(crate) const fn of_leaf(czxid: i64) -> Self {
        Self {
            pzxid: czxid,
            owner: 0,
            cversion: 0,
            aversion: 0,
            first_child: NIL,
            child_count: 0,
            owner_next: NIL,
            owner_prev: NIL,
            vacant: false,
        }
    }

    /// What a znode with this Stat and no children has.
    pub(crate) const fn of_stat(stat: &StatPersisted) -> Self {
        let mut extra = Self::of_leaf(stat.pzxid);
        extra.owner = stat.ephemeral_owner;
        extra.cversion = stat.cversion;
        extra.aversion = stat.aversion;
        extra
    }

    /// Whether a znode with this Stat can do without.
    pub(crate) const fn is_needed(stat: &StatPersisted) -> bool {
        stat.pzxid != stat.czxid
            || stat.ephemeral_owner != 0
            || stat.cversion != 0
            || stat.aversion != 0
    }
}

impl Slot for Node {
    fn vacant(next: u32) -> Self {
        let mut node = Self::new(
            Packed::default(),
            NIL,
            AclId::OPEN,
            &StatPersisted::default(),
        );
        node.next = next;
        node
    }

    fn next_vacant(&self) -> Option<u32> {
        (self.parent == NIL).then_some(self.next)
    }
}

impl Slot for Extra {
    fn vacant(next: u32) -> Self {
        Self {
            owner_next: next,
            vacant: true,
            ..Self::of_leaf(0)
        }
    }

    fn next_vacant(&self) -> Option<u32> {
        self.vacant.then_some(self.owner_next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn znodes_stay_as_small_as_they_are() {
        assert_eq!(size_of::<Node>(), 80);
        assert_eq!(size_of::<Extra>(), 48);
    }
}
