//! I-15: what recovery finds goes on from its snapshot without a hole.

use zabra_proto::Zxid;
use zabra_zab::Entry;

use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-15 contiguity";

/// A server was started, and finds a snapshot and this behind it.
pub(super) fn found(at: ServerAt, snapshot: Zxid, tail: &[Entry]) -> Verdict {
    let mut last = snapshot;
    for entry in tail {
        if !last.may_precede(entry.zxid) {
            let text = format!("s{} finds {} behind {}", at + 1, Z(entry.zxid), Z(last));
            return fails(NAME, text);
        }
        last = entry.zxid;
    }
    Ok(())
}
