//! I-32: a watch tells once, of a change that it is for.

use zabra_proto::{EventKind, SessionId, Zxid};

use super::Checker;
use super::watches::WatchKind;

pub(super) const NAME: &str = "I-32 at most one event";

impl Checker {
    /// A client is told of an event on a path; these of its watches it is for.
    pub fn event(
        &mut self,
        session: SessionId,
        path: &str,
        event: EventKind,
        watches: &[(WatchKind, Zxid)],
    ) {
        self.count(NAME);
        let due = |(kind, since): &(WatchKind, Zxid)| self.trigger((path, *kind), *since);
        let is_due = watches.iter().filter_map(due).any(|(_, due)| due == event);
        if !is_due {
            let text = format!("{session} is told {event:?} of {path}, it watches {watches:?}");
            self.violate(NAME, text);
        }
    }
}
