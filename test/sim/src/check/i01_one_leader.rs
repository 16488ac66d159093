//! I-1: an epoch has one leader, and everybody who follows in it follows that one.

use zabra_proto::Sid;

use super::promises::Promises;
use super::{Verdict, fails};
use crate::event::ServerAt;

pub(super) const NAME: &str = "I-1 one leader";

/// A server leads with a quorum behind it.
pub(super) fn established(promises: &mut Promises, at: ServerAt, epoch: u32) -> Verdict {
    let first = *promises.leaders.entry(epoch).or_insert(at);
    if first != at {
        let text = format!("s{} and s{} lead in epoch {epoch}", first + 1, at + 1);
        return fails(NAME, text);
    }
    Ok(())
}

/// The same as its followers see it.
pub(super) fn follows(promises: &Promises, at: ServerAt, leader: Sid, epoch: u32) -> Verdict {
    let first = promises.leaders.get(&epoch);
    let first = first.map(|leader| Sid(*leader as i64 + 1));
    if first != Some(leader) {
        let text = format!(
            "s{} follows s{leader} in epoch {epoch}, led by {first:?}",
            at + 1
        );
        return fails(NAME, text);
    }
    Ok(())
}
