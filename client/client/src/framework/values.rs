//! Creating or replacing, whichever it takes.

use crate::{Client, CreateOptions, Error, ErrorCode, Stat};

impl Client {
    /// Gives a znode this data: creates it if there is none, replaces its data otherwise, whatever its version. Returns its
    /// Stat, where the server told it.
    ///
    /// # Errors
    ///
    /// Those of [`Client::create`] and [`Client::set`], but neither `NODE_EXISTS` nor `NO_NODE` of the znode itself.
    pub async fn put(
        &self,
        path: &str,
        data: impl AsRef<[u8]>,
        options: impl Into<CreateOptions>,
    ) -> Result<Option<Stat>, Error> {
        let (data, options) = (data.as_ref(), options.into());
        loop {
            match self.set(path, data, None).await {
                Err(error) if error.is(ErrorCode::NO_NODE) => {}
                result => return result.map(Some),
            }
            match self.create(path, data, &options).await {
                // Somebody was faster, and may be gone again.
                Err(error) if error.is(ErrorCode::NODE_EXISTS) => {}
                result => return result.map(|created| created.stat),
            }
        }
    }

    /// Replaces a znode's data by what `change` makes of it, on the version that it has seen: if somebody was faster, it is
    /// asked again. Returns the new Stat, or `None` if `change` gave nothing to write.
    ///
    /// After a connection loss the change may have been made.
    ///
    /// # Errors
    ///
    /// Those of [`Client::get`] and [`Client::set`], but not `BAD_VERSION`.
    pub async fn update(
        &self,
        path: &str,
        mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Option<Stat>, Error> {
        loop {
            let (data, stat) = self.get(path).await?;
            let Some(changed) = change(&data) else {
                return Ok(None);
            };
            match self.set(path, changed, Some(stat.version)).await {
                Err(error) if error.is(ErrorCode::BAD_VERSION) => {}
                result => return result.map(Some),
            }
        }
    }
}
