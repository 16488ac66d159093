//! I-18: whatever crashes and errors have left on a disk that works again, the server starts from it without a person.

use zabra_proto::Sid;

use super::Checker;

pub(super) const NAME: &str = "I-18 no unbootable state";

impl Checker {
    /// A server does not start, on a disk that did nothing wrong.
    pub fn cannot_start(&mut self, sid: Sid, why: &str) {
        self.violate(NAME, format!("s{sid}: {why}"));
    }
}
