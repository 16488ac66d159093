//! So many leases at a time.

use crate::claim::{Claim, Names};
use crate::decide::mirror::join;
use crate::error::{Error, Lost};
use crate::guard::Guard;
use crate::mutex::Mutex;
use crate::patient::Patient;
use crate::session::Watch;
use crate::sessions::Sessions;
use crate::shared::decode_count;

/// The child under which those who ask stand in line.
const LOCKS: &str = "locks";
/// The child under which each lease has a znode.
const LEASES: &str = "leases";
/// What stands before the number in a lease's name.
const MARK: &str = "lease-";

/// How many leases there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// So many; all who use the path must say the same.
    Fixed(u32),
    /// As many as the [`crate::SharedCount`] at this path says, none if it is not there.
    Shared(String),
}

/// A counting semaphore at a path, the same as Curator's `InterProcessSemaphoreV2`.
///
/// - Guaranteed: never more leases than the limit among holders of live sessions; leases are given in the order of asking.
/// - When the limit falls, leases above it are not taken back: nobody gets one until enough are returned.
/// - Survives what [`Mutex`] survives; a lease goes back by itself when its session ends.
#[derive(Debug, Clone)]
pub struct Semaphore {
    sessions: Sessions,
    line: Mutex,
    leases: String,
    limit: Limit,
}

impl Semaphore {
    /// The semaphore at a path; nothing is asked of the server yet.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, path: &str, limit: Limit) -> Self {
        let sessions = sessions.into();
        Self {
            line: Mutex::new(&sessions, &join(path, LOCKS)),
            sessions,
            leases: join(path, LEASES),
            limit,
        }
    }

    /// Waits for a lease. Cancel safe.
    ///
    /// # Errors
    /// As [`Mutex::acquire`]; or the limit cannot be read.
    pub async fn acquire(&self) -> Result<Guard, Error> {
        loop {
            let patient = self.sessions.patient().await?;
            let acquired = self.acquire_on(&patient).await;
            if let Some(acquired) = self.sessions.settled(acquired) {
                return acquired;
            }
        }
    }

    async fn acquire_on(&self, patient: &Patient) -> Result<Guard, Error> {
        loop {
            // Only the first in line looks at the leases, so nobody is overtaken and each return wakes one.
            let turn = self.line.acquire_on(patient).await?;
            match turn.run(self.lease(patient, true)).await {
                Ok(lease) => {
                    turn.release().await?;
                    if let Some(lease) = lease? {
                        return Ok(lease);
                    }
                }
                Err(Lost::Deleted) => {}
                Err(lost) => return Err(lost.into()),
            }
        }
    }

    /// Takes a lease if one is free and nobody waits for one; does not wait.
    ///
    /// # Errors
    /// As [`Semaphore::acquire`].
    pub async fn try_acquire(&self) -> Result<Option<Guard>, Error> {
        loop {
            let patient = self.sessions.patient().await?;
            let tried = self.try_on(&patient).await;
            if let Some(tried) = self.sessions.settled(tried) {
                return tried;
            }
        }
    }

    async fn try_on(&self, patient: &Patient) -> Result<Option<Guard>, Error> {
        let Some(turn) = self.line.try_on(patient).await? else {
            return Ok(None);
        };
        let lease = turn.run(self.lease(patient, false)).await??;
        turn.release().await?;
        Ok(lease)
    }

    /// The paths of all leases that are out.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn leases(&self) -> Result<Vec<String>, Error> {
        let patient = self.sessions.patient().await?;
        let children = patient.children(&self.leases).await?;
        let names = children.map(|(names, _)| names).unwrap_or_default();
        Ok(names.iter().map(|name| join(&self.leases, name)).collect())
    }

    /// Makes a lease, and keeps it as soon as there are no more than may be. `None` when it vanished, or would have to
    /// wait and may not.
    async fn lease(&self, patient: &Patient, may_wait: bool) -> Result<Option<Guard>, Error> {
        let claim = Claim::stand(patient, &self.leases, Names::Curator, MARK, &[]).await?;
        loop {
            let (limit, limit_watch) = self.limit(patient).await?;
            let Some((children, _, watch)) = patient.children_watched(&self.leases).await? else {
                return Ok(None);
            };
            if !children.iter().any(|name| name == claim.name()) {
                return Ok(None);
            }
            if children.len() <= limit as usize {
                return Ok(Some(Guard::new(claim)));
            }
            if !may_wait {
                claim.withdraw().await?;
                return Ok(None);
            }
            match limit_watch {
                None => watch.fired().await,
                Some(limit_watch) => tokio::select! {
                    biased;
                    () = watch.fired() => {}
                    () = limit_watch.fired() => {}
                },
            }
        }
    }

    async fn limit(&self, patient: &Patient) -> Result<(u32, Option<Watch>), Error> {
        match &self.limit {
            Limit::Fixed(limit) => Ok((*limit, None)),
            Limit::Shared(path) => {
                let (count, watch) = patient.value_watched(path).await?;
                let count = match count {
                    None => 0,
                    Some((data, _)) => decode_count(path, &data)?,
                };
                Ok((u32::try_from(count).unwrap_or(0), Some(watch)))
            }
        }
    }
}
