//! What is done to an ensemble in a round.

use crate::ensemble::Sid;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The leader is killed.
    KillLeader,
    /// A follower is killed.
    KillFollower,
    /// The leader is killed and starts again at once.
    RestartLeader,
    /// The leader is asked to end.
    StopLeader,
    /// The leader hangs until there is another one.
    PauseLeader,
    /// The leader hangs for a moment only.
    BlinkLeader,
    /// A follower hangs until the others write without it.
    PauseFollower,
    /// Everybody is killed.
    KillAll,
    /// The leader hangs, and is killed once there is another one.
    PauseAndKillLeader,
    /// The leader reaches no other server, but its clients.
    CutLeader,
    /// A follower reaches no other server, but its clients.
    CutFollower,
    /// A follower does not reach the leader, but the others.
    CutLink,
    /// Everything between the leader and the others comes late.
    DelayLeader,
    /// Everything between a follower and the others comes late.
    DelayFollower,
    /// Little passes between the leader and the others.
    ThrottleLeader,
    /// Little passes between a follower and the others.
    ThrottleFollower,
    /// All connections of the leader with other servers are reset.
    ResetLeader,
    /// All connections of a follower with other servers are reset.
    ResetFollower,
    /// The leader's connections are reset again and again.
    ResetStorm,
    /// The others hear nothing of the leader, which hears them.
    MuteLeader,
    /// The leader hears nothing of the others, who hear it.
    DeafLeader,
    /// The others hear nothing of a follower, which hears them.
    MuteFollower,
    /// A follower hears nothing of the others, who hear it.
    DeafFollower,
    /// Two followers do not hear each other; both hear the leader.
    PartFollowers,
    /// The network loses some of the leader's packets, whoever they are from or for.
    LoseLeader,
    /// The network loses some of a follower's packets.
    LoseFollower,
    /// Each write and each sync of the leader's disk takes long.
    SlowDiskLeader,
    /// Each write and each sync of a follower's disk takes long.
    SlowDiskFollower,
    /// A sync of the leader's log does not return for seconds.
    StallDiskLeader,
    /// A sync of a follower's log does not return for seconds.
    StallDiskFollower,
    /// The leader's disk takes only half of what is written at once.
    ShortWritesLeader,
    /// A sync of the leader's log fails, and what was not synced is gone.
    SyncErrorLeader,
    /// A sync of a follower's log fails, and what was not synced is gone.
    SyncErrorFollower,
    /// A write of the leader's log fails, at once, for want of space or in the middle.
    WriteErrorLeader,
    /// A write of a follower's log fails.
    WriteErrorFollower,
    /// A server starts, and cannot create its log.
    CreateErrorAtStart,
    /// A follower cannot note the epoch of the next leader.
    EpochErrorFollower,
    /// The leader cannot write snapshots.
    SnapshotErrorLeader,
    /// The leader's disk is nearly full, then there is space again.
    NoSpaceLeader,
    /// A follower's disk is nearly full, then there is space again.
    NoSpaceFollower,
    /// A server starts, and cannot read its log, its snapshots or its epochs.
    ReadErrorAtStart,
    /// The leader's wall clock leaps ahead.
    ClockForwardLeader,
    /// A follower's wall clock leaps ahead.
    ClockForwardFollower,
    /// The leader's wall clock leaps back.
    ClockBackLeader,
    /// A follower's wall clock leaps back.
    ClockBackFollower,
    /// The leader's wall clock is much too fast or slow.
    ClockDriftLeader,
    /// The leader is killed, and everybody who is left has another wall clock.
    ClocksApart,
}

impl Fault {
    /// Those that need no proxies.
    pub(super) const OF_SERVERS: &[Self] = &[
        Self::KillLeader,
        Self::KillFollower,
        Self::RestartLeader,
        Self::StopLeader,
        Self::PauseLeader,
        Self::BlinkLeader,
        Self::PauseFollower,
        Self::KillAll,
        Self::PauseAndKillLeader,
        Self::CutLeader,
        Self::CutFollower,
        Self::CutLink,
        Self::LoseLeader,
        Self::LoseFollower,
    ];

    /// Those that proxies make.
    pub(super) const OF_LINKS: &[Self] = &[
        Self::DelayLeader,
        Self::DelayFollower,
        Self::ThrottleLeader,
        Self::ThrottleFollower,
        Self::ResetLeader,
        Self::ResetFollower,
        Self::ResetStorm,
        Self::MuteLeader,
        Self::DeafLeader,
        Self::MuteFollower,
        Self::DeafFollower,
        Self::PartFollowers,
    ];

    /// Those of disks and clocks.
    pub(super) const OF_DISKS: &[Self] = &[
        Self::SlowDiskLeader,
        Self::SlowDiskFollower,
        Self::StallDiskLeader,
        Self::StallDiskFollower,
        Self::ShortWritesLeader,
        Self::SyncErrorLeader,
        Self::SyncErrorFollower,
        Self::WriteErrorLeader,
        Self::WriteErrorFollower,
        Self::CreateErrorAtStart,
        Self::EpochErrorFollower,
        Self::SnapshotErrorLeader,
        Self::NoSpaceLeader,
        Self::NoSpaceFollower,
        Self::ReadErrorAtStart,
        Self::ClockForwardLeader,
        Self::ClockForwardFollower,
        Self::ClockBackLeader,
        Self::ClockBackFollower,
        Self::ClockDriftLeader,
        Self::ClocksApart,
    ];

    /// Whether it needs a network of its own for each server.
    pub(super) const fn cuts(self) -> bool {
        matches!(
            self,
            Self::CutLeader
                | Self::CutFollower
                | Self::CutLink
                | Self::LoseLeader
                | Self::LoseFollower
        )
    }

    /// Whether the network must be able to lose packets.
    pub(super) const fn loses(self) -> bool {
        matches!(self, Self::LoseLeader | Self::LoseFollower)
    }

    /// Whether the leader's own disk or clock is wrong, so that it must be one that takes orders.
    pub(super) const fn is_of_leaders_disk(self) -> bool {
        matches!(
            self,
            Self::SlowDiskLeader
                | Self::StallDiskLeader
                | Self::ShortWritesLeader
                | Self::SyncErrorLeader
                | Self::WriteErrorLeader
                | Self::SnapshotErrorLeader
                | Self::NoSpaceLeader
                | Self::ClockForwardLeader
                | Self::ClockBackLeader
                | Self::ClockDriftLeader
        )
    }

    /// Whether all sessions must be served while it lasts.
    pub(super) const fn leaves_service(self) -> bool {
        matches!(
            self,
            Self::DelayLeader
                | Self::DelayFollower
                | Self::ResetLeader
                | Self::ResetFollower
                | Self::PartFollowers
        )
    }

    /// Whom it strikes.
    pub(super) fn strikes(self, leader: Sid, follower: Sid, all: &[Sid]) -> Vec<Sid> {
        match self {
            Self::KillAll | Self::ClocksApart => all.to_vec(),
            Self::KillFollower
            | Self::PauseFollower
            | Self::CutFollower
            | Self::CutLink
            | Self::DelayFollower
            | Self::ThrottleFollower
            | Self::ResetFollower
            | Self::MuteFollower
            | Self::DeafFollower
            | Self::PartFollowers
            | Self::LoseFollower
            | Self::SlowDiskFollower
            | Self::StallDiskFollower
            | Self::SyncErrorFollower
            | Self::WriteErrorFollower
            | Self::CreateErrorAtStart
            | Self::EpochErrorFollower
            | Self::NoSpaceFollower
            | Self::ReadErrorAtStart
            | Self::ClockForwardFollower
            | Self::ClockBackFollower => vec![follower],
            _ => vec![leader],
        }
    }
}
