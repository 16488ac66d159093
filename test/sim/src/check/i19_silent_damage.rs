//! I-19: a server whose files were damaged behind its back is mended with the others' copies, goes by an older snapshot, or
//! stops and says where; it never serves or spreads a wrong byte.
//!
//! That nothing wrong comes of it shows elsewhere: by I-14 when it starts with less than it had, by I-2, I-3 and I-13 when it
//! has something else. Here is counted what came of each damage, so that none of the ways out is only believed in.

use super::Checker;

pub(super) const NAME: &str = "I-19 no silent corruption";
pub(super) const MENDED: &str = "I-19 a damaged log is mended";
pub(super) const REFUSED: &str = "I-19 damage stops the start";

/// What came of damage when its server started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It found nothing wrong in what it needed.
    Starts,
    /// It took the very txns from others, and starts.
    Mended,
    /// It says what is damaged, and ends.
    Refused,
}

impl Checker {
    /// A server starts from a disk that was damaged.
    pub fn damage_was_met(&mut self, outcome: Outcome) {
        self.count(NAME);
        match outcome {
            Outcome::Starts => {}
            Outcome::Mended => self.count(MENDED),
            Outcome::Refused => self.count(REFUSED),
        }
    }
}
