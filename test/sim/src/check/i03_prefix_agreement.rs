//! I-3: whatever two servers have applied, one of them has applied the beginning of what the other has.

use zabra_proto::Zxid;

use super::order::Order;
use super::{Violation, fails};
use crate::event::ServerAt;
use crate::trace::{Z, hash_of};

pub(super) const NAME: &str = "I-3 prefix agreement";

/// A server applies a txn: the one that stands there in the sequence of all, or the first there (true).
pub(super) fn applied(
    order: &mut Order,
    at: ServerAt,
    zxid: Zxid,
    payload: &[u8],
) -> Result<bool, Violation> {
    let position = order.positions[at];
    order.positions[at] += 1;
    let Some(there) = order.decided().get(position) else {
        return Ok(true);
    };
    if (there.zxid, there.hash) != (zxid, hash_of(payload)) {
        let text = format!(
            "s{} applies {} where {} was applied{}",
            at + 1,
            Z(zxid),
            Z(there.zxid),
            if there.zxid == zxid {
                " with other bytes"
            } else {
                ""
            }
        );
        fails(NAME, text)?;
    }
    Ok(false)
}
