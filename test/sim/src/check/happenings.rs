//! What every decided txn did to every path, as watchers hear of it, and under which ACL (protocol 9.2 to 9.4): written down
//! from the txns alone, by rules of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zabra_proto::{Acl, EventKind, SessionId, Txn, TxnHeader, Zxid};

/// An ACL as it is stored.
pub(super) type List = Arc<[Acl<'static>]>;

/// Something that happened at a path.
#[derive(Debug, Clone)]
pub(super) struct Happening {
    pub(super) zxid: Zxid,
    pub(super) kind: EventKind,
    pub(super) path: String,
    /// Who may read this may hear of it.
    pub(super) list: List,
}

/// All of them, and the ACLs of all znodes after each txn.
#[derive(Default)]
pub(super) struct Happenings {
    all: Vec<Happening>,
    /// By path, oldest first; none from where on it is gone.
    lists: BTreeMap<String, Vec<(Zxid, Option<List>)>>,
    owned: BTreeMap<SessionId, BTreeSet<String>>,
}

impl Happenings {
    /// What happened behind the one and up to the other.
    pub(super) fn between(&self, behind: Zxid, up_to: Zxid) -> &[Happening] {
        let from = self.all.partition_point(|h| h.zxid <= behind);
        let until = self.all.partition_point(|h| h.zxid <= up_to);
        self.all.get(from..until).unwrap_or_default()
    }

    /// The ACL of a path in the state behind a txn; none if nothing is there. The root is everybody's.
    pub(super) fn list(&self, path: &str, at: Zxid) -> Option<List> {
        if path == "/" {
            return Some(List::from([]));
        }
        let lists = self.lists.get(path)?;
        let seen = lists.partition_point(|(zxid, _)| *zxid <= at);
        lists.get(seen.checked_sub(1)?)?.1.clone()
    }

    fn list_now(&self, path: &str) -> Option<List> {
        self.list(path, Zxid(u64::MAX))
    }

    /// A txn is decided; a failed multi does nothing.
    pub(super) fn decided(&mut self, header: &TxnHeader, txn: &Txn<'_>) {
        let zxid = header.zxid;
        match txn {
            Txn::Create(t) | Txn::Create2(t) => {
                if t.ephemeral {
                    let owned = self.owned.entry(header.session).or_default();
                    owned.insert(t.path.to_string());
                }
                self.created(zxid, &t.path, t.acl.as_deref());
            }
            Txn::CreateContainer(t) => self.created(zxid, &t.path, t.acl.as_deref()),
            Txn::CreateTtl(t) => self.created(zxid, &t.path, t.acl.as_deref()),
            Txn::Delete(t) | Txn::DeleteContainer(t) => self.deleted(zxid, &t.path),
            Txn::SetData(t) => {
                if let Some(list) = self.list_now(&t.path) {
                    self.happened(zxid, EventKind::NodeDataChanged, &t.path, list);
                }
            }
            Txn::SetAcl(t) => self.put_list(zxid, &t.path, Some(owned(t.acl.as_deref()))),
            Txn::CloseSession(body) => {
                for path in body.iter().flat_map(|body| &body.paths) {
                    self.deleted(zxid, path);
                }
                for path in self.owned.remove(&header.session).unwrap_or_default() {
                    self.deleted(zxid, &path);
                }
            }
            Txn::Multi(elements) if !elements.iter().any(|e| matches!(e, Txn::Error(_))) => {
                for element in elements {
                    self.decided(header, element);
                }
            }
            _ => {}
        }
    }

    fn created(&mut self, zxid: Zxid, path: &str, acl: Option<&[Acl<'_>]>) {
        let list = owned(acl);
        self.put_list(zxid, path, Some(List::clone(&list)));
        self.happened(zxid, EventKind::NodeCreated, path, list);
        self.happened_to_parent(zxid, path);
    }

    fn deleted(&mut self, zxid: Zxid, path: &str) {
        let Some(list) = self.list_now(path) else {
            return;
        };
        self.owned.values_mut().for_each(|owned| {
            owned.remove(path);
        });
        self.put_list(zxid, path, None);
        self.happened(zxid, EventKind::NodeDeleted, path, list);
        self.happened_to_parent(zxid, path);
    }

    fn happened_to_parent(&mut self, zxid: Zxid, path: &str) {
        let parent = parent(path);
        if let Some(list) = self.list_now(parent) {
            self.happened(zxid, EventKind::NodeChildrenChanged, parent, list);
        }
    }

    fn happened(&mut self, zxid: Zxid, kind: EventKind, path: &str, list: List) {
        let path = path.to_owned();
        self.all.push(Happening {
            zxid,
            kind,
            path,
            list,
        });
    }

    fn put_list(&mut self, zxid: Zxid, path: &str, list: Option<List>) {
        let lists = self.lists.entry(path.to_owned()).or_default();
        lists.push((zxid, list));
    }
}

/// The path of a znode's parent.
pub(super) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        None | Some(("", _)) => "/",
        Some((parent, _)) => parent,
    }
}

fn owned(acl: Option<&[Acl<'_>]>) -> List {
    let entries = acl.unwrap_or_default().iter();
    entries.map(|entry| entry.clone().into_owned()).collect()
}
