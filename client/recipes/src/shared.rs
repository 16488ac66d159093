//! A value that everybody sees: bytes, or a number of Curator's `SharedCount`.

use std::sync::Arc;

use tokio::sync::watch;
use zabra_client::{CreateMode, ErrorCode};

use crate::error::{Error, Lost};
use crate::follow::{Follow, Seen, Versioned};
use crate::patient::is_passing;
use crate::sessions::Sessions;

/// A value in a znode, followed in the background; the same as Curator's `SharedValue`.
///
/// - Guaranteed: [`SharedValue::current`] never goes back; a change becomes visible everywhere, later on some than on others.
///   [`SharedValue::try_set`] succeeds for one of all who compare with the same version.
/// - Not guaranteed: that every value is seen. Of several in a row, the last one is.
#[derive(Debug)]
pub struct SharedValue {
    sessions: Sessions,
    path: String,
    follow: Follow,
}

impl SharedValue {
    /// Follows the znode from now on; makes it with `seed` if it is not there.
    ///
    /// # Errors
    /// The session has ended or the server refuses.
    pub async fn start(
        sessions: impl Into<Sessions>,
        path: &str,
        seed: &[u8],
    ) -> Result<Self, Error> {
        let sessions = sessions.into();
        let patient = sessions.patient().await?;
        patient
            .ensure(path, seed, &CreateMode::Persistent.into())
            .await?;
        Ok(Self {
            follow: Follow::start(sessions.clone(), path.to_owned()),
            sessions,
            path: path.to_owned(),
        })
    }

    /// The value as it was seen last.
    ///
    /// # Errors
    /// The session has ended, or somebody deleted the znode.
    pub async fn current(&self) -> Result<Arc<Versioned<Vec<u8>>>, Error> {
        self.follow
            .current()
            .await?
            .ok_or_else(|| Lost::Deleted.into())
    }

    /// Sets it whatever it is.
    ///
    /// # Errors
    /// The session has ended, the server refuses, or somebody deleted the znode.
    pub async fn set(&self, value: &[u8]) -> Result<(), Error> {
        let patient = self.sessions.patient().await?;
        let stat = patient.overwrite(&self.path, value).await?;
        stat.map(drop).ok_or_else(|| Lost::Deleted.into())
    }

    /// Sets it if it still is what it was; whether it did.
    ///
    /// # Errors
    /// As [`SharedValue::set`]; or the answer was lost and the version has moved on, so that nobody can tell
    /// ([`Error::InDoubt`]).
    pub async fn try_set<T>(&self, before: &Versioned<T>, value: &[u8]) -> Result<bool, Error> {
        let patient = self.sessions.patient().await?;
        let version = before.stat.version;
        loop {
            let set = patient.session().set(&self.path, value, Some(version));
            match set.await {
                Ok(_) => return Ok(true),
                Err(error) if error.is(ErrorCode::BAD_VERSION) => return Ok(false),
                Err(error) if error.is(ErrorCode::NO_NODE) => return Err(Lost::Deleted.into()),
                Err(error) if is_passing(&error) => {
                    patient.catch_up(&self.path).await?;
                    let stat = patient.stat(&self.path).await?;
                    if stat.is_none_or(|stat| stat.version != version) {
                        return Err(Error::InDoubt {
                            path: self.path.clone(),
                        });
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Changes from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes(self.follow.changes())
    }
}

/// The changes of a value.
#[derive(Debug)]
pub struct Changes(watch::Receiver<Seen>);

impl Changes {
    /// Waits for the next change, then returns the value; `None` if the znode is gone. Cancel safe.
    ///
    /// # Errors
    /// The session has ended, or the value is not followed any more.
    pub async fn next(&mut self) -> Result<Option<Arc<Versioned<Vec<u8>>>>, Error> {
        if self.0.changed().await.is_err() {
            return Err(Lost::Released.into());
        }
        match &*self.0.borrow_and_update() {
            Seen::Value(value) => Ok(Some(Arc::clone(value))),
            Seen::Absent | Seen::Unknown => Ok(None),
            Seen::Ended(error) => Err(error.clone()),
        }
    }
}

/// A number in a znode, four bytes, big-endian; the same as Curator's `SharedCount`.
#[derive(Debug)]
pub struct SharedCount(SharedValue);

impl SharedCount {
    /// As [`SharedValue::start`].
    ///
    /// # Errors
    /// As [`SharedValue::start`].
    pub async fn start(
        sessions: impl Into<Sessions>,
        path: &str,
        seed: i32,
    ) -> Result<Self, Error> {
        SharedValue::start(sessions, path, &seed.to_be_bytes())
            .await
            .map(Self)
    }

    /// The number as it was seen last.
    ///
    /// # Errors
    /// As [`SharedValue::current`]; or the znode does not hold four bytes.
    pub async fn current(&self) -> Result<Versioned<i32>, Error> {
        let current = self.0.current().await?;
        Ok(Versioned {
            value: decode_count(&self.0.path, &current.value)?,
            stat: current.stat,
        })
    }

    /// As [`SharedValue::set`].
    ///
    /// # Errors
    /// As [`SharedValue::set`].
    pub async fn set(&self, count: i32) -> Result<(), Error> {
        self.0.set(&count.to_be_bytes()).await
    }

    /// As [`SharedValue::try_set`].
    ///
    /// # Errors
    /// As [`SharedValue::try_set`].
    pub async fn try_set(&self, before: &Versioned<i32>, count: i32) -> Result<bool, Error> {
        self.0.try_set(before, &count.to_be_bytes()).await
    }

    /// Changes from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.0.changes()
    }
}

/// The number in the znode at a path.
pub(crate) fn decode_count(path: &str, data: &[u8]) -> Result<i32, Error> {
    let bytes = data.try_into();
    bytes
        .map(i32::from_be_bytes)
        .map_err(|_| Error::malformed(path, "not a number of four bytes"))
}
