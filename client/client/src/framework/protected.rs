//! A create that finds its own znode after a connection loss.

use crate::{Client, CreateOptions, Created, Error, ErrorCode, RetryPolicy};

impl Client {
    /// Creates a znode exactly once, whatever happens to the connection: its name gets a mark that nobody else has
    /// (`_c_<uuid>-` in front, as Curator has it), and after a connection loss the parent's children are looked through for
    /// it before the create is made again. Made for sequential znodes, whose names nobody knows beforehand.
    ///
    /// The policy bounds the attempts. If it gives up, the znode may exist; an ephemeral one then goes with the session.
    ///
    /// # Errors
    ///
    /// As [`Client::create`].
    pub async fn create_protected(
        &self,
        path: &str,
        data: impl AsRef<[u8]>,
        options: impl Into<CreateOptions>,
        policy: RetryPolicy,
    ) -> Result<Created, Error> {
        let (data, options) = (data.as_ref(), options.into());
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mark = format!("_c_{}-", uuid(fastrand::u128(..)));
        let marked = format!("{parent}/{mark}{name}");
        let parent = if parent.is_empty() { "/" } else { parent };
        let mut is_first = true;
        self.retry(policy, || {
            let may_exist = !std::mem::take(&mut is_first);
            let (mark, marked, options) = (&mark, &marked, &options);
            async move {
                if may_exist && let Some(created) = self.find(parent, mark).await? {
                    return Ok(created);
                }
                self.create(marked, data, options).await
            }
        })
        .await
    }

    /// The child whose name begins with a mark.
    async fn find(&self, parent: &str, mark: &str) -> Result<Option<Created>, Error> {
        // What was asked for on the old connection is decided before this is answered.
        self.sync(parent).await?;
        let names = match self.children(parent).await {
            Err(error) if error.is(ErrorCode::NO_NODE) => return Ok(None),
            names => names?,
        };
        let Some(name) = names.iter().find(|name| name.starts_with(mark)) else {
            return Ok(None);
        };
        let path = format!("{}/{name}", parent.trim_end_matches('/'));
        let stat = self.exists(&path).await?;
        Ok(stat.is_some().then_some(Created { path, stat }))
    }
}

/// A random UUID in its usual form.
fn uuid(chance: u128) -> String {
    // Version 4, variant 1.
    let bits = chance & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    let parts = parts.map(|(from, to)| hex.get(from..to).unwrap_or_default());
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_have_the_form_that_curator_looks_for() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
