//! The mistakes, one by one.

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal,)+) => {
        /// A known mistake. `m…` are the mutants of the project's list of pitfalls under their numbers there; `f…` are
        /// mistakes that this project made and found (`docs/bugs.md`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its number.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

impl Mutant {
    /// The one with this name or number.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let is_meant = |mutant: &&Self| {
            word.eq_ignore_ascii_case(mutant.label()) || word.eq_ignore_ascii_case(mutant.name())
        };
        Self::ALL.iter().find(is_meant).copied()
    }
}

mutants! {
    /// NEWLEADER is acknowledged before the history is on the disk (P02).
    AckBeforeHistory = "m01",
    /// The new epoch is written as the history's before the history is there (P03).
    EpochBeforeHistory = "m02",
    /// Epochs are written and not synced (P01, P21).
    EpochsUnsynced = "m03",
    /// What was decided while this server got into step is not kept for learners (P07).
    SyncedMissInWindow = "m04",
    /// A truncation leaves snapshots that are newer (P10).
    SnapshotOutlivesTruncation = "m05",
    /// A role that ends leaves its memory: a vote says what is not on the disk yet (P11, P14).
    VoteBeforeFlush = "m06",
    /// A leader's snapshot is taken for its whole history, without what follows it (P12, P54).
    SnapshotWithoutRest = "m07",
    /// A transaction is applied that is not in the own log (P13, P54).
    ApplyWithoutOwnLog = "m08",
    /// A learner's place in the history is found by comparing numbers (P15).
    DiffByNumber = "m09",
    /// A learner is told to cut back to where the memory of decided transactions begins (P16).
    TruncateToWindow = "m10",
    /// Between what is sent from the disk and from memory one transaction is left out (P17).
    GapBehindDisk = "m11",
    /// NEWLEADER goes before the proposals that belong to the history (P18).
    NewLeaderFirst = "m12",
    /// Proposals go to learners that have acknowledged NEWLEADER only (P19).
    ProposeToSyncedOnly = "m13",
    /// A decision that comes before UPTODATE is dropped (P06, P20).
    CommitsDroppedInSync = "m14",
    /// The link of a role that has ended stays, and is obeyed (P24).
    OldLinkStaysAlive = "m15",
    /// A leader counts itself before its own disk has the transaction (P28).
    LeaderCountsUnsynced = "m16",
    /// A sync that failed is tried again (P29).
    FsyncRetried = "m17",
    /// The directory of a new segment is not synced (P31).
    DirectoryUnsynced = "m18",
    /// A torn end of the log forbids the start (P32).
    TornTailFatal = "m19",
    /// Damage in the middle of the log is taken for the end of a file (P33).
    DamageEndsFile = "m20",
    /// Damage at the end of the log is cut off though it was acknowledged (P34).
    DamageCutOff = "m21",
    /// A truncation removes segments oldest first, and writes down nothing (P37).
    TruncationWithoutNote = "m22",
    /// A full disk is passed over once (P38).
    NoSpaceIgnored = "m23",
    /// Snapshots are counted without being read before older ones go (P44, P46).
    PurgeUnverified = "m24",
    /// A server that may have lost its disk votes (P48).
    WipedVotes = "m25",
    /// An observer's acknowledgement counts (P60).
    ObserverCounted = "m29",
    /// Votes of an earlier round count (P59).
    OldRoundCounted = "m30",
    /// A leader goes on that hears from no quorum (P70).
    LeaderNeverResigns = "m32",
    /// A session may write after its end is proposed (P76).
    ClosedSessionWrites = "m33",
    /// The end of a session misses ephemerals that are not in the tree yet (P77).
    PendingEphemeralsMissed = "m34",
    /// A new leader does not give sessions their full time (P79).
    TimersOutliveLeader = "m35",
    /// A request of a server that the session has left is carried out (P80).
    OwnerUnchecked = "m36",
    /// A client is taken that has seen more than this server (P85).
    ClientAheadAccepted = "m37",
    /// Child watches that are set again miss what changed meanwhile (P87).
    ChildrenNotCaughtUp = "m38",
    /// A reply leaves before the event of the change that it shows (P90).
    ReplyBeforeEvent = "m39",
    /// An event is dropped when the queue to its client is not empty (P95).
    EventDropped = "m40",
    /// A multi that failed leaves what it would have changed (P99).
    OverlayNotUndone = "m41",
    /// A read is answered before an earlier write of its session (P98).
    ReadOvertakesWrite = "m42",
    /// A `sync` is answered without asking a quorum (P105).
    SyncUnproven = "m44",
    /// The end of a session lists its ephemerals, however many (P78, P116).
    ClosePathsUnbounded = "m47",
    /// The numbers of an epoch run over (P127).
    EpochOverrun = "m48",
    /// Time is taken from the wall clock (P128).
    WallClockExpires = "m49",
    /// A server that stood still does not notice it before it answers its clients (P75).
    PauseUnnoticed = "m50",
    /// A `sync` is answered behind a later write of its session.
    SyncBehindLaterWrite = "f1",
    /// A `sync` waits for a transaction of an epoch that has none.
    SyncHangsInNewEpoch = "f2",
    /// Requests go to the leader under the client's numbers, which another connection may use again (P86).
    ClientsNumbersForwarded = "f3",
    /// The numbers of requests to the leader begin anew with each role.
    NumbersBeginAnew = "f4",
    /// A client whose session has moved is told so and stays, on the wrong server.
    MovedSessionStays = "f5",
    /// A leader whose disk lags forgets what only other disks hold, and has a learner take it back.
    WindowForgetsUndurable = "f6",
    /// Empty voters wait for ever for a history that nobody has.
    EmptyVotersWait = "f7",
    /// That a session was heard of is forgotten with its connection.
    TouchLostWithConnection = "f8",
    /// An observer tells a voter that its round is an earlier one, is answered, and tells it again.
    ObserverAnswers = "f9",
    /// The last numbers of an epoch are counted once for all sessions that expire together.
    ExpiryOverrunsEpoch = "f10",
    /// A `sync` waits for pongs of links that are gone, and nobody who came back is asked.
    RoundForgetsReturned = "f11",
    /// A history that is not acknowledged counts by the epoch on disk, not by that of its last transaction.
    UnackedCountsLess = "f12",
    /// What the history says beyond the epochs on disk is believed and not made durable.
    EpochOfHistoryUnsaved = "f13",
    /// A learner whose joins fail tries again at once, for ever.
    VainJoinsAtOnce = "f14",
    /// A leader of the past takes an empty voter into its quorum.
    EmptyVoterBelieved = "f16",
    /// A learner's pause, however long, is no silence of its leader's.
    PauseForgiven = "f18",
    /// A leader that is asked to stop waits until nobody asks it for anything any more.
    StopWaitsForQuiet = "f20",
}
