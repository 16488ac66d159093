//! A lock that many readers or one writer have.

use crate::claim::{Claim, Names};
use crate::decide::read_write::{self, Side};
use crate::error::Error;
use crate::guard::Guard;
use crate::patient::Patient;
use crate::sessions::Sessions;

/// A read/write lock at a path, the same as Curator's `InterProcessReadWriteLock`.
///
/// - Guaranteed: a writer holds it alone; readers hold it together; everybody comes in the order of asking, so neither
///   side starves. A writer that leaves wakes the readers behind it; anybody else wakes one waiter.
/// - Survives what [`crate::Mutex`] survives.
/// - Not re-entrant. A writer may become a reader without letting go: [`ReadWriteLock::downgrade`]. A reader cannot become
///   a writer: two that try would wait for each other for ever.
#[derive(Debug, Clone)]
pub struct ReadWriteLock {
    sessions: Sessions,
    path: String,
}

impl ReadWriteLock {
    /// The lock at a path; nothing is asked of the server yet.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, path: &str) -> Self {
        Self {
            sessions: sessions.into(),
            path: path.to_owned(),
        }
    }

    /// Waits until it is held for reading. Cancel safe.
    ///
    /// # Errors
    /// As [`crate::Mutex::acquire`].
    pub async fn read(&self) -> Result<Guard, Error> {
        self.acquire(Side::Read).await
    }

    /// Waits until it is held for writing. Cancel safe.
    ///
    /// # Errors
    /// As [`crate::Mutex::acquire`].
    pub async fn write(&self) -> Result<Guard, Error> {
        self.acquire(Side::Write).await
    }

    /// Takes a side of it if that is free; does not wait for others.
    ///
    /// # Errors
    /// As [`crate::Mutex::acquire`].
    pub async fn try_acquire(&self, side: Side) -> Result<Option<Guard>, Error> {
        loop {
            let patient = self.sessions.patient().await?;
            let tried = self.try_on(&patient, side).await;
            if let Some(tried) = self.sessions.settled(tried) {
                return tried;
            }
        }
    }

    async fn try_on(&self, patient: &Patient, side: Side) -> Result<Option<Guard>, Error> {
        let claim = self.stand(patient, side).await?;
        if claim.is_its_turn(read_write::decide).await? {
            return Ok(Some(Guard::new(claim)));
        }
        claim.withdraw().await?;
        Ok(None)
    }

    /// Turns a guard for writing into one for reading. No writer gets in between; the fencing token stays the same, as the
    /// writers that wait have asked after it.
    ///
    /// # Errors
    /// It was lost, or the session has ended or the server refuses; then it is not held any more.
    pub async fn downgrade(&self, writer: Guard) -> Result<Guard, Error> {
        let write = Side::Write.mark();
        let Some(at) = writer.path().rfind(write) else {
            return Ok(writer);
        };
        let beside = writer.path()[at..].replacen(write, Side::Read.mark(), 1);
        let patient = writer.patient().clone();
        let claim = writer
            .run(Claim::beside(&patient, &self.path, &beside))
            .await??;
        let reader = Guard::with_token(claim, writer.token());
        writer.release().await?;
        Ok(reader)
    }

    async fn acquire(&self, side: Side) -> Result<Guard, Error> {
        loop {
            let patient = self.sessions.patient().await?;
            let acquired = self.acquire_on(&patient, side).await;
            if let Some(acquired) = self.sessions.settled(acquired) {
                return acquired;
            }
        }
    }

    async fn acquire_on(&self, patient: &Patient, side: Side) -> Result<Guard, Error> {
        loop {
            let claim = self.stand(patient, side).await?;
            if claim.turn(read_write::decide).await? {
                return Ok(Guard::new(claim));
            }
        }
    }

    async fn stand(&self, patient: &Patient, side: Side) -> Result<Claim, Error> {
        Claim::stand(patient, &self.path, Names::Curator, side.mark(), &[]).await
    }
}
