//! A lock that one holder has at a time, in the order of asking.

use tokio::sync::watch;

use crate::claim::{Claim, KAZOO, Names};
use crate::decide::lock::{self, Decision};
use crate::decide::mirror::join;
use crate::error::Error;
use crate::guard::Guard;
use crate::patient::Patient;
use crate::sessions::Sessions;

/// What a holder finds in its znode when somebody wants the lock back.
pub(crate) const REVOKE: &[u8] = b"__REVOKE__";

/// What stands before the number in the names of Curator's mutex.
const MARK: &str = "lock-";

/// A mutual exclusion lock at a path, the same as Curator's `InterProcessMutex` and kazoo's `Lock`.
///
/// - Guaranteed: of all that hold a live session, one holds it; the order is that of asking; a release wakes one waiter.
/// - Survives: connection losses, also in the middle of asking (no znode is left behind); the overflow of sequence numbers,
///   where it fails clearly instead of letting two in.
/// - Not guaranteed: that a holder whose session ended has stopped. See [`Guard::token`].
/// - Not re-entrant: who holds it and asks again waits for itself.
///
/// Contenders of Curator and of kazoo may share the path with ours, but not with each other: they do not sort each
/// other's names. For kazoo use [`Mutex::names`].
#[derive(Debug, Clone)]
pub struct Mutex {
    sessions: Sessions,
    path: String,
    mark: &'static str,
    names: Names,
    data: Vec<u8>,
}

impl Mutex {
    /// The lock at a path; nothing is asked of the server yet.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, path: &str) -> Self {
        Self::marked(sessions, path, MARK)
    }

    pub(crate) fn marked(sessions: impl Into<Sessions>, path: &str, mark: &'static str) -> Self {
        Self {
            sessions: sessions.into(),
            path: path.to_owned(),
            mark,
            names: Names::default(),
            data: Vec::new(),
        }
    }

    /// Whose names its znodes bear.
    #[must_use]
    pub const fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// What its znodes hold: who we are, for others to read.
    #[must_use]
    pub fn data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.data = data.into();
        self
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Waits until it is held. Cancel safe: dropped, it leaves the queue; so it may be put under a timeout.
    ///
    /// # Errors
    /// The session has ended, the server refuses, or the numbers are used up.
    pub async fn acquire(&self) -> Result<Guard, Error> {
        loop {
            let patient = self.sessions.patient().await?;
            let acquired = self.acquire_on(&patient).await;
            if let Some(acquired) = self.sessions.settled(acquired) {
                return acquired;
            }
        }
    }

    /// The same within one session.
    pub(crate) async fn acquire_on(&self, patient: &Patient) -> Result<Guard, Error> {
        loop {
            let claim = self.stand(patient).await?;
            if claim
                .turn(|children, mine| self.decide(children, mine))
                .await?
            {
                return Ok(Guard::new(claim));
            }
        }
    }

    /// Waits until it is held or not wanted any more; then its znode is gone when this returns `None`.
    pub(crate) async fn acquire_unless(
        &self,
        unwanted: &mut watch::Receiver<bool>,
    ) -> Result<Option<Guard>, Error> {
        loop {
            let patient = self.sessions.patient().await?;
            let acquired = self.acquire_unless_on(&patient, unwanted).await;
            if let Some(acquired) = self.sessions.settled(acquired) {
                return acquired;
            }
        }
    }

    async fn acquire_unless_on(
        &self,
        patient: &Patient,
        unwanted: &mut watch::Receiver<bool>,
    ) -> Result<Option<Guard>, Error> {
        loop {
            let claim = self.stand(patient).await?;
            let is_turn = tokio::select! {
                biased;
                _ = unwanted.wait_for(|unwanted| *unwanted) => None,
                turn = claim.turn(|children, mine| self.decide(children, mine)) => Some(turn?),
            };
            match is_turn {
                None => return claim.withdraw().await.map(|()| None),
                Some(true) => return Ok(Some(Guard::new(claim))),
                Some(false) => {}
            }
        }
    }

    /// Takes it if nobody has it; does not wait for others.
    ///
    /// # Errors
    /// As [`Mutex::acquire`].
    pub async fn try_acquire(&self) -> Result<Option<Guard>, Error> {
        loop {
            let patient = self.sessions.patient().await?;
            let tried = self.try_on(&patient).await;
            if let Some(tried) = self.sessions.settled(tried) {
                return tried;
            }
        }
    }

    /// The same within one session.
    pub(crate) async fn try_on(&self, patient: &Patient) -> Result<Option<Guard>, Error> {
        let claim = self.stand(patient).await?;
        if claim
            .is_its_turn(|children, mine| self.decide(children, mine))
            .await?
        {
            return Ok(Some(Guard::new(claim)));
        }
        claim.withdraw().await?;
        Ok(None)
    }

    /// The paths of all contenders in their order, the holder first.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn participants(&self) -> Result<Vec<String>, Error> {
        let patient = self.sessions.patient().await?;
        let children = patient.children(&self.path).await?;
        let children = children.map(|(names, _)| names).unwrap_or_default();
        let order = lock::in_order(&children, &self.marks());
        Ok(order
            .into_iter()
            .map(|name| join(&self.path, name))
            .collect())
    }

    /// What the znodes of all contenders hold, the holder's first; see [`Mutex::data`].
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn contents(&self) -> Result<Vec<Vec<u8>>, Error> {
        let patient = self.sessions.patient().await?;
        let mut contents = Vec::new();
        for path in self.participants().await? {
            if let Some((data, _)) = patient.data(&path).await? {
                contents.push(data);
            }
        }
        Ok(contents)
    }

    /// Asks a contender, by the path of its znode, to give up: see [`Guard::revoked`]. It need not comply.
    ///
    /// # Errors
    /// The session has ended or the server refuses. A contender that is gone is no error.
    pub async fn revoke(&self, participant: &str) -> Result<(), Error> {
        let patient = self.sessions.patient().await?;
        patient.overwrite(participant, REVOKE).await?;
        Ok(())
    }

    async fn stand(&self, patient: &Patient) -> Result<Claim, Error> {
        Claim::stand(patient, &self.path, self.names, self.mark, &self.data).await
    }

    const fn marks(&self) -> [&'static str; 2] {
        [self.mark, KAZOO]
    }

    fn decide<'a>(&self, children: &'a [String], mine: &str) -> Decision<'a> {
        lock::decide(children, mine, &self.marks(), 1)
    }
}
