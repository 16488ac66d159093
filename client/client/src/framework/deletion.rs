//! Deleting: for certain, quietly, a whole subtree. Listing one.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Call, Client, Error, ErrorCode, RetryPolicy};

impl Client {
    /// Deletes a znode; that there is none is as good.
    ///
    /// # Errors
    ///
    /// As [`Client::delete`], but not `NO_NODE`.
    pub async fn delete_quietly(&self, path: &str, version: Option<i32>) -> Result<(), Error> {
        match self.delete(path, version).await {
            Err(error) if error.is(ErrorCode::NO_NODE) => Ok(()),
            result => result,
        }
    }

    /// Deletes a znode for certain: if the connection is lost it goes on trying in the background, until a server has
    /// answered or the session has ended. With the session an ephemeral goes anyway; another znode may then be left.
    ///
    /// # Errors
    ///
    /// Those of the first attempt; after [`Error::ConnectionLoss`] and [`Error::Timeout`] the rest is done in the background.
    pub async fn delete_guaranteed(&self, path: &str, version: Option<i32>) -> Result<(), Error> {
        let result = self.delete_quietly(path, version).await;
        if result.as_ref().is_err_and(Error::is_retryable) {
            let (client, path) = (self.clone(), path.to_owned());
            let forever = RetryPolicy::Forever { pause: PAUSE };
            tokio::spawn(async move {
                let deleted = client
                    .retry(forever, || client.delete_quietly(&path, version))
                    .await;
                if let Err(error) = deleted {
                    tracing::debug!(path, %error, "not deleted");
                }
            });
        }
        result
    }

    /// The paths of a znode and all below it, parents before their children. Znodes that come or go meanwhile may be in it or
    /// not.
    ///
    /// # Errors
    ///
    /// `NO_NODE` if there is no such znode; `NO_AUTH`.
    pub async fn subtree(&self, path: &str) -> Result<Vec<String>, Error> {
        let mut paths = vec![path.to_owned()];
        let mut asked: VecDeque<(String, Call<Vec<String>>)> = VecDeque::new();
        let mut next = 0;
        loop {
            while let Some(path) = paths.get(next).filter(|_| asked.len() < ASKED_MAX) {
                asked.push_back((path.clone(), self.children(path)));
                next += 1;
            }
            let Some((parent, names)) = asked.pop_front() else {
                return Ok(paths);
            };
            let mut names = match names.await {
                // It has gone since it was listed.
                Err(error) if error.is(ErrorCode::NO_NODE) && parent != path => continue,
                names => names?,
            };
            names.sort();
            let base = parent.trim_end_matches('/');
            paths.extend(names.iter().map(|name| format!("{base}/{name}")));
        }
    }

    /// Deletes a znode and all below it, children before their parents, many at once. Returns how many were deleted.
    ///
    /// It is no transaction: if it fails, some are gone. It may be made again.
    ///
    /// # Errors
    ///
    /// `NO_NODE` if there is no such znode; `NOT_EMPTY` if somebody creates znodes there at the same time; `NO_AUTH`.
    pub async fn delete_recursive(&self, path: &str) -> Result<usize, Error> {
        let paths = self.subtree(path).await?;
        let mut deleted = 0;
        let mut asked: VecDeque<Call<()>> = VecDeque::new();
        let mut rest = paths.iter().rev();
        loop {
            // Requests are carried out in the order of the calls, so children need not be waited for.
            asked.extend(
                rest.by_ref()
                    .take(ASKED_MAX - asked.len())
                    .map(|path| self.delete(path, None)),
            );
            let Some(delete) = asked.pop_front() else {
                return Ok(deleted);
            };
            match delete.await {
                Ok(()) => deleted += 1,
                Err(error) if error.is(ErrorCode::NO_NODE) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// So many requests wait for their answers at a time.
const ASKED_MAX: usize = 256;
/// Between two attempts in the background.
const PAUSE: Duration = Duration::from_secs(1);
