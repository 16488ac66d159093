//! I-11: epochs only grow, over crashes too; current is never above accepted, nor below the epoch of the log's end; and a
//! server gives its word for an epoch to one leader.

use zabra_proto::{Sid, Zxid};
use zabra_zab::Epochs;

use super::promises::Promises;
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-11 epochs";

/// A server wants these durable.
pub(super) fn wanted(promises: &mut Promises, at: ServerAt, epochs: Epochs) -> Verdict {
    promises.wanted[at] = epochs;
    let saved = promises.saved[at];
    if epochs.accepted < saved.accepted
        || epochs.current < saved.current
        || epochs.current > epochs.accepted
    {
        let text = format!("s{} had {saved:?} and saves {epochs:?}", at + 1);
        return fails(NAME, text);
    }
    Ok(())
}

/// A server was started, and finds these, and a history up to here.
pub(super) fn recovered(
    promises: &mut Promises,
    at: ServerAt,
    epochs: Epochs,
    last: Zxid,
) -> Verdict {
    let verdict = wanted(promises, at, epochs);
    promises.saved[at] = epochs;
    verdict?;
    if last.epoch() > epochs.current {
        let text = format!("s{} has {} and {epochs:?}", at + 1, Z(last));
        return fails(NAME, text);
    }
    Ok(())
}

/// A server answers LEADERINFO of a leader, for the epoch that it has accepted.
pub(super) fn gives_its_word(promises: &mut Promises, at: ServerAt, to: Sid) -> Verdict {
    let epoch = promises.saved[at].accepted;
    let first = *promises.accepted.entry((at, epoch)).or_insert(to);
    if first != to {
        let text = format!("s{} accepts epoch {epoch} of s{first} and of s{to}", at + 1);
        return fails(NAME, text);
    }
    Ok(())
}

/// A server acknowledges NEWLEADER of an epoch.
pub(super) fn acks(promises: &mut Promises, at: ServerAt, to: Sid, epoch: u32) -> Verdict {
    let first = *promises.acked.entry((at, epoch)).or_insert(to);
    if first != to {
        let text = format!("s{} acks epoch {epoch} to s{first} and s{to}", at + 1);
        return fails(NAME, text);
    }
    Ok(())
}
