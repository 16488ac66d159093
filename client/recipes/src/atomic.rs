//! Values that are changed by what they are: each change is made exactly once.

use std::sync::Arc;

use tokio::sync::Mutex;
use zabra_client::{CreateMode, Error as ClientError, ErrorCode, Stat};

use crate::decide::mirror::join;
use crate::error::Error;
use crate::patient::{Ghost, Patient, is_passing};
use crate::session::Write;
use crate::sessions::Sessions;

/// A value in a znode that is changed by compare and set; the same as Curator's `DistributedAtomicValue`.
///
/// - Guaranteed: a change is made exactly once, on top of the value that it was made from, also when connections are lost.
/// - Not guaranteed: that, if the *session* ends while an answer is awaited; then [`Error::InDoubt`] says so.
///
/// How a lost answer is found out: each change is a transaction with a second one, of a small ephemeral znode of this
/// handle below the value, whose version counts the changes that were made. The value cannot be deleted while handles
/// have such znodes.
#[derive(Debug, Clone)]
pub struct AtomicValue {
    sessions: Sessions,
    pub(crate) path: String,
    /// Changes of one handle are made one after the other, so that their number tells which was made.
    proof: Arc<Mutex<Option<Proof>>>,
}

/// The znode that counts the changes of a handle.
#[derive(Debug)]
struct Proof {
    session: i64,
    path: String,
    version: i32,
    _ghost: Ghost,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update<T> {
    /// What it was; `None` without a znode.
    pub before: Option<T>,
    /// What it is.
    pub after: T,
}

/// What came of one attempt.
enum Attempt {
    Made,
    /// Somebody else was faster.
    Stale,
}

impl AtomicValue {
    /// The value at a path; nothing is asked of the server yet.
    #[must_use]
    pub fn new(sessions: impl Into<Sessions>, path: &str) -> Self {
        Self {
            sessions: sessions.into(),
            path: path.to_owned(),
            proof: Arc::default(),
        }
    }

    /// The value; `None` without a znode.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn load(&self) -> Result<Option<Vec<u8>>, Error> {
        let patient = self.sessions.patient().await?;
        patient.catch_up(&self.path).await?;
        Ok(patient.data(&self.path).await?.map(|(data, _)| data))
    }

    /// Changes the value to what `change` makes of it, as often as others are faster; `None` changes nothing. Makes the
    /// znode if need be.
    ///
    /// # Errors
    /// The session has ended, the server refuses, or the change is in doubt ([`Error::InDoubt`]).
    pub async fn update(
        &self,
        change: impl Fn(Option<&[u8]>) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<Option<Update<Vec<u8>>>, Error> {
        let mut held = self.proof.lock().await;
        loop {
            let patient = self.sessions.patient().await?;
            let result = self.try_update(&patient, &mut held, &change).await;
            match self.sessions.settled(result) {
                Some(Ok(None)) | None => {}
                Some(Ok(Some(done))) => return Ok(done),
                Some(Err(error)) => return Err(error),
            }
        }
    }

    /// One attempt: `None` when somebody else was faster.
    async fn try_update(
        &self,
        patient: &Patient,
        held: &mut Option<Proof>,
        change: impl Fn(Option<&[u8]>) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<Option<Option<Update<Vec<u8>>>>, Error> {
        let Some((before, stat)) = patient.data(&self.path).await? else {
            if change(None)?.is_none() {
                return Ok(Some(None));
            }
            // An ephemeral of ours can only stand below a znode that is there: the first value comes alone, and empty.
            patient
                .ensure(&self.path, &[], &CreateMode::Persistent.into())
                .await?;
            return Ok(None);
        };
        // Only this recipe makes empty values.
        let before = Some(before).filter(|before| !before.is_empty());
        let Some(after) = change(before.as_deref())? else {
            return Ok(Some(None));
        };
        let proof = self.proof(patient, held).await?;
        match self.attempt(patient, proof, &after, &stat).await {
            Ok(Attempt::Made) => Ok(Some(Some(Update { before, after }))),
            Ok(Attempt::Stale) => Ok(None),
            Err(error) => {
                *held = None;
                Err(error)
            }
        }
    }

    async fn proof<'a>(
        &self,
        patient: &Patient,
        held: &'a mut Option<Proof>,
    ) -> Result<&'a mut Proof, Error> {
        let kept = held
            .take()
            .filter(|proof| proof.session == patient.session().id());
        let proof = match kept {
            Some(proof) => proof,
            None => {
                let name = format!("_c_{}-proof", Patient::uuid());
                let path = join(&self.path, &name);
                let ghost = Ghost::new(patient, &self.path, &name);
                let stat = patient.create_ephemeral(&path, &[]).await?;
                Proof {
                    session: patient.session().id(),
                    path,
                    version: stat.version,
                    _ghost: ghost,
                }
            }
        };
        Ok(held.insert(proof))
    }

    async fn attempt(
        &self,
        patient: &Patient,
        proof: &mut Proof,
        after: &[u8],
        before: &Stat,
    ) -> Result<Attempt, Error> {
        let in_doubt = || Error::InDoubt {
            path: self.path.clone(),
        };
        loop {
            let change = Write::Set {
                path: &self.path,
                data: after,
                version: before.version,
            };
            let count = Write::Set {
                path: &proof.path,
                data: &[],
                version: proof.version,
            };
            match patient.session().commit(&[change, count]).await {
                Ok(_) => {
                    proof.version += 1;
                    return Ok(Attempt::Made);
                }
                Err(ClientError::Transaction { failed, codes, .. })
                    if codes.get(failed).is_some_and(|code| STALE.contains(code)) =>
                {
                    if failed > 0 {
                        // Somebody deleted the proof; the next attempt makes another one.
                        proof.session = 0;
                    }
                    return Ok(Attempt::Stale);
                }
                Err(error) if is_passing(&error) => {
                    let counted = self.count(patient, proof).await.map_err(|_| in_doubt())?;
                    match counted {
                        Some(version) if version == proof.version => {}
                        Some(version) => {
                            proof.version = version;
                            return Ok(Attempt::Made);
                        }
                        None => return Err(in_doubt()),
                    }
                }
                Err(error) if error.is(ErrorCode::SESSION_EXPIRED) => return Err(in_doubt()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn count(&self, patient: &Patient, proof: &Proof) -> Result<Option<i32>, Error> {
        patient.catch_up(&proof.path).await?;
        let stat = patient.stat(&proof.path).await?;
        Ok(stat.map(|stat| stat.version))
    }
}

/// What the server says when somebody else was faster.
const STALE: [ErrorCode; 2] = [ErrorCode::BAD_VERSION, ErrorCode::NO_NODE];
