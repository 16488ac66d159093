//! R6: no txn is longer than its limit, so that every server can take it: the end of a session lists its ephemerals only as
//! long as their paths fit (P78). And each can be decoded before it is decided.

use zabra_proto::{Txn, TxnHeader};

use super::{Verdict, fails};
use crate::trace::Z;

pub(super) const LIMIT: &str = "R6 no txn beyond its limit";
pub(super) const VALID: &str = "R6 validate before";

/// A txn is decided.
pub(super) fn decided(header: &TxnHeader, txn: &Txn<'_>, paths_len_max: usize) -> Verdict {
    if let Txn::CloseSession(Some(t)) = txn {
        let len: usize = t.paths.iter().map(|path| path.len() + 4).sum();
        if len > paths_len_max {
            let text = format!("{} lists paths of {len} bytes", Z(header.zxid));
            return fails(LIMIT, text);
        }
    }
    Ok(())
}
