//! R4: only what is decided is in the tree: what is cut off a log was never applied.

use zabra_proto::Zxid;

use super::{Verdict, fails};
use crate::event::ServerAt;

const NAME: &str = "R4 only committed state";

/// A server that has applied all up to `applied` cuts its log.
pub(super) fn cuts(at: ServerAt, to: Zxid, applied: Zxid) -> Verdict {
    if applied > to {
        let text = format!(
            "s{} truncates to {to} what it has applied ({applied})",
            at + 1
        );
        return fails(NAME, text);
    }
    Ok(())
}
