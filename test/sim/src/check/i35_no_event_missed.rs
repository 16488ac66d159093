//! I-35: a client that takes its watches along is told of what they missed, no more and no less (P87). What they miss where
//! they are shows by I-33.

use zabra_proto::{EventKind, SessionId};

use super::Checker;

pub(super) const NAME: &str = "I-35 no event missed by moving";

impl Checker {
    /// A client has set its watches again, and was told of what they had missed, no more and no less.
    pub fn caught_up(
        &mut self,
        session: SessionId,
        due: &[(String, EventKind)],
        told: &[(String, EventKind)],
    ) {
        self.count(NAME);
        if due != told {
            let text = format!("{session} missed {due:?} and is told {told:?}");
            self.violate(NAME, text);
        }
    }
}
