//! What can go wrong.

/// A kind of fault, as a plan weighs it. What is counted is finer: a crash may be a power cut, a partition has shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A server's process ends, or its machine loses its power, now or at one of its next effects.
    Crash,
    /// All servers die at once.
    CrashAll,
    /// A server stands still, then goes on.
    Pause,
    /// A server is stopped in good order, and started again.
    Stop,
    /// All servers are stopped in good order, one after the other.
    Rolling,
    /// Ways between servers, or between clients and servers, are cut.
    Partition,
    /// A quorum link breaks.
    Reset,
    /// An election link breaks.
    VoteReset,
    /// A client's connection breaks.
    ClientReset,
    /// Somebody connects to one of a server's ports and says what nobody understands.
    Garbage,
    /// For a while a server cannot resolve the names of others.
    Unresolved,
    /// For a while a server's disk is slow.
    SlowDisk,
    /// One of the next operations of a disk fails, or all from then on.
    Disk,
    /// A disk is nearly full for a while.
    DiskLow,
    /// A wall clock is set.
    Clock,
    /// Something on the disk of a server that is down changes without anybody knowing (I-19).
    Damage,
    /// For a while a client takes nothing of what its server sends.
    SlowReader,
    /// The disk of a voter is lost; this happens to a minority only, and once in a run.
    Wipe,
    /// The disk of a voter is lost just when others lack what it held (P48).
    LostDisk,
}

impl Kind {
    /// All of them, and how often in a hundred a world has them.
    pub const ODDS: [(Self, u32); 19] = [
        (Self::Crash, 60),
        (Self::CrashAll, 15),
        (Self::Pause, 30),
        (Self::Stop, 20),
        (Self::Rolling, 8),
        (Self::Partition, 40),
        (Self::Reset, 30),
        (Self::VoteReset, 20),
        (Self::ClientReset, 30),
        (Self::Garbage, 20),
        (Self::Unresolved, 15),
        (Self::SlowDisk, 20),
        (Self::Disk, 30),
        (Self::DiskLow, 10),
        (Self::Clock, 10),
        (Self::Damage, 15),
        (Self::SlowReader, 20),
        (Self::Wipe, 20),
        (Self::LostDisk, 5),
    ];
}

/// Everything that is counted by phase, by its name in the table.
pub const COUNTED: [&str; 31] = [
    CRASH,
    POWER_CUT,
    KILLED,
    MIDWAY,
    ALL_CRASH,
    PAUSE,
    STOP,
    PARTITION,
    ONE_WAY,
    PARTIAL,
    BRIDGE,
    RING,
    ISOLATION,
    RESET,
    VOTE_RESET,
    CLIENT_RESET,
    GARBAGE_CLIENT,
    GARBAGE_QUORUM,
    GARBAGE_ELECTION,
    UNRESOLVED,
    SLOW_DISK,
    DISK_READ,
    DISK_WRITE,
    DISK_SYNC,
    DISK_NAMES,
    NO_SPACE,
    DISK_LOW,
    CLOCK,
    DAMAGE,
    SLOW_READER,
    WIPE,
];

pub(super) const CRASH: &str = "crash";
pub(super) const POWER_CUT: &str = "silent power cut";
pub(super) const KILLED: &str = "process killed";
pub(super) const MIDWAY: &str = "crash between effects";
pub(super) const ALL_CRASH: &str = "crash of all";
pub(super) const PAUSE: &str = "pause";
pub(super) const STOP: &str = "orderly restart";
pub(super) const PARTITION: &str = "partition";
pub(super) const ONE_WAY: &str = "one-way partition";
pub(super) const PARTIAL: &str = "partial partition";
pub(super) const BRIDGE: &str = "bridge";
pub(super) const RING: &str = "ring";
pub(super) const ISOLATION: &str = "isolation";
pub(super) const RESET: &str = "quorum link reset";
pub(super) const VOTE_RESET: &str = "election link reset";
pub(super) const CLIENT_RESET: &str = "client reset";
pub(super) const GARBAGE_CLIENT: &str = "garbage, client port";
pub(super) const GARBAGE_QUORUM: &str = "garbage, quorum port";
pub(super) const GARBAGE_ELECTION: &str = "garbage, election port";
pub(super) const UNRESOLVED: &str = "names unresolved";
pub(super) const SLOW_DISK: &str = "slow disk";
pub(super) const DISK_READ: &str = "read error";
pub(super) const DISK_WRITE: &str = "write error";
pub(super) const DISK_SYNC: &str = "sync error";
pub(super) const DISK_NAMES: &str = "create or rename error";
pub(super) const NO_SPACE: &str = "no space";
pub(super) const DISK_LOW: &str = "disk nearly full";
pub(super) const CLOCK: &str = "clock step";
pub(super) const DAMAGE: &str = "silent damage";
pub(super) const SLOW_READER: &str = "slow reader";
pub(super) const WIPE: &str = "disk lost";
