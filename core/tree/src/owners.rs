//! Whose znodes are whose: each session's ephemerals, all containers, all TTL znodes, as lists through the znodes.

use std::collections::HashMap;

use foldhash::quality::FixedState;
use zabra_proto::SessionId;

use crate::kind::NodeKind;
use crate::slab::NIL;

/// Heads of the lists.
pub(crate) struct Owners {
    /// Invariant: no list is empty.
    sessions: HashMap<SessionId, OwnerList, FixedState>,
    containers: OwnerList,
    ttls: OwnerList,
    ephemerals: usize,
}

#[derive(Clone, Copy)]
struct OwnerList {
    head: u32,
    len: u32,
}

const EMPTY: OwnerList = OwnerList { head: NIL, len: 0 };

impl Owners {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            sessions: HashMap::with_hasher(FixedState::with_seed(seed)),
            containers: EMPTY,
            ttls: EMPTY,
            ephemerals: 0,
        }
    }

    /// Puts a znode in front of its list. The former head, if there was a list for it.
    pub(crate) fn push(&mut self, kind: NodeKind, slot: u32) -> Option<u32> {
        let list = match kind {
            NodeKind::Persistent | NodeKind::Unknown => return None,
            NodeKind::Container => &mut self.containers,
            NodeKind::Ttl(_) => &mut self.ttls,
            NodeKind::Ephemeral(session) => {
                self.ephemerals += 1;
                self.sessions.entry(session).or_insert(EMPTY)
            }
        };
        list.len += 1;
        Some(std::mem::replace(&mut list.head, slot))
    }

    /// Takes a znode off its list. `new_head` is given if it stood at the head.
    pub(crate) fn pop(&mut self, kind: NodeKind, new_head: Option<u32>) {
        let list = match kind {
            NodeKind::Persistent | NodeKind::Unknown => return,
            NodeKind::Container => &mut self.containers,
            NodeKind::Ttl(_) => &mut self.ttls,
            NodeKind::Ephemeral(session) => {
                self.ephemerals -= 1;
                let Some(list) = self.sessions.get_mut(&session) else {
                    return;
                };
                if list.len == 1 {
                    self.sessions.remove(&session);
                    return;
                }
                list
            }
        };
        list.len -= 1;
        if let Some(head) = new_head {
            list.head = head;
        }
    }

    pub(crate) const fn ephemeral_count(&self) -> usize {
        self.ephemerals
    }

    pub(crate) const fn containers(&self) -> u32 {
        self.containers.head
    }

    pub(crate) const fn ttls(&self) -> u32 {
        self.ttls.head
    }

    pub(crate) fn head_of(&self, session: SessionId) -> u32 {
        self.sessions.get(&session).map_or(NIL, |list| list.head)
    }

    pub(crate) fn count_of(&self, session: SessionId) -> usize {
        self.sessions
            .get(&session)
            .map_or(0, |list| list.len as usize)
    }

    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        let mut sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        sessions.sort_unstable();
        sessions
    }
}
