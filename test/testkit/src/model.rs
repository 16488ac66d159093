//! The dumb twin of `DataTree`: a sorted map of paths, every rule of protocol 8, 9.3, 14.2 and 15 spelled out in the
//! slowest way. It shares no code with the tree but the records.

use std::collections::BTreeMap;

use zabra_proto::{
    Acl, ErrorCode, EventKind, Perms, SessionId, Stat, StatPersisted, Txn, TxnHeader,
};

/// A tree as a map from paths (the root's is empty) to znodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelTree {
    /// The znodes.
    pub nodes: BTreeMap<String, ModelNode>,
    /// What watchers would have been told since [`Self::events`] was last emptied: what, where, under which ACL.
    pub events: Vec<(EventKind, String, Vec<Acl<'static>>)>,
    /// Whether owners with the high byte 0xff are TTLs.
    pub extended_types: bool,
}

/// A znode of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelNode {
    /// Data; null is not empty.
    pub data: Option<Vec<u8>>,
    /// Its ACL.
    pub acl: Vec<Acl<'static>>,
    /// Stat as stored.
    pub stat: StatPersisted,
}

/// Code and Stat of one operation.
pub type ModelOutcome = (ErrorCode, Option<Stat>);

const CONTAINER: u64 = 0x8000_0000_0000_0000;
const TTL: u64 = 0xff00_0000_0000_0000;

struct Birth<'t> {
    path: &'t str,
    data: Option<&'t [u8]>,
    acl: Option<&'t Vec<Acl<'t>>>,
    owner: i64,
    parent_cversion: i32,
}

impl<'t> Birth<'t> {
    fn of(header: &TxnHeader, txn: &'t Txn<'t>) -> Self {
        let (path, data, acl, parent_cversion, owner) = match txn {
            Txn::Create(t) | Txn::Create2(t) => {
                let owner = if t.ephemeral { header.session.0 } else { 0 };
                (&t.path, t.data, &t.acl, t.parent_cversion, owner)
            }
            Txn::CreateContainer(t) => {
                let owner = CONTAINER.cast_signed();
                (&t.path, t.data, &t.acl, t.parent_cversion, owner)
            }
            Txn::CreateTtl(t) => {
                let owner = TTL.cast_signed() | t.ttl;
                (&t.path, t.data, &t.acl, t.parent_cversion, owner)
            }
            _ => unreachable!("only creates come here"),
        };
        let acl = acl.as_ref();
        Self {
            path,
            data,
            acl,
            owner,
            parent_cversion,
        }
    }
}

impl ModelTree {
    /// A new tree with its system nodes.
    #[must_use]
    pub fn new(extended_types: bool) -> Self {
        let system = |perms, aversion| ModelNode {
            data: Some(Vec::new()),
            acl: vec![Acl::world(perms)],
            stat: StatPersisted {
                aversion,
                ..StatPersisted::default()
            },
        };
        let nodes = BTreeMap::from([
            (String::new(), system(Perms::ALL, 0)),
            ("/zookeeper".to_owned(), system(Perms::ALL, 0)),
            ("/zookeeper/quota".to_owned(), system(Perms::ALL, 0)),
            ("/zookeeper/config".to_owned(), system(Perms::READ, -1)),
        ]);
        Self {
            nodes,
            events: Vec::new(),
            extended_types,
        }
    }

    /// Applies a transaction. One outcome for each element of a multi, else one.
    pub fn apply(&mut self, header: &TxnHeader, txn: &Txn<'_>) -> Vec<ModelOutcome> {
        let Txn::Multi(elements) = txn else {
            return vec![self.apply_one(header, txn)];
        };
        let is_error = |element: &Txn<'_>| matches!(element, Txn::Error(_));
        let Some(failing) = elements.iter().position(is_error) else {
            return elements
                .iter()
                .map(|element| self.apply_one(header, element))
                .collect();
        };
        let code = |(at, element): (usize, &Txn<'_>)| match element {
            Txn::Error(code) => (*code, None),
            _ if at < failing => (ErrorCode::OK, None),
            _ => (ErrorCode::RUNTIME_INCONSISTENCY, None),
        };
        elements.iter().enumerate().map(code).collect()
    }

    fn apply_one(&mut self, header: &TxnHeader, txn: &Txn<'_>) -> ModelOutcome {
        match txn {
            Txn::Create(_) | Txn::Create2(_) | Txn::CreateContainer(_) | Txn::CreateTtl(_) => {
                self.create(header, &Birth::of(header, txn))
            }
            Txn::Delete(t) | Txn::DeleteContainer(t) => (self.delete(header, &t.path), None),
            Txn::SetData(t) | Txn::Reconfig(t) => self.set_data(header, &t.path, t.data, t.version),
            Txn::SetAcl(t) => self.set_acl(&t.path, t.acl.as_ref(), t.version),
            Txn::CloseSession(body) => {
                for path in body.iter().flat_map(|body| &body.paths) {
                    self.delete(header, path);
                }
                for path in self.ephemerals(header.session) {
                    self.delete(header, &path);
                }
                (ErrorCode::OK, None)
            }
            Txn::Error(code) => (*code, None),
            Txn::CreateSession(_) | Txn::Check(_) => (ErrorCode::OK, None),
            Txn::Multi(_) => (ErrorCode::MARSHALLING_ERROR, None),
        }
    }

    fn create(&mut self, header: &TxnHeader, birth: &Birth<'_>) -> ModelOutcome {
        if birth.path.ends_with('/') || !birth.path.starts_with('/') {
            return (ErrorCode::BAD_ARGUMENTS, None);
        }
        let Some(parent) = parent_of(birth.path).filter(|parent| self.nodes.contains_key(*parent))
        else {
            return (ErrorCode::NO_NODE, None);
        };
        let zxid = header.zxid.to_wire();
        let acl: Vec<Acl<'static>> = match birth.acl {
            Some(list) => list.iter().cloned().map(Acl::into_owned).collect(),
            None => vec![Acl::world(Perms::ALL)],
        };
        let above = self.nodes.get_mut(parent).expect("looked up above");
        let cversion = match birth.parent_cversion {
            -1 => above.stat.cversion + 1,
            cversion => cversion,
        };
        if cversion > above.stat.cversion {
            above.stat.cversion = cversion;
            above.stat.pzxid = zxid;
        }
        let parent_acl = above.acl.clone();
        if let Some(node) = self.nodes.get_mut(birth.path) {
            node.acl = acl;
            return (ErrorCode::NODE_EXISTS, None);
        }
        let stat = StatPersisted {
            czxid: zxid,
            mzxid: zxid,
            ctime: header.time.0,
            mtime: header.time.0,
            ephemeral_owner: birth.owner,
            pzxid: zxid,
            ..StatPersisted::default()
        };
        let node = ModelNode {
            data: birth.data.map(<[u8]>::to_vec),
            acl: acl.clone(),
            stat,
        };
        self.nodes.insert(birth.path.to_owned(), node);
        if let Some(guarded) = birth
            .path
            .strip_prefix("/zookeeper/quota")
            .and_then(|p| p.strip_suffix("/zookeeper_stats"))
        {
            self.recount(guarded);
        }
        self.add_usage(birth.path, 1, birth.data.map_or(0, <[u8]>::len) as i64);
        self.events
            .push((EventKind::NodeCreated, birth.path.to_owned(), acl));
        self.events
            .push((EventKind::NodeChildrenChanged, shown(parent), parent_acl));
        (ErrorCode::OK, self.stat(birth.path))
    }

    fn delete(&mut self, header: &TxnHeader, path: &str) -> ErrorCode {
        if path.ends_with('/') || !path.starts_with('/') {
            return ErrorCode::BAD_ARGUMENTS;
        }
        let Some(parent) = parent_of(path).filter(|parent| self.nodes.contains_key(*parent)) else {
            return ErrorCode::NO_NODE;
        };
        let above = self.nodes.get_mut(parent).expect("looked up above");
        above.stat.pzxid = above.stat.pzxid.max(header.zxid.to_wire());
        let parent_acl = above.acl.clone();
        let Some(acl) = self.nodes.get(path).map(|node| node.acl.clone()) else {
            return ErrorCode::NO_NODE;
        };
        let mut going: Vec<String> = self
            .nodes
            .keys()
            .filter(|key| is_below(path, key))
            .cloned()
            .collect();
        going.sort_by_key(|path| std::cmp::Reverse(path.len()));
        for path in going {
            let gone = self.nodes.remove(&path).expect("just listed");
            self.add_usage(&path, -1, -(gone.data.map_or(0, |data| data.len()) as i64));
        }
        self.events
            .push((EventKind::NodeDeleted, path.to_owned(), acl));
        self.events
            .push((EventKind::NodeChildrenChanged, shown(parent), parent_acl));
        ErrorCode::OK
    }

    fn set_data(
        &mut self,
        header: &TxnHeader,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
    ) -> ModelOutcome {
        let Some(node) = self.nodes.get_mut(key(path)) else {
            return (ErrorCode::NO_NODE, None);
        };
        let before = node.data.as_ref().map_or(0, Vec::len) as i64;
        node.data = data.map(<[u8]>::to_vec);
        node.stat.version = version;
        node.stat.mzxid = header.zxid.to_wire();
        node.stat.mtime = header.time.0;
        let acl = node.acl.clone();
        self.add_usage(path, 0, data.map_or(0, <[u8]>::len) as i64 - before);
        self.events
            .push((EventKind::NodeDataChanged, path.to_owned(), acl));
        (ErrorCode::OK, self.stat(path))
    }

    fn set_acl(&mut self, path: &str, acl: Option<&Vec<Acl<'_>>>, version: i32) -> ModelOutcome {
        let Some(node) = self.nodes.get_mut(key(path)) else {
            return (ErrorCode::NO_NODE, None);
        };
        node.stat.aversion = version;
        node.acl = match acl {
            Some(list) => list.iter().cloned().map(Acl::into_owned).collect(),
            None => vec![Acl::world(Perms::ALL)],
        };
        (ErrorCode::OK, self.stat(path))
    }

    /// Whether an owner field is a session.
    fn is_session(&self, owner: i64) -> bool {
        let owner = owner.cast_unsigned();
        owner != 0 && owner != CONTAINER && !(self.extended_types && owner >> 56 == 0xff)
    }

    /// The session's ephemerals, sorted.
    #[must_use]
    pub fn ephemerals(&self, session: SessionId) -> Vec<String> {
        let owned = self.nodes.iter().filter(|(_, node)| {
            self.is_session(node.stat.ephemeral_owner) && node.stat.ephemeral_owner == session.0
        });
        owned.map(|(path, _)| path.clone()).collect()
    }

    /// The names of the direct children, sorted.
    #[must_use]
    pub fn children(&self, path: &str) -> Vec<&str> {
        let prefix = format!("{}/", key(path));
        let below = self
            .nodes
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix));
        below
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .collect()
    }

    /// Number of descendants.
    #[must_use]
    pub fn descendant_count(&self, path: &str) -> usize {
        self.nodes
            .keys()
            .filter(|key_| is_below(key(path), key_))
            .count()
            - 1
    }

    /// Stat as clients see it.
    #[must_use]
    pub fn stat(&self, path: &str) -> Option<Stat> {
        let node = self.nodes.get(key(path))?;
        let children = self.children(path).len() as i32;
        let owner = node.stat.ephemeral_owner;
        Some(Stat {
            czxid: node.stat.czxid,
            mzxid: node.stat.mzxid,
            ctime: node.stat.ctime,
            mtime: node.stat.mtime,
            version: node.stat.version,
            cversion: node.stat.cversion.wrapping_mul(2).wrapping_sub(children),
            aversion: node.stat.aversion,
            ephemeral_owner: if self.is_session(owner) { owner } else { 0 },
            data_length: node.data.as_ref().map_or(0, Vec::len) as i32,
            num_children: children,
            pzxid: node.stat.pzxid,
        })
    }

    /// The digest, from scratch, bit by bit.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let counted = self
            .nodes
            .iter()
            .filter(|(path, _)| !path.starts_with("/zookeeper/"));
        counted.fold(0u64, |sum, (path, node)| {
            let stat = &node.stat;
            let mut bytes = path.clone().into_bytes();
            bytes.extend(node.data.iter().flatten());
            for long in [stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime] {
                bytes.extend(long.to_be_bytes());
            }
            for int in [stat.version, stat.cversion, stat.aversion] {
                bytes.extend(int.to_be_bytes());
            }
            bytes.extend(stat.ephemeral_owner.to_be_bytes());
            sum.wrapping_add(u64::from(crc32(&bytes)))
        })
    }

    /// The deepest path at or above this one that has a limits node.
    fn guard(&self, path: &str) -> Option<String> {
        let guarded = self.nodes.keys().filter_map(|key| {
            let guarded = key
                .strip_prefix("/zookeeper/quota")?
                .strip_suffix("/zookeeper_limits")?;
            (!guarded.is_empty() && is_below(guarded, path)).then(|| guarded.to_owned())
        });
        guarded.max_by_key(String::len)
    }

    fn add_usage(&mut self, path: &str, count: i64, bytes: i64) {
        let Some(guard) = self.guard(path) else {
            return;
        };
        if let Some(node) = self
            .nodes
            .get_mut(&format!("/zookeeper/quota{guard}/zookeeper_stats"))
        {
            let text =
                String::from_utf8(node.data.clone().unwrap_or_default()).expect("stats are text");
            let number = |key: &str| {
                let pair = text
                    .split(',')
                    .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
                pair.map_or(-1, |number| {
                    number.parse::<i64>().expect("stats are numbers")
                })
            };
            let text = format!(
                "count={},bytes={}",
                number("count") + count,
                number("bytes") + bytes
            );
            node.data = Some(text.into_bytes());
        }
    }

    fn recount(&mut self, guarded: &str) {
        let inside = self
            .nodes
            .iter()
            .filter(|(path, _)| is_below(guarded, path));
        let (count, bytes) = inside.fold((0, 0), |(count, bytes), (_, node)| {
            (count + 1, bytes + node.data.as_ref().map_or(0, Vec::len))
        });
        if let Some(node) = self
            .nodes
            .get_mut(&format!("/zookeeper/quota{guarded}/zookeeper_stats"))
        {
            node.data = Some(format!("count={count},bytes={bytes}").into_bytes());
        }
    }
}

fn key(path: &str) -> &str {
    if path == "/" { "" } else { path }
}

fn shown(parent: &str) -> String {
    if parent.is_empty() {
        "/".to_owned()
    } else {
        parent.to_owned()
    }
}

fn parent_of(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

/// At the path or below it.
fn is_below(path: &str, other: &str) -> bool {
    other
        .strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// CRC-32 as in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_model_has_the_digest_of_a_new_tree() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(ModelTree::new(false).digest(), 0x51c6_d660);
    }
}
