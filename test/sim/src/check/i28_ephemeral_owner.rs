//! I-28: each ephemeral's owner is among the sessions.

use zabra_serve::Replica;

use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-28 ephemeral has owner";

/// A server has applied a txn.
pub(super) fn applied(at: ServerAt, replica: &Replica) -> Verdict {
    for owner in replica.tree.ephemeral_owners() {
        if !replica.sessions().contains_key(&owner) {
            let zxid = Z(replica.last_zxid());
            let text = format!("s{} at {zxid}: {owner} owns ephemerals and is gone", at + 1);
            return fails(NAME, text);
        }
    }
    Ok(())
}
