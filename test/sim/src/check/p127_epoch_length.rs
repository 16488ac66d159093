//! P127: an epoch ends before its numbers do.

use zabra_proto::Zxid;

use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "P127 an epoch has its numbers";

/// A server logs a txn; one that has just ceased to lead because the numbers are used up, too.
pub(super) fn appended(at: ServerAt, zxid: Zxid, epoch_len_max: u32) -> Verdict {
    if zxid.counter() > epoch_len_max {
        return fails(NAME, format!("s{} logs {}", at + 1, Z(zxid)));
    }
    Ok(())
}
