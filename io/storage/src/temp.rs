//! Files in the making.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{During, Result, StorageError};
use crate::names::TEMP_PREFIX;
use crate::vfs::{Vfs, VfsFile};

/// A file under a temporary name. Dropping it removes the file; if that cannot be done, the next start will.
#[derive(Debug)]
pub(crate) struct TempFile {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    name: Option<String>,
}

impl TempFile {
    /// Creates the file that will bear this name, in place of what an earlier attempt left.
    pub(crate) fn create(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        name: &str,
    ) -> Result<(Self, Box<dyn VfsFile>)> {
        let name = format!("{TEMP_PREFIX}{name}");
        let path = dir.join(&name);
        match vfs.remove(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::io("remove", &path, e));
            }
            _ => {}
        }
        let file = vfs.create_new(&path).during("create", &path)?;
        let temp = Self {
            vfs,
            path,
            name: Some(name),
        };
        Ok((temp, file))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its temporary name.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Gives it its own name.
    pub(crate) fn rename(mut self, path: &Path) -> Result<()> {
        let renamed = self.vfs.rename(&self.path, path);
        renamed.during("rename", &self.path)?;
        self.name = None;
        Ok(())
    }

    /// Removes it.
    pub(crate) fn remove(mut self) -> Result<()> {
        self.name = None;
        self.vfs.remove(&self.path).during("remove", &self.path)
    }

    /// Leaves it where it is, for the caller to see to.
    pub(crate) fn release(mut self) -> String {
        self.name.take().unwrap_or_default()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.name.is_some() {
            let _ = self.vfs.remove(&self.path);
        }
    }
}
