//! What proposed transactions will have changed once they are applied.
//!
//! Requests are validated against the tree plus this overlay, so that the next request sees the effect of the one
//! before it without waiting for the disk (protocol 11.2). Per path the newest pending record is kept; when the
//! transaction that made it is applied, it goes.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
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
    /// As a pending transaction sets it.
    New(Option<Box<[u8]>>),
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
    /// Its share of the tree digest.
    pub digest: u64,
}

#[derive(Debug, Clone)]
struct Change {
    zxid: Zxid,
    /// `None`: it will be gone.
    node: Option<PendingNode>,
}

/// The overlay.
///
/// Invariant: `by_path[p].zxid` is in `order` with `p`; `owned` lists exactly the paths whose pending record has an owner.
#[derive(Debug, Default)]
pub struct PendingChanges {
    by_path: HashMap<Box<str>, Change>,
    order: VecDeque<(Zxid, Box<str>)>,
    owned: HashMap<SessionId, Vec<Box<str>>>,
    /// The tree digest after the newest pending change; `None` if nothing is pending.
    tree_digest: Option<u64>,
    /// What to put back if the multi that is being prepared fails.
    undo: Option<Undo>,
}

#[derive(Debug)]
struct Undo {
    records: Vec<(Box<str>, Option<Change>)>,
    order_len: usize,
    tree_digest: Option<u64>,
}

impl PendingChanges {
    /// The znode as it will be; `None` if there will be none.
    #[must_use]
    pub fn node(&self, tree: &DataTree, path: &str) -> Option<PendingNode> {
        if let Some(change) = self.by_path.get(key(path)) {
            return change.node.clone();
        }
        let id = tree.find(path)?;
        let stat = tree.persisted(id);
        Some(PendingNode {
            stat,
            children: tree.child_count(id),
            acl: PendingAcl::Tree(tree.acl_id(id)),
            data: PendingData::Tree,
            digest: if tree.digest().is_some() {
                node_digest(key(path), tree.data(id), &stat)
            } else {
                0
            },
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

    /// Records how a znode will be after the transaction with this number; its digest is computed here.
    pub fn put(&mut self, tree: &DataTree, zxid: Zxid, path: &str, mut node: PendingNode) {
        let before = self.node(tree, path).map_or(0, |n| n.digest);
        if tree.digest().is_some() {
            node.digest = node_digest(key(path), Self::data(tree, path, &node), &node.stat);
            self.shift_digest(tree, before, node.digest);
        }
        self.record(zxid, key(path), Some(node));
    }

    /// Records that a znode will be gone after the transaction with this number.
    pub fn remove(&mut self, tree: &DataTree, zxid: Zxid, path: &str) {
        let before = self.node(tree, path).map_or(0, |n| n.digest);
        self.shift_digest(tree, before, 0);
        self.record(zxid, key(path), None);
    }

    /// The tree digest after everything that is pending; none if digests are off.
    #[must_use]
    pub fn tree_digest(&self, tree: &DataTree) -> Option<u64> {
        self.tree_digest.or_else(|| tree.digest())
    }

    fn shift_digest(&mut self, tree: &DataTree, before: u64, after: u64) {
        let digest = self.tree_digest(tree);
        self.tree_digest = digest.map(|digest| digest.wrapping_sub(before).wrapping_add(after));
    }

    fn record(&mut self, zxid: Zxid, path: &str, node: Option<PendingNode>) {
        let owner = node.as_ref().and_then(owner_of);
        let before = self.by_path.insert(path.into(), Change { zxid, node });
        let owner_before = before
            .as_ref()
            .and_then(|c| c.node.as_ref())
            .and_then(owner_of);
        if owner != owner_before {
            if let Some(owner) = owner_before {
                self.disown(owner, path);
            }
            if let Some(owner) = owner {
                self.owned.entry(owner).or_default().push(path.into());
            }
        }
        if before.as_ref().is_some_and(|c| c.zxid == zxid) {
            return;
        }
        self.order.push_back((zxid, path.into()));
        if let Some(undo) = &mut self.undo {
            undo.records.push((path.into(), before));
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
        self.order.truncate(undo.order_len);
        self.tree_digest = undo.tree_digest;
        for (path, before) in undo.records {
            if let Some(owner) = self
                .by_path
                .remove(&path)
                .and_then(|c| c.node)
                .as_ref()
                .and_then(owner_of)
            {
                self.disown(owner, &path);
            }
            if let Some(change) = before {
                if let Some(owner) = change.node.as_ref().and_then(owner_of) {
                    self.owned.entry(owner).or_default().push(path.clone());
                }
                self.by_path.insert(path, change);
            }
        }
    }

    /// Forgets what the transactions up to this number changed: it is in the tree.
    pub fn applied(&mut self, zxid: Zxid) {
        while self.order.front().is_some_and(|(z, _)| *z <= zxid) {
            let Some((made_by, path)) = self.order.pop_front() else {
                break;
            };
            if self
                .by_path
                .get(&path)
                .is_none_or(|change| change.zxid != made_by)
            {
                continue;
            }
            if let Some(owner) = self
                .by_path
                .remove(&path)
                .and_then(|c| c.node)
                .as_ref()
                .and_then(owner_of)
            {
                self.disown(owner, &path);
            }
        }
        if self.order.is_empty() {
            assert!(
                self.by_path.is_empty(),
                "a pending change of no transaction stayed (P99)"
            );
            debug_assert!(self.owned.is_empty());
            self.tree_digest = None;
        }
    }

    fn disown(&mut self, owner: SessionId, path: &str) {
        if let Some(owned) = self.owned.get_mut(&owner) {
            owned.retain(|p| **p != *path);
            if owned.is_empty() {
                self.owned.remove(&owner);
            }
        }
    }

    /// The ephemerals that a session will own: those of the tree less pending deletes, and pending creates (P77).
    #[must_use]
    pub fn ephemerals(&self, tree: &DataTree, session: SessionId) -> Vec<Box<str>> {
        let owns = |path: &str| match self.by_path.get(path) {
            None => true,
            Some(change) => change.node.as_ref().and_then(owner_of) == Some(session),
        };
        let mut paths: Vec<Box<str>> = tree
            .ephemerals(session)
            .into_iter()
            .filter(|path| owns(path))
            .map(Into::into)
            .collect();
        for path in self.owned.get(&session).into_iter().flatten() {
            paths.push(path.clone());
        }
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Whether nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

/// The session that owns a znode, if it is an ephemeral. Containers and TTL znodes have marks there that no session id
/// equals, so they cost an entry at most.
fn owner_of(node: &PendingNode) -> Option<SessionId> {
    (node.stat.ephemeral_owner != 0).then_some(SessionId(node.stat.ephemeral_owner))
}
