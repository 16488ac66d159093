//! Discovery, synchronization and broadcast (ZAB), without I/O.
//!
//! ZAB knows zxids and bytes, not znodes: what a transaction does is `zabra-tree`'s, who becomes a leader
//! `zabra-election`'s, and the two are put together in `zabra-peer`.
//!
//! | To | see |
//! |---|---|
//! | know where a server stands in its log | [`History`] |
//! | decide how a learner gets into step | [`plan_sync`] |
//! | lead | [`Leader`] |
//! | follow or observe | [`Learner`] |
//! | say something on a quorum link | [`Packet`] |

#![forbid(unsafe_code)]

mod history;
mod leader;
mod learner;
mod limits;
mod packet;
mod plan;
mod walk;
mod window;

use zabra_proto::Zxid;

pub use history::History;
pub use leader::{Leader, LeaderAction, LeaderSettings};
pub use learner::{Learner, LearnerAction, LearnerSettings};
pub use limits::{HEARTBEAT_LIMIT_MS, HEARTBEAT_MS, Limits};
pub use packet::{CAPABILITIES, Entry, ForwardedRequest, LinkId, Packet, is_capable};
pub use plan::{NO_HISTORY, Position, SyncPlan, plan_sync};
pub use walk::{Step, Verdict, Walk, follows};
pub use window::{WINDOW_BYTES_MAX, Window};

/// What a member has promised and accepted. Both only grow; current never exceeds accepted (I-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epochs {
    /// The highest epoch promised to a would-be leader.
    pub accepted: u32,
    /// The epoch of the history.
    pub current: u32,
}

/// What a learner is sent from disk, before anything else that is sent to it from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// What is behind the learner's last zxid: DIFF or TRUNC with the transactions from the log, if the log reaches back
    /// and is not long beside a snapshot; otherwise as [`Self::Snapshot`].
    Behind {
        /// The last transaction in the learner's log.
        learner: Zxid,
        /// The last that is sent, on disk here. DIFF names it.
        up_to: Zxid,
    },
    /// SNAP with the newest snapshot, then the transactions behind it.
    Snapshot {
        /// The last that is sent, on disk here.
        up_to: Zxid,
    },
}
