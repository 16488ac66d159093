//! How znodes are put into the tree and taken out: slots, links, index, lists of owners, sums.
//!
//! Nothing here knows transactions; `apply` and `load` do.

use zabra_proto::{StatPersisted, WallMillis, Zxid};

use crate::acl_table::AclId;
use crate::digest::node_digest;
use crate::node::{Extra, Node};
use crate::packed::Packed;
use crate::slab::NIL;
use crate::tree::{DataTree, NodeId, ROOT};

impl DataTree {
    /// Puts a new znode under a parent. The path must be the parent's, a slash and a name, and not exist. The znode
    /// takes over one reference to its ACL.
    pub(crate) fn attach(
        &mut self,
        parent: u32,
        path: &str,
        data: Option<&[u8]>,
        acl: AclId,
        stat: &StatPersisted,
    ) -> u32 {
        let name = path.rsplit('/').next().unwrap_or_default();
        let slot = self.nodes.insert(Node::new(
            Packed::new(name.as_bytes(), data),
            parent,
            acl,
            stat,
        ));
        self.image_born(slot);
        let above = self.extra_mut(parent);
        let sibling = std::mem::replace(&mut above.first_child, slot);
        above.child_count += 1;
        if sibling != NIL {
            self.nodes[sibling].prev = slot;
            self.nodes[slot].next = sibling;
        }
        self.index.insert(self.index.hash(path.as_bytes()), slot);
        self.settle(slot, path, stat);
        slot
    }

    /// The rest of what a new znode needs: extra, list of its owner, sums.
    pub(crate) fn settle(&mut self, slot: u32, path: &str, stat: &StatPersisted) {
        if Extra::is_needed(stat) {
            self.nodes[slot].extra = self.extras.insert(Extra::of_stat(stat));
        }
        if let Some(former) = self
            .owners
            .push(self.options.owners.kind(stat.ephemeral_owner), slot)
        {
            self.extra_mut(slot).owner_next = former;
            if former != NIL {
                self.extra_mut(former).owner_prev = slot;
            }
        }
        self.data_size += (path.len() + self.nodes[slot].packed.data_len()) as u64;
        self.digest_add(slot, path);
    }

    /// Takes a childless znode out. Its ACL still has the reference.
    pub(crate) fn detach(&mut self, slot: u32, path: &str) -> Node {
        self.image_touch(slot);
        self.digest_sub(slot);
        let extra = self.extra(slot);
        debug_assert_eq!(extra.child_count, 0);
        self.unlink_owner(&extra);
        self.index.remove(self.index.hash(path.as_bytes()), slot);
        let node = self.nodes.remove(slot);
        if node.extra != NIL {
            self.extras.remove(node.extra);
        }
        if node.next != NIL {
            self.nodes[node.next].prev = node.prev;
        }
        if node.prev != NIL {
            self.nodes[node.prev].next = node.next;
        }
        let above = self.extra_mut(node.parent);
        above.child_count -= 1;
        if node.prev == NIL {
            above.first_child = node.next;
        }
        self.data_size -= (path.len() + node.packed.data_len()) as u64;
        node
    }

    fn unlink_owner(&mut self, extra: &Extra) {
        let kind = self.options.owners.kind(extra.owner);
        let new_head = (extra.owner_prev == NIL).then_some(extra.owner_next);
        self.owners.pop(kind, new_head);
        if extra.owner_next != NIL {
            self.extra_mut(extra.owner_next).owner_prev = extra.owner_prev;
        }
        if extra.owner_prev != NIL {
            self.extra_mut(extra.owner_prev).owner_next = extra.owner_next;
        }
    }

    /// Sets data and what goes with it, without events or quotas. The growth in bytes.
    pub(crate) fn overwrite(
        &mut self,
        slot: u32,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        zxid: Zxid,
        time: WallMillis,
    ) -> i64 {
        self.image_touch(slot);
        self.digest_sub(slot);
        let grown = self.set_bytes(slot, data);
        let node = &mut self.nodes[slot];
        node.mzxid = zxid.to_wire();
        node.mtime = time.0;
        node.version = version;
        // A leaf without extra has its own czxid as pzxid, which does not change here.
        self.digest_add(slot, path);
        grown
    }

    /// Replaces the data and nothing else. The caller has seen to image and digest.
    pub(crate) fn set_bytes(&mut self, slot: u32, data: Option<&[u8]>) -> i64 {
        let packed = &mut self.nodes[slot].packed;
        let before = packed.data_len();
        packed.set_data(data);
        let grown = packed.data_len() as i64 - before as i64;
        self.data_size = self.data_size.wrapping_add_signed(grown);
        grown
    }

    /// Changes the extra part of a znode, with image and digest.
    pub(crate) fn change_extra(&mut self, slot: u32, path: &str, change: impl FnOnce(&mut Extra)) {
        self.image_touch(slot);
        self.digest_sub(slot);
        change(self.extra_mut(slot));
        self.digest_add(slot, path);
    }

    /// The extra part, made if it is not there.
    pub(crate) fn extra_mut(&mut self, slot: u32) -> &mut Extra {
        let node = &mut self.nodes[slot];
        if node.extra == NIL {
            node.extra = self.extras.insert(Extra::of_leaf(node.czxid));
        }
        &mut self.extras[node.extra]
    }

    /// Puts the znode's part into the digest, after a change.
    pub(crate) fn digest_add(&mut self, slot: u32, path: &str) {
        let digest = self.digest_computed(slot, path);
        self.nodes[slot].digest = digest;
        self.digest = self.digest.wrapping_add(digest.into());
    }

    /// Takes the znode's part out of the digest, before a change.
    pub(crate) fn digest_sub(&mut self, slot: u32) {
        let digest = self.nodes[slot].digest;
        self.digest = self.digest.wrapping_sub(digest.into());
    }

    fn digest_computed(&self, slot: u32, path: &str) -> u32 {
        if !self.options.digest_enabled {
            return 0;
        }
        node_digest(path, self.data(NodeId(slot)), &self.persisted(NodeId(slot)))
    }

    /// Checks every invariant of the tree against itself; for tests. What is wrong, if anything.
    ///
    /// # Errors
    /// The first broken invariant, in words.
    pub fn check_invariants(&self) -> Result<(), String> {
        let mut path = String::new();
        let (mut seen, mut size, mut digest, mut ephemerals) = (0, 1, 0u64, 0);
        for slot in self.subtree(ROOT) {
            seen += 1;
            let node = self
                .nodes
                .get(slot)
                .ok_or_else(|| format!("slot {slot} is linked but vacant"))?;
            self.key_of(slot, &mut path);
            if self.find(&path) != Some(NodeId(slot)) {
                return Err(format!("{path} is not in the index"));
            }
            let extra = self.extra(slot);
            if self.children(NodeId(slot)).count() != 0 && extra.child_count == 0 {
                return Err(format!("{path} has uncounted children"));
            }
            let children = std::iter::successors(
                (extra.first_child != NIL).then_some(extra.first_child),
                |at| {
                    let next = self.nodes[*at].next;
                    (next != NIL).then_some(next)
                },
            );
            let mut previous = NIL;
            let mut count = 0;
            for child in children {
                let at = &self.nodes[child];
                if at.parent != slot || at.prev != previous {
                    return Err(format!("{path} has a child that does not know it"));
                }
                previous = child;
                count += 1;
            }
            if count != extra.child_count {
                return Err(format!(
                    "{path} counts {} children and has {count}",
                    extra.child_count
                ));
            }
            if self.acls.get(node.acl.0).is_none() {
                return Err(format!("{path} has an ACL that is gone"));
            }
            if let crate::NodeKind::Ephemeral(session) = self.kind(NodeId(slot)) {
                ephemerals += 1;
                if !self.ephemerals(session).contains(&path) {
                    return Err(format!("{path} is not in the list of its session"));
                }
            }
            size += (path.len() + node.packed.data_len()) as u64;
            if node.digest != self.digest_computed(slot, &path) {
                return Err(format!("{path} is noted with a digest that it has not"));
            }
            digest = digest.wrapping_add(node.digest.into());
        }
        let expected = (seen, size, digest, ephemerals);
        let kept = (
            self.nodes.len(),
            self.data_size,
            self.digest,
            self.ephemeral_count(),
        );
        if kept != expected {
            return Err(format!(
                "(znodes, size, digest, ephemerals) are {kept:?}, must be {expected:?}"
            ));
        }
        Ok(())
    }
}
