//! The client library with every server: one suite, whoever serves.
//!
//! Standalone servers play the scenarios of the library's own tests; ensembles lose their leader under writers that count
//! what was carried out, so that nothing is answered twice, out of order, or not at all.

#[path = "../../../client/client/tests/suite/conduct/mod.rs"]
mod conduct;

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use zabra_client::{Client, CreateMode, Error, SessionState};

use self::conduct::{Place, SCENARIOS};
use crate::ensemble::{Ensemble, Plan, Seat, Sid};
use crate::peer::{Line, Peer, Settings};
use crate::step::step;

/// Far beyond what a scenario takes.
const PATIENCE: Duration = Duration::from_secs(90);
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
    let mut written = 0;
    for peer in &peers {
        written += step(format!("client: {kills} leaders killed, {peer}"), || {
            failover(&runtime, *peer, kills)
        })?;
    }
    let (scenarios, servers) = (SCENARIOS.len(), peers.len());
    Ok(format!(
        "{scenarios} scenarios with {servers} kinds of server, {written} writes over failovers, none lost or doubled"
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

/// Kills leaders under writers; how much was written.
fn failover(runtime: &Runtime, peer: Peer, kills: usize) -> Result<i32> {
    let dir = tempfile::tempdir()?;
    let mut ensemble = Ensemble::start(dir.path(), &Plan::brisk(vec![Seat::voter(peer); 3]))?;
    let servers: Vec<String> = ensemble.addrs().iter().map(ToString::to_string).collect();
    let client = runtime.block_on(connect(&servers.join(",")))?;
    let session = client.session();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers: Vec<JoinHandle<Result<i32>>> = Vec::new();
    for n in 0..WRITERS {
        let path = format!("/writer-{n}");
        runtime.block_on(client.create(&path, "", CreateMode::Persistent))?;
        writers.push(runtime.spawn(write(client.clone(), path, stopped.clone())));
    }
    for _ in 0..kills {
        let leader: Sid = ensemble.leader()?;
        ensemble.member(leader).kill()?;
        ensemble.await_leader_other_than(leader)?;
        ensemble.member(leader).start()?;
        ensemble.await_service()?;
    }
    stop.send_replace(true);
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
    Ok(written)
}

async fn connect(servers: &str) -> Result<Client, Error> {
    let timeout = Duration::from_secs(20);
    Client::builder(servers)
        .session_timeout(timeout)
        .connect()
        .await
}

/// Counts up a znode's version, each set on the version before; looks up what became of a set whose answer was lost.
async fn write(
    client: Client,
    path: String,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> Result<i32> {
    let mut version = 0;
    while !*stopped.borrow() {
        // Two are on their way at a time: the second can only succeed behind the first.
        let first = client.set(&path, version.to_string(), Some(version));
        let second = client.set(&path, (version + 1).to_string(), Some(version + 1));
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
                version = seen(&client, &path, version).await?;
            }
            (first, second) => return Err(anyhow!("{first:?}, then {second:?}")),
        }
    }
    Ok(version)
}

/// The version after a connection loss: at most two more.
async fn seen(client: &Client, path: &str, version: i32) -> Result<i32> {
    loop {
        let read = async {
            client.sync(path).await?;
            client.get(path).await
        };
        match read.await {
            Ok((_, stat)) => {
                let now = stat.version;
                ensure!(
                    (version..=version + 2).contains(&now),
                    "{now} after {version}"
                );
                return Ok(now);
            }
            Err(Error::ConnectionLoss) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
