//! One leader among many: the latch, which one is in or not, and the selector, which runs work.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::claim::Names;
use crate::error::{Error, Lost};
use crate::guard::Guard;
use crate::mutex::Mutex;
use crate::sessions::Sessions;

/// What stands before the number in the names of a latch.
const LATCH: &str = "latch-";

/// Takes part in an election until it is closed; the same as Curator's `LeaderLatch`.
///
/// - Guaranteed: at most one participant with a live session leads; they lead in the order of their coming. Who loses the
///   leadership stands in line again, at its end.
/// - Not guaranteed: that a former leader has noticed. Work that must not overlap takes [`Guard::token`] along.
#[derive(Debug)]
pub struct LeaderLatch {
    mutex: Mutex,
    leads: watch::Receiver<Leads>,
    task: JoinHandle<()>,
    close: watch::Sender<bool>,
}

/// Where a participant stands.
#[derive(Debug, Clone, Default)]
enum Leads {
    #[default]
    Not,
    Yes(Arc<Guard>),
    /// The session has ended or the server refuses; it will never lead again.
    Never(Error),
}

impl LeaderLatch {
    /// Takes part from now on. `id` is what others see of us.
    #[must_use]
    pub fn start(sessions: impl Into<Sessions>, path: &str, id: &str) -> Self {
        Self::start_as(sessions, path, id, Names::Curator)
    }

    /// The same under other names; with [`Names::Kazoo`] it takes part in kazoo's `Election`.
    #[must_use]
    pub fn start_as(sessions: impl Into<Sessions>, path: &str, id: &str, names: Names) -> Self {
        let mutex = Mutex::marked(sessions, path, LATCH).names(names).data(id);
        let (tell, leads) = watch::channel(Leads::Not);
        let (close, closed) = watch::channel(false);
        let task = tokio::spawn(take_part(mutex.clone(), tell, closed));
        Self {
            mutex,
            leads,
            task,
            close,
        }
    }

    /// Whether it leads, as far as this process can know.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        matches!(&*self.leads.borrow(), Leads::Yes(guard) if guard.is_held())
    }

    /// Waits until it leads. The guard tells when that ends; dropping it changes nothing, only [`LeaderLatch::close`] does.
    ///
    /// # Errors
    /// The session has ended or the server refuses: it will not lead any more.
    pub async fn lead(&self) -> Result<Arc<Guard>, Error> {
        let mut leads = self.leads.clone();
        loop {
            match &*leads.borrow_and_update() {
                Leads::Yes(guard) if guard.is_held() => return Ok(Arc::clone(guard)),
                Leads::Yes(_) | Leads::Not => {}
                Leads::Never(error) => return Err(error.clone()),
            }
            if leads.changed().await.is_err() {
                return Err(Lost::Released.into());
            }
        }
    }

    /// The ids of all participants in their order, the leader first.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn participants(&self) -> Result<Vec<String>, Error> {
        participants(&self.mutex).await
    }

    /// The id of the leader, if there is one.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn leader(&self) -> Result<Option<String>, Error> {
        Ok(self.participants().await?.into_iter().next())
    }

    /// Takes part no more; returns when the znode is gone.
    pub async fn close(mut self) {
        self.close.send_replace(true);
        // A task that panicked has dropped its claim, which is deleted in the background.
        let _ = (&mut self.task).await;
    }
}

impl Drop for LeaderLatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take_part(mutex: Mutex, tell: watch::Sender<Leads>, mut closed: watch::Receiver<bool>) {
    loop {
        let guard = match mutex.acquire_unless(&mut closed).await {
            Ok(Some(guard)) => Arc::new(guard),
            Ok(None) => return,
            Err(error) => {
                tell.send_replace(Leads::Never(error));
                return;
            }
        };
        tell.send_replace(Leads::Yes(Arc::clone(&guard)));
        let is_closed = tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => true,
            _ = guard.lost() => false,
        };
        tell.send_replace(Leads::Not);
        // Guards that users keep do not keep the znode. If this fails, the claim is deleted in the background.
        let _ = guard.end().await;
        if is_closed {
            return;
        }
    }
}

async fn participants(mutex: &Mutex) -> Result<Vec<String>, Error> {
    mutex.contents().await.map(|all| {
        let text = |id: Vec<u8>| String::from_utf8_lossy(&id).into_owned();
        all.into_iter().map(text).collect()
    })
}

/// Runs work while it leads; the same as Curator's `LeaderSelector`, and with [`Names::Kazoo`] as kazoo's `Election`.
///
/// Guarantees are those of [`LeaderLatch`]. The work is dropped where it awaits when the leadership is lost.
#[derive(Debug, Clone)]
pub struct LeaderSelector {
    mutex: Mutex,
}

impl LeaderSelector {
    /// A participant; it stands in line when it is run. `id` is what others see of us.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, path: &str, id: &str, names: Names) -> Self {
        Self {
            mutex: Mutex::new(sessions, path).names(names).data(id),
        }
    }

    /// Waits until it leads, runs the work, and steps down when it is through.
    ///
    /// # Errors
    /// It could not lead, or lost the leadership before the work was through ([`Error::Lost`]).
    pub async fn run_once<W, F>(&self, work: W) -> Result<F::Output, Error>
    where
        W: FnOnce(Arc<Guard>) -> F,
        F: Future,
    {
        let guard = Arc::new(self.mutex.acquire().await?);
        let output = guard.run(work(Arc::clone(&guard))).await;
        // Ended sessions take the znode along; otherwise the claim is deleted in the background.
        let _ = guard.end().await;
        Ok(output?)
    }

    /// The same again and again, at the end of the line each time, until the work says [`std::ops::ControlFlow::Break`].
    ///
    /// # Errors
    /// It cannot lead any more. A lost leadership is no error here.
    pub async fn run<W, F, T>(&self, mut work: W) -> Result<T, Error>
    where
        W: FnMut(Arc<Guard>) -> F,
        F: Future<Output = std::ops::ControlFlow<T>>,
    {
        loop {
            match self.run_once(&mut work).await {
                Ok(std::ops::ControlFlow::Break(value)) => return Ok(value),
                Ok(std::ops::ControlFlow::Continue(())) | Err(Error::Lost(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The ids of all participants in their order, the leader first.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn participants(&self) -> Result<Vec<String>, Error> {
        participants(&self.mutex).await
    }
}
