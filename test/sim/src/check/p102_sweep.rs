//! P102: a sweep deletes what is due when its txn is decided, and nothing else: containers that have had a child and have none,
//! znodes that nobody has set for longer than they live and that have no child.

use std::collections::BTreeMap;

use zabra_proto::{SessionId, Txn, TxnHeader, Zxid};

use super::order::Order;
use super::{Verdict, fails};
use crate::trace::Z;

const NAME: &str = "P102 sweep";
/// A container went.
pub(super) const CONTAINER: &str = "P102 sweep: container";
/// A znode went that lived for a time.
pub(super) const TIMED: &str = "P102 sweep: time to live";

/// What fades, and what is known of it.
#[derive(Debug, Default)]
pub(super) struct Fading {
    nodes: BTreeMap<String, Node>,
    never_used_ms_max: i64,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// None for a container.
    ttl_ms: Option<i64>,
    /// When it was made or last set, by the clock of who led.
    set_ms: i64,
    had_child: bool,
}

impl Fading {
    pub(super) fn new(never_used_ms_max: i64) -> Self {
        Self {
            nodes: BTreeMap::new(),
            never_used_ms_max,
        }
    }

    /// A txn is decided. If it is a sweep's, what it has swept.
    pub(super) fn decided(
        &mut self,
        order: &Order,
        header: &TxnHeader,
        txn: &Txn<'_>,
    ) -> Option<(&'static str, Verdict)> {
        let now = header.time.0;
        match txn {
            Txn::CreateContainer(t) => self.born(&t.path, None, now),
            Txn::CreateTtl(t) => self.born(&t.path, Some(t.ttl), now),
            Txn::Create(t) | Txn::Create2(t) => self.has_child(&t.path),
            Txn::SetData(t) => {
                if let Some(node) = self.nodes.get_mut(&*t.path) {
                    node.set_ms = now;
                }
            }
            Txn::Delete(t) => {
                self.nodes.remove(&*t.path);
            }
            Txn::Multi(elements) if !elements.iter().any(|e| matches!(e, Txn::Error(_))) => {
                for element in elements {
                    self.decided(order, header, element);
                }
            }
            Txn::DeleteContainer(t) => {
                let verdict = self.may_go(order, header, &t.path);
                let node = self.nodes.remove(&*t.path);
                let is_timed = node.is_some_and(|node| node.ttl_ms.is_some());
                return Some((if is_timed { TIMED } else { CONTAINER }, verdict));
            }
            _ => {}
        }
        None
    }

    fn born(&mut self, path: &str, ttl_ms: Option<i64>, set_ms: i64) {
        let node = Node {
            ttl_ms,
            set_ms,
            had_child: false,
        };
        self.nodes.insert(path.to_owned(), node);
        self.has_child(path);
    }

    fn has_child(&mut self, child: &str) {
        let parent = child.rsplit_once('/').map(|(parent, _)| parent);
        if let Some(node) = parent.and_then(|parent| self.nodes.get_mut(parent)) {
            node.had_child = true;
        }
    }

    fn may_go(&self, order: &Order, header: &TxnHeader, path: &str) -> Verdict {
        let before = Zxid(header.zxid.0 - 1);
        let is_there = order.at(path, before).is_some();
        let is_empty = order.children(path, before).is_empty();
        let is_due = self.nodes.get(path).is_some_and(|node| {
            let age_ms = header.time.0 - node.set_ms;
            match node.ttl_ms {
                Some(ttl_ms) => age_ms > ttl_ms,
                None => {
                    node.had_child || self.never_used_ms_max > 0 && age_ms > self.never_used_ms_max
                }
            }
        });
        let is_own = header.session == SessionId::NONE;
        if is_there && is_empty && is_due && is_own {
            return Ok(());
        }
        let node = self.nodes.get(path);
        let text = format!(
            "{} sweeps {path} for {} at {} ms: there {is_there}, empty {is_empty}, {node:?}",
            Z(header.zxid),
            header.session,
            header.time.0
        );
        fails(NAME, text)
    }
}
