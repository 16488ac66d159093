//! The rules of quorum 19.4 that concern learners and leaders, one claim each, by their numbers.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod leader;
mod learner;

use std::sync::Arc;

use zabra_proto::{MonoMillis, Zxid};
use zabra_zab::{Entry, Limits, Packet};

const NOW: MonoMillis = MonoMillis(1000);

const LIMITS: Limits = Limits {
    tick_ms: 2000,
    init_limit: 10,
    sync_limit: 5,
};

fn z(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(epoch, counter)
}

fn entry(zxid: Zxid) -> Entry {
    let payload: Arc<[u8]> = zxid.0.to_be_bytes().as_slice().into();
    Entry { zxid, payload }
}

fn entries(zxids: impl IntoIterator<Item = Zxid>) -> Vec<Entry> {
    zxids.into_iter().map(entry).collect()
}

fn proposal(zxid: Zxid) -> Packet {
    Packet::Proposal(entry(zxid))
}
