//! I-23: a write that was refused has no effect, before or after its client is told so; one that is not answered has it once
//! or never. Every write of a client has data of its own, by which it is known.

use std::collections::{BTreeMap, BTreeSet};

use zabra_proto::{ErrorCode, SessionId, Txn, TxnHeader, Zxid};

use super::{Checker, Verdict, fails};
use crate::trace::{Z, hash_of};

pub(super) const NAME: &str = "I-23 no phantom";
pub(super) const ONCE: &str = "I-23 a write happens once";

/// Writes by the hash of their data.
#[derive(Debug, Default)]
pub(super) struct Writes {
    done: BTreeMap<u64, Zxid>,
    refused: BTreeSet<u64>,
}

/// These say that nobody knows what becomes of the write.
const UNKNOWN: [ErrorCode; 2] = [ErrorCode::SESSION_EXPIRED, ErrorCode::SESSION_MOVED];

impl Writes {
    /// A txn is decided. None if it writes no client's data.
    pub(super) fn decided(&mut self, header: &TxnHeader, txn: &Txn<'_>) -> Option<Verdict> {
        let zxid = header.zxid;
        let data: Vec<&[u8]> = match txn {
            Txn::Multi(elements) if !elements.iter().any(|e| matches!(e, Txn::Error(_))) => {
                elements.iter().filter_map(data_of).collect()
            }
            txn => data_of(txn).into_iter().collect(),
        };
        let hashes: BTreeSet<u64> = data.into_iter().map(hash_of).collect();
        if hashes.is_empty() {
            return None;
        }
        Some(hashes.into_iter().try_for_each(|hash| {
            if self.refused.contains(&hash) {
                let text = format!("{} does what {} was refused", Z(zxid), header.session);
                return fails(NAME, text);
            }
            match self.done.insert(hash, zxid) {
                Some(before) => fails(
                    ONCE,
                    format!("{} does what {} has done", Z(zxid), Z(before)),
                ),
                None => Ok(()),
            }
        }))
    }
}

/// What a client wrote: it names the client and counts.
fn data_of<'t>(txn: &'t Txn<'_>) -> Option<&'t [u8]> {
    let data = match txn {
        Txn::Create(t) | Txn::Create2(t) => t.data,
        Txn::SetData(t) => t.data,
        _ => None,
    };
    data.filter(|data| data.first() == Some(&b'c') && data.contains(&b'-'))
}

impl Checker {
    /// A client is told that its write, with data of this hash, was refused.
    pub fn refused(&mut self, session: SessionId, error: ErrorCode, hash: u64) {
        if UNKNOWN.contains(&error) || error.is_ok() {
            return;
        }
        self.count(NAME);
        self.writes.refused.insert(hash);
        if let Some(zxid) = self.writes.done.get(&hash) {
            let text = format!("{session} is told {error:?} of what {} has done", Z(*zxid));
            self.violate(NAME, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(zxid: u64, data: &[u8]) -> (TxnHeader, Txn<'_>) {
        let header = TxnHeader {
            session: SessionId(1),
            cxid: zabra_proto::Xid(1),
            zxid: Zxid(zxid),
            time: zabra_proto::WallMillis(0),
            kind: zabra_proto::TxnKind::SetData,
        };
        let set = zabra_proto::txn::SetDataTxn {
            path: "/k1".into(),
            data: Some(data),
            version: 1,
        };
        (header, Txn::SetData(set))
    }

    #[test]
    fn a_write_that_happens_twice_or_was_refused_is_a_phantom() {
        let mut writes = Writes::default();
        let (header, txn) = set(1, b"c1-1");
        assert_eq!(writes.decided(&header, &txn), Some(Ok(())));
        let (header, txn) = set(2, b"c1-1");
        assert!(matches!(writes.decided(&header, &txn), Some(Err(_))));
        writes.refused.insert(hash_of(b"c1-2"));
        let (header, txn) = set(3, b"c1-2");
        assert!(matches!(writes.decided(&header, &txn), Some(Err(_))));
        let (header, txn) = set(4, b"");
        assert_eq!(writes.decided(&header, &txn), None);
    }
}
