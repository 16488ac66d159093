//! I-10: whoever acknowledges NEWLEADER has what came before it on its disk, and the epoch; and a quorum does so before
//! the epoch begins.

use super::disks::Disks;
use super::promises::Promises;
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-10 sync result";

/// A learner acknowledges NEWLEADER.
pub(super) fn acked(disks: &Disks, at: ServerAt) -> Verdict {
    let (fence, last) = (disks.fence(at), disks.last(at));
    if last < fence {
        let text = format!(
            "s{} acks NEWLEADER, was sent {} and has {} on its disk",
            at + 1,
            Z(fence),
            Z(last)
        );
        return fails(NAME, text);
    }
    Ok(())
}

/// An epoch begins.
pub(super) fn established(promises: &Promises, epoch: u32) -> Verdict {
    let is_first = !promises.leaders.contains_key(&epoch);
    let has_it = promises.voters_at(epoch);
    if is_first && 2 * has_it <= promises.voters {
        let text = format!(
            "epoch {epoch} begins with {has_it} of {} voters",
            promises.voters
        );
        return fails(NAME, text);
    }
    Ok(())
}
