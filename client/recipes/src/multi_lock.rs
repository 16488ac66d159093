//! Several locks as one.

use std::future::Future;
use std::task::Poll;

use crate::error::{Error, Lost};
use crate::guard::{FencingToken, Guard};
use crate::mutex::Mutex;

/// Several mutexes that are held together or not at all.
///
/// They are taken in the order of their paths, whatever order they were named in, so that two multi-locks never wait for
/// each other. Against Curator's `InterProcessMultiLock`, which takes them as named, name them sorted there.
#[derive(Debug, Clone)]
pub struct MultiLock {
    mutexes: Vec<Mutex>,
}

/// All locks of a [`MultiLock`]. Lost as soon as one of them is.
#[derive(Debug)]
pub struct MultiGuard {
    guards: Vec<Guard>,
}

impl MultiLock {
    /// These locks as one.
    #[must_use]
    pub fn new(mutexes: impl IntoIterator<Item = Mutex>) -> Self {
        let mut mutexes: Vec<Mutex> = mutexes.into_iter().collect();
        mutexes.sort_by(|a, b| a.path().cmp(b.path()));
        mutexes.dedup_by(|a, b| a.path() == b.path());
        Self { mutexes }
    }

    /// Waits until all are held. Cancel safe.
    ///
    /// # Errors
    /// As [`Mutex::acquire`]; a lock that was lost while others were waited for counts, too. Nothing is held then.
    pub async fn acquire(&self) -> Result<MultiGuard, Error> {
        let mut held = MultiGuard { guards: Vec::new() };
        for mutex in &self.mutexes {
            let next = if held.guards.is_empty() {
                mutex.acquire().await?
            } else {
                held.run(mutex.acquire()).await??
            };
            held.guards.push(next);
        }
        Ok(held)
    }
}

impl MultiGuard {
    /// The fencing token of each lock, by the path of its znode.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, FencingToken)> {
        self.guards
            .iter()
            .map(|guard| (guard.path(), guard.token()))
    }

    /// Whether all are held, as far as this process can know.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.guards.iter().all(Guard::is_held)
    }

    /// Waits until one is lost, and says how. For ever if there are none.
    pub async fn lost(&self) -> Lost {
        let mut lost: Vec<_> = self
            .guards
            .iter()
            .map(|guard| Box::pin(guard.lost()))
            .collect();
        std::future::poll_fn(|cx| {
            let mut causes = lost.iter_mut().map(|lost| lost.as_mut().poll(cx));
            causes.find(Poll::is_ready).unwrap_or(Poll::Pending)
        })
        .await
    }

    /// Runs work while all are held. When one is lost, the work is dropped where it awaits.
    ///
    /// # Errors
    /// How one was lost before the work was through.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Lost> {
        tokio::select! {
            biased;
            cause = self.lost() => Err(cause),
            output = work => Ok(output),
        }
    }

    /// Gives all back, the last one first.
    ///
    /// # Errors
    /// As [`Guard::release`]; the others are given back in the background then.
    pub async fn release(self) -> Result<(), Error> {
        for guard in self.guards.into_iter().rev() {
            guard.release().await?;
        }
        Ok(())
    }
}
