//! I-26: a session's answers come in the order asked, and its writes take effect in it, whichever servers they went through.

use std::collections::BTreeMap;

use zabra_proto::{SessionId, Txn, TxnHeader, Xid, Zxid};

use super::{Checker, Verdict, fails};
use crate::trace::Z;

pub(super) const ANSWERS: &str = "I-26 session order";
pub(super) const WRITES: &str = "I-26 writes in their order";

/// The last of each session's writes that took effect: which one of its client's, and by which txn.
#[derive(Debug, Default)]
pub(super) struct Written {
    last: BTreeMap<SessionId, (u64, Zxid)>,
}

impl Written {
    /// A txn is decided. Clients number what they write.
    pub(super) fn decided(&mut self, header: &TxnHeader, txn: &Txn<'_>) -> Verdict {
        match txn {
            Txn::Create(t) | Txn::Create2(t) => self.wrote(header, t.data),
            Txn::SetData(t) => self.wrote(header, t.data),
            Txn::Multi(elements) if !elements.iter().any(|e| matches!(e, Txn::Error(_))) => {
                elements.iter().try_for_each(|e| self.decided(header, e))
            }
            _ => Ok(()),
        }
    }

    fn wrote(&mut self, header: &TxnHeader, data: Option<&[u8]>) -> Verdict {
        let Some(number) = data.and_then(number_of) else {
            return Ok(());
        };
        let (session, zxid) = (header.session, header.zxid);
        let before = self.last.insert(session, (number, zxid));
        match before {
            Some((last, by)) if number < last || number == last && by != zxid => fails(
                WRITES,
                format!(
                    "{session} wrote {number} by {} after {last} by {}",
                    Z(zxid),
                    Z(by)
                ),
            ),
            _ => Ok(()),
        }
    }
}

/// The number behind the dash in what a client writes.
fn number_of(data: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(data).ok()?;
    text.rsplit_once('-')?.1.parse().ok()
}

impl Checker {
    /// A client that asked this number as the oldest one gets an answer to this, on a connection on which it was last told of
    /// that txn.
    pub fn answers_in_order(
        &mut self,
        session: SessionId,
        asked: i32,
        (xid, zxid): (Xid, Zxid),
        last: Zxid,
    ) {
        self.count(ANSWERS);
        if asked != xid.0 || zxid < last {
            let text = format!(
                "{session} asked #{asked} and is told #{} at {} after {}",
                xid.0,
                Z(zxid),
                Z(last)
            );
            self.violate(ANSWERS, text);
        }
    }

    /// A client gets an answer and waits for none.
    pub fn answers_nothing(&mut self, session: SessionId, xid: Xid) {
        let text = format!("{session} is told #{} and asked nothing", xid.0);
        self.violate(ANSWERS, text);
    }
}
