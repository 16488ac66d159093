//! I-8: what is decided was on the disks of a quorum, as the disks know it and not as servers say.

use zabra_proto::Zxid;

use super::disks::Disks;
use super::{Verdict, fails};
use crate::event::ServerAt;
use crate::trace::{Z, hash_of};

pub(super) const NAME: &str = "I-8 commit needs disks";

/// A server is the first to apply a txn.
pub(super) fn decided(disks: &Disks, at: ServerAt, zxid: Zxid, payload: &[u8]) -> Verdict {
    let hash = hash_of(payload);
    let voters = disks.voters();
    let holders = voters.filter(|disk| disk.has_held(zxid, hash)).count();
    let voters = disks.voters().count();
    if 2 * holders <= voters {
        let text = format!(
            "s{} applies {}, which {holders} of {voters} disks hold",
            at + 1,
            Z(zxid)
        );
        return fails(NAME, text);
    }
    Ok(())
}
