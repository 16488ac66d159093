//! I-16: a snapshot that a server starts from, or takes over, is the state behind a decided txn: that of all others there
//! ([`super::i13_equal_state`] compares).

use zabra_serve::Replica;

use super::order::Order;
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-16 snapshot truth";

/// A server stands behind its last txn.
pub(super) fn stands(order: &Order, at: ServerAt, replica: &Replica) -> Verdict {
    let zxid = replica.last_zxid();
    if zxid.0 != 0 && order.find(zxid).is_none() {
        let text = format!(
            "s{} has the state of {}, which nobody decided",
            at + 1,
            Z(zxid)
        );
        return fails(NAME, text);
    }
    Ok(())
}
