//! A subtree as a directory: a folder per znode, its data in the file `%data`, its ACL in `%acl.json`.
//!
//! A `%` at the beginning of a znode's name is written `%25`, so that no znode is taken for one of these files. A file
//! that is missing means no data, or the open ACL. Ephemerals are not written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zabra_proto::{Acl, Perms};

use crate::json;
use crate::run::Znode;

const DATA: &str = "%data";
const ACL: &str = "%acl.json";

/// Writes znodes, parents first.
pub(crate) struct Writer {
    top: PathBuf,
}

impl Writer {
    /// Writes into a directory, which must be new or empty unless it may be overwritten.
    pub(crate) fn create(top: &Path, overwrite: bool) -> io::Result<Self> {
        fs::create_dir_all(top)?;
        if !overwrite && fs::read_dir(top)?.next().is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the directory is not empty",
            ));
        }
        Ok(Self {
            top: top.to_owned(),
        })
    }

    /// Writes a znode; an ephemeral is passed over, which is `false`.
    pub(crate) fn put(&self, znode: &Znode) -> io::Result<bool> {
        if znode.owner != 0 {
            return Ok(false);
        }
        // A name like `..` would lead out of the directory.
        crate::path::check(&znode.path)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let folder = self.top.join(folder_of(&znode.path));
        fs::create_dir_all(&folder)?;
        if let Some(data) = &znode.data {
            fs::write(folder.join(DATA), data)?;
        }
        if znode.acl != [Acl::world(Perms::ALL)] {
            fs::write(folder.join(ACL), json::acl(&znode.acl).to_string())?;
        }
        Ok(true)
    }
}

/// The folder of a path, below the top.
fn folder_of(path: &str) -> PathBuf {
    let names = path.split('/').filter(|name| !name.is_empty());
    names
        .map(|name| match name.strip_prefix('%') {
            Some(rest) => format!("%25{rest}"),
            None => name.to_owned(),
        })
        .collect()
}

/// Reads what was written, parents first, names in order. Links are not followed.
pub(crate) fn read(top: &Path) -> io::Result<Vec<Znode>> {
    let mut znodes = Vec::new();
    let mut folders = vec![(top.to_owned(), "/".to_owned())];
    while let Some((folder, path)) = folders.pop() {
        let bad =
            |error: String| io::Error::new(io::ErrorKind::InvalidData, format!("{path}: {error}"));
        let data = if_there(fs::read(folder.join(DATA)))?;
        let acl = match if_there(fs::read_to_string(folder.join(ACL)))? {
            None => vec![Acl::world(Perms::ALL)],
            Some(text) => {
                let value = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
                json::read_acl(&value).map_err(bad)?
            }
        };
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let name = entry.file_name().into_string();
                let name = name.map_err(|name| bad(format!("{} is no text", name.display())))?;
                let name = match name.strip_prefix("%25") {
                    Some(rest) => format!("%{rest}"),
                    None => name,
                };
                let parent = if path == "/" { "" } else { &path };
                folders.push((entry.path(), format!("{parent}/{name}")));
            }
        }
        znodes.push(Znode {
            path,
            data,
            acl,
            owner: 0,
        });
    }
    znodes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(znodes)
}

fn if_there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn znode(path: &str, data: Option<&[u8]>) -> Znode {
        Znode {
            path: path.to_owned(),
            data: data.map(<[u8]>::to_vec),
            acl: vec![Acl::world(Perms::ALL)],
            owner: 0,
        }
    }

    #[test]
    fn a_subtree_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut znodes = vec![
            znode("/", None),
            znode("/%data", Some(b"")),
            znode("/%data/%25x", Some(&[0xff])),
            znode("/a", Some(b"text")),
        ];
        znodes[3].acl = vec![Acl::world(Perms::READ)];
        let writer = Writer::create(dir.path(), false).unwrap();
        for znode in &znodes {
            writer.put(znode).unwrap();
        }
        assert_eq!(read(dir.path()).unwrap(), znodes);
        assert!(Writer::create(dir.path(), false).is_err());
        assert!(Writer::create(dir.path(), true).is_ok());
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::create(&dir.path().join("top"), false).unwrap();
        assert!(writer.put(&znode("/../out", Some(b"x"))).is_err());
        assert!(!dir.path().join("out").exists());
    }

    #[test]
    fn ephemerals_are_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::create(dir.path(), false).unwrap();
        let mut ephemeral = znode("/e", None);
        ephemeral.owner = 1;
        writer.put(&ephemeral).unwrap();
        assert_eq!(read(dir.path()).unwrap(), [znode("/", None)]);
    }
}
