//! A znode that is kept in existence: made again when it is deleted, and when the session that it went with has ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use zabra_client::{CreateMode, CreateOptions, ErrorCode, Stat};

use crate::decide::mirror::join;
use crate::error::{Error, Lost};
use crate::patient::Patient;
use crate::sessions::Sessions;

/// Whether the znode is there.
#[derive(Debug, Clone)]
enum Kept {
    Missing,
    There,
    /// It is not kept any more.
    Ended(Error),
}

/// A znode of ours that stays while this is kept; the same as Curator's `PersistentNode`.
///
/// - Guaranteed: while a session lives, the znode is there or about to be made again, with the data that was set last.
/// - An ephemeral of another session at its path is waited for: it belongs to somebody who is still alive, or whose session
///   will end. Two who keep the same ephemeral are one behind the other.
/// - Not guaranteed: that nobody sees it missing for a while.
#[derive(Debug)]
pub struct PersistentNode {
    sessions: Sessions,
    path: String,
    is_ephemeral: bool,
    data: Arc<watch::Sender<Vec<u8>>>,
    kept: watch::Receiver<Kept>,
    task: JoinHandle<()>,
}

impl PersistentNode {
    /// Keeps an ephemeral znode from now on.
    #[must_use]
    pub fn ephemeral(sessions: impl Into<Sessions>, path: &str, data: &[u8]) -> Self {
        Self::start(sessions.into(), path, data, CreateMode::Ephemeral.into())
    }

    /// Keeps a znode of another kind from now on; not a sequential one.
    #[must_use]
    pub fn with_options(
        sessions: impl Into<Sessions>,
        path: &str,
        data: &[u8],
        options: CreateOptions,
    ) -> Self {
        Self::start(sessions.into(), path, data, options)
    }

    fn start(sessions: Sessions, path: &str, data: &[u8], options: CreateOptions) -> Self {
        let data = Arc::new(watch::Sender::new(data.to_vec()));
        let (tell, kept) = watch::channel(Kept::Missing);
        let is_ephemeral = options.mode() == CreateMode::Ephemeral;
        let keeper = Keeper {
            path: path.to_owned(),
            options,
            data: data.subscribe(),
            tell,
        };
        Self {
            task: tokio::spawn(keeper.run(sessions.clone())),
            sessions,
            path: path.to_owned(),
            is_ephemeral,
            data,
            kept,
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Waits until the znode is there, with the data that was given.
    ///
    /// # Errors
    /// The session has ended and there is no other, or the server refuses.
    pub async fn created(&self) -> Result<(), Error> {
        let mut kept = self.kept.clone();
        let settled = kept.wait_for(|kept| !matches!(kept, Kept::Missing)).await;
        match settled.as_deref() {
            Ok(Kept::Ended(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Lost::Released.into()),
        }
    }

    /// Sets its data, now and whenever it is made again; the znode follows soon.
    pub fn set_data(&self, data: &[u8]) {
        self.data.send_replace(data.to_vec());
    }

    /// Keeps it no more, and deletes it. Dropped instead, it stays until its session ends.
    ///
    /// # Errors
    /// The server refuses. A session that has ended is no error for an ephemeral.
    pub async fn close(self) -> Result<(), Error> {
        self.task.abort();
        let closed = async {
            let patient = self.sessions.patient().await?;
            let stat = patient.stat(&self.path).await?;
            match stat {
                Some(stat)
                    if !self.is_ephemeral || stat.ephemeral_owner == patient.session().id() =>
                {
                    patient.delete(&self.path).await
                }
                _ => Ok(()),
            }
        };
        match closed.await {
            Err(error) if self.is_ephemeral && error.is_end_of_session() => Ok(()),
            closed => closed,
        }
    }
}

impl Drop for PersistentNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that keeps the znode.
struct Keeper {
    path: String,
    options: CreateOptions,
    data: watch::Receiver<Vec<u8>>,
    tell: watch::Sender<Kept>,
}

impl Keeper {
    async fn run(mut self, sessions: Sessions) {
        loop {
            let Err(error) = self.keep(&sessions).await;
            match sessions.settled::<Infallible>(Err(error)) {
                None => drop(self.tell.send_replace(Kept::Missing)),
                Some(Err(error)) => {
                    self.tell.send_replace(Kept::Ended(error));
                    return;
                }
            }
        }
    }

    async fn keep(&mut self, sessions: &Sessions) -> Result<Infallible, Error> {
        let patient = sessions.patient().await?;
        // What was set or found set; what an earlier session of ours left behind is looked at once, too.
        let mut known: Option<Vec<u8>> = None;
        loop {
            let data = self.data.borrow_and_update().clone();
            patient.ensure(&self.path, &data, &self.options).await?;
            let (stat, watch) = patient.stat_watched(&self.path).await?;
            let Some(stat) = stat else {
                // It went right after it was found.
                continue;
            };
            if !self.is_ours(&patient, &stat) {
                self.tell.send_if_modified(missing);
                watch.fired().await;
                continue;
            }
            if known.as_ref() != Some(&data) {
                self.set(&patient, &data, &stat).await?;
                known = Some(data);
            }
            self.tell.send_replace(Kept::There);
            tokio::select! {
                biased;
                () = watch.fired() => {}
                // Its sender lives as long as this task.
                _ = self.data.changed() => {}
            }
        }
    }

    async fn set(&self, patient: &Patient, data: &[u8], stat: &Stat) -> Result<(), Error> {
        let known = patient.data(&self.path).await?;
        if known.is_some_and(|(known, now)| known == data && now.czxid == stat.czxid) {
            return Ok(());
        }
        match patient.overwrite(&self.path, data).await {
            Err(Error::Client(error)) if error.is(ErrorCode::NO_AUTH) => Err(error.into()),
            set => set.map(drop),
        }
    }

    fn is_ours(&self, patient: &Patient, stat: &Stat) -> bool {
        self.options.mode() != CreateMode::Ephemeral
            || stat.ephemeral_owner == patient.session().id()
    }
}

fn missing(kept: &mut Kept) -> bool {
    let was_there = matches!(kept, Kept::There);
    if was_there {
        *kept = Kept::Missing;
    }
    was_there
}

/// A znode with a time to live that stays while this is kept, whatever becomes of sessions; the same as Curator's
/// `PersistentTtlNode`. A child called `touch` is written twice per TTL.
///
/// - Guaranteed: it stays for at least half the TTL when its keeper is cut off or gone; it is made again when the keeper is
///   back; it is gone some time after the TTL when the keeper is.
/// - Not guaranteed: how long after; servers look once a minute, unless they are told otherwise.
/// - The server must have TTL znodes switched on (`extendedTypesEnabled`).
#[derive(Debug)]
pub struct TtlNode {
    node: PersistentNode,
    toucher: JoinHandle<()>,
}

impl TtlNode {
    /// Keeps the znode from now on.
    #[must_use]
    pub fn start(sessions: impl Into<Sessions>, path: &str, data: &[u8], ttl: Duration) -> Self {
        Self::touched_every(ttl / 2, sessions.into(), path, data, ttl)
    }

    pub(crate) fn touched_every(
        period: Duration,
        sessions: Sessions,
        path: &str,
        data: &[u8],
        ttl: Duration,
    ) -> Self {
        let options = CreateOptions::from(CreateMode::PersistentWithTtl).ttl(ttl);
        let node = PersistentNode::with_options(&sessions, path, data, options.clone());
        let touched = join(path, TOUCH);
        let mut kept = node.kept.clone();
        let toucher = tokio::spawn(async move {
            let mut tick = tokio::time::interval(period);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // Below a znode that is there, so that nobody makes it as a container instead.
            while kept
                .wait_for(|kept| matches!(kept, Kept::There))
                .await
                .is_ok()
            {
                tick.tick().await;
                touch(&sessions, &touched, &options).await;
            }
        });
        Self { node, toucher }
    }

    /// As [`PersistentNode::created`].
    ///
    /// # Errors
    /// As [`PersistentNode::created`].
    pub async fn created(&self) -> Result<(), Error> {
        self.node.created().await
    }

    /// As [`PersistentNode::set_data`].
    pub fn set_data(&self, data: &[u8]) {
        self.node.set_data(data);
    }
}

impl Drop for TtlNode {
    fn drop(&mut self) {
        self.toucher.abort();
    }
}

async fn touch(sessions: &Sessions, path: &str, options: &CreateOptions) {
    loop {
        let touched = async {
            let patient = sessions.patient().await?;
            if patient.overwrite(path, &[]).await?.is_none() {
                // Without the znode above it, that is made first, and this at the next attempt.
                patient.ensure_below(path, &[], options).await?;
            }
            Ok(())
        };
        match sessions.settled(touched.await) {
            // In the next session at once.
            None => {}
            Some(Ok(())) => return,
            // A failed attempt is made up for by the next one.
            Some(Err(error)) => return tracing::debug!(%error, path, "not touched"),
        }
    }
}

/// The child that is written.
const TOUCH: &str = "touch";
