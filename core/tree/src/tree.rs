//! The tree of znodes, and what can be asked of it.
//!
//! Changes come in through `apply` (transactions), `TreeLoader` (a snapshot) and nowhere else.

use zabra_proto::{Acl, Perms, SessionId, Stat, StatPersisted, WallMillis, Zxid};

use crate::acl_table::{AclId, AclTable};
use crate::image::ImageState;
use crate::index::PathIndex;
use crate::kind::{NodeKind, OwnerRules};
use crate::node::{Extra, Node};
use crate::owners::Owners;
use crate::packed::Packed;
use crate::quota::QuotaPaths;
use crate::slab::{NIL, Slab};

/// The znodes of one server.
///
/// A pure value: what it holds after a transaction depends on nothing but what it held before and the transaction (R5).
pub struct DataTree {
    pub(crate) options: TreeOptions,
    pub(crate) nodes: Slab<Node>,
    pub(crate) extras: Slab<Extra>,
    pub(crate) index: PathIndex,
    pub(crate) acls: AclTable,
    pub(crate) owners: Owners,
    pub(crate) quotas: QuotaPaths,
    /// Invariant: the sum of all node digests, if digests are enabled.
    pub(crate) digest: u64,
    pub(crate) last_zxid: Zxid,
    /// Invariant: 1 + the sum over all znodes of the bytes of path and data.
    pub(crate) data_size: u64,
    pub(crate) image: Option<ImageState>,
    pub(crate) images_begun: u64,
}

/// What a tree is told at the start.
#[derive(Debug, Clone, Copy)]
pub struct TreeOptions {
    /// How owner fields are read.
    pub owners: OwnerRules,
    /// `zookeeper.digest.enabled`: whether the tree's digest is kept up to date.
    pub digest_enabled: bool,
    /// Seed of the hash tables. Unpredictable to clients in a server, fixed in a simulation; it never changes a result.
    pub hash_seed: u64,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self {
            owners: OwnerRules::default(),
            digest_enabled: true,
            hash_seed: 0,
        }
    }
}

/// A znode of one tree. Good until the tree changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

/// The root's slot.
pub(crate) const ROOT: u32 = 0;

impl NodeId {
    /// The root.
    pub const ROOT: Self = Self(ROOT);
}

/// Where the text of the ensemble's configuration stands.
pub const CONFIG_PATH: &str = "/zookeeper/config";

impl DataTree {
    /// A new tree: the root and the system nodes (protocol 8.9).
    #[must_use]
    pub fn new(options: TreeOptions) -> Self {
        let mut tree = Self::without_nodes(options);
        let stat = StatPersisted::default();
        tree.plant_root(Some(b""), AclId::OPEN, &stat);
        let zookeeper = tree.attach(ROOT, "/zookeeper", Some(b""), AclId::OPEN, &stat);
        tree.attach(zookeeper, "/zookeeper/quota", Some(b""), AclId::OPEN, &stat);
        tree.ensure_config_node();
        tree
    }

    pub(crate) fn without_nodes(options: TreeOptions) -> Self {
        Self {
            options,
            nodes: Slab::new(),
            extras: Slab::new(),
            index: PathIndex::new(options.hash_seed),
            acls: AclTable::new(options.hash_seed),
            owners: Owners::new(options.hash_seed),
            quotas: QuotaPaths::new(options.hash_seed),
            digest: 0,
            last_zxid: Zxid::ZERO,
            data_size: 1,
            image: None,
            images_begun: 0,
        }
    }

    pub(crate) fn plant_root(&mut self, data: Option<&[u8]>, acl: AclId, stat: &StatPersisted) {
        debug_assert_eq!(self.nodes.len(), 0);
        let slot = self
            .nodes
            .insert(Node::new(Packed::new(b"", data), ROOT, acl, stat));
        debug_assert_eq!(slot, ROOT);
        self.settle(slot, "", stat);
    }

    /// Makes the config node if data of 3.4 lacks it. Outside of transactions: each server does it by itself.
    pub fn ensure_config_node(&mut self) {
        if self.find(CONFIG_PATH).is_some() {
            return;
        }
        if let Some(NodeId(zookeeper)) = self.find("/zookeeper") {
            let acl = self.acls.acquire(Some(&[Acl::world(Perms::READ)]));
            let stat = StatPersisted {
                aversion: -1,
                ..StatPersisted::default()
            };
            self.attach(zookeeper, CONFIG_PATH, Some(b""), acl, &stat);
        }
    }

    /// Puts the configuration that this server started with into the config node: version −1, mzxid the version of the
    /// configuration, the rest as it was (protocol 8.9). Outside of transactions, no events.
    pub fn set_local_config(&mut self, text: &[u8], config_version: Zxid, now: WallMillis) {
        self.ensure_config_node();
        if let Some(NodeId(slot)) = self.find(CONFIG_PATH) {
            self.overwrite(slot, CONFIG_PATH, Some(text), -1, config_version, now);
        }
    }

    /// What the tree was told at the start.
    #[must_use]
    pub const fn options(&self) -> &TreeOptions {
        &self.options
    }

    /// The last transaction applied, or that of the snapshot.
    #[must_use]
    pub const fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// Moves the last zxid where no transaction does: a snapshot's name, the start of an epoch.
    pub fn set_last_zxid(&mut self, zxid: Zxid) {
        self.last_zxid = zxid;
    }

    /// The digest of the tree, if digests are enabled.
    #[must_use]
    pub fn digest(&self) -> Option<u64> {
        self.options.digest_enabled.then_some(self.digest)
    }

    /// The znode's part in it; 0 without digests.
    #[must_use]
    pub fn digest_of(&self, node: NodeId) -> u32 {
        self.nodes[node.0].digest
    }

    /// The znode at a path. `""` is the root as well as `/`; a malformed path names no znode.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<NodeId> {
        let path = path.as_bytes();
        if matches!(path, b"" | b"/") {
            return Some(NodeId::ROOT);
        }
        self.index
            .find(self.index.hash(path), |slot| self.is_at(slot, path))
            .map(NodeId)
    }

    fn is_at(&self, slot: u32, path: &[u8]) -> bool {
        let mut rest = path;
        let mut at = slot;
        while at != ROOT {
            let node = &self.nodes[at];
            let parent = rest
                .strip_suffix(node.packed.name())
                .and_then(|front| front.strip_suffix(b"/"));
            let Some(parent) = parent else {
                return false;
            };
            rest = parent;
            at = node.parent;
        }
        rest.is_empty()
    }

    /// The data; null is not the same as empty.
    #[must_use]
    pub fn data(&self, node: NodeId) -> Option<&[u8]> {
        self.nodes[node.0].packed.data()
    }

    /// The number of the ACL.
    #[must_use]
    pub fn acl_id(&self, node: NodeId) -> AclId {
        self.nodes[node.0].acl
    }

    /// The list behind a number that a znode of this tree has.
    #[must_use]
    pub fn acl_list(&self, id: AclId) -> &[Acl<'static>] {
        self.acls.list(id)
    }

    /// The ACL.
    #[must_use]
    pub fn acl(&self, node: NodeId) -> &[Acl<'static>] {
        self.acls.list(self.nodes[node.0].acl)
    }

    /// Number of ACL lists kept.
    #[must_use]
    pub fn acl_count(&self) -> usize {
        self.acls.len()
    }

    /// Stat as it is stored.
    #[must_use]
    pub fn persisted(&self, node: NodeId) -> StatPersisted {
        let (node, extra) = self.parts(node.0);
        StatPersisted {
            czxid: node.czxid,
            mzxid: node.mzxid,
            ctime: node.ctime,
            mtime: node.mtime,
            version: node.version,
            cversion: extra.cversion,
            aversion: extra.aversion,
            ephemeral_owner: extra.owner,
            pzxid: extra.pzxid,
        }
    }

    /// Stat as clients see it (protocol 8.5).
    #[must_use]
    pub fn stat(&self, node: NodeId) -> Stat {
        let (node, extra) = self.parts(node.0);
        let ephemeral_owner = match self.options.owners.kind(extra.owner) {
            NodeKind::Ephemeral(session) => session.0,
            _ => 0,
        };
        let num_children = extra.child_count as i32;
        Stat {
            czxid: node.czxid,
            mzxid: node.mzxid,
            ctime: node.ctime,
            mtime: node.mtime,
            version: node.version,
            cversion: extra.cversion.wrapping_mul(2).wrapping_sub(num_children),
            aversion: extra.aversion,
            ephemeral_owner,
            data_length: node.packed.data_len() as i32,
            num_children,
            pzxid: extra.pzxid,
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self, node: NodeId) -> NodeKind {
        self.options.owners.kind(self.extra(node.0).owner)
    }

    /// Number of direct children.
    #[must_use]
    pub fn child_count(&self, node: NodeId) -> usize {
        self.extra(node.0).child_count as usize
    }

    /// The names of the direct children, in no particular order.
    pub fn children(&self, node: NodeId) -> Children<'_> {
        let extra = self.extra(node.0);
        Children {
            tree: self,
            next: extra.first_child,
            left: extra.child_count as usize,
        }
    }

    /// Number of all descendants, itself left out.
    #[must_use]
    pub fn descendant_count(&self, node: NodeId) -> usize {
        match node {
            NodeId::ROOT => self.nodes.len() - 1,
            _ => self.subtree(node.0).count() - 1,
        }
    }

    /// Replaces `out` by the znode's path; the root's is `/`.
    pub fn path_of(&self, node: NodeId, out: &mut String) {
        self.key_of(node.0, out);
        if out.is_empty() {
            out.push('/');
        }
    }

    /// Replaces `out` by the path as snapshots and digests have it: the root's is empty. Without recursion (P57).
    pub(crate) fn key_of(&self, slot: u32, out: &mut String) {
        let mut len = 0;
        let mut at = slot;
        while at != ROOT {
            let node = &self.nodes[at];
            len += 1 + node.packed.name().len();
            at = node.parent;
        }
        let mut bytes = std::mem::take(out).into_bytes();
        bytes.clear();
        bytes.resize(len, b'/');
        let mut end = len;
        let mut at = slot;
        while at != ROOT {
            let node = &self.nodes[at];
            let name = node.packed.name();
            bytes[end - name.len()..end].copy_from_slice(name);
            end -= name.len() + 1;
            at = node.parent;
        }
        // Names come from `str`s cut at slashes, so the path is UTF-8.
        *out = String::from_utf8(bytes).unwrap_or_default();
    }

    /// Number of znodes as `srvr` and `mntr` print it: the root counts twice.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len() + 1
    }

    /// Bytes of all paths and data as `mntr` prints them: the root's path counts one.
    #[must_use]
    pub const fn approximate_data_size(&self) -> u64 {
        self.data_size
    }

    /// Number of ephemerals.
    #[must_use]
    pub const fn ephemeral_count(&self) -> usize {
        self.owners.ephemeral_count()
    }

    /// The session's ephemerals, sorted.
    #[must_use]
    pub fn ephemerals(&self, session: SessionId) -> Vec<String> {
        let mut paths: Vec<String> = self
            .owned(self.owners.head_of(session))
            .map(|slot| self.path(slot))
            .collect();
        // The order must not depend on history: a server that loaded a snapshot deletes in the same order (P104).
        paths.sort_unstable();
        paths
    }

    /// Number of the session's ephemerals.
    #[must_use]
    pub fn ephemeral_count_of(&self, session: SessionId) -> usize {
        self.owners.count_of(session)
    }

    /// The sessions that own ephemerals, sorted.
    #[must_use]
    pub fn ephemeral_owners(&self) -> Vec<SessionId> {
        self.owners.sessions()
    }

    /// Containers and TTL znodes that may be deleted at this wall time (protocol 8.4). The deletion goes through the
    /// peer, which looks again ([`Self::is_expired`], P102).
    pub fn expired(&self, now: WallMillis, never_used_ms: i64) -> impl Iterator<Item = NodeId> {
        let containers = self.owned(self.owners.containers());
        let ttls = self.owned(self.owners.ttls());
        containers
            .chain(ttls)
            .map(NodeId)
            .filter(move |node| self.is_expired(*node, now, never_used_ms))
    }

    /// Whether the sweep may delete this znode. `never_used_ms` is the age at which a container goes that never had a
    /// child; 0 is never.
    #[must_use]
    pub fn is_expired(&self, node: NodeId, now: WallMillis, never_used_ms: i64) -> bool {
        let (at, extra) = self.parts(node.0);
        if extra.child_count != 0 {
            return false;
        }
        let idle = now.0.saturating_sub(at.mtime);
        match self.options.owners.kind(extra.owner) {
            NodeKind::Container => {
                extra.cversion > 0 || (never_used_ms != 0 && idle > never_used_ms)
            }
            NodeKind::Ttl(ttl) => ttl != 0 && idle > ttl,
            _ => false,
        }
    }

    pub(crate) fn path(&self, slot: u32) -> String {
        let mut path = String::new();
        self.path_of(NodeId(slot), &mut path);
        path
    }

    pub(crate) fn extra(&self, slot: u32) -> Extra {
        self.parts(slot).1
    }

    fn parts(&self, slot: u32) -> (&Node, Extra) {
        let node = &self.nodes[slot];
        let extra = match node.extra {
            NIL => Extra::of_leaf(node.czxid),
            extra => self.extras[extra],
        };
        (node, extra)
    }

    /// A znode and all below it, parents first.
    pub(crate) fn subtree(&self, root: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(root), move |at| {
            let first_child = self.extra(*at).first_child;
            if first_child != NIL {
                return Some(first_child);
            }
            let mut at = *at;
            while at != root {
                let node = &self.nodes[at];
                if node.next != NIL {
                    return Some(node.next);
                }
                at = node.parent;
            }
            None
        })
    }

    fn owned(&self, head: u32) -> impl Iterator<Item = u32> {
        let next = |slot: u32| (slot != NIL).then_some(slot);
        std::iter::successors(next(head), move |slot| next(self.extra(*slot).owner_next))
    }
}

/// The names of a znode's children.
pub struct Children<'t> {
    tree: &'t DataTree,
    next: u32,
    left: usize,
}

impl<'t> Iterator for Children<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        if self.next == NIL {
            return None;
        }
        let node = &self.tree.nodes[self.next];
        self.next = node.next;
        self.left -= 1;
        // Names come from `str`s cut at slashes.
        Some(std::str::from_utf8(node.packed.name()).unwrap_or_default())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Children<'_> {}
