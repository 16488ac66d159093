//! I-5: the txns of one leader are applied in the order proposed, and all of an earlier epoch before those of a later one.

use zabra_proto::Zxid;

use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-5 primary order";

/// A server applies a txn behind its last one.
pub(super) fn applies(at: ServerAt, zxid: Zxid, last: Zxid) -> Verdict {
    if zxid <= last {
        let text = format!("s{} applies {} after {}", at + 1, Z(zxid), Z(last));
        return fails(NAME, text);
    }
    Ok(())
}
