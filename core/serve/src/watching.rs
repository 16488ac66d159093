//! Setting, asking for and removing watches (protocol 9).

use zabra_jute::{Decode, Reader};
use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::client::{AddWatchRequest, SetWatches, SetWatches2, WatchesRequest};
use zabra_proto::{ErrorCode, EventKind, OpCode, WatchAddMode};
use zabra_tree::{WatchMode, Watcher};

use crate::Conn;
use crate::frame;
use crate::reads::{ReadError, Reading};

impl Reading<'_> {
    /// Any string may be watched, whether there is a znode or not.
    pub(crate) fn add_watch(&mut self, conn: &Conn, r: &mut Reader<'_>) -> Result<(), ReadError> {
        let request = AddWatchRequest::decode(r)?;
        let mode = match request.mode {
            WatchAddMode::Persistent => WatchMode::Persistent,
            WatchAddMode::PersistentRecursive => WatchMode::PersistentRecursive,
        };
        self.watches.add(Watcher(conn.id.0), &request.path, mode);
        Ok(())
    }

    /// Whether *this* connection watches; Apache up to 3.8 answers for any.
    pub(crate) fn check_watches(&self, conn: &Conn, r: &mut Reader<'_>) -> Result<(), ReadError> {
        let request = WatchesRequest::decode(r)?;
        if self
            .watches
            .check(Watcher(conn.id.0), &request.path, request.kind)
        {
            Ok(())
        } else {
            Err(ErrorCode::NO_WATCHER.into())
        }
    }

    pub(crate) fn remove_watches(
        &mut self,
        conn: &Conn,
        r: &mut Reader<'_>,
    ) -> Result<(), ReadError> {
        let request = WatchesRequest::decode(r)?;
        if self
            .watches
            .remove(Watcher(conn.id.0), &request.path, request.kind)
        {
            Ok(())
        } else {
            Err(ErrorCode::NO_WATCHER.into())
        }
    }

    /// Takes up the watches of an earlier connection: what changed since is told at once, all else is watched
    /// (protocol 9.5, P87). Persistent watches get no catch-up.
    pub(crate) fn set_watches(
        &mut self,
        conn: &mut Conn,
        op: OpCode,
        body: &[u8],
    ) -> Result<(), ReadError> {
        let mut r = Reader::new(body);
        let request = match op {
            OpCode::SetWatches => SetWatches2::from(SetWatches::decode(&mut r)?),
            _ => SetWatches2::decode(&mut r)?,
        };
        let since = request.relative_zxid.to_wire();
        for path in &request.data {
            let missed = match self.replica.tree.find(path) {
                None => Some(EventKind::NodeDeleted),
                Some(node) if self.replica.tree.persisted(node).mzxid > since => {
                    Some(EventKind::NodeDataChanged)
                }
                Some(_) => None,
            };
            self.catch_up(conn, path, missed, WatchMode::Data);
        }
        for path in &request.exist {
            let missed = self.replica.tree.find(path).map(|_| EventKind::NodeCreated);
            self.catch_up(conn, path, missed, WatchMode::Data);
        }
        for path in &request.child {
            let missed = match self.replica.tree.find(path) {
                None => Some(EventKind::NodeDeleted),
                Some(node)
                    if self.replica.tree.persisted(node).pzxid > since
                        && !mutant::on(Mutant::ChildrenNotCaughtUp) =>
                {
                    Some(EventKind::NodeChildrenChanged)
                }
                Some(_) => None,
            };
            self.catch_up(conn, path, missed, WatchMode::Child);
        }
        for path in &request.persistent {
            self.watches
                .add(Watcher(conn.id.0), path, WatchMode::Persistent);
        }
        for path in &request.persistent_recursive {
            self.watches
                .add(Watcher(conn.id.0), path, WatchMode::PersistentRecursive);
        }
        Ok(())
    }

    /// Tells of a missed event if the client may read the znode (design 2.7: Apache sends these unfiltered), or goes on
    /// watching.
    fn catch_up(
        &mut self,
        conn: &mut Conn,
        path: &str,
        missed: Option<EventKind>,
        mode: WatchMode,
    ) {
        match missed {
            None => self.watches.add(Watcher(conn.id.0), path, mode),
            Some(kind) if self.may_hear(conn, path) => {
                frame::notification(kind, path, None, &mut conn.out);
                conn.stats.sent += 1;
                self.stats.sent += 1;
            }
            Some(_) => {}
        }
    }

    /// A znode that is gone has no ACL any more, and the client that watched it could read it when it began.
    fn may_hear(&self, conn: &Conn, path: &str) -> bool {
        self.replica.tree.find(path).is_none_or(|node| {
            zabra_tree::acl::check(
                self.replica.tree.acl(node),
                zabra_proto::Perms::READ,
                &conn.identities,
                &self.options.acl,
            )
        })
    }
}
