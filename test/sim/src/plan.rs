//! What a seed decides before anything happens: the shape of the world and how hard it is.
//!
//! Most seeds switch most faults off and some of them high (swarm testing), so that runs differ in kind.

use crate::faults::Kind;
use crate::network::Weather;
use crate::older::Older;
use crate::temper::Temper;

/// The shape of a world and its faults.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// What its trouble is about.
    pub temper: Temper,
    /// A server of its own, without an ensemble.
    pub is_standalone: bool,
    /// Members that vote.
    pub voters: usize,
    /// Members that observe.
    pub observers: usize,
    /// Clients.
    pub clients: usize,
    /// Length of a tick, ms.
    pub tick_ms: u64,
    /// `initLimit`.
    pub init_limit: u32,
    /// `syncLimit`.
    pub sync_limit: u32,
    /// How the network behaves while there are faults.
    pub weather: Weather,
    /// How long a flush takes, from and to, µs.
    pub flush_us: (u64, u64),
    /// How often in a thousand a job of the disk is slow.
    pub slow_disk_permille: u32,
    /// How long it then takes, from and to, µs.
    pub slow_disk_us: (u64, u64),
    /// After so many txns a server takes a snapshot.
    pub snapshot_every: u64,
    /// A segment of the log is not much longer.
    pub segment_len_max: u64,
    /// Files of the log grow in such steps.
    pub preallocate: u64,
    /// Txns kept in memory for learners.
    pub commit_log_count: usize,
    /// Learners always get a snapshot.
    pub always_snapshot: bool,
    /// Learners may get transactions from the log on disk.
    pub syncs_from_log: bool,
    /// Whether a leader serves clients.
    pub leader_serves: bool,
    /// How far clocks drift apart, in parts of a thousand.
    pub drift_permille: u64,
    /// The end of a session lists its ephemerals if their paths are not longer.
    pub close_session_len_max: usize,
    /// Clients number their requests anew with each connection.
    pub xids_begin_anew: bool,
    /// Requests that a client has outstanding at most.
    pub pipeline: usize,
    /// Mean time between two requests of a client, µs.
    pub think_us: u64,
    /// Before this time no client connects, µs.
    pub clients_wait_us: u64,
    /// An epoch has so many txns at most (P127).
    pub epoch_len_max: u32,
    /// Session timeout that clients ask for, in ticks.
    pub timeout_ticks: (u64, u64),
    /// How often in a thousand a client asks about znodes that not everybody may do everything to.
    pub guarded_permille: u32,
    /// How often in a thousand it sets a watch that stays, or takes one back.
    pub lasting_permille: u32,
    /// How often in a thousand it deals with containers and znodes that live for a time.
    pub fading_permille: u32,
    /// Time between two sweeps of those, ms.
    pub sweep_ms: u64,
    /// A container that never had a child goes after this, ms; 0 for never.
    pub never_used_ms_max: i64,
    /// Servers that behave as older releases of Apache's do.
    pub older: Vec<Option<Older>>,
    /// Each flush is of one txn.
    pub flushes_singly: bool,
    /// Clients leave servers that are only slow.
    pub is_impatient: bool,
    /// Requests of clients that wait at a server before it reads no more of them.
    pub outstanding_max: usize,
    /// So much output waits for a client before it is given up, bytes.
    pub out_len_max: usize,
    /// How often in a thousand a client asks about the twins (I-20).
    pub twins_permille: u32,
    /// Faults.
    pub faults: FaultPlan,
    /// When faults end, µs.
    pub calm_at_us: u64,
    /// How long the world may then take to be in step, µs.
    pub patience_us: u64,
    /// How long it must then stay in step, µs.
    pub quiet_us: u64,
}

/// Which faults there are.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    /// Mean time between two faults, µs; 0 for none.
    pub every_us: u64,
    /// What there is, and how much of it.
    pub weights: Vec<(Kind, u32)>,
    /// How often in a thousand a server meets a fault as it enters a phase.
    pub ambush_permille: u32,
    /// How often in a thousand a slow disk, a pause or a partition is the leader's.
    pub hits_leader_permille: u32,
    /// How often in a thousand a partition cuts all clients off, too.
    pub silence_permille: u32,
    /// How often in a thousand a crash is silent, as of a machine that loses its power.
    pub silent_permille: u32,
    /// How often in a thousand another crash is of the process alone: what it wrote stays in the page cache.
    pub process_permille: u32,
    /// How often in a thousand a crash comes while effects are carried out, not between two events.
    pub midway_permille: u32,
    /// How often in a thousand a server dies within the first steps of a role.
    pub early_permille: u32,
    /// Within how many.
    pub early_effects: u32,
    /// How long a server is away, mean, µs.
    pub away_us: u64,
    /// How long a partition or a pause lasts, mean, µs.
    pub trouble_us: u64,
    /// How often in a thousand a start is cut by another crash.
    pub restart_crash_permille: u32,
    /// How often in a thousand only a quorum is healed when faults end; the rest stays broken for ever.
    pub core_permille: u32,
}

/// What a world may force to happen always that else happens seldom.
pub const COINCIDENCES: [&str; 6] = [
    "forced: flushes of one txn",
    "forced: snapshot behind each txn",
    "forced: segments of one flush",
    "forced: nothing kept for a DIFF",
    "forced: SNAP always",
    "forced: clients that leave early",
];

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed_91a4);
        let voters = *pick(&mut rng, &[1, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 5, 5, 7]);
        Self::with_shape(&mut rng, seed, voters, None)
    }

    /// The plan of a seed for so many voters.
    #[must_use]
    pub fn for_voters(seed: u64, voters: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed_91a4);
        Self::with_shape(&mut rng, seed, voters, None)
    }

    /// The plan of a seed for a world of this temper.
    #[must_use]
    pub fn of_temper(seed: u64, temper: Temper) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed_91a4);
        let voters = *pick(&mut rng, &[3, 3, 3, 5]);
        Self::with_shape(&mut rng, seed, voters, Some(temper))
    }

    fn with_shape(
        rng: &mut fastrand::Rng,
        seed: u64,
        voters: usize,
        temper: Option<Temper>,
    ) -> Self {
        let tick_ms = *pick(rng, &[100, 200, 500, 2000]);
        let init_limit = rng.u32(5..=10);
        let sync_limit = rng.u32(2..=5);
        let tick_us = tick_ms * 1000;
        let timeout_ticks = (3, *pick(rng, &[4, 8, 20]));
        let faults = FaultPlan::draw(rng, tick_us);
        let calm_at_us = tick_us * rng.u64(60..=200);
        let is_long = rng.u32(0..4) == 0;
        let temper = temper.unwrap_or_else(|| Temper::draw(rng, voters));
        // Drawn apart, so that what else a seed decides stays as it is.
        let mut more = fastrand::Rng::with_seed(seed ^ 0x0b5e_55ed);
        let mut apart = fastrand::Rng::with_seed(seed ^ 0x11_417e_a9a7);
        let mut plan = Self {
            seed,
            temper,
            is_standalone: voters == 1 && rng.bool(),
            voters,
            observers: observers(rng, voters),
            clients: rng.usize(1..=5),
            tick_ms,
            init_limit,
            sync_limit,
            weather: weather(rng, tick_us),
            flush_us: *pick(rng, &[(30, 60), (100, 2000), (1000, 20_000)]),
            slow_disk_permille: *pick(rng, &[0, 0, 2, 20]),
            slow_disk_us: (tick_us / 4, tick_us * 2),
            snapshot_every: *pick(rng, &[3, 20, 60, 1_000_000]),
            segment_len_max: *pick(rng, &[200, 2000, 0]),
            preallocate: *pick(rng, &[0, 0, 4096]),
            commit_log_count: *pick(rng, &[1, 3, 20, 500]),
            always_snapshot: rng.u32(0..10) == 0,
            syncs_from_log: rng.u32(0..5) != 0,
            leader_serves: rng.u32(0..8) != 0 || voters < 3,
            drift_permille: *pick(rng, &[0, 1, 20, 100]),
            close_session_len_max: *pick(rng, &[20, 1 << 20]),
            xids_begin_anew: rng.bool(),
            pipeline: *pick(rng, &[1, 4, 16]),
            think_us: tick_us / *pick(rng, &[1, 5, 20]),
            clients_wait_us: 0,
            epoch_len_max: *pick(rng, &[u32::MAX - 1, u32::MAX - 1, u32::MAX - 1, 60]),
            timeout_ticks,
            guarded_permille: *pick(&mut more, &[0, 0, 150, 500]),
            lasting_permille: *pick(&mut more, &[0, 0, 0, 60]),
            fading_permille: 0,
            sweep_ms: 60_000,
            never_used_ms_max: 0,
            older: Vec::new(),
            flushes_singly: false,
            is_impatient: false,
            outstanding_max: *pick(&mut apart, &[3, 1000, 1000]),
            out_len_max: *pick(&mut apart, &[8000, 64 << 20, 64 << 20]),
            twins_permille: *pick(&mut apart, &[0, 60, 200]),
            faults,
            calm_at_us: if is_long { calm_at_us * 2 } else { calm_at_us },
            quiet_us: 0,
            patience_us: 0,
        };
        plan.coincide(&mut more);
        temper.shape(&mut plan, rng);
        plan.spare_disks();
        plan.take_time();
        plan
    }

    /// How long the end takes, with the limits as they have come out.
    fn take_time(&mut self) {
        let (tick_us, timeout) = (self.tick_ms * 1000, self.timeout_ticks.1);
        self.quiet_us = tick_us * 3 * timeout;
        self.patience_us = patience(tick_us, self.init_limit, self.sync_limit, timeout);
    }

    /// What else clients do, who is older, and what coincides although it seldom does (forced coincidences).
    fn coincide(&mut self, more: &mut fastrand::Rng) {
        self.fading_permille = *pick(more, &[0, 0, 100, 400]);
        if self.fading_permille > 0 {
            self.sweep_ms = self.tick_ms * *pick(more, &[1, 4, 15]);
            let age_ms = i64::try_from(self.tick_ms * 6).unwrap_or(0);
            self.never_used_ms_max = *pick(more, &[0, age_ms]);
        }
        if !self.is_standalone && more.u32(0..4) == 0 {
            let older = |_| more.bool().then(|| Older::draw(more));
            self.older = (0..self.servers()).map(older).collect();
        }
        let mut coincides = |one_in: u32| more.u32(0..one_in) == 0;
        self.flushes_singly = coincides(10);
        self.is_impatient = coincides(16);
        if coincides(12) {
            self.snapshot_every = 1;
        }
        if coincides(12) {
            self.segment_len_max = 1;
        }
        if coincides(12) {
            self.commit_log_count = 0;
        }
    }

    /// Where each flush is of one txn, many follow each other: disks must be fast for anything to be in time.
    fn spare_disks(&mut self) {
        if self.flushes_singly {
            self.flush_us = (30, 60);
            self.slow_disk_permille = 0;
            let weights = &mut self.faults.weights;
            weights.retain(|(kind, _)| *kind != Kind::SlowDisk);
        }
    }

    /// Which coincidences are forced.
    pub fn coincidences(&self) -> impl Iterator<Item = &'static str> {
        let are = [
            self.flushes_singly,
            self.snapshot_every == 1,
            self.segment_len_max == 1,
            self.commit_log_count == 0,
            self.always_snapshot,
            self.is_impatient,
        ];
        let named = COINCIDENCES.into_iter().zip(are);
        named.filter(|(_, is)| *is).map(|(name, _)| name)
    }

    /// How a server is older than others, if it is.
    #[must_use]
    pub fn older(&self, at: usize) -> Option<Older> {
        self.older.get(at).copied().flatten()
    }

    /// A world for a script: nothing is random that matters, and nothing goes wrong by itself.
    #[must_use]
    pub fn scripted(voters: usize) -> Self {
        let mut plan = Self::for_voters(1, voters);
        let weather = Weather {
            delay_us: (1000, 1000),
            slow_permille: 0,
            slow_us: (0, 0),
            cut_permille: 0,
        };
        plan.temper = Temper::Mixed;
        plan.is_standalone = false;
        plan.observers = 0;
        plan.clients_wait_us = 0;
        plan.epoch_len_max = u32::MAX - 1;
        plan.clients = 1;
        plan.tick_ms = 200;
        plan.init_limit = 10;
        plan.sync_limit = 5;
        plan.weather = weather;
        plan.flush_us = (500, 500);
        plan.slow_disk_permille = 0;
        plan.snapshot_every = 1_000_000;
        plan.always_snapshot = false;
        plan.syncs_from_log = true;
        plan.leader_serves = true;
        plan.drift_permille = 0;
        plan.timeout_ticks = (10, 10);
        plan.guarded_permille = 0;
        plan.lasting_permille = 0;
        plan.fading_permille = 0;
        plan.older = Vec::new();
        plan.flushes_singly = false;
        plan.is_impatient = false;
        plan.outstanding_max = 1000;
        plan.out_len_max = 64 << 20;
        plan.twins_permille = 0;
        plan.faults = FaultPlan {
            away_us: u64::MAX / 16,
            ..FaultPlan::none()
        };
        plan
    }

    /// A voter that serves shows nothing older than this, µs (I-27): its leader may have lost its quorum `syncLimit` ago
    /// and not know it yet, and the server may have lost its leader as long ago; what was sent before may be late, and a
    /// disk slow: the flush that a txn came too late for is followed by its own.
    #[must_use]
    pub fn staleness_us(&self, slowest_disk_us: u64) -> u64 {
        let tick_us = self.tick_ms * 1000;
        let ticks = u64::from(self.sync_limit) * 2 + 3;
        let by_clocks = tick_us * ticks * 1000 / (1000 - self.drift_permille);
        by_clocks + (self.weather.slow_us.1 + slowest_disk_us) * 2
    }

    /// Servers of all kinds.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.voters + self.observers
    }

    /// How the network behaves when faults have ended.
    #[must_use]
    pub fn fair_weather(&self) -> Weather {
        Weather {
            slow_permille: 0,
            ..self.weather
        }
    }
}

fn observers(rng: &mut fastrand::Rng, voters: usize) -> usize {
    match rng.u32(0..12) {
        0..=2 if voters > 1 => 1,
        3 if voters > 1 => 2,
        _ => 0,
    }
}

impl FaultPlan {
    fn draw(rng: &mut fastrand::Rng, tick_us: u64) -> Self {
        let weights = Kind::ODDS.into_iter().filter_map(|(kind, odds)| {
            let has = rng.u32(0..100) < odds;
            has.then(|| (kind, 1 + rng.u32(0..10)))
        });
        let weights: Vec<(Kind, u32)> = weights.collect();
        let crashes = weights.iter().any(|(kind, _)| *kind == Kind::Crash);
        Self {
            every_us: *pick(rng, &[0, 3, 8, 8, 20, 20]) * tick_us,
            weights,
            ambush_permille: *pick(rng, &[0, 0, 0, 60]),
            hits_leader_permille: 200,
            silence_permille: 50,
            silent_permille: *pick(rng, &[0, 200, 1000]),
            process_permille: *pick(rng, &[0, 500, 1000]),
            midway_permille: *pick(rng, &[0, 500, 1000]),
            early_permille: if crashes {
                *pick(rng, &[0, 0, 50, 200])
            } else {
                0
            },
            early_effects: 40,
            away_us: *pick(rng, &[1, 5, 20]) * tick_us,
            trouble_us: *pick(rng, &[1, 5, 20]) * tick_us,
            restart_crash_permille: *pick(rng, &[0, 0, 200]),
            core_permille: 300,
        }
    }

    /// Makes a kind of fault this frequent.
    pub(crate) fn set(&mut self, kind: Kind, weight: u32) {
        self.weights.retain(|(other, _)| *other != kind);
        self.weights.push((kind, weight));
    }

    /// No faults.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }
}

/// Everything that may be waited for one after the other: a client's session expires, elections fail for as long as a
/// member cannot be told from a dead one, synchronization fails once.
fn patience(tick_us: u64, init_limit: u32, sync_limit: u32, timeout_ticks: u64) -> u64 {
    let rounds = u64::from(init_limit) * 4 + u64::from(sync_limit) * 4 + timeout_ticks * 4;
    tick_us * rounds + 30_000_000
}

fn weather(rng: &mut fastrand::Rng, tick_us: u64) -> Weather {
    let slowest = *pick(rng, &[tick_us / 4, tick_us * 2]);
    Weather {
        delay_us: *pick(rng, &[(50, 200), (100, 2000), (1000, 30_000)]),
        slow_permille: *pick(rng, &[0, 0, 5, 30]),
        slow_us: (tick_us / 10, slowest),
        cut_permille: *pick(rng, &[0, 50, 400]),
    }
}

pub(crate) fn pick<'a, T>(rng: &mut fastrand::Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(0..from.len())]
}
