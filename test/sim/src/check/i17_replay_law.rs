//! I-17: a history replayed over a state that holds a part of it already gives the same state (P49).
//!
//! Servers of Apache take snapshots while transactions go on, so that a start from them replays some that are in the
//! snapshot. Here nobody does; so at the end of each run its whole history is replayed that way.

use std::collections::BTreeMap;
use std::sync::Arc;

use zabra_jute::Limits;
use zabra_proto::Zxid;
use zabra_proto::txn::Payload;
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
        for payload in &self.payloads {
            once.apply(&Replica::decode(payload), &mut ());
        }
        let (zxid, digest) = (once.last_zxid(), once.tree.digest());
        let nodes = once.tree.node_count();
        let mut twice = once.tree;
        let from = self.payloads.len().saturating_sub(TWICE_MAX);
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
