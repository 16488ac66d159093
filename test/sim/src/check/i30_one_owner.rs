//! I-30: a session is where its client is: no other is given for it, and nobody stays where it is no more.

use zabra_proto::SessionId;

use super::Checker;

pub(super) const NAME: &str = "I-30 one owner";

impl Checker {
    /// A client gets a session, and had this one before.
    pub fn granted(&mut self, had: Option<SessionId>, is: SessionId) {
        let Some(had) = had else { return };
        self.count(NAME);
        if had != is {
            self.violate(NAME, format!("{had} was asked for, and {is} is given"));
        }
    }

    /// A client is told that its session has moved, on a connection that goes on.
    pub fn moved_and_stays(&mut self, session: SessionId) {
        let text = format!("{session} is told that it has moved, and stays");
        self.violate(NAME, text);
    }
}
