//! I-31: a session that is over at a server is told nothing more there but that.

use std::collections::BTreeMap;

use zabra_proto::{SessionId, Zxid};

use super::{Checker, fails};
use crate::trace::Z;

pub(super) const NAME: &str = "I-31 told on time";

/// By which txn each session ended.
pub(super) type Closed = BTreeMap<SessionId, Zxid>;

impl Checker {
    /// A client got an answer on its session, in the state behind this txn.
    pub fn answered_on(&mut self, session: SessionId, zxid: Zxid) {
        self.count(NAME);
        if let Some(closed) = self.closed.get(&session)
            && zxid > *closed
        {
            let text = format!(
                "{session} ended by {} and is answered at {}",
                Z(*closed),
                Z(zxid)
            );
            let verdict = fails(NAME, text);
            self.judge(verdict);
        }
    }
}
