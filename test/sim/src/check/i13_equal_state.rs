//! I-13: whoever stands behind a decided txn has the state that all others have there.

use zabra_serve::Replica;

use super::order::{Order, State};
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-13 equal state";

/// A server stands behind its last txn.
pub(super) fn stands(order: &mut Order, at: ServerAt, replica: &Replica) -> Verdict {
    let zxid = replica.last_zxid();
    let state = State::of(replica);
    let known = order.states.entry(zxid).or_insert(state);
    let is_equal = known.is_that_of(state);
    known.add(state);
    let known = *known;
    if !is_equal {
        let text = format!(
            "s{} has {state:?} behind {}, others {known:?}",
            at + 1,
            Z(zxid)
        );
        return fails(NAME, text);
    }
    if let Some((alarm, _)) = replica.alarm() {
        return fails(NAME, format!("s{}: {alarm:?}", at + 1));
    }
    Ok(())
}
