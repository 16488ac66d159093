//! I-41: when faults have ended, in all of a world or in a core of it, everything is in step and served again within a bound
//! ([`crate::liveness`] says what that is).

use std::collections::BTreeSet;

use super::Checker;
use crate::event::ServerAt;

pub(super) const NAME: &str = "I-41 progress";
pub(super) const WITH_CORE: &str = "I-41 with a broken minority";

impl Checker {
    /// Only these are healed: the others stay broken for ever.
    pub fn heals_a_core(&mut self) {
        self.count(WITH_CORE);
    }

    /// Everything is in step: from here on nothing is wrong with the world, or with a core of it.
    pub fn in_step_again(&mut self, core: Option<BTreeSet<ServerAt>>) {
        self.count(NAME);
        self.is_quiet = true;
        self.core = core;
    }

    /// Patience has ended, and this is missing.
    pub fn still_missing(&mut self, missing: String) {
        self.violate(NAME, missing);
    }
}
