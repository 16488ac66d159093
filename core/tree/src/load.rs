//! Builds a tree from the records of a snapshot.
//!
//! Takes Apache's fuzzy snapshots as well as our own: the replay of the log makes them whole. A loader that fails is
//! thrown away with all that it took in, so that nothing of a bad snapshot survives into the next attempt (P53).

use std::collections::HashMap;

use foldhash::quality::FixedState;
use thiserror::Error;
use zabra_proto::{Acl, SessionId, StatPersisted, Zxid};

use crate::acl_table::{AclId, NOBODY};
use crate::tree::{DataTree, ROOT, TreeOptions};

/// Takes a snapshot's records in the order in which they stand there.
pub struct TreeLoader {
    tree: DataTree,
    sessions: Vec<(SessionId, i32)>,
    acls: HashMap<i64, AclId, FixedState>,
    missing_acls: usize,
    /// The parent of the last znode: its siblings mostly follow.
    parent: String,
    parent_slot: u32,
}

/// What a snapshot held.
pub struct Loaded {
    /// The znodes.
    pub tree: DataTree,
    /// The sessions and their timeouts in ms, as they stood in the file.
    pub sessions: Vec<(SessionId, i32)>,
    /// Znodes whose ACL was not in the table. They are closed to all but super until the replay gives them theirs.
    pub missing_acls: usize,
}

/// Why a snapshot is no tree.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoadError {
    /// The first znode must be the root.
    #[error("the snapshot does not begin with the root")]
    NoRoot,
    /// The root belongs to nobody: it would go with a session.
    #[error("the root is ephemeral")]
    OwnedRoot,
    /// Neither the root nor below it.
    #[error("{0:?} is no path")]
    BadPath(String),
    /// Its parent must come first.
    #[error("{0:?} comes before its parent")]
    NoParent(String),
    /// A path may come once.
    #[error("{0:?} comes twice")]
    Twice(String),
    /// A key of the ACL table may come once, and is at least 1.
    #[error("ACL key {0} is not acceptable")]
    BadAclKey(i64),
}

impl TreeLoader {
    /// An empty loader.
    #[must_use]
    pub fn new(options: TreeOptions) -> Self {
        Self {
            tree: DataTree::without_nodes(options),
            sessions: Vec::new(),
            acls: HashMap::with_hasher(FixedState::with_seed(options.hash_seed)),
            missing_acls: 0,
            parent: String::new(),
            parent_slot: ROOT,
        }
    }

    /// A session and its timeout in ms.
    pub fn session(&mut self, session: SessionId, timeout_ms: i32) {
        self.sessions.push((session, timeout_ms));
    }

    /// An entry of the ACL table.
    ///
    /// # Errors
    /// If the key was there before, or means the open list.
    pub fn acl(&mut self, key: i64, list: &[Acl<'_>]) -> Result<(), LoadError> {
        let id = self.tree.acls.preload(list);
        if key == AclId::OPEN.key() || self.acls.insert(key, id).is_some() {
            return Err(LoadError::BadAclKey(key));
        }
        Ok(())
    }

    /// A znode.
    ///
    /// # Errors
    /// If it cannot stand at this place.
    pub fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_key: i64,
        stat: &StatPersisted,
    ) -> Result<(), LoadError> {
        if path.is_empty() {
            if self.tree.nodes.len() != 0 {
                return Err(LoadError::Twice(path.to_owned()));
            }
            if stat.ephemeral_owner != 0 {
                return Err(LoadError::OwnedRoot);
            }
            let acl = self.reference(acl_key);
            self.tree.plant_root(data, acl, stat);
            return Ok(());
        }
        if self.tree.nodes.len() == 0 {
            return Err(LoadError::NoRoot);
        }
        let (parent, name) = path
            .rsplit_once('/')
            .ok_or_else(|| LoadError::BadPath(path.to_owned()))?;
        if name.is_empty() || parent.ends_with('/') {
            return Err(LoadError::BadPath(path.to_owned()));
        }
        if parent != self.parent {
            let found = self
                .tree
                .find(parent)
                .ok_or_else(|| LoadError::NoParent(path.to_owned()))?;
            self.parent_slot = found.0;
            self.parent.clear();
            self.parent.push_str(parent);
        }
        if self.tree.find(path).is_some() {
            return Err(LoadError::Twice(path.to_owned()));
        }
        let acl = self.reference(acl_key);
        self.tree.attach(self.parent_slot, path, data, acl, stat);
        Ok(())
    }

    fn reference(&mut self, key: i64) -> AclId {
        if key == AclId::OPEN.key() {
            return AclId::OPEN;
        }
        if let Some(id) = self.acls.get(&key) {
            self.tree.acls.retain(*id);
            return *id;
        }
        self.missing_acls += 1;
        self.tree.acls.acquire(Some(NOBODY))
    }

    /// The tree, when all records are in. `last_zxid` is the snapshot's.
    ///
    /// # Errors
    /// If there was no root.
    pub fn finish(mut self, last_zxid: Zxid) -> Result<Loaded, LoadError> {
        if self.tree.nodes.len() == 0 {
            return Err(LoadError::NoRoot);
        }
        self.tree.acls.drop_unused();
        self.tree.quota_rebuild();
        self.tree.last_zxid = last_zxid;
        Ok(Loaded {
            tree: self.tree,
            sessions: self.sessions,
            missing_acls: self.missing_acls,
        })
    }
}
