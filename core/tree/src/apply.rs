//! Applying transactions, live and in replay, by the same rules.
//!
//! A transaction holds absolute results, and a snapshot may already hold part of what its log will say again. So a
//! second application must be harmless (protocol 14.2). Nothing here can fail but by what the transaction and the tree
//! say (R5): no clock, no order of a hash table.

use zabra_proto::{
    Acl, ErrorCode, EventKind, SessionId, Stat, StatPersisted, Txn, TxnHeader, WallMillis, Zxid,
};

use crate::kind::CONTAINER_OWNER;
use crate::node::Extra;
use crate::slab::NIL;
use crate::tree::{DataTree, NodeId};

/// Who is told what happens to paths, in the order in which watchers must hear of it (protocol 9.3).
pub trait EventSink {
    /// Something happened at a path. `acl` decides who may hear of it (protocol 9.4): for a child's coming or going it
    /// is the parent's, for a deletion the one that the znode had.
    fn event(&mut self, kind: EventKind, path: &str, acl: &[Acl<'static>]);
}

/// Nobody is told: replay.
impl EventSink for () {
    fn event(&mut self, _: EventKind, _: &str, _: &[Acl<'static>]) {}
}

/// What became of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The code for the reply.
    pub error: ErrorCode,
    /// Stat of the znode right after the operation: creates, setData, setACL, reconfig.
    pub stat: Option<Stat>,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Of the whole. A multi is `OK` unless one of its elements is an error: then it is the first error's code.
    pub outcome: Outcome,
    /// Of each element of a multi.
    pub elements: Vec<Outcome>,
}

const DONE: Outcome = Outcome {
    error: ErrorCode::OK,
    stat: None,
};

impl From<Result<Option<Stat>, ErrorCode>> for Outcome {
    fn from(result: Result<Option<Stat>, ErrorCode>) -> Self {
        match result {
            Ok(stat) => Self {
                error: ErrorCode::OK,
                stat,
            },
            Err(error) => Self { error, stat: None },
        }
    }
}

/// What all elements of a transaction share.
#[derive(Clone, Copy)]
struct Moment {
    session: SessionId,
    zxid: Zxid,
    time: WallMillis,
}

/// A znode to be created.
struct Birth<'t> {
    path: &'t str,
    data: Option<&'t [u8]>,
    acl: Option<&'t [Acl<'t>]>,
    owner: i64,
    parent_cversion: i32,
}

impl DataTree {
    /// Applies a transaction as a whole, and raises the last zxid after that.
    pub fn apply(
        &mut self,
        header: &TxnHeader,
        txn: &Txn<'_>,
        events: &mut dyn EventSink,
    ) -> Applied {
        let at = Moment {
            session: header.session,
            zxid: header.zxid,
            time: header.time,
        };
        let applied = match txn {
            Txn::Multi(elements) => self.apply_multi(at, elements, events),
            txn => Applied {
                outcome: self.apply_one(at, txn, events),
                elements: Vec::new(),
            },
        };
        self.last_zxid = self.last_zxid.max(header.zxid);
        applied
    }

    fn apply_multi(
        &mut self,
        at: Moment,
        elements: &[Txn<'_>],
        events: &mut dyn EventSink,
    ) -> Applied {
        let failure = elements.iter().find_map(|element| match element {
            Txn::Error(code) => Some(*code),
            _ => None,
        });
        let Some(error) = failure else {
            let elements: Vec<Outcome> = elements
                .iter()
                .map(|e| self.apply_one(at, e, events))
                .collect();
            let error = elements
                .iter()
                .map(|e| e.error)
                .find(|e| !e.is_ok())
                .unwrap_or(ErrorCode::OK);
            return Applied {
                outcome: Outcome { error, stat: None },
                elements,
            };
        };
        let mut failed = false;
        let elements = elements.iter().map(|element| {
            let error = match element {
                Txn::Error(code) => {
                    failed = true;
                    *code
                }
                _ if failed => ErrorCode::RUNTIME_INCONSISTENCY,
                _ => ErrorCode::OK,
            };
            Outcome { error, stat: None }
        });
        let elements = elements.collect();
        Applied {
            outcome: Outcome { error, stat: None },
            elements,
        }
    }

    fn apply_one(&mut self, at: Moment, txn: &Txn<'_>, events: &mut dyn EventSink) -> Outcome {
        let result = match txn {
            Txn::Create(t) | Txn::Create2(t) => {
                let owner = if t.ephemeral { at.session.0 } else { 0 };
                let acl = t.acl.as_deref();
                let birth = Birth {
                    path: &t.path,
                    data: t.data,
                    acl,
                    owner,
                    parent_cversion: t.parent_cversion,
                };
                self.create(at, &birth, events)
            }
            Txn::CreateContainer(t) => {
                let (acl, owner) = (t.acl.as_deref(), CONTAINER_OWNER);
                let birth = Birth {
                    path: &t.path,
                    data: t.data,
                    acl,
                    owner,
                    parent_cversion: t.parent_cversion,
                };
                self.create(at, &birth, events)
            }
            Txn::CreateTtl(t) => {
                let (acl, owner) = (t.acl.as_deref(), self.options.owners.ttl_owner(t.ttl));
                let birth = Birth {
                    path: &t.path,
                    data: t.data,
                    acl,
                    owner,
                    parent_cversion: t.parent_cversion,
                };
                self.create(at, &birth, events)
            }
            Txn::Delete(t) | Txn::DeleteContainer(t) => {
                self.delete(at, &t.path, events).map(|()| None)
            }
            Txn::SetData(t) | Txn::Reconfig(t) => {
                self.set_data(at, &t.path, t.data, t.version, events)
            }
            Txn::SetAcl(t) => self.set_acl(&t.path, t.acl.as_deref(), t.version),
            Txn::CloseSession(body) => {
                for path in body.iter().flat_map(|body| &body.paths) {
                    // A znode that is gone already is no error: the snapshot was newer, or it was deleted on the way.
                    let _ = self.delete(at, path, events);
                }
                self.delete_ephemerals(at.session, at.zxid, events);
                Ok(None)
            }
            Txn::Error(code) => Err(*code),
            Txn::CreateSession(_) | Txn::Check(_) => return DONE,
            // The decoder refuses a multi in a multi (P57).
            Txn::Multi(_) => Err(ErrorCode::MARSHALLING_ERROR),
        };
        result.into()
    }

    /// Deletes all ephemerals of a session, in the order of their paths. Also for sessions that a restart does not find
    /// any more: then outside of any transaction, at the last zxid.
    pub fn delete_ephemerals(
        &mut self,
        session: SessionId,
        zxid: Zxid,
        events: &mut dyn EventSink,
    ) {
        let at = Moment {
            session,
            zxid,
            time: WallMillis::default(),
        };
        for path in self.ephemerals(session) {
            let _ = self.delete(at, &path, events);
        }
    }

    fn create(
        &mut self,
        at: Moment,
        birth: &Birth<'_>,
        events: &mut dyn EventSink,
    ) -> Result<Option<Stat>, ErrorCode> {
        let Birth {
            path,
            data,
            acl,
            owner,
            parent_cversion,
        } = *birth;
        let (parent_path, parent) = self.parent_of(path)?;
        if let Some(NodeId(slot)) = self.find(path) {
            // Replay over a newer snapshot. Its ACL table is older than its znodes, so the entry may be missing there.
            self.put_acl(slot, acl);
            self.raise_cversion(parent, parent_path, parent_cversion, at.zxid);
            return Err(ErrorCode::NODE_EXISTS);
        }
        let stat = StatPersisted {
            czxid: at.zxid.to_wire(),
            mzxid: at.zxid.to_wire(),
            ctime: at.time.0,
            mtime: at.time.0,
            version: 0,
            cversion: 0,
            aversion: 0,
            ephemeral_owner: owner,
            pzxid: at.zxid.to_wire(),
        };
        self.raise_cversion(parent, parent_path, parent_cversion, at.zxid);
        // The parent's number of children changes below, which an image does not hold; its links are not part of it.
        let acl = self.acls.acquire(acl);
        let slot = self.attach(parent, path, data, acl, &stat);
        self.quota_created(path, data.map_or(0, <[u8]>::len));
        events.event(EventKind::NodeCreated, path, self.acls.list(acl));
        events.event(
            EventKind::NodeChildrenChanged,
            event_path(parent_path),
            self.acl(NodeId(parent)),
        );
        Ok(Some(self.stat(NodeId(slot))))
    }

    /// cversion and pzxid only rise: a create that is replayed over what came after it must not take them back (P49).
    fn raise_cversion(&mut self, parent: u32, path: &str, cversion: i32, zxid: Zxid) {
        let now = self.extra(parent).cversion;
        let cversion = if cversion == -1 {
            now.wrapping_add(1)
        } else {
            cversion
        };
        if cversion > now {
            self.change_extra(parent, path, |extra| {
                extra.cversion = cversion;
                extra.pzxid = zxid.to_wire();
            });
        }
    }

    fn delete(
        &mut self,
        at: Moment,
        path: &str,
        events: &mut dyn EventSink,
    ) -> Result<(), ErrorCode> {
        let (parent_path, parent) = self.parent_of(path)?;
        if at.zxid > Zxid::from_wire(self.extra(parent).pzxid) {
            self.change_extra(parent, parent_path, |extra: &mut Extra| {
                extra.pzxid = at.zxid.to_wire()
            });
        }
        let NodeId(slot) = self.find(path).ok_or(ErrorCode::NO_NODE)?;
        self.delete_below(slot);
        let node = self.detach(slot, path);
        self.quota_deleted(path, node.packed.data_len());
        let acl = self.acls.list(node.acl);
        events.event(EventKind::NodeDeleted, path, acl);
        events.event(
            EventKind::NodeChildrenChanged,
            event_path(parent_path),
            self.acl(NodeId(parent)),
        );
        self.acls.release(node.acl);
        Ok(())
    }

    /// Deletes all descendants. There are none but in a replay over a newer snapshot, which holds children of a znode
    /// that was deleted and created again meanwhile: their creates are replayed later.
    fn delete_below(&mut self, top: u32) {
        let mut at = top;
        loop {
            let first_child = self.extra(at).first_child;
            if first_child != NIL {
                at = first_child;
                continue;
            }
            if at == top {
                return;
            }
            let path = self.path(at);
            let node = self.detach(at, &path);
            self.quota_deleted(&path, node.packed.data_len());
            self.acls.release(node.acl);
            at = node.parent;
        }
    }

    fn set_data(
        &mut self,
        at: Moment,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        events: &mut dyn EventSink,
    ) -> Result<Option<Stat>, ErrorCode> {
        let node = self.find(path).ok_or(ErrorCode::NO_NODE)?;
        let grown = self.overwrite(node.0, path, data, version, at.zxid, at.time);
        self.quota_add(path, 0, grown);
        events.event(EventKind::NodeDataChanged, path, self.acl(node));
        Ok(Some(self.stat(node)))
    }

    fn set_acl(
        &mut self,
        path: &str,
        acl: Option<&[Acl<'_>]>,
        version: i32,
    ) -> Result<Option<Stat>, ErrorCode> {
        let node = self.find(path).ok_or(ErrorCode::NO_NODE)?;
        self.change_extra(node.0, path, |extra| extra.aversion = version);
        self.put_acl(node.0, acl);
        Ok(Some(self.stat(node)))
    }

    fn put_acl(&mut self, slot: u32, acl: Option<&[Acl<'_>]>) {
        self.image_touch(slot);
        let acl = self.acls.acquire(acl);
        let former = std::mem::replace(&mut self.nodes[slot].acl, acl);
        self.acls.release(former);
    }

    /// Path and slot of the parent of a znode that is to come or go. A path that no server lets into a log names none
    /// (P96).
    fn parent_of<'p>(&self, path: &'p str) -> Result<(&'p str, u32), ErrorCode> {
        match path.rsplit_once('/') {
            None | Some((_, "")) => Err(ErrorCode::BAD_ARGUMENTS),
            Some((parent, _)) if parent.ends_with('/') => Err(ErrorCode::NO_NODE),
            Some((parent, _)) => self
                .find(parent)
                .map(|node| (parent, node.0))
                .ok_or(ErrorCode::NO_NODE),
        }
    }
}

/// The root's path as watchers know it.
const fn event_path(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}
