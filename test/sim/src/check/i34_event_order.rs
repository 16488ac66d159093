//! I-34: the events of a connection come in the order of their txns.

use zabra_proto::{SessionId, Zxid};

use super::Checker;
use crate::trace::Z;

pub(super) const NAME: &str = "I-34 event order";

impl Checker {
    /// A client is told of an event, on a connection on which it was last told of another.
    pub fn event_behind(&mut self, session: SessionId, path: &str, zxid: Zxid, last: Zxid) {
        self.count(NAME);
        if zxid < last {
            let text = format!("{session} hears of {path} at {} after {}", Z(zxid), Z(last));
            self.violate(NAME, text);
        }
    }
}
