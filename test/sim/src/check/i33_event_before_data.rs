//! I-33: on a connection the event of a txn comes before each answer that reflects it.

use zabra_proto::{SessionId, Zxid};

use super::Checker;
use super::watches::WatchKind;
use crate::trace::Z;

pub(super) const NAME: &str = "I-33 event before data";

impl Checker {
    /// A client gets a reply while it watches: what changed up to there, it must have been told before (I-33, I-35).
    pub fn watched(
        &mut self,
        session: SessionId,
        watch: (&str, WatchKind),
        since: Zxid,
        up_to: Zxid,
    ) {
        self.count(NAME);
        if let Some((zxid, kind)) = self.trigger(watch, since)
            && zxid <= up_to
        {
            let text = format!(
                "{session} watches {watch:?} since {}, hears of {} and not of the {kind:?} of {}",
                Z(since),
                Z(up_to),
                Z(zxid)
            );
            self.violate(NAME, text);
        }
    }
}
