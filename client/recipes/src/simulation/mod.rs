//! Recipes as they are, on a model of an ensemble, in one thread: a seed is a whole history, and the same seed is the same one.
//!
//! What is simulated is the servers and the network ([`ensemble`]): requests and answers on their way, servers that have seen
//! less than others, connections that break, sessions that end. Which of it happens next is chosen by the seed, whenever all
//! tasks wait. Time is tokio's paused clock, so nothing here takes any. What must hold is checked between any two steps.
//!
//! What is not: the client library, which has its tests, and real servers (`tests/faults`).

mod barriers;
mod caches;
mod discovery;
mod elections;
pub(crate) mod ensemble;
mod locks;
mod mistakes;
mod nodes;
mod partitions;
mod queues;
mod session;
mod streams;
pub(crate) mod tree;
mod values;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Interval;

use self::ensemble::{Ensemble, Line, Link};
use self::tree::Tree;
use crate::sessions::Sessions;

pub(crate) use self::ensemble::SESSION_TIMEOUT;
pub(crate) use self::session::{Session, States};

/// What may go wrong in a run.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// So many connections break, go silent, or sessions end.
    faults: u32,
    /// Sessions end also while their client is connected, as when somebody closes them; else only by time.
    abrupt: bool,
    /// Sessions do not end: connections break and come back in time.
    cuts_only: bool,
    /// Somebody deletes ephemerals.
    vandal: bool,
    /// Counters of sequential znodes stay at their last number instead of becoming negative.
    sticks: bool,
    /// `sync` does what it says.
    syncs: bool,
    /// Clients hear what they missed while they had no connection.
    tells_missed: bool,
    /// Events say how far their client has heard, as they do not before 3.9.
    event_zxids: bool,
    /// A new session may be on a server that has not seen all there is, as local sessions may.
    local_sessions: bool,
    /// Clients know how long their sessions live.
    knows_timeout: bool,
}

/// Sessions end by time only.
const NATURAL: Plan = Plan {
    faults: 6,
    abrupt: false,
    cuts_only: false,
    vandal: false,
    sticks: true,
    syncs: true,
    tells_missed: true,
    event_zxids: true,
    local_sessions: false,
    knows_timeout: true,
};
/// Sessions end at any time.
const ABRUPT: Plan = Plan {
    abrupt: true,
    ..NATURAL
};

/// Sessions that are local to their servers end at any time.
const LOCAL: Plan = Plan {
    local_sessions: true,
    ..ABRUPT
};

/// A run.
struct Stage {
    ensemble: Arc<Mutex<Ensemble>>,
    random: fastrand::Rng,
    plan: Plan,
    faults: u32,
    tick: Interval,
}

/// Plays the same with every seed: 200, or 5,000 with `ZABRA_TEST_LONG`; or the one in `ZABRA_TEST_SEED`.
fn each_seed(plan: Plan, play: impl AsyncFn(&mut Stage)) {
    let asked = std::env::var("ZABRA_TEST_SEED").ok();
    let seeds = match asked.and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None if std::env::var_os("ZABRA_TEST_LONG").is_some() => 0..5_000,
        None => 0..200,
    };
    for seed in seeds {
        let _blame = Blame(seed);
        drop(one_seed(seed, plan, &play));
    }
}

/// Plays it with one seed; what happened.
fn one_seed(seed: u64, plan: Plan, play: &impl AsyncFn(&mut Stage)) -> String {
    // Names of znodes come from it.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut ensemble = Ensemble::new(Tree::new(plan.sticks));
        ensemble.syncs = plan.syncs;
        ensemble.tells_missed = plan.tells_missed;
        ensemble.event_zxids = plan.event_zxids;
        ensemble.local_sessions = plan.local_sessions;
        if !plan.knows_timeout {
            ensemble.told_timeout = SESSION_TIMEOUT * 36;
        }
        let mut random = fastrand::Rng::with_seed(seed);
        let mut stage = Stage {
            ensemble: Arc::new(Mutex::new(ensemble)),
            faults: random.u32(0..=plan.faults),
            random,
            plan,
            tick: tokio::time::interval(STEP),
        };
        play(&mut stage).await;
        let mut ensemble = stage.lock();
        std::mem::take(&mut ensemble.history)
    })
}

/// Says which seed it was that failed.
struct Blame(u64);

impl Drop for Blame {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("ZABRA_TEST_SEED={}", self.0);
        }
    }
}

/// Some time, by the seed; sometimes longer than a session lives without a connection.
async fn a_while() {
    let longest = match fastrand::u8(0..6) {
        0 => SESSION_TIMEOUT * 3 / 2,
        _ => SESSION_TIMEOUT / 8,
    };
    let time = Duration::from_micros(fastrand::u64(0..longest.as_micros() as u64));
    let passed = tokio::time::timeout(time, std::future::pending::<()>());
    drop(passed.await);
}

impl Stage {
    fn lock(&self) -> MutexGuard<'_, Ensemble> {
        self.ensemble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One program that uses recipes, with one session after the other.
    fn member(&self) -> Sessions {
        let ensemble = Arc::clone(&self.ensemble);
        let open = move || {
            let id = ensemble
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .open();
            let ensemble = Arc::clone(&ensemble);
            crate::session::Session::Model(Session { ensemble, id })
        };
        Sessions::going_on(open(), move || std::future::ready(Ok(open())))
    }

    /// The program with these sessions dies: its servers hear no more of it.
    async fn dies(&mut self, sessions: &Sessions) {
        let patient = sessions.patient();
        let id = patient.await.unwrap().session().id();
        let mut ensemble = self.lock();
        ensemble.keep_away(id, SESSION_TIMEOUT * 1_000);
        ensemble.cut(id, 0);
    }

    /// Goes on, step by step, until all tasks are through. `check` looks between any two steps.
    async fn play(&mut self, tasks: Vec<JoinHandle<()>>, mut check: impl FnMut()) {
        self.play_until(&mut check, || tasks.iter().all(JoinHandle::is_finished))
            .await;
        for task in tasks {
            task.await.unwrap();
        }
    }

    /// Goes on until something is done; what came of it.
    async fn played<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let work = tokio::spawn(work);
        self.play_until(|| (), || work.is_finished()).await;
        work.await.unwrap()
    }

    /// Goes on until something is so. What faults are left happen before.
    async fn play_until(&mut self, mut check: impl FnMut(), is_through: impl Fn() -> bool) {
        for _ in 0..STEPS_MAX {
            // The clock moves only when all tasks wait.
            self.tick.tick().await;
            check();
            if is_through() {
                return;
            }
            self.lock().pass_time();
            for _ in 0..self.random.u8(1..4) {
                self.step();
            }
        }
        panic!("stuck");
    }

    /// Goes on until nothing happens any more, and says what is left under a path.
    async fn left(&mut self, path: &str) -> Vec<String> {
        self.faults = 0;
        let mut idle = 0;
        while idle < 2 * SESSION_TIMEOUT.as_millis() {
            self.tick.tick().await;
            self.lock().pass_time();
            idle = if self.step() { 0 } else { idle + 1 };
        }
        self.lock().tree.children(path)
    }

    /// Something happens; `false` if there is nothing left but to let time pass.
    fn step(&mut self) -> bool {
        if self.faults > 0 && self.random.u8(0..24) == 0 {
            self.faults -= 1;
            self.fault();
            return true;
        }
        let mut ensemble = self.ensemble.lock().unwrap_or_else(PoisonError::into_inner);
        let mut choices: Vec<(i64, Next)> = Vec::new();
        for line in ensemble.lines() {
            choices.extend(moves(line, &ensemble.tree).map(|next| (line.id(), next)));
        }
        if choices.is_empty() {
            return false;
        }
        let (id, next) = choices[self.random.usize(0..choices.len())];
        match next {
            Next::Serve => ensemble.serve(id),
            Next::Deliver => ensemble.deliver(id),
            Next::Advance => drop(ensemble.advance(id)),
            Next::Reconnect => {
                let (heard, head) = (ensemble.line(id).heard_zxid(), ensemble.tree.zxid);
                ensemble.reconnect(id, self.random.i64(heard..=head));
            }
        }
        true
    }

    fn fault(&mut self) {
        let mut ensemble = self.ensemble.lock().unwrap_or_else(PoisonError::into_inner);
        let up: Vec<i64> = ensemble
            .lines()
            .filter(|line| line.link == Link::Up)
            .map(Line::id)
            .collect();
        if up.is_empty() {
            return;
        }
        let id = up[self.random.usize(0..up.len())];
        let served = self.random.usize(0..=ensemble.line(id).asked());
        let ephemerals = ensemble.tree.ephemerals(None);
        let away_max = match self.plan.cuts_only {
            true => SESSION_TIMEOUT / 2,
            false => SESSION_TIMEOUT * 2,
        };
        let away = self.random.u64(0..away_max.as_millis() as u64);
        ensemble.keep_away(id, Duration::from_millis(away));
        match self.random.u8(0..8) {
            0..4 => ensemble.cut(id, served),
            _ if self.plan.cuts_only => ensemble.cut(id, served),
            4..6 if self.plan.abrupt => ensemble.expire(id),
            4..6 if self.plan.vandal && !ephemerals.is_empty() => {
                let unlucky = self.random.usize(0..ephemerals.len());
                ensemble.delete(vec![ephemerals[unlucky].clone()]);
            }
            _ => ensemble.go_silent(id, served),
        }
    }
}

/// What may happen to a session next.
#[derive(Debug, Clone, Copy)]
enum Next {
    Serve,
    Deliver,
    Advance,
    Reconnect,
}

/// What is more likely stands in it more often.
fn moves(line: &Line, tree: &Tree) -> impl Iterator<Item = Next> + use<> {
    let (is_up, is_down) = (line.link == Link::Up, line.link == Link::Down);
    let of = |next: Next, weight: usize, is_possible: bool| {
        std::iter::repeat_n(next, if is_possible { weight } else { 0 })
    };
    of(Next::Serve, 4, is_up && line.has_asked())
        .chain(of(Next::Deliver, 4, is_up && line.has_answers()))
        .chain(of(Next::Advance, 2, is_up && line.lags(tree)))
        .chain(of(
            Next::Reconnect,
            4,
            is_down && line.heard.elapsed() >= line.away,
        ))
}

/// How far the clock goes from step to step.
const STEP: Duration = Duration::from_millis(1);
/// Far beyond what any run takes.
const STEPS_MAX: u32 = 20_000;

#[test]
fn the_same_seed_is_the_same_history() {
    let play = async |stage: &mut Stage| {
        locks::contend(stage, 4, 3).await;
    };
    for seed in 0..100 {
        assert_eq!(
            one_seed(seed, NATURAL, &play),
            one_seed(seed, NATURAL, &play),
            "seed {seed}"
        );
    }
}
