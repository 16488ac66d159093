//! P48: a voter whose disk was lost has no voice until it has a history again. Whether it keeps to that shows in I-7, I-8 and
//! I-9, which count what was lost only as long as the voter has not come back into step.

use super::Checker;
use crate::event::ServerAt;

pub(super) const NAME: &str = "P48 disk lost";

impl Checker {
    /// Whether a voter's disk may be lost without the others being stuck: who has no history cannot know that it never
    /// had one, and has no voice either.
    #[must_use]
    pub fn may_be_wiped(&self, at: ServerAt) -> bool {
        self.disks.have_others_history(at)
    }
}
