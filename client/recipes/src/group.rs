//! Who is there: members of a group, each an ephemeral znode.

use std::collections::BTreeMap;

use crate::cache::{Cache, CacheEvents, CacheOptions};
use crate::decide::mirror::join;
use crate::error::Error;
use crate::persistent_node::PersistentNode;
use crate::sessions::Sessions;

/// A member of a group, and its view of all members; the same as Curator's `GroupMember`.
///
/// - Guaranteed: a member whose session lives is in the group; one whose session has ended is not, soon after.
/// - Not guaranteed: that all members see the same at the same time.
#[derive(Debug)]
pub struct GroupMember {
    pub(crate) node: PersistentNode,
    pub(crate) cache: Cache,
}

impl GroupMember {
    /// Joins the group at a path under an id that nobody else has, with data that others read.
    #[must_use]
    pub fn join(sessions: impl Into<Sessions>, group: &str, id: &str, data: &[u8]) -> Self {
        let sessions = sessions.into();
        Self {
            node: PersistentNode::ephemeral(&sessions, &join(group, id), data),
            cache: Cache::start(sessions, group, CacheOptions::default()),
        }
    }

    /// Waits until it is a member and knows the others.
    ///
    /// # Errors
    /// The session has ended and there is no other, or the server refuses.
    pub async fn joined(&self) -> Result<(), Error> {
        self.node.created().await?;
        self.cache.initialized().await
    }

    /// The members by id, with their data, as seen at the moment.
    #[must_use]
    pub fn members(&self) -> BTreeMap<String, Vec<u8>> {
        let members = self.cache.children(self.cache.root());
        let member = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        members
            .iter()
            .map(|node| (member(&node.path), node.data.clone()))
            .collect()
    }

    /// Changes of the group from now on.
    #[must_use]
    pub fn changes(&self) -> CacheEvents {
        self.cache.events()
    }

    /// Sets the data that others read.
    pub fn set_data(&self, data: &[u8]) {
        self.node.set_data(data);
    }

    /// Leaves the group. Dropped instead, it stays until its session ends.
    ///
    /// # Errors
    /// As [`PersistentNode::close`].
    pub async fn leave(self) -> Result<(), Error> {
        self.node.close().await
    }
}
