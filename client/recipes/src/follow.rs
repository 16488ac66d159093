//! A background task that follows the data of one znode, through connection losses and from session to session.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use zabra_client::Stat;

use crate::error::{Error, Lost};
use crate::sessions::Sessions;

/// Data of a znode and its Stat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// What it holds.
    pub value: T,
    /// Its Stat; `stat.version` is the version to compare with.
    pub stat: Stat,
}

/// What was seen last.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// Nothing yet.
    Unknown,
    /// There is no such znode.
    Absent,
    Value(Arc<Versioned<Vec<u8>>>),
    /// Nothing more will be seen.
    Ended(Error),
}

/// Follows a znode until it is dropped.
#[derive(Debug)]
pub(crate) struct Follow {
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

impl Follow {
    pub(crate) fn start(sessions: Sessions, path: String) -> Self {
        let (tell, seen) = watch::channel(Seen::Unknown);
        let task = tokio::spawn(async move {
            loop {
                let Err(error) = follow(&sessions, &path, &tell).await;
                if let Some(Err(error)) = sessions.settled::<()>(Err(error)) {
                    tell.send_replace(Seen::Ended(error));
                    return;
                }
            }
        });
        Self { seen, task }
    }

    /// What was seen last; the first time waits until something was.
    pub(crate) async fn current(&self) -> Result<Option<Arc<Versioned<Vec<u8>>>>, Error> {
        let mut seen = self.seen.clone();
        let known = seen.wait_for(|seen| !matches!(seen, Seen::Unknown)).await;
        match known.as_deref() {
            Ok(Seen::Value(value)) => Ok(Some(Arc::clone(value))),
            Ok(Seen::Absent | Seen::Unknown) => Ok(None),
            Ok(Seen::Ended(error)) => Err(error.clone()),
            Err(_) => Err(Lost::Released.into()),
        }
    }

    /// Each change from now on, the last one if there were several.
    pub(crate) fn changes(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    sessions: &Sessions,
    path: &str,
    tell: &watch::Sender<Seen>,
) -> Result<std::convert::Infallible, Error> {
    let patient = sessions.patient().await?;
    // A session that is local to its server may begin behind what the last one has seen.
    patient.catch_up(path).await?;
    loop {
        let (value, watch) = patient.value_watched(path).await?;
        let seen = match value {
            None => Seen::Absent,
            Some((value, stat)) => Seen::Value(Arc::new(Versioned { value, stat })),
        };
        tell.send_if_modified(|last| {
            let is_new = match (&*last, &seen) {
                (Seen::Value(a), Seen::Value(b)) => a.stat.mzxid != b.stat.mzxid,
                (Seen::Absent, Seen::Absent) => false,
                _ => true,
            };
            *last = seen;
            is_new
        });
        watch.fired().await;
    }
}
