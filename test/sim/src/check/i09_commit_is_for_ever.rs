//! I-9: each quorum has a member that holds the last decided txn, and with it all before.

use super::disks::Disks;
use super::order::Order;
use super::{Verdict, fails};
use crate::trace::Z;

pub(super) const NAME: &str = "I-9 commit is for ever";

/// A disk holds less than before.
pub(super) fn kept(disks: &Disks, order: &Order) -> Verdict {
    let Some(last) = order.decided().last() else {
        return Ok(());
    };
    // Who knows that it may have lost everything is in no quorum (P48).
    let voters = disks.voters().count();
    let lack = disks.voters().filter(|disk| disk.lacks(last)).count();
    if 2 * lack > voters {
        let text = format!(
            "{} is decided, and a quorum of disks lacks it",
            Z(last.zxid)
        );
        return fails(NAME, text);
    }
    Ok(())
}
