//! Many calls under way while leaders die: each of them ends, once and in its turn, with an answer or with a clear error.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use anyhow::{Context, Result, bail, ensure};
use tokio::sync::watch;
use zabra_client::{Client, Error};

use super::PATIENCE;

/// So many are under way at a time.
pub(super) const CALLS: usize = 64;

/// What became of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    /// So many had an answer.
    pub(super) answered: usize,
    /// So many were told that their connection was lost.
    pub(super) lost: usize,
}

/// Sets a znode and reads it again, many times at once, and looks at how it ends.
pub(super) struct Pipeline {
    pub(super) client: Client,
    pub(super) path: String,
    /// Whether servers may go back behind what they have answered.
    pub(super) forgetful: bool,
}

type End = Result<i32, Error>;
type Pending = Pin<Box<dyn Future<Output = End> + Send>>;

impl Pipeline {
    pub(super) async fn run(self, stopped: watch::Receiver<bool>) -> Result<Ends> {
        let mut ends = Ends::default();
        let mut version = 0;
        while !*stopped.borrow() {
            let found = self.round().await?;
            version = self.judge(version, &found)?;
            let lost = found.iter().filter(|end| end.is_err()).count();
            ends.answered += found.len() - lost;
            ends.lost += lost;
        }
        Ok(ends)
    }

    /// How the calls of a round end, in the order of the calls. When the last has ended, so have all before.
    async fn round(&self) -> Result<Vec<End>> {
        let calls = (0..CALLS).map(|n| -> Pending {
            if n % 2 == 0 {
                let set = self.client.set(&self.path, "", None);
                Box::pin(async { Ok(set.await?.version) })
            } else {
                let get = self.client.get(&self.path);
                Box::pin(async { Ok(get.await?.1.version) })
            }
        });
        let mut calls: Vec<Pending> = calls.collect();
        let last = calls.pop().context("no call")?;
        let last = tokio::time::timeout(PATIENCE, last).await;
        let last = last.context("a call does not end")?;
        let mut ends = Vec::new();
        for call in &mut calls {
            match poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
                Poll::Ready(end) => ends.push(end),
                Poll::Pending => bail!("the last of {CALLS} calls ends before call {}", ends.len()),
            }
        }
        ends.push(last);
        Ok(ends)
    }

    /// The last version of a round: none goes back behind one before, and what is lost is lost in one piece.
    fn judge(&self, before: i32, ends: &[End]) -> Result<i32> {
        let mut version = before;
        for end in ends {
            match end {
                Ok(seen) => {
                    ensure!(*seen >= version, "version {seen} after {version}: {ends:?}");
                    version = *seen;
                }
                Err(Error::ConnectionLoss) if self.forgetful => version = 0,
                Err(Error::ConnectionLoss) => {}
                Err(error) => bail!("{error:?}: {ends:?}"),
            }
        }
        let pieces = ends.chunk_by(|one, next| one.is_err() == next.is_err());
        let pieces = pieces.filter(|piece| piece.iter().all(Result::is_err));
        ensure!(pieces.count() <= 1, "answers between losses: {ends:?}");
        Ok(version)
    }
}
