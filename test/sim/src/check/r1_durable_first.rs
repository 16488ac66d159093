//! R1: nothing is said, applied or built upon before the disk has what it relies on.

use zabra_proto::Zxid;

use super::disks::Disks;
use super::promises::Promises;
use super::{Checker, Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const ACK: &str = "R1 ack needs the disk";
const ORDER: &str = "R1 order of durability";
const APPLIED: &str = "applied ≤ flushed";

/// A txn is acknowledged.
pub(super) fn acked(disks: &Disks, at: ServerAt, zxid: Zxid) -> Verdict {
    if zxid.counter() > 0 && zxid > disks.last(at) {
        let text = format!(
            "s{} acks {} with {} durable",
            at + 1,
            Z(zxid),
            Z(disks.last(at))
        );
        return fails(ORDER, text);
    }
    Ok(())
}

/// NEWLEADER of an epoch is acknowledged.
pub(super) fn acked_leader(promises: &Promises, at: ServerAt, epoch: u32) -> Verdict {
    if promises.current(at) < epoch {
        let text = format!(
            "s{} acks epoch {epoch} with {:?}",
            at + 1,
            promises.saved[at]
        );
        return fails(ORDER, text);
    }
    Ok(())
}

/// A txn is applied by a server whose disk has all up to `flushed`.
pub(super) fn applies(at: ServerAt, zxid: Zxid, flushed: Zxid) -> Verdict {
    if zxid > flushed {
        let text = format!(
            "s{} applies {} and has flushed {}",
            at + 1,
            Z(zxid),
            Z(flushed)
        );
        return fails(APPLIED, text);
    }
    Ok(())
}

impl Checker {
    /// A server begins what relies on all that was appended, which is not durable.
    pub fn relies_on_undurable(&mut self, at: ServerAt, what: &str) {
        let text = format!("s{}: {what} while appended txns are not durable", at + 1);
        self.violate(ORDER, text);
    }
}
