//! Our recipes beside those of Curator and kazoo, on the same paths of one server: who excludes whom, who leads, who sees what.

mod contender;
mod curator;
mod kazoo;
mod queues;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use zabra_client::Client;

use crate::peer::{Peer, Server, Settings};
use crate::step::step;
use contender::Contender;

/// How long ours may wait for something that is to happen.
const LIMIT: Duration = Duration::from_secs(30);

/// Plays all scenes on `peer`.
///
/// # Errors
/// One went wrong, or something is missing.
pub fn run(peer: Peer) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let server = peer.start(dir.path(), &Settings::base())?;
    let runtime = Runtime::new()?;
    let mut stage = Stage {
        client: runtime.block_on(Client::connect(&server.addr().to_string()))?,
        runtime,
    };
    let mut count = 0;
    let mut curator = step("start Curator", || Contender::curator(&server))?;
    for (name, scene) in curator::SCENES.iter().chain(queues::SCENES) {
        step(format_args!("with Curator: {name}"), || {
            scene(&mut stage, &mut curator)
        })?;
        count += 1;
    }
    let mut kazoo = step("start kazoo", || Contender::kazoo(&server))?;
    for (name, scene) in kazoo::SCENES {
        step(format_args!("with kazoo: {name}"), || {
            scene(&mut stage, &mut kazoo)
        })?;
        count += 1;
    }
    end(stage, &server);
    Ok(format!("{count} scenes on {peer}"))
}

fn end(stage: Stage, server: &Server) {
    stage.runtime.block_on(stage.client.close());
    let _ = server.peer();
}

/// A scene of ours with one of another library.
type Scene = fn(&mut Stage, &mut Contender) -> Result<()>;

/// Our side.
struct Stage {
    runtime: Runtime,
    client: Client,
}

impl Stage {
    /// Waits for something of ours.
    fn wait<T, E>(&self, future: impl Future<Output = Result<T, E>>) -> Result<T>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let limited = async { tokio::time::timeout(LIMIT, future).await };
        Ok(self
            .runtime
            .block_on(limited)
            .context("ours waits for ever")??)
    }

    /// Begins something of ours that waits.
    fn begin<T, F>(&self, future: F) -> tokio::task::JoinHandle<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.runtime.spawn(future)
    }

    /// Its end.
    fn end<T, E>(&self, begun: tokio::task::JoinHandle<Result<T, E>>) -> Result<T>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let limited = async { tokio::time::timeout(LIMIT, begun).await };
        Ok(self
            .runtime
            .block_on(limited)
            .context("ours waits for ever")???)
    }
}
