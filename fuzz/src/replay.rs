//! Any history of decodable txns, applied to a tree.
//!
//! A log can hold what no server of ours would write: another version's, or a file that somebody made. Replaying it may
//! give any tree, but a tree.

use zabra_jute::Limits;
use zabra_proto::Zxid;
use zabra_proto::txn::Payload;
use zabra_tree::{DataTree, TreeOptions};

/// Cuts the bytes into payloads, a byte of length in front of each, and applies those that decode. The tree holds its
/// invariants at the end.
pub fn replay(mut bytes: &[u8]) {
    let mut tree = DataTree::new(TreeOptions::default());
    let mut zxid = Zxid::ZERO;
    while let Some((len, rest)) = bytes.split_first() {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        bytes = rest;
        if let Ok(mut payload) = Payload::decode(payload, Limits::DEFAULT) {
            zxid = zxid.next();
            payload.header.zxid = zxid;
            tree.apply(&payload.header, &payload.txn, &mut ());
        }
    }
    assert_eq!(tree.check_invariants(), Ok(()));
}
