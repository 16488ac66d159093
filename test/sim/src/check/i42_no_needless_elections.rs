//! I-42: while nothing is wrong, or only with servers outside of a core that is in step, nobody leaves its role.

use super::Checker;
use crate::event::ServerAt;

pub(super) const NAME: &str = "I-42 no needless elections";

impl Checker {
    /// A server leaves its role.
    pub(super) fn leaves_needlessly(&mut self, at: ServerAt, why: &str) {
        let is_whole = self.core.as_ref().is_none_or(|core| core.contains(&at));
        if why.contains("numbers are used up") {
            // The election that follows is needed.
            self.is_quiet = false;
        }
        if self.is_quiet && is_whole {
            let text = format!("s{} leaves its role: {why}", at + 1);
            self.violate(NAME, text);
        }
    }

    /// A quiet time has passed.
    pub fn was_quiet(&mut self) {
        self.count(NAME);
    }
}
