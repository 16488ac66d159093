//! One order of all writes, which respects real time (I-22, I-24).

use std::collections::HashMap;

use crate::calls::{Call, Clock};
use crate::{Answer, Ask, Rule, Verdict};

/// The order is that of zxids: no two have the same, none is before one that had been answered before it was asked for, and
/// a read behind a `sync` is no older than what had been answered before the `sync` was asked for.
pub fn judge(calls: &[Call], verdict: &mut Verdict) {
    let clock = Clock::of(calls);
    let mut seen = HashMap::new();
    for call in calls {
        let who = call.session;
        if let Some(zxid) = call.acknowledged() {
            verdict.count("writes in real time", 1);
            if let Some(other) = seen.insert(zxid, call) {
                let text = format!("0x{zxid:x} is {:?} and {:?}", other.ask, call.ask);
                verdict.broken(Rule::ZxidTwice, text);
            }
            let floor = clock.floor(call.from);
            if zxid <= floor {
                let text = format!(
                    "0x{who:x}: {:?} at 0x{zxid:x}, after 0x{floor:x} was told",
                    call.ask
                );
                verdict.broken(Rule::RealTime, text);
            }
        }
        let is_read = matches!(call.ask, Ask::Read { .. } | Ask::Children { .. });
        if let (Some((zxid, answer)), Some(synced), true) = (call.told, call.synced_at, is_read)
            && answer != Answer::Refused
        {
            verdict.count("reads behind a sync", 1);
            let floor = clock.floor(synced);
            if zxid < floor {
                let text = format!(
                    "0x{who:x}: {:?} as of 0x{zxid:x} behind a sync that was asked for when 0x{floor:x} was told",
                    call.ask
                );
                verdict.broken(Rule::StaleSync, text);
            }
        }
    }
}
