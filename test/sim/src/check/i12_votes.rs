//! I-12: what a server says of itself in a vote, or to a leader, is on its disk.

use zabra_election::{NO_HISTORY, Notification, ServerState};
use zabra_proto::{Sid, Zxid};

use super::promises::Promises;
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-12 votes tell the truth";

/// A server votes. None if it is not for itself, or says that it has nothing.
pub(super) fn votes(
    promises: &Promises,
    at: ServerAt,
    notification: &Notification,
    last: Zxid,
) -> Option<Verdict> {
    let vote = notification.vote;
    let is_about_itself = notification.state == ServerState::Looking
        && vote.leader == Sid(at as i64 + 1)
        && vote.zxid != NO_HISTORY;
    if !is_about_itself {
        return None;
    }
    // A txn of an epoch in its log stands for that epoch (P03).
    let current = i64::from(promises.current(at).max(last.epoch()));
    if vote.zxid <= last && vote.epoch.0 <= current {
        return Some(Ok(()));
    }
    let text = format!(
        "s{} says epoch {} and {}, its disk {current} and {}",
        at + 1,
        vote.epoch.0,
        Z(vote.zxid),
        Z(last)
    );
    Some(fails(NAME, text))
}

/// A server answers LEADERINFO.
pub(super) fn acks_epoch(
    promises: &Promises,
    at: ServerAt,
    (says, current): (Zxid, Option<u32>),
    last: Zxid,
) -> Verdict {
    // Who cannot use what it has says that it has nothing, and gets everything (P10); it decides nothing (P48).
    let says_more = says > last && says != NO_HISTORY;
    let most = promises.current(at).max(last.epoch());
    if says_more || current.is_some_and(|current| current > most) {
        let text = format!(
            "s{} says epoch {current:?} and {}, its disk {:?} and {}",
            at + 1,
            Z(says),
            promises.saved[at],
            Z(last)
        );
        return fails(NAME, text);
    }
    Ok(())
}
