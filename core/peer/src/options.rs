//! How a peer behaves, and what it begins with.

use zabra_proto::{ServerId, SessionId, Sid, Zxid};
use zabra_quorum::{Membership, Role};
use zabra_zab::{Entry, Epochs};

use crate::prep::PrepRules;

/// How a peer behaves.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// In the high byte of session ids.
    pub server: ServerId,
    /// Length of a tick, ms.
    pub tick_ms: u64,
    /// How requests are validated.
    pub prep: PrepRules,
    /// The sweep of containers and TTL znodes.
    pub sweep: SweepOptions,
}

/// When containers and TTL znodes are looked for (SB-12).
#[derive(Debug, Clone, Copy)]
pub struct SweepOptions {
    /// Time between two sweeps, ms; 0 for never.
    pub interval_ms: u64,
    /// At most so many deletions per sweep.
    pub deletions_max: usize,
    /// A container that never had a child goes after this, ms; 0 for never.
    pub never_used_ms_max: i64,
}

/// What a member of an ensemble is told besides.
#[derive(Debug, Clone)]
pub struct EnsembleOptions {
    /// This server.
    pub me: Sid,
    /// Participant or observer.
    pub role: Role,
    /// The committed membership.
    pub membership: Membership,
    /// A newer one that was proposed and not committed, if there is one.
    pub last_seen: Option<Membership>,
    /// Whether memberships may change (`reconfigEnabled`).
    pub reconfig_enabled: bool,
    /// Ticks that connecting and synchronizing may take (`initLimit`).
    pub init_limit: u32,
    /// Ticks that a peer may be silent (`syncLimit`).
    pub sync_limit: u32,
    /// Ticks that connecting to the leader may take (`connectToLearnerMasterLimit`); 0 for `init_limit`.
    pub connect_limit: u32,
    /// The first and the longest wait before votes are sent again, ms.
    pub vote_resend_ms: (u64, u64),
    /// How many committed transactions are kept in memory for learners (`commitLogCount`).
    pub commit_log_count: usize,
    /// Learners always get a snapshot (`forceSnapshotSync`).
    pub always_snapshot: bool,
    /// Whether learners get transactions from the log on disk (`snapshotSizeFactor` not negative).
    pub syncs_from_log: bool,
    /// Whether a leader serves clients (`leaderServes`).
    pub leader_serves: bool,
}

/// What a peer takes over from disk.
#[derive(Debug, Clone)]
pub struct Restored {
    /// The last transaction in the tree.
    pub last_zxid: Zxid,
    /// Sessions that existed, with their timeouts in ms.
    pub sessions: Vec<(SessionId, i32)>,
}

/// What a member takes over from disk besides: what is logged and may still be undone (design 2.6).
#[derive(Debug, Clone)]
pub struct RestoredHistory {
    /// The transactions behind [`Restored::last_zxid`], in order: logged, durable, undecided. Not in the tree.
    pub tail: Vec<Entry>,
    /// What was promised and accepted.
    pub epochs: Epochs,
    /// False if there was no data, and nobody said that this is right: the history must come from a leader.
    pub has_history: bool,
}
