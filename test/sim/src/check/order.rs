//! What is decided: one sequence of txns for all servers and all time, what it made of each znode, and the state after each.

use std::collections::{BTreeMap, BTreeSet};

use zabra_jute::Limits;
use zabra_proto::txn::Payload;
use zabra_proto::{ErrorCode, SessionId, Txn, Xid, Zxid};
use zabra_serve::Replica;

use super::{Verdict, fails, r6_txn_limit};
use crate::event::ServerAt;
use crate::trace::{Z, hash_of};

/// A txn that somebody has applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Its number.
    pub zxid: Zxid,
    /// Of its bytes.
    pub hash: u64,
    /// On whose behalf.
    pub session: SessionId,
    /// The client's number for the request.
    pub cxid: Xid,
    /// What was refused, if it was.
    pub error: Option<ErrorCode>,
    /// What it created, if it created one znode.
    pub created: Option<String>,
}

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// By which txn.
    pub zxid: Zxid,
    /// Version and hash of the data; none if it is gone.
    pub now: Option<(i32, u64)>,
    /// Whether it was there before.
    pub was_there: bool,
}

/// What became of a child of a znode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildChange {
    /// By which txn.
    pub zxid: Zxid,
    /// Which.
    pub name: String,
    /// Whether it is there now.
    pub is_there: bool,
}

/// The sequence, and how far each server is in it.
pub(super) struct Order {
    decided: Vec<Decided>,
    pub(super) proposed: BTreeMap<Zxid, u64>,
    paths: BTreeMap<String, Vec<Change>>,
    children: BTreeMap<String, Vec<ChildChange>>,
    owned: BTreeMap<SessionId, BTreeSet<String>>,
    pub(super) states: BTreeMap<Zxid, State>,
    pub(super) positions: Vec<usize>,
}

/// What servers behind the same txn have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    digest: Option<u64>,
    sessions: u64,
    nodes: usize,
}

impl Order {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            decided: Vec::new(),
            proposed: BTreeMap::new(),
            paths: BTreeMap::new(),
            children: BTreeMap::new(),
            owned: BTreeMap::new(),
            states: BTreeMap::new(),
            positions: vec![0; servers],
        }
    }

    pub(super) fn decided(&self) -> &[Decided] {
        &self.decided
    }

    pub(super) fn last(&self) -> Zxid {
        self.decided.last().map_or(Zxid::ZERO, |last| last.zxid)
    }

    /// The decided txn with this number.
    pub(super) fn find(&self, zxid: Zxid) -> Option<&Decided> {
        let at = self.decided.binary_search_by_key(&zxid, |d| d.zxid).ok()?;
        self.decided.get(at)
    }

    /// What became of a path, oldest first.
    pub(super) fn changes(&self, path: &str) -> &[Change] {
        self.paths.get(path).map_or(&[], Vec::as_slice)
    }

    /// Version and hash of a znode's data behind a txn, if it is there.
    pub(super) fn at(&self, path: &str, zxid: Zxid) -> Option<(i32, u64)> {
        let changes = self.changes(path);
        let behind = changes.partition_point(|change| change.zxid <= zxid);
        changes.get(behind.checked_sub(1)?)?.now
    }

    /// What became of a znode's children, oldest first. Of those of the root nothing is noted.
    pub(super) fn child_changes(&self, path: &str) -> &[ChildChange] {
        self.children.get(path).map_or(&[], Vec::as_slice)
    }

    /// The children of a znode behind a txn.
    pub(super) fn children(&self, path: &str, zxid: Zxid) -> BTreeSet<&str> {
        let changes = self.child_changes(path).iter();
        let mut names = BTreeSet::new();
        for change in changes.take_while(|change| change.zxid <= zxid) {
            if change.is_there {
                names.insert(change.name.as_str());
            } else {
                names.remove(change.name.as_str());
            }
        }
        names
    }

    /// A txn is the next of the sequence.
    pub(super) fn decide(&mut self, zxid: Zxid, bytes: &[u8]) -> Verdict {
        let hash = hash_of(bytes);
        let limits = Limits {
            value_len_max: bytes.len(),
        };
        let Ok(payload) = Payload::decode(bytes, limits) else {
            return fails(
                r6_txn_limit::VALID,
                format!("{} cannot be decoded", Z(zxid)),
            );
        };
        let header = payload.header;
        let created = match &payload.txn {
            Txn::Create(t) | Txn::Create2(t) => Some(t.path.to_string()),
            _ => None,
        };
        let error = match &payload.txn {
            Txn::Error(code) => Some(*code),
            _ => None,
        };
        self.decided.push(Decided {
            zxid,
            hash,
            session: header.session,
            cxid: header.cxid,
            error,
            created,
        });
        self.note_changes(zxid, header.session, &payload.txn);
        Ok(())
    }

    fn note_changes(&mut self, zxid: Zxid, session: SessionId, txn: &Txn<'_>) {
        let data = |data: Option<&[u8]>| hash_of(data.unwrap_or_default());
        match txn {
            Txn::Create(t) | Txn::Create2(t) => {
                if t.ephemeral {
                    let owned = self.owned.entry(session).or_default();
                    owned.insert(t.path.to_string());
                }
                self.note(zxid, &t.path, Some((0, data(t.data))));
            }
            Txn::CreateContainer(t) => self.note(zxid, &t.path, Some((0, data(t.data)))),
            Txn::CreateTtl(t) => self.note(zxid, &t.path, Some((0, data(t.data)))),
            Txn::SetData(t) => self.note(zxid, &t.path, Some((t.version, data(t.data)))),
            Txn::Delete(t) | Txn::DeleteContainer(t) => self.note(zxid, &t.path, None),
            // With all that is the session's, whether it is listed or not.
            Txn::CloseSession(_) => {
                for path in self.owned.remove(&session).unwrap_or_default() {
                    self.note(zxid, &path, None);
                }
            }
            Txn::Multi(elements) if !elements.iter().any(|e| matches!(e, Txn::Error(_))) => {
                for element in elements {
                    self.note_changes(zxid, session, element);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, zxid: Zxid, path: &str, now: Option<(i32, u64)>) {
        let changes = self.paths.entry(path.to_owned()).or_default();
        let was_there = changes.last().is_some_and(|change| change.now.is_some());
        changes.push(Change {
            zxid,
            now,
            was_there,
        });
        let is_there = now.is_some();
        if !is_there {
            self.owned.values_mut().for_each(|owned| {
                owned.remove(path);
            });
        }
        if let Some((parent, name)) = path.rsplit_once('/')
            && !parent.is_empty()
            && was_there != is_there
        {
            let change = ChildChange {
                zxid,
                name: name.to_owned(),
                is_there,
            };
            self.children
                .entry(parent.to_owned())
                .or_default()
                .push(change);
        }
    }

    /// A server of its own has lost what it had not made durable: the numbers are used again.
    pub(super) fn forget_proposals(&mut self, last: Zxid) {
        self.proposed.retain(|zxid, _| *zxid <= last);
    }

    /// A server stands behind this txn now, whatever it was before.
    pub(super) fn restarted(&mut self, at: ServerAt, zxid: Zxid) {
        self.positions[at] = self.decided.partition_point(|d| d.zxid <= zxid);
    }
}

impl State {
    /// Whether this is one state, as far as both know it: servers that keep no digest do not know theirs.
    pub(super) fn is_that_of(self, other: Self) -> bool {
        let digests = self.digest.zip(other.digest);
        (self.sessions, self.nodes) == (other.sessions, other.nodes)
            && digests.is_none_or(|(one, other)| one == other)
    }

    /// Adds what another knows.
    pub(super) fn add(&mut self, other: Self) {
        self.digest = self.digest.or(other.digest);
    }

    /// That of a server.
    pub(super) fn of(replica: &Replica) -> Self {
        let mut sessions = Vec::new();
        for (session, timeout) in replica.sessions() {
            sessions.extend(session.0.to_be_bytes());
            sessions.extend(timeout.to_be_bytes());
        }
        Self {
            digest: replica.tree.digest(),
            sessions: hash_of(&sessions),
            nodes: replica.tree.node_count(),
        }
    }
}
