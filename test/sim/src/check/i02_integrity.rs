//! I-2: a number stands for the same bytes wherever it turns up; whoever applies other bytes breaks I-3.

use zabra_zab::Entry;

use super::order::Order;
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::{Z, hash_of};

pub(super) const NAME: &str = "I-2 integrity";

/// A server appends a txn to its log.
pub(super) fn appended(order: &mut Order, at: ServerAt, entry: &Entry) -> Verdict {
    let hash = hash_of(&entry.payload);
    let known = *order.proposed.entry(entry.zxid).or_insert(hash);
    if known != hash {
        let text = format!("{} has other bytes at s{}", Z(entry.zxid), at + 1);
        return fails(NAME, text);
    }
    Ok(())
}
