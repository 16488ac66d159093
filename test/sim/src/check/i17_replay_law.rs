//! I-17: a history replayed over a state that holds a part of it already gives the same state (P49).
//!
//! Servers of Apache take snapshots while transactions go on, so that a start from them replays some that are in the
//! snapshot. Here nobody does; so at the end of each run its whole history is replayed that way.
//!
//! One kind of history does not obey, and cannot: the end of a session that does not list its ephemerals (as in 3.5, or because
//! the list would be too long, P78), one of which was set. If its path is another's now, the replayed set changes that
//! one, and the replayed end of the session does not find it. What is replayed begins behind the last of these.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zabra_jute::Limits;
use zabra_proto::txn::Payload;
use zabra_proto::{Txn, Zxid};
use zabra_serve::Replica;
use zabra_tree::DataTree;

use super::{Verdict, fails};
use crate::start::tree_options;
use crate::trace::Z;

pub(super) const NAME: &str = "I-17 replay law";

/// Every decided txn.
#[derive(Default)]
pub(super) struct Replays {
    payloads: Vec<Arc<[u8]>>,
}

/// Of a long history only this much is replayed twice.
const TWICE_MAX: usize = 150;

impl Replays {
    pub(super) fn decided(&mut self, payload: &[u8]) {
        self.payloads.push(payload.into());
    }

    /// Applies everything, and the end of it once more.
    pub(super) fn law(&self) -> Verdict {
        let tree = DataTree::new(tree_options());
        let mut once = Replica::new(tree, BTreeMap::new(), Zxid::ZERO);
        let mut set = BTreeSet::new();
        let mut unlisted = 0;
        for (at, bytes) in self.payloads.iter().enumerate() {
            let payload = Replica::decode(bytes);
            note_sets(&payload.txn, &mut set);
            if let Txn::CloseSession(None) = payload.txn {
                let gone = once.tree.ephemerals(payload.header.session);
                if gone.iter().any(|path| set.contains(path)) {
                    unlisted = at + 1;
                }
            }
            once.apply(&payload, &mut ());
        }
        let (zxid, digest) = (once.last_zxid(), once.tree.digest());
        let nodes = once.tree.node_count();
        let mut twice = once.tree;
        let from = self.payloads.len().saturating_sub(TWICE_MAX);
        let from = from.max(unlisted);
        for bytes in self.payloads.iter().skip(from) {
            let limits = Limits {
                value_len_max: bytes.len(),
            };
            if let Ok(payload) = Payload::decode(bytes, limits) {
                twice.apply(&payload.header, &payload.txn, &mut ());
            }
        }
        if (twice.digest(), twice.node_count()) != (digest, nodes) {
            let text = format!(
                "the last txns up to {} applied twice: {nodes} znodes and {digest:?} become {} and {:?}",
                Z(zxid),
                twice.node_count(),
                twice.digest()
            );
            return fails(NAME, text);
        }
        Ok(())
    }
}

/// Notes which znodes are no more as they were created.
fn note_sets(txn: &Txn<'_>, set: &mut BTreeSet<String>) {
    match txn {
        Txn::Create(t) | Txn::Create2(t) => {
            set.remove(&*t.path);
        }
        Txn::SetData(t) => {
            set.insert(t.path.to_string());
        }
        Txn::SetAcl(t) => {
            set.insert(t.path.to_string());
        }
        Txn::Multi(elements) if !elements.iter().any(|e| matches!(e, Txn::Error(_))) => {
            elements.iter().for_each(|element| note_sets(element, set));
        }
        _ => {}
    }
}
