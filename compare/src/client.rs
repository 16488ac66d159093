//! The two clients, and how each is asked the same.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::Context;
use zookeeper_client as theirs;

use crate::row::{Op, Shape};

/// Which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// The crate `zookeeper-client`
    Theirs,
    /// The library of this repository
    Ours,
}

/// A connected client.
#[derive(Clone)]
pub enum Client {
    /// Of the crate `zookeeper-client`.
    Theirs(theirs::Client),
    /// Of this repository.
    Ours(zabra_client::Client),
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// No server answers.
    pub async fn connect(which: Which, servers: &str) -> anyhow::Result<Self> {
        Ok(match which {
            Which::Theirs => Self::Theirs(theirs::Client::connect(servers).await?),
            Which::Ours => Self::Ours(zabra_client::Client::connect(servers).await?),
        })
    }

    /// Asks until `end`, with so many tasks and so many calls outstanding in each; how many were answered.
    ///
    /// # Errors
    /// A call failed.
    pub async fn ask(&self, op: Op, shape: Shape, end: Instant) -> anyhow::Result<u64> {
        let tasks: Vec<_> = (0..shape.tasks)
            .map(|_| tokio::spawn(self.clone().task(op, shape.depth, end)))
            .collect();
        let mut answered = 0;
        for task in tasks {
            answered += task.await??;
        }
        Ok(answered)
    }

    async fn task(self, op: Op, depth: usize, end: Instant) -> anyhow::Result<u64> {
        let data = vec![b'x'; DATA_LEN];
        match (self, op) {
            (Self::Theirs(client), Op::Get) => in_turn(depth, end, || client.get_data(PATH)).await,
            (Self::Theirs(client), Op::Set) => {
                in_turn(depth, end, || client.set_data(PATH, &data, None)).await
            }
            (Self::Ours(client), Op::Get) => in_turn(depth, end, || client.get(PATH)).await,
            (Self::Ours(client), Op::Set) => {
                in_turn(depth, end, || client.set(PATH, &data, None)).await
            }
        }
    }
}

/// Sees to it that the znode is there that is asked for.
///
/// # Errors
/// The server refuses.
pub async fn prepare(servers: &str) -> anyhow::Result<()> {
    let client = zabra_client::Client::connect(servers).await?;
    client
        .put(
            PATH,
            vec![b'x'; DATA_LEN],
            zabra_client::CreateMode::Persistent,
        )
        .await?;
    client.close().await;
    Ok(())
}

/// Makes calls, `depth` at a time, and takes their answers in their order.
async fn in_turn<F, T, E>(depth: usize, end: Instant, call: impl Fn() -> F) -> anyhow::Result<u64>
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut under_way: VecDeque<F> = (0..depth).map(|_| call()).collect();
    let mut answered = 0;
    while let Some(oldest) = under_way.pop_front() {
        oldest.await.context("a call failed")?;
        answered += 1;
        if Instant::now() < end {
            under_way.push_back(call());
        }
    }
    Ok(answered)
}

/// The znode that is asked for.
pub const PATH: &str = "/compare";
/// Bytes of its data.
pub const DATA_LEN: usize = 100;
