//! Waiting for each other: a barrier that somebody lifts, and one that lets so many in and out together.

use zabra_client::{CreateMode, CreateOptions};

use crate::decide::barrier::{Enter, Leave, READY, decide_enter, decide_leave};
use crate::decide::mirror::join;
use crate::error::{Error, Lost};
use crate::patient::{Ghost, Patient};
use crate::sessions::Sessions;

/// A barrier that is there or not; the same as Curator's `DistributedBarrier`.
///
/// - Guaranteed: nobody who waits passes before it was lifted, if it was up when the wait began; and all pass then.
/// - Not guaranteed: that it was there at any particular time; who comes when it is not there passes at once.
#[derive(Debug, Clone)]
pub struct Barrier {
    sessions: Sessions,
    path: String,
}

impl Barrier {
    /// The barrier at a path; nothing is asked of the server yet.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, path: &str) -> Self {
        Self {
            sessions: sessions.into(),
            path: path.to_owned(),
        }
    }

    /// Puts it up; that it is there already is as good. It stays when the session ends.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn set(&self) -> Result<(), Error> {
        let patient = self.sessions.patient().await?;
        patient
            .ensure(&self.path, &[], &CreateMode::Persistent.into())
            .await
    }

    /// Lifts it.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn lift(&self) -> Result<(), Error> {
        self.sessions.patient().await?.delete(&self.path).await
    }

    /// Waits until it is not there. Cancel safe.
    ///
    /// # Errors
    /// The session has ended and there is no other, or the server refuses.
    pub async fn wait(&self) -> Result<(), Error> {
        loop {
            let patient = self.sessions.patient().await?;
            let waited = self.wait_on(&patient).await;
            if let Some(waited) = self.sessions.settled(waited) {
                return waited;
            }
        }
    }

    async fn wait_on(&self, patient: &Patient) -> Result<(), Error> {
        // A server that lags may not have heard that it was put up.
        patient.catch_up(&self.path).await?;
        while let Some((_, _, watch)) = patient.data_watched(&self.path).await? {
            watch.fired().await;
        }
        Ok(())
    }
}

/// A barrier that opens when so many are there, and lets nobody out before all want out; the same as Curator's
/// `DistributedDoubleBarrier`.
///
/// - Guaranteed: nobody is in before so many were there at the same time; nobody who left is out while another is in and its
///   session lives.
/// - A member whose session ends counts as gone: before the barrier has opened it is missing, afterwards it is out.
/// - Not guaranteed: that it can be entered again before everybody's leave has returned. Take another path for the next time.
#[derive(Debug, Clone)]
pub struct DoubleBarrier {
    sessions: Sessions,
    path: String,
    members: u32,
}

/// A member that is in, until it leaves. Dropped, it is out without waiting for the others.
#[derive(Debug)]
#[must_use = "dropping it leaves without waiting for the others"]
pub struct Entered {
    patient: Patient,
    path: String,
    name: String,
    /// Deletes the member's znode when this is dropped.
    ghost: Ghost,
}

impl DoubleBarrier {
    /// The barrier at a path for so many members; all must say the same.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, path: &str, members: u32) -> Self {
        Self {
            sessions: sessions.into(),
            path: path.to_owned(),
            members,
        }
    }

    /// Waits until so many are there. Cancel safe: dropped, it is not there any more.
    ///
    /// # Errors
    /// The session has ended on the way ([`Error::Lost`]) or the server refuses.
    pub async fn enter(&self) -> Result<Entered, Error> {
        let patient = self.sessions.patient().await?;
        let name = Patient::uuid();
        let own = join(&self.path, &name);
        let ready = join(&self.path, READY);
        let entered = Entered {
            ghost: Ghost::new(&patient, &self.path, &name),
            patient,
            path: self.path.clone(),
            name,
        };
        let patient = &entered.patient;
        patient.create_ephemeral(&own, &[]).await?;
        loop {
            let (opened, watch) = patient.stat_watched(&ready).await?;
            if opened.is_some() {
                return Ok(entered);
            }
            let children = patient.children(&self.path).await?.map(|(names, _)| names);
            let children = children.unwrap_or_default();
            if !children.contains(&entered.name) {
                return Err(Lost::Deleted.into());
            }
            match decide_enter(&children, self.members) {
                Enter::Open => {
                    let persistent = CreateOptions::from(CreateMode::Persistent);
                    patient.ensure(&ready, &[], &persistent).await?;
                    return Ok(entered);
                }
                Enter::Wait => watch.fired().await,
            }
        }
    }
}

impl Entered {
    /// Waits until all want out.
    ///
    /// # Errors
    /// The session has ended ([`Error::Lost`] or [`Error::Client`]): the member is out, and the others do not wait for it.
    pub async fn leave(mut self) -> Result<(), Error> {
        loop {
            let children = self.patient.children(&self.path).await?;
            let children = children.map(|(names, _)| names).unwrap_or_default();
            match decide_leave(&children, &self.name) {
                Leave::Out => break,
                Leave::DeleteMine => self.patient.delete(&join(&self.path, &self.name)).await?,
                Leave::WaitOn(other) => {
                    let other = self.patient.data_watched(&join(&self.path, other)).await?;
                    if let Some((_, _, watch)) = other {
                        watch.fired().await;
                    }
                }
            }
        }
        self.ghost.disarm();
        self.patient.delete(&join(&self.path, READY)).await
    }
}
