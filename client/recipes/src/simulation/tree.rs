//! The model's znodes: what a server keeps, without anything that recipes do not use.

use std::collections::BTreeMap;

use zabra_client::{CreateMode, ErrorCode, Stat};

use crate::session::Write;

/// The znodes as of a zxid.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Znode>,
    pub(crate) zxid: i64,
    /// Whether counters stay at the last number, as from 3.6 on, instead of going on with negative ones.
    pub(crate) sticks: bool,
}

#[derive(Debug, Clone, Default)]
struct Znode {
    data: Vec<u8>,
    stat: Stat,
    /// Creates of children.
    counter: i64,
}

/// A txn: what was decided under one zxid.
#[derive(Debug, Clone)]
pub(crate) struct Txn(pub(crate) Vec<Change>);

#[derive(Debug, Clone)]
pub(crate) enum Change {
    Create {
        path: String,
        data: Vec<u8>,
        owner: i64,
    },
    Set {
        path: String,
        data: Vec<u8>,
    },
    Delete {
        path: String,
    },
}

impl Tree {
    pub(crate) fn new(sticks: bool) -> Self {
        Self {
            nodes: BTreeMap::from([("/".to_owned(), Znode::default())]),
            zxid: 0,
            sticks,
        }
    }

    /// A znode that was always there, whose next sequential child gets this number.
    pub(crate) fn plant(&mut self, path: &str, data: &[u8], counter: i64) {
        let stat = Stat {
            num_children: self.children(path).len() as i32,
            ..Stat::default()
        };
        let data = data.to_vec();
        let znode = Znode {
            data,
            stat,
            counter,
        };
        self.nodes.insert(path.to_owned(), znode);
        if let Some(parent) = self.nodes.get_mut(parent(path)) {
            parent.stat.num_children += 1;
        }
    }

    pub(crate) fn stat(&self, path: &str) -> Option<Stat> {
        self.nodes.get(path).map(|znode| znode.stat)
    }

    pub(crate) fn data(&self, path: &str) -> Option<&[u8]> {
        self.nodes.get(path).map(|znode| znode.data.as_slice())
    }

    pub(crate) fn children(&self, path: &str) -> Vec<String> {
        let below = if path == "/" {
            "/".to_owned()
        } else {
            format!("{path}/")
        };
        let all = self.nodes.range(below.clone()..);
        let names = all.map_while(|(other, _)| other.strip_prefix(&below));
        let direct = names.filter(|name| !name.is_empty() && !name.contains('/'));
        direct.map(str::to_owned).collect()
    }

    /// All znodes with their data.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let all = self.nodes.iter();
        all.map(|(path, znode)| (path.as_str(), znode.data.as_slice()))
    }

    /// The ephemerals of a session, or all of them.
    pub(crate) fn ephemerals(&self, session: Option<i64>) -> Vec<String> {
        let is_one = |owner: i64| owner != 0 && session.is_none_or(|session| session == owner);
        let all = self.nodes.iter();
        let found = all.filter(|(_, znode)| is_one(znode.stat.ephemeral_owner));
        found.map(|(path, _)| path.clone()).collect()
    }

    /// Decides a create; the path with its number.
    pub(crate) fn decide_create(
        &self,
        path: &str,
        data: &[u8],
        mode: CreateMode,
        session: i64,
    ) -> Result<(String, Change), ErrorCode> {
        let parent = self.nodes.get(parent(path)).ok_or(ErrorCode::NO_NODE)?;
        if parent.stat.ephemeral_owner != 0 {
            return Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);
        }
        let is_sequential = matches!(
            mode,
            CreateMode::EphemeralSequential | CreateMode::PersistentSequential
        );
        let is_ephemeral = matches!(
            mode,
            CreateMode::EphemeralSequential | CreateMode::Ephemeral
        );
        let path = match is_sequential {
            true => format!("{path}{}", self.number(parent.counter)),
            false => path.to_owned(),
        };
        if self.nodes.contains_key(&path) {
            return Err(ErrorCode::NODE_EXISTS);
        }
        let change = Change::Create {
            path: path.clone(),
            data: data.to_vec(),
            owner: if is_ephemeral { session } else { 0 },
        };
        Ok((path, change))
    }

    /// As Java's `%010d` prints a counter that has gone so far.
    fn number(&self, counter: i64) -> String {
        let last = i64::from(i32::MAX);
        match counter {
            _ if counter <= last => format!("{counter:010}"),
            _ if self.sticks => format!("{last:010}"),
            _ => {
                let wrapped = counter - (1 << 32);
                format!("-{:09}", wrapped.unsigned_abs())
            }
        }
    }

    /// Decides a set or a delete.
    pub(crate) fn decide_write(&self, write: &Write<'_>) -> Result<Change, ErrorCode> {
        match *write {
            Write::Set {
                path,
                data,
                version,
            } => {
                let stat = self.stat(path).ok_or(ErrorCode::NO_NODE)?;
                if version != ANY && version != stat.version {
                    return Err(ErrorCode::BAD_VERSION);
                }
                Ok(Change::Set {
                    path: path.to_owned(),
                    data: data.to_vec(),
                })
            }
            Write::Delete { path } => {
                let stat = self.stat(path).ok_or(ErrorCode::NO_NODE)?;
                if stat.num_children > 0 {
                    return Err(ErrorCode::NOT_EMPTY);
                }
                Ok(Change::Delete {
                    path: path.to_owned(),
                })
            }
        }
    }

    /// Applies a txn that was decided on exactly this tree.
    pub(crate) fn apply(&mut self, txn: &Txn) {
        self.zxid += 1;
        let zxid = self.zxid;
        for change in &txn.0 {
            match change {
                Change::Create { path, data, owner } => {
                    let stat = Stat {
                        czxid: zxid,
                        mzxid: zxid,
                        pzxid: zxid,
                        ephemeral_owner: *owner,
                        ..Stat::default()
                    };
                    let znode = Znode {
                        data: data.clone(),
                        stat,
                        counter: 0,
                    };
                    self.nodes.insert(path.clone(), znode);
                    self.on_child(path, 1);
                }
                Change::Set { path, data } => {
                    if let Some(znode) = self.nodes.get_mut(path) {
                        znode.data.clone_from(data);
                        znode.stat.mzxid = zxid;
                        znode.stat.version += 1;
                    }
                }
                Change::Delete { path } => {
                    self.nodes.remove(path);
                    self.on_child(path, -1);
                }
            }
        }
    }

    fn on_child(&mut self, path: &str, children: i32) {
        let zxid = self.zxid;
        if let Some(parent) = self.nodes.get_mut(parent(path)) {
            parent.stat.num_children += children;
            parent.stat.pzxid = zxid;
            parent.counter += i64::from(children == 1);
        }
    }
}

/// The path above.
pub(crate) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

/// Whatever the version is.
pub(crate) const ANY: i32 = -1;
