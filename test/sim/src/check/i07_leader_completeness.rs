//! I-7: who leads holds every txn that was decided in earlier epochs.

use super::disks::Disks;
use super::order::Order;
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-7 leader completeness";

/// A server leads with a quorum behind it.
pub(super) fn established(disks: &Disks, at: ServerAt, epoch: u32, order: &Order) -> Verdict {
    let decided = order.decided().iter();
    let mut earlier = decided.take_while(|d| d.zxid.epoch() < epoch);
    match earlier.find(|d| !disks.holds(at, d.zxid, d.hash)) {
        Some(lacks) => fails(NAME, format!("s{} leads without {}", at + 1, Z(lacks.zxid))),
        None => Ok(()),
    }
}
