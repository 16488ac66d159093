//! A server without a quorum that serves readers, and the clients that take it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::runtime::Runtime;
use zabra_client::{Client, CreateMode, Error, ErrorCode, SessionState};

use super::{PATIENCE, begin};
use crate::ensemble::{Ensemble, Plan, Seat};
use crate::peer::Peer;

/// How long a client that wants to write looks for a server in vain.
const IN_VAIN: Duration = Duration::from_secs(2);

/// Whether a server of this kind has read-only mode.
pub(super) const fn has_read_only_mode(peer: Peer) -> bool {
    matches!(peer, Peer::Apache(_))
}

/// One of three servers is left: readers are served and told so, writers are not, and both go on when the quorum is back.
pub(super) fn play(runtime: &Runtime, peer: Peer) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut plan = Plan::brisk(vec![Seat::voter(peer); 3]);
    plan.properties.push("readonlymode.enabled=true".into());
    // Without it Apache's read-only server refuses even the session, with −119.
    plan.config.push("localSessionsEnabled=true".into());
    let mut ensemble = Ensemble::start(dir.path(), &plan)?;
    let servers = ensemble.servers();
    let writer = runtime.block_on(begin(Client::builder(&servers)))?;
    runtime.block_on(writer.create("/kept", "before", CreateMode::Persistent))?;
    // Closed, since a local session is known to one server only.
    runtime.block_on(writer.close());
    for sid in [2, 3] {
        ensemble.member(sid).kill()?;
    }
    let reader = Client::builder(&servers).allow_read_only(true);
    let reader = runtime.block_on(begin(reader))?;
    runtime
        .block_on(without_quorum(&reader, &servers))
        .with_context(|| ensemble.show())?;
    for sid in [2, 3] {
        ensemble.member(sid).start()?;
    }
    ensemble.await_service()?;
    runtime
        .block_on(with_quorum(&reader))
        .with_context(|| ensemble.show())
}

async fn without_quorum(reader: &Client, servers: &str) -> Result<()> {
    let state = reader.state();
    ensure!(
        state == SessionState::ReadOnly,
        "{state:?} without a quorum"
    );
    let (data, stat, _watch) = reader.get_and_watch("/kept").await?;
    ensure!(
        data == "before" && stat.version == 0,
        "{data:?} at {}",
        stat.version
    );
    ensure!(
        reader.exists("/none").await?.is_none(),
        "a znode from nowhere"
    );
    ensure!(
        reader.children("/").await?.contains(&"kept".to_owned()),
        "no child of the root"
    );
    refused("set", reader.set("/kept", "lost", None).await)?;
    refused(
        "create",
        reader.create("/new", "", CreateMode::Persistent).await,
    )?;
    refused("delete", reader.delete("/kept", None).await)?;
    refused("sync", reader.sync("/").await)?;
    let transaction = reader.transaction().set("/kept", "lost", None);
    refused("a transaction", transaction.commit().await)?;
    ensure!(
        reader.state() == SessionState::ReadOnly,
        "a refused write has cost the connection"
    );
    match Client::builder(servers)
        .connect_timeout(IN_VAIN)
        .connect()
        .await
    {
        Err(Error::Timeout) => Ok(()),
        other => bail!("who wants to write gets {other:?}"),
    }
}

fn refused<T: std::fmt::Debug>(what: &str, result: Result<T, Error>) -> Result<()> {
    match result {
        Err(error) if error.is(ErrorCode::NOT_READ_ONLY) => Ok(()),
        other => bail!("{what} by a server without a quorum: {other:?}"),
    }
}

/// Nobody calls anything: the client looks for a better server by itself.
async fn with_quorum(reader: &Client) -> Result<()> {
    let mut states = reader.states();
    let connected = states.wait_for(|state| state == SessionState::Connected);
    let connected = tokio::time::timeout(PATIENCE, connected).await;
    ensure!(connected?, "{:?} with a quorum", reader.state());
    let (data, _) = reader.get("/kept").await?;
    ensure!(
        data == "before",
        "a refused write was carried out: {data:?}"
    );
    let stat = reader.set("/kept", "after", Some(0)).await?;
    ensure!(stat.version == 1, "version {}", stat.version);
    reader.close().await;
    Ok(())
}
