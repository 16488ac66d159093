//! The client library with every server: one suite, whoever serves.
//!
//! Standalone servers play the scenarios of the library's own tests; ensembles lose their leader under writers that count
//! what was carried out, so that nothing is answered twice, out of order, or not at all; they lose their quorum, with clients that
//! only read (`minority`), and change their members (`membership`).

#[path = "../../../client/client/tests/suite/conduct/mod.rs"]
mod conduct;
mod membership;
mod minority;
mod pipeline;

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zabra_client::{Builder, Client, CreateMode, Error, SessionState};

use self::conduct::{Place, SCENARIOS};
use self::pipeline::{CALLS, Ends, Pipeline};
use crate::ensemble::{Ensemble, Plan, Seat, Sid};
use crate::peer::{Line, Peer, Settings};
use crate::step::step;

/// Far beyond what a scenario takes.
const PATIENCE: Duration = Duration::from_secs(90);
/// Longer than an election takes.
const SESSION: Duration = Duration::from_secs(20);
/// How often a leader is killed.
const KILLS: usize = 2;
/// The same in a long run.
const KILLS_LONG: usize = 10;
/// Tasks that write during a failover.
const WRITERS: usize = 4;

/// Everything with `peer` and Apache 3.9; in a long run with every line of Apache's.
///
/// # Errors
/// A scenario failed, or something is missing.
pub fn run(peer: Peer, long: bool) -> Result<String> {
    let lines: &[Line] = if long { &Line::ALL } else { &[Line::V3_9] };
    let mut peers = vec![peer];
    peers.extend(lines.iter().copied().map(Peer::Apache));
    peers.dedup();
    let runtime = Runtime::new()?;
    for peer in &peers {
        step(format!("client: scenarios with {peer}"), || {
            scenarios(&runtime, *peer)
        })?;
    }
    let kills = if long { KILLS_LONG } else { KILLS };
    let (mut written, mut ends) = (0, Ends::default());
    for peer in &peers {
        let (sets, calls) = step(format!("client: {kills} leaders killed, {peer}"), || {
            failover(&runtime, *peer, kills)
        })?;
        written += sets;
        ends.answered += calls.answered;
        ends.lost += calls.lost;
    }
    for peer in &peers {
        step(format!("client: members change, {peer}"), || {
            membership::play(&runtime, *peer)
        })?;
        if minority::has_read_only_mode(*peer) {
            step(format!("client: one server of three, {peer}"), || {
                minority::play(&runtime, *peer)
            })?;
        }
    }
    let (scenarios, servers) = (SCENARIOS.len(), peers.len());
    Ok(format!(
        "{scenarios} scenarios with {servers} kinds of server, {written} writes over failovers, none doubled; of {CALLS} calls at a time \
         {} answered and {} told that their connection was lost, in their order, none of them neither",
        ends.answered, ends.lost
    ))
}

/// The release that a server's answers are those of.
const fn minor(peer: Peer) -> u32 {
    match peer {
        Peer::Apache(Line::V3_5) => 5,
        Peer::Apache(Line::V3_6) => 6,
        Peer::Apache(Line::V3_7) => 7,
        Peer::Apache(Line::V3_8) => 8,
        Peer::Apache(Line::V3_9) | Peer::Zabra => 9,
    }
}

fn scenarios(runtime: &Runtime, peer: Peer) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let settings = Settings::base()
        .config("minSessionTimeout=500")
        .property("zookeeper.extendedTypesEnabled=true");
    let server = peer.start(dir.path(), &settings)?;
    for (name, scenario) in SCENARIOS {
        let place = Place {
            servers: server.addr().to_string(),
            minor: minor(peer),
        };
        let ran = runtime.block_on(async {
            let task = tokio::spawn(scenario(place));
            tokio::time::timeout(PATIENCE, task).await
        });
        ran.with_context(|| format!("{name}: does not end"))?
            .with_context(|| format!("{name}: failed\n{}", server.log_tail()))?;
    }
    Ok(())
}

/// Kills leaders under writers and under many calls at once; how much was written, and what became of the calls.
fn failover(runtime: &Runtime, peer: Peer, kills: usize) -> Result<(i32, Ends)> {
    let dir = tempfile::tempdir()?;
    let mut ensemble = Ensemble::start(dir.path(), &Plan::brisk(vec![Seat::voter(peer); 3]))?;
    let client = runtime.block_on(begin(Client::builder(&ensemble.servers())))?;
    let session = client.session();
    let (stop, stopped) = watch::channel(false);
    let mut writers: Vec<JoinHandle<Result<i32>>> = Vec::new();
    for n in 0..WRITERS {
        let path = format!("/writer-{n}");
        runtime.block_on(client.create(&path, "", CreateMode::Persistent))?;
        let writer = Writer {
            client: client.clone(),
            path,
            forgetful: may_forget(peer),
        };
        writers.push(runtime.spawn(writer.run(stopped.clone())));
    }
    let path = "/pipeline".to_owned();
    runtime.block_on(client.create(&path, "", CreateMode::Persistent))?;
    let pipeline = Pipeline {
        client: client.clone(),
        path,
        forgetful: may_forget(peer),
    };
    let pipeline = runtime.spawn(pipeline.run(stopped));
    for _ in 0..kills {
        let leader: Sid = ensemble.leader()?;
        ensemble.member(leader).kill()?;
        ensemble.await_leader_other_than(leader)?;
        ensemble.member(leader).start()?;
        ensemble.await_service()?;
    }
    stop.send_replace(true);
    let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, pipeline).await });
    let ends = ended.context("a pipeline does not end")???;
    ensure!(ends.answered > 0, "{ends:?} while leaders died");
    let mut written = 0;
    for (n, writer) in writers.into_iter().enumerate() {
        let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, writer).await });
        let versions = ended.context("a writer does not end")???;
        let (_, stat) = runtime.block_on(client.get(&format!("/writer-{n}")))?;
        ensure!(
            stat.version == versions,
            "{} written, {versions} counted",
            stat.version
        );
        written += versions;
    }
    ensure!(client.session() == session, "the session has changed");
    ensure!(
        client.state() == SessionState::Connected,
        "{:?}",
        client.state()
    );
    runtime.block_on(client.close());
    ensure!(written > 0, "nothing was written");
    Ok((written, ends))
}

/// A session that outlives an election.
async fn begin(builder: Builder) -> Result<Client, Error> {
    let builder = builder.session_timeout(SESSION).connect_timeout(PATIENCE);
    builder.connect().await
}

/// Whether a server may lose what it has acknowledged when leaders die in turn (ZOOKEEPER-4394, ZOOKEEPER-4646, mended in
/// 3.9.3): no fault of a client.
const fn may_forget(peer: Peer) -> bool {
    matches!(
        peer,
        Peer::Apache(Line::V3_5 | Line::V3_6 | Line::V3_7 | Line::V3_8)
    )
}

/// Counts up a znode's version, each set on the version before; looks up what became of a set whose answer was lost.
struct Writer {
    client: Client,
    path: String,
    /// Whether servers may go back behind what they have answered.
    forgetful: bool,
}

impl Writer {
    async fn run(self, stopped: watch::Receiver<bool>) -> Result<i32> {
        let mut version = 0;
        let set = |version: i32| {
            let data = version.to_string();
            self.client.set(&self.path, data, Some(version))
        };
        while !*stopped.borrow() {
            // Two are on their way at a time: the second can only succeed behind the first.
            let (first, second) = (set(version), set(version + 1));
            match (first.await, second.await) {
                (Ok(first), Ok(second)) => {
                    let seen = [first.version, second.version];
                    ensure!(
                        seen == [version + 1, version + 2],
                        "{seen:?} after {version}"
                    );
                    version += 2;
                }
                (Err(Error::ConnectionLoss), _) | (_, Err(Error::ConnectionLoss)) => {
                    version = self.seen(version).await?;
                }
                (first, second) => return Err(anyhow!("{first:?}, then {second:?}")),
            }
        }
        Ok(version)
    }

    /// The version after a connection loss: at most two more.
    async fn seen(&self, version: i32) -> Result<i32> {
        let least = if self.forgetful { 0 } else { version };
        loop {
            let read = async {
                self.client.sync(&self.path).await?;
                self.client.get(&self.path).await
            };
            match read.await {
                Ok((_, stat)) => {
                    let now = stat.version;
                    ensure!(
                        (least..=version + 2).contains(&now),
                        "{now} after {version}"
                    );
                    return Ok(now);
                }
                Err(Error::ConnectionLoss) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
