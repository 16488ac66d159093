//! What is held: a lock, a lease, leadership. The guard knows its fencing token and when it is lost.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::claim::Claim;
use crate::error::{Error, Lost};
use crate::patient::Patient;

/// A number that grows from holder to holder: the zxid that created the holder's znode.
///
/// A resource that remembers the greatest token it has seen and refuses smaller ones is safe from a holder that was
/// paused, lost what it held, and does not know yet. Nothing else makes it safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(pub u64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Something held until it is released, dropped or lost.
///
/// Guaranteed: while [`Guard::is_held`] says yes on a machine whose clock runs evenly, the server has not given it to
/// another, because a guard counts as lost before the session can expire. Not guaranteed: that the process is not paused
/// between asking and acting. Whoever writes to something outside passes [`Guard::token`] along.
///
/// Dropping it deletes the znode in the background; [`Guard::release`] waits until that is done.
#[derive(Debug)]
pub struct Guard {
    /// `None` once it was given back.
    claim: Mutex<Option<Claim>>,
    patient: Patient,
    path: String,
    token: FencingToken,
    lost: Arc<watch::Sender<Option<Lost>>>,
    watcher: JoinHandle<()>,
}

impl Guard {
    /// Watches over a claim from now on.
    pub(crate) fn new(claim: Claim) -> Self {
        let token = FencingToken(claim.czxid().cast_unsigned());
        Self::with_token(claim, token)
    }

    /// The same under the token of an earlier claim.
    pub(crate) fn with_token(claim: Claim, token: FencingToken) -> Self {
        let patient = claim.patient().clone();
        let path = claim.path().to_owned();
        let lost = Arc::new(watch::Sender::new(None));
        let watcher = tokio::spawn(watch_over(
            patient.clone(),
            path.clone(),
            claim.czxid(),
            Arc::clone(&lost),
        ));
        Self {
            claim: Mutex::new(Some(claim)),
            patient,
            path,
            token,
            lost,
            watcher,
        }
    }

    /// The fencing token.
    #[must_use]
    pub const fn token(&self) -> FencingToken {
        self.token
    }

    /// The path of the own znode.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    pub(crate) const fn patient(&self) -> &Patient {
        &self.patient
    }

    /// Whether it is held, as far as this process can know.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.lost.borrow().is_none()
    }

    /// Waits until it is lost, and says how.
    pub async fn lost(&self) -> Lost {
        let mut lost = self.lost.subscribe();
        let told = lost.wait_for(Option::is_some).await.map(|cause| *cause);
        // The sender lives as long as this guard.
        told.ok().flatten().unwrap_or(Lost::Released)
    }

    /// Runs work while it is held. When it is lost, the work is dropped where it awaits.
    ///
    /// # Errors
    /// How it was lost before the work was through.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Lost> {
        tokio::select! {
            biased;
            cause = self.lost() => Err(cause),
            output = work => Ok(output),
        }
    }

    /// Gives it back, and returns when the znode is gone.
    ///
    /// # Errors
    /// The client was closed or the server refused. If the session has ended, it is given back, too: that is no error.
    pub async fn release(self) -> Result<(), Error> {
        self.end().await
    }

    /// Gives it back also when others hold references.
    pub(crate) async fn end(&self) -> Result<(), Error> {
        self.watcher.abort();
        self.lost
            .send_if_modified(|lost| lost.replace(lost.unwrap_or(Lost::Released)).is_none());
        match self.take() {
            Some(claim) => claim.withdraw().await,
            None => Ok(()),
        }
    }

    fn take(&self) -> Option<Claim> {
        // Nothing panics while it is locked.
        self.claim.lock().ok()?.take()
    }

    /// Waits until somebody asks for it back, see [`crate::Mutex::revoke`]. The holder decides whether to comply.
    ///
    /// # Errors
    /// How it was lost before anybody asked.
    pub async fn revoked(&self) -> Result<(), Error> {
        let asked = async {
            loop {
                match self.patient.data_watched(&self.path).await? {
                    None => return Err(Lost::Deleted.into()),
                    Some((data, ..)) if data == crate::mutex::REVOKE => return Ok(()),
                    Some((_, _, watch)) => watch.fired().await,
                }
            }
        };
        self.run(asked).await?
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The claim deletes its znode when it is dropped itself.
        self.watcher.abort();
    }
}

async fn watch_over(
    patient: Patient,
    path: String,
    czxid: i64,
    tell: Arc<watch::Sender<Option<Lost>>>,
) {
    let cause = tokio::select! {
        biased;
        cause = patient.session_lost() => cause,
        cause = deleted(&patient, &path, czxid) => cause,
    };
    tell.send_if_modified(|lost| lost.replace(lost.unwrap_or(cause)).is_none());
}

/// Waits until the znode is gone, or is another one of the same name.
async fn deleted(patient: &Patient, path: &str, czxid: i64) -> Lost {
    loop {
        match patient.data_watched(path).await {
            Ok(Some((_, stat, watch))) if stat.czxid == czxid => watch.fired().await,
            Ok(_) => return Lost::Deleted,
            // Only an ended session keeps the client from ever answering.
            Err(_) => return Lost::SessionEnded,
        }
    }
}
