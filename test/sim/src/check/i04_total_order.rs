//! I-4: numbers go on one by one within an epoch, and an epoch begins with the first; in every log, and in what is decided.

use zabra_proto::Zxid;
use zabra_zab::Entry;

use super::disks::Disks;
use super::order::Order;
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::Z;

pub(super) const NAME: &str = "I-4 total order";

fn follows(zxid: Zxid, last: Zxid) -> bool {
    zxid.0 == last.0 + 1 || zxid.epoch() > last.epoch() && zxid.counter() == 1
}

/// A server's log goes on.
pub(super) fn appended(disks: &mut Disks, at: ServerAt, entry: &Entry) -> Verdict {
    let last = disks.append(at, entry.zxid);
    if !follows(entry.zxid, last) {
        let text = format!("s{} appends {} behind {}", at + 1, Z(entry.zxid), Z(last));
        return fails(NAME, text);
    }
    Ok(())
}

/// A server is the first to apply a txn: it stands right behind the last one that anybody has applied.
pub(super) fn decided(order: &Order, at: ServerAt, zxid: Zxid) -> Verdict {
    let last = order.last();
    let is_beyond = order.positions[at] > order.decided().len() + 1;
    if is_beyond || !follows(zxid, last) {
        let text = format!("s{} applies {} behind {}", at + 1, Z(zxid), Z(last));
        return fails(NAME, text);
    }
    Ok(())
}
