//! What the trouble of a world is about.
//!
//! Most worlds know any fault at any time. Some mistakes show only where a few things come together that seldom meet by
//! chance: each of these tempers is a kind of world in which they do, over and over, beside everything else.

use crate::faults::Kind;
use crate::network::Weather;
use crate::plan::{Plan, pick};

/// A kind of world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    /// Anything.
    Mixed,
    /// Clients turn from server to server while their requests are on their way, and number them anew (P86).
    Wandering,
    /// A new ensemble, whose servers die as soon as they lead, and are back at once (P48).
    Stillborn,
    /// A leader's disk falls far behind those of the others, and learners come and go.
    SlowLeader,
    /// Links between servers break and are made again at once, with much under way.
    BrokenLinks,
    /// One election follows the other, and what is said in them comes late (P59).
    LateVotes,
    /// A disk is lost while others lack what it held (P48).
    LostDisk,
    /// Something goes wrong whenever a server enters a phase.
    Ambush,
    /// A leader is cut off or stands still, and its clients are patient, while the others go on without it (P75, P105).
    LeftBehind,
    /// An epoch has few numbers, and sessions expire together (P127).
    ShortEpochs,
    /// Learners come and go, want snapshots, and their disks refuse them (P59).
    StubbornDisks,
}

/// How long a piece takes on a fast network, or a flush on a fast disk, from and to, µs.
const FAST_US: (u64, u64) = (50, 200);

const NAMES: [(Temper, &str); 11] = [
    (Temper::Mixed, "mixed"),
    (Temper::Wandering, "wandering"),
    (Temper::Stillborn, "stillborn"),
    (Temper::SlowLeader, "slow-leader"),
    (Temper::BrokenLinks, "broken-links"),
    (Temper::LateVotes, "late-votes"),
    (Temper::LostDisk, "lost-disk"),
    (Temper::Ambush, "ambush"),
    (Temper::LeftBehind, "left-behind"),
    (Temper::ShortEpochs, "short-epochs"),
    (Temper::StubbornDisks, "stubborn-disks"),
];

impl Temper {
    /// The one of this name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let named = NAMES.iter().find(|(_, name)| *name == word);
        named.map(|(temper, _)| *temper)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = NAMES.iter().find(|(temper, _)| *temper == self);
        named.map_or("", |(_, name)| name)
    }

    /// The temper of a world with so many voters.
    pub(crate) fn draw(rng: &mut fastrand::Rng, voters: usize) -> Self {
        let drawn = rng.u32(0..24);
        if voters < 3 {
            return if drawn < 6 { Self::Ambush } else { Self::Mixed };
        }
        match drawn {
            0 => Self::Wandering,
            1 => Self::Stillborn,
            2 => Self::SlowLeader,
            3 => Self::BrokenLinks,
            4 => Self::LateVotes,
            5 => Self::LostDisk,
            6..=9 => Self::Ambush,
            10 => Self::LeftBehind,
            11 => Self::ShortEpochs,
            12 => Self::StubbornDisks,
            _ => Self::Mixed,
        }
    }

    /// Makes a world one of its kind.
    pub(crate) fn shape(self, plan: &mut Plan, rng: &mut fastrand::Rng) {
        let tick_us = plan.tick_ms * 1000;
        match self {
            Self::Mixed => {}
            Self::Wandering => {
                plan.faults.set(Kind::ClientReset, 30);
                plan.faults.every_us = tick_us;
                plan.xids_begin_anew = true;
                plan.pipeline = 16;
                plan.clients = plan.clients.max(3);
                plan.think_us = tick_us / 20;
                plan.weather.delay_us = FAST_US;
                plan.flush_us = (tick_us / 20, tick_us / 2);
            }
            Self::Stillborn => {
                plan.faults.set(Kind::Crash, 5);
                plan.faults.early_permille = 600;
                plan.faults.early_effects = 12;
                plan.faults.silent_permille = 0;
                plan.faults.away_us = tick_us / 20;
                plan.clients_wait_us = tick_us * 20;
            }
            Self::SlowLeader => slow_leader(plan, rng),
            Self::BrokenLinks => {
                plan.faults.set(Kind::Reset, 40);
                plan.faults.every_us = tick_us;
                plan.pipeline = 16;
                plan.clients = plan.clients.max(3);
                plan.think_us = tick_us / 20;
                plan.weather.delay_us = FAST_US;
                plan.slow_disk_permille = 500;
                plan.slow_disk_us = (tick_us / 10, tick_us);
            }
            Self::LateVotes => {
                plan.faults.set(Kind::VoteReset, 10);
                plan.faults.set(Kind::Reset, 20);
                plan.faults.set(Kind::Partition, 10);
                plan.faults.every_us = tick_us * 4;
                plan.faults.away_us = tick_us;
                plan.weather.slow_permille = 200;
                plan.weather.slow_us = (tick_us / 4, tick_us * 4);
            }
            Self::LostDisk => {
                plan.faults.set(Kind::LostDisk, 20);
                plan.faults.every_us = tick_us * 12;
                plan.faults.trouble_us = tick_us * 4;
            }
            Self::LeftBehind => left_behind(plan, rng),
            Self::ShortEpochs => short_epochs(plan, rng),
            Self::StubbornDisks => stubborn_disks(plan),
            Self::Ambush => {
                plan.faults.ambush_permille = 250;
                for (kind, _) in Kind::ODDS {
                    if !plan.faults.weights.iter().any(|(other, _)| *other == kind) {
                        plan.faults.set(kind, 3);
                    }
                }
                plan.faults.trouble_us = plan.faults.trouble_us.min(tick_us * 5);
            }
        }
    }
}

fn slow_leader(plan: &mut Plan, rng: &mut fastrand::Rng) {
    let tick_us = plan.tick_ms * 1000;
    plan.faults.set(Kind::SlowDisk, 20);
    plan.faults.set(Kind::Reset, 20);
    plan.faults.set(Kind::Crash, 4);
    plan.faults.every_us = tick_us * 3;
    plan.faults.trouble_us = tick_us * 8;
    plan.faults.hits_leader_permille = 700;
    plan.commit_log_count = *pick(rng, &[1, 3]);
    plan.clients = plan.clients.max(3);
    plan.think_us = tick_us / 20;
    plan.flush_us = FAST_US;
}

fn left_behind(plan: &mut Plan, rng: &mut fastrand::Rng) {
    let tick_us = plan.tick_ms * 1000;
    plan.faults.set(Kind::Pause, 20);
    plan.faults.set(Kind::Partition, 20);
    plan.faults
        .weights
        .retain(|(kind, _)| *kind != Kind::SlowDisk);
    plan.faults.every_us = tick_us * 15;
    plan.faults.trouble_us = tick_us * 15;
    plan.faults.hits_leader_permille = 700;
    plan.sync_limit = *pick(rng, &[2, 2, 5]);
    plan.timeout_ticks = (40, 40);
    // Two of them write nothing.
    plan.clients = 6;
    plan.pipeline = 64;
    plan.think_us = *pick(rng, &[tick_us / 4, tick_us * 3]);
    plan.weather = Weather {
        delay_us: FAST_US,
        slow_permille: 0,
        slow_us: (0, 0),
        ..plan.weather
    };
    plan.slow_disk_us = (tick_us / 10, tick_us / 4);
}

fn short_epochs(plan: &mut Plan, rng: &mut fastrand::Rng) {
    let tick_us = plan.tick_ms * 1000;
    plan.faults.set(Kind::Partition, 20);
    plan.faults.every_us = tick_us * 10;
    plan.faults.trouble_us = tick_us * 10;
    plan.faults.silence_permille = 700;
    // One session more than an epoch has numbers: they expire together beyond its end (P127). Were there many more, all
    // numbers of all epochs would go into sessions that expire while the next leader is elected.
    let (numbers, clients) = *pick(rng, &[(3, 4), (5, 6), (8, 9)]);
    plan.epoch_len_max = numbers;
    plan.timeout_ticks = (4, 4);
    plan.clients = clients;
    plan.think_us = tick_us;
}

fn stubborn_disks(plan: &mut Plan) {
    let tick_us = plan.tick_ms * 1000;
    plan.faults.set(Kind::Disk, 20);
    plan.faults.set(Kind::DiskLow, 20);
    plan.faults.set(Kind::Reset, 20);
    plan.faults.every_us = tick_us * 4;
    plan.faults.trouble_us = tick_us * 15;
    plan.always_snapshot = true;
    plan.weather.delay_us = FAST_US;
    plan.flush_us = FAST_US;
}
