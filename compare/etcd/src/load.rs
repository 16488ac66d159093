//! Operations under load in a measured window.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::task::{JoinSet, LocalSet};

use crate::meter::{Meter, Used, resident};
use crate::rpc::{Refused, Session};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A linearizable read.
    Get,
    /// A serializable read.
    GetLocal,
    /// A write.
    Set,
    /// Four reads for a write.
    Mix,
    /// A write of a key that was not there.
    Create,
}

/// How much load, for how long, on what; the same words and defaults as those of `zabra bench`.
#[derive(Debug, Clone, clap::Args)]
pub struct Shape {
    /// Sessions, each on a connection of its own
    #[arg(long, short = 'n', default_value_t = 1)]
    sessions: usize,
    /// Requests that each session keeps outstanding
    #[arg(long, short, default_value_t = 1)]
    depth: usize,
    /// Bytes of each value
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Keys to choose from, put before the run
    #[arg(long, default_value_t = 10_000)]
    keys: u64,
    /// Seconds of load before the measured window
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds of the measured window
    #[arg(long, default_value_t = 4.0)]
    duration: f64,
}

/// The servers of a run.
#[derive(Debug, Clone, Copy)]
pub struct Servers<'a> {
    /// Where they listen.
    pub addresses: &'a [String],
    /// Their processes.
    pub pids: &'a [u32],
}

/// What all tasks of a run share.
struct Run {
    op: Op,
    prefix: String,
    keys: u64,
    value: Vec<u8>,
    meter: RefCell<Meter>,
    created: Cell<u64>,
    random: RefCell<fastrand::Rng>,
}

/// Puts the keys unless they are there, and runs the load. Nothing is deleted: etcd copies a buffer for each read that stays as long as
/// the longest transaction was, so that one that deletes thousands of keys would make all later reads slow.
///
/// # Errors
/// A server does not answer, with an error, or with a value of another length.
pub async fn run(servers: Servers<'_>, shape: &Shape, op: Op) -> anyhow::Result<Value> {
    ensure!(
        shape.keys > 0 && !servers.addresses.is_empty(),
        "nothing to ask"
    );
    let mut sessions = Vec::new();
    for address in servers.addresses.iter().cycle().take(shape.sessions) {
        let session = Session::open(address).await;
        sessions.push(session.with_context(|| format!("cannot connect to {address}"))?);
    }
    let prefix = PREFIX.to_owned();
    let value = vec![b'z'; shape.size];
    let last = key(&prefix, shape.keys - 1);
    let found = sessions[0].clone().range(last.as_bytes(), false).await?;
    if found != Some(shape.size) {
        fill(&sessions, &prefix, shape.keys, &value).await?;
    }
    let begin = Instant::now() + Duration::from_secs_f64(shape.warm_up);
    let window = Duration::from_secs_f64(shape.duration);
    let run = Rc::new(Run {
        op,
        prefix,
        keys: shape.keys,
        value,
        meter: RefCell::new(Meter::new(begin, window)?),
        created: Cell::new(shape.keys),
        random: RefCell::new(fastrand::Rng::with_seed(1)),
    });
    let local = LocalSet::new();
    let tasks: Vec<_> = sessions
        .iter()
        .flat_map(|session| std::iter::repeat_n(session, shape.depth))
        .map(|session| local.spawn_local(Rc::clone(&run).ask(session.clone())))
        .collect();
    let used = local
        .run_until(async {
            tokio::time::sleep_until(begin.into()).await;
            let before = Used::now(servers.pids)?;
            tokio::time::sleep_until((begin + window).into()).await;
            let used = Used::now(servers.pids)?.since(before);
            for task in tasks {
                task.await??;
            }
            anyhow::Ok(used)
        })
        .await?;
    let mut figures = run.meter.borrow().figures(used);
    figures["server_rss_mb"] = json!(resident(servers.pids)? as f64 / 1e6);
    Ok(figures)
}

impl Run {
    /// Keeps one request outstanding until the window is over.
    async fn ask(self: Rc<Self>, mut session: Session) -> anyhow::Result<()> {
        while self.wants_more() {
            let number = self.random.borrow_mut().u64(..self.keys);
            let is_read = match self.op {
                Op::Get | Op::GetLocal => true,
                Op::Set | Op::Create => false,
                Op::Mix => self.random.borrow_mut().u8(..100) < READS_PERCENT,
            };
            let number = if self.op == Op::Create {
                self.created.replace(self.created.get() + 1)
            } else {
                number
            };
            let key = key(&self.prefix, number);
            let sent = Instant::now();
            let done = if is_read {
                self.read(&mut session, &key).await
            } else {
                session.put(key.as_bytes(), &self.value).await
            };
            match done {
                Err(error) if error.is::<Refused>() => self.meter.borrow_mut().refuse(),
                done => done.map(|()| self.meter.borrow_mut().record(sent))?,
            }
        }
        Ok(())
    }

    async fn read(&self, session: &mut Session, key: &str) -> anyhow::Result<()> {
        let found = session
            .range(key.as_bytes(), self.op == Op::GetLocal)
            .await?;
        ensure!(
            found == Some(self.value.len()),
            "{key} has a value of {found:?} bytes"
        );
        Ok(())
    }

    fn wants_more(&self) -> bool {
        self.meter.borrow().wants_more()
    }
}

/// Puts every key, many at a time.
async fn fill(sessions: &[Session], prefix: &str, keys: u64, value: &[u8]) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for (number, session) in (0..keys).zip(sessions.iter().cycle()) {
        if tasks.len() >= FILL_AT_ONCE
            && let Some(done) = tasks.join_next().await
        {
            done??;
        }
        let (mut session, key, value) = (session.clone(), key(prefix, number), value.to_vec());
        tasks.spawn(async move { session.put(key.as_bytes(), &value).await });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// As long as a path of `zabra bench`.
fn key(prefix: &str, number: u64) -> String {
    format!("{prefix}/k{number:08}")
}

/// Of all keys; as long as what `zabra bench` takes.
const PREFIX: &str = "/zabra-bench-00000";
/// As the mix of `zabra bench`.
const READS_PERCENT: u8 = 80;
/// Puts under way while keys are put.
const FILL_AT_ONCE: usize = 256;
