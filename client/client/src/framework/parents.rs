//! Creating a znode and those above it.

use zabra_proto::path;

use crate::{Client, CreateMode, CreateOptions, Created, Error, ErrorCode};

/// What the znodes above a new one become, where they are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parents {
    /// They stay.
    Persistent,
    /// Servers delete them some time after their last child has gone.
    Containers,
}

impl Client {
    /// Creates a znode, and those above it that are missing, with the client's default ACL and no data.
    ///
    /// After a connection loss some of them may exist.
    ///
    /// # Errors
    ///
    /// As [`Client::create`].
    pub async fn create_with_parents(
        &self,
        path: &str,
        data: impl AsRef<[u8]>,
        options: impl Into<CreateOptions>,
        parents: Parents,
    ) -> Result<Created, Error> {
        let (data, options) = (data.as_ref(), options.into());
        loop {
            let missing = match self.create(path, data, &options).await {
                Err(error) if error.is(ErrorCode::NO_NODE) => error,
                result => return result,
            };
            let trimmed = path
                .strip_suffix('/')
                .filter(|_| options.mode().is_sequential());
            let parent = match trimmed {
                Some(parent) => Some(parent),
                None => path::parent(path),
            };
            match parent {
                Some(parent) => self.ensure_path(parent, parents).await?,
                None => return Err(missing),
            }
        }
    }

    /// Creates a znode and all above it, where they are missing, with the client's default ACL and no data. Whether they existed makes no
    /// difference, so it may be made again after a connection loss.
    ///
    /// # Errors
    ///
    /// As [`Client::create`], but not `NODE_EXISTS`.
    pub async fn ensure_path(&self, path: &str, parents: Parents) -> Result<(), Error> {
        let mode = match parents {
            Parents::Persistent => CreateMode::Persistent,
            Parents::Containers => CreateMode::Container,
        };
        let mut missing = Vec::new();
        let mut at = path;
        // Upwards to the first that exists, then down again.
        loop {
            match self.create(at, [], mode).await {
                Ok(_) => break,
                Err(error) if error.is(ErrorCode::NODE_EXISTS) => break,
                Err(error) if error.is(ErrorCode::NO_NODE) => {
                    missing.push(at);
                    at = path::parent(at).ok_or(error)?;
                }
                Err(error) => return Err(error),
            }
        }
        while let Some(at) = missing.pop() {
            match self.create(at, [], mode).await {
                Err(error) if !error.is(ErrorCode::NODE_EXISTS) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
