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

    /// Whether it needs a network of its own for each server.
    pub(super) const fn cuts(self) -> bool {
        matches!(self, Self::CutLeader | Self::CutFollower | Self::CutLink)
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
            Self::KillAll => all.to_vec(),
            Self::KillFollower
            | Self::PauseFollower
            | Self::CutFollower
            | Self::CutLink
            | Self::DelayFollower
            | Self::ThrottleFollower
            | Self::ResetFollower
            | Self::MuteFollower
            | Self::DeafFollower
            | Self::PartFollowers => vec![follower],
            _ => vec![leader],
        }
    }
}
