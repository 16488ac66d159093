//! I-24: writes, and reads behind a `sync`, fit one order that respects real time: each comes behind all that anybody had been
//! told of when it was asked.

use super::answers::Told;
use super::{Verdict, fails};
use crate::trace::Z;

pub(super) const SYNC: &str = "I-24 sync sees all that was told";
pub(super) const WRITES: &str = "I-24 linearizable writes";

/// A sync is answered (P105).
pub(super) fn synced(told: &Told<'_>) -> Verdict {
    if told.zxid < told.floor {
        let text = format!(
            "{} asked to sync when {} had been told of, and is at {}",
            told.session,
            Z(told.floor),
            Z(told.zxid)
        );
        return fails(SYNC, text);
    }
    Ok(())
}

/// A write is answered with success.
pub(super) fn written(told: &Told<'_>) -> Verdict {
    if told.zxid <= told.floor {
        let text = format!(
            "{} wrote {} after {} had been told of",
            told.session,
            Z(told.zxid),
            Z(told.floor)
        );
        return fails(WRITES, text);
    }
    Ok(())
}
