//! What proposed transactions will have changed once they are applied.
//!
//! Requests are validated against the tree plus this overlay, so that the next request sees the effect of the one
//! before it without waiting for the disk (protocol 11.2). Per path the newest pending record is kept; when the
//! transaction that made it is applied, it goes.

use std::collections::{BTreeSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::{Acl, SessionId, StatPersisted, Zxid};
use zabra_tree::{AclId, DataTree, node_digest};

/// A path in the one form that is used as key: the root is `""`, never `/` (protocol 19, defect 6).
#[must_use]
pub fn key(path: &str) -> &str {
    if path == "/" { "" } else { path }
}

/// The ACL of a znode as it will be.
#[derive(Debug, Clone)]
pub enum PendingAcl {
    /// As the tree has it; no pending transaction changes it.
    Tree(AclId),
    /// As a pending transaction sets it.
    New(Arc<[Acl<'static>]>),
}

/// The data of a znode as it will be.
#[derive(Debug, Clone)]
pub enum PendingData {
    /// As the tree has it; no pending transaction changes it.
    Tree,
    /// As a pending transaction sets it. Shared, since the znode may change again before it is in the tree.
    New(Option<Arc<[u8]>>),
}

/// A znode as it will be.
#[derive(Debug, Clone)]
pub struct PendingNode {
    /// Its Stat.
    pub stat: StatPersisted,
    /// Number of its children.
    pub children: usize,
    /// Its ACL.
    pub acl: PendingAcl,
    /// Its data.
    pub data: PendingData,
    /// Its part in the tree digest.
    pub digest: u32,
}

/// What the newest pending transaction of a path makes of it.
#[derive(Debug, Clone)]
struct Change {
    path: Box<str>,
    zxid: Zxid,
    /// `None`: it will be gone.
    node: Option<PendingNode>,
}

/// The overlay.
///
/// Invariant: for each change in `changes` its zxid and its path's hash are in `order`; `owned` lists exactly the paths
/// whose change has an owner.
#[derive(Debug, Default)]
pub struct PendingChanges {
    changes: HashTable<Change>,
    hasher: DefaultHashBuilder,
    /// What each transaction changed, by the hash of the path. With the zxid that is enough: two paths of one hash that
    /// one transaction changed are forgotten together.
    order: VecDeque<(Zxid, u64)>,
    owned: HashMap<SessionId, BTreeSet<Box<str>>>,
    /// The tree digest after the newest pending change; `None` if nothing is pending.
    tree_digest: Option<u64>,
    /// What to put back if the multi that is being prepared fails.
    undo: Option<Undo>,
}

#[derive(Debug)]
struct Undo {
    /// The path, and what was pending for it before.
    records: Vec<(Box<str>, Option<Change>)>,
    order_len: usize,
    tree_digest: Option<u64>,
}

impl PendingChanges {
    /// The znode as it will be; `None` if there will be none.
    #[must_use]
    pub fn node(&self, tree: &DataTree, path: &str) -> Option<PendingNode> {
        if let Some(change) = self.change(key(path)) {
            return change.node.clone();
        }
        let id = tree.find(path)?;
        Some(PendingNode {
            stat: tree.persisted(id),
            children: tree.child_count(id),
            acl: PendingAcl::Tree(tree.acl_id(id)),
            data: PendingData::Tree,
            digest: tree.digest_of(id),
        })
    }

    /// The list behind a pending ACL.
    #[must_use]
    pub fn acl<'t>(tree: &'t DataTree, node: &'t PendingNode) -> &'t [Acl<'static>] {
        match &node.acl {
            PendingAcl::Tree(id) => tree.acl_list(*id),
            PendingAcl::New(list) => list,
        }
    }

    /// The bytes behind pending data.
    #[must_use]
    pub fn data<'t>(tree: &'t DataTree, path: &str, node: &'t PendingNode) -> Option<&'t [u8]> {
        match &node.data {
            PendingData::New(data) => data.as_deref(),
            PendingData::Tree => tree.find(path).and_then(|id| tree.data(id)),
        }
    }

    /// Records how a znode will be after the transaction with this number. What comes in is the record that
    /// [`Self::node`] gave, with its changes but with the digest that it had (0 for a new znode); the new one is
    /// computed here.
    pub fn put(&mut self, tree: &DataTree, zxid: Zxid, path: &str, mut node: PendingNode) {
        if tree.digest().is_some() {
            let before = node.digest;
            node.digest = node_digest(key(path), Self::data(tree, path, &node), &node.stat);
            self.shift_digest(tree, before, node.digest);
        }
        self.record(zxid, key(path), Some(node));
    }

    /// Records that the znode, as [`Self::node`] gave it, will be gone after the transaction with this number.
    pub fn remove(&mut self, tree: &DataTree, zxid: Zxid, path: &str, node: &PendingNode) {
        self.shift_digest(tree, node.digest, 0);
        self.record(zxid, key(path), None);
    }

    /// The tree digest after everything that is pending; none if digests are off.
    #[must_use]
    pub fn tree_digest(&self, tree: &DataTree) -> Option<u64> {
        self.tree_digest.or_else(|| tree.digest())
    }

    fn shift_digest(&mut self, tree: &DataTree, before: u32, after: u32) {
        let shift = u64::from(after).wrapping_sub(before.into());
        self.tree_digest = self.tree_digest(tree).map(|sum| sum.wrapping_add(shift));
    }

    fn hash(&self, path: &str) -> u64 {
        self.hasher.hash_one(path)
    }

    fn change(&self, path: &str) -> Option<&Change> {
        if self.changes.is_empty() {
            return None;
        }
        self.changes
            .find(self.hash(path), |change| *change.path == *path)
    }

    fn record(&mut self, zxid: Zxid, path: &str, node: Option<PendingNode>) {
        let owner = node.as_ref().and_then(owner_of);
        let hash = self.hash(path);
        let path_kept = path.into();
        let before = self.put_change(
            hash,
            Change {
                path: path_kept,
                zxid,
                node,
            },
        );
        let owner_before = before.as_ref().and_then(Change::owner);
        if owner != owner_before {
            self.disown(owner_before, path);
            self.own(owner, path);
        }
        if before.as_ref().is_some_and(|change| change.zxid == zxid) {
            return;
        }
        if let Some(undo) = &mut self.undo {
            undo.records.push((path.into(), before));
        }
        self.order.push_back((zxid, hash));
    }

    /// The change that was in its place.
    fn put_change(&mut self, hash: u64, change: Change) -> Option<Change> {
        let is_it = |other: &Change| other.path == change.path;
        let rehash = |other: &Change| self.hasher.hash_one(&*other.path);
        match self.changes.entry(hash, is_it, rehash) {
            Entry::Occupied(mut place) => Some(std::mem::replace(place.get_mut(), change)),
            Entry::Vacant(place) => {
                place.insert(change);
                None
            }
        }
    }

    /// Starts to remember what changes, for a multi that may fail.
    pub fn begin_multi(&mut self) {
        self.undo = Some(Undo {
            records: Vec::new(),
            order_len: self.order.len(),
            tree_digest: self.tree_digest,
        });
    }

    /// Keeps what the multi changed.
    pub fn keep_multi(&mut self) {
        self.undo = None;
    }

    /// Puts everything back as it was before [`Self::begin_multi`] (P99).
    pub fn undo_multi(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        if mutant::on(Mutant::OverlayNotUndone) {
            return;
        }
        self.order.truncate(undo.order_len);
        self.tree_digest = undo.tree_digest;
        for (path, before) in undo.records {
            let hash = self.hash(&path);
            self.forget(hash, |change| change.path == path);
            if let Some(change) = before {
                self.own(change.owner(), &path);
                self.put_change(hash, change);
            }
        }
    }

    /// Forgets what the transactions up to this number changed: it is in the tree.
    pub fn applied(&mut self, zxid: Zxid) {
        while let Some((made_by, hash)) = self.order.pop_front_if(|(z, _)| *z <= zxid) {
            // A later transaction may have changed it again.
            self.forget(hash, |change| change.zxid == made_by);
        }
        if self.order.is_empty() {
            assert!(
                self.changes.is_empty(),
                "a pending change of no transaction stayed (P99)"
            );
            debug_assert!(self.owned.is_empty());
            self.tree_digest = None;
        }
    }

    fn forget(&mut self, hash: u64, is_it: impl FnMut(&Change) -> bool) {
        if let Ok(place) = self.changes.find_entry(hash, is_it) {
            let (change, _) = place.remove();
            self.disown(change.owner(), &change.path);
        }
    }

    fn own(&mut self, owner: Option<SessionId>, path: &str) {
        if let Some(owner) = owner {
            let owned = self.owned.entry(owner).or_default();
            owned.insert(path.into());
        }
    }

    fn disown(&mut self, owner: Option<SessionId>, path: &str) {
        if let Some(owner) = owner
            && let Some(owned) = self.owned.get_mut(&owner)
        {
            owned.remove(path);
            if owned.is_empty() {
                self.owned.remove(&owner);
            }
        }
    }

    /// The ephemerals that a session will own, sorted: those of the tree that no pending change touches, and those of
    /// which the newest pending change says so (P77).
    #[must_use]
    pub fn ephemerals(&self, tree: &DataTree, session: SessionId) -> Vec<String> {
        if mutant::on(Mutant::PendingEphemeralsMissed) {
            return tree.ephemerals(session);
        }
        let pending = self.owned.get(&session).into_iter().flatten();
        let pending = pending.map(|path| String::from(&**path));
        let settled = tree.ephemerals(session).into_iter();
        let settled = settled.filter(|path| self.change(path).is_none());
        let mut paths: Vec<String> = settled.chain(pending).collect();
        paths.sort_unstable();
        paths
    }

    /// How many changes are pending.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

impl Change {
    fn owner(&self) -> Option<SessionId> {
        self.node.as_ref().and_then(owner_of)
    }
}

/// The session that owns a znode, if it is an ephemeral. Containers and TTL znodes have marks there that no session id
/// equals, so they cost an entry at most.
fn owner_of(node: &PendingNode) -> Option<SessionId> {
    (node.stat.ephemeral_owner != 0).then_some(SessionId(node.stat.ephemeral_owner))
}
