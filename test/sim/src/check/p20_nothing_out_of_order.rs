//! P20: a leader sends nothing that the protocol does not have there, so that no learner has to leave it for that.

use super::{Verdict, fails};
use crate::event::ServerAt;

pub(super) const NAME: &str = "P20 nothing out of order";

/// Why a learner leaves a leader that does not keep to the protocol: none of the simulated ones may.
const IRREGULAR: [&str; 8] = [
    "it proposes",
    "it decides",
    "it asks to cut behind",
    "it sends neither DIFF",
    "UPTODATE before",
    "NEWLEADER",
    "it begins to synchronize anew",
    "it does not say which epoch",
];

/// A server leaves its role.
pub(super) fn leaves(at: ServerAt, why: &str) -> Verdict {
    if IRREGULAR.iter().any(|irregular| why.contains(irregular)) {
        return fails(NAME, format!("s{} leaves its role: {why}", at + 1));
    }
    Ok(())
}
