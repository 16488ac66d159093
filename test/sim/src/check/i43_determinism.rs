//! I-43: the same seed and the same build give the same trace.

use super::{Counts, Violation};

pub(super) const NAME: &str = "I-43 determinism";

/// A plan has run twice.
pub(crate) fn same(
    first: Option<u64>,
    second: Option<u64>,
    counts: &mut Counts,
) -> Option<Violation> {
    *counts.entry(NAME).or_default() += 1;
    (first != second).then(|| Violation {
        invariant: NAME,
        text: format!("traces {first:x?} and {second:x?}"),
    })
}
