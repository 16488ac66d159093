//! I-6: who proposes the first txn of an epoch has applied all that was decided in earlier ones.

use zabra_zab::Entry;

use super::order::Order;
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-6 primary integrity";

/// A leader makes a txn. None if it is not the first of its epoch.
pub(super) fn made(order: &Order, at: ServerAt, entry: &Entry) -> Option<Verdict> {
    if entry.zxid.counter() != 1 {
        return None;
    }
    let decided = order.decided();
    let before = decided.partition_point(|d| d.zxid.epoch() < entry.zxid.epoch());
    if order.positions[at] >= before {
        return Some(Ok(()));
    }
    let text = format!(
        "s{} begins an epoch with {} and has not applied all up to {}",
        at + 1,
        Z(entry.zxid),
        Z(order.last())
    );
    Some(fails(NAME, text))
}
