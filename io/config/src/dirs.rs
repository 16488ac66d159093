//! The data directories: whether they can be used, and making them so.
//!
//! Apache's rules (features CF-11, ST-02): a missing `version-2` is created unless
//! `datadir.autocreate` is false, both must be writable, and two directories must not each hold
//! files of the other. Every error here ends the process with code 3.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::error::ConfigError;
use crate::storage::Storage;

/// What using a directory would find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirState {
    /// It is there and can be written.
    Writable,
    /// It is not there and can be created.
    Creatable,
    /// It cannot be used; the error says why.
    Unusable(ConfigError),
}

/// Creates what may be created and fails where a server must not start.
pub fn prepare(storage: &Storage) -> Result<(), ConfigError> {
    for (role, dir) in roles(storage) {
        match state(storage, role, &dir) {
            DirState::Writable => {}
            DirState::Creatable => fs::create_dir_all(&dir).map_err(|error| {
                let what = format!("cannot create {role} directory {}: {error}", dir.display());
                ConfigError::datadir(what, "create it, or give this user the right to")
            })?,
            DirState::Unusable(error) => return Err(error),
        }
    }
    refuse_swapped(storage)
}

/// Both `version-2` directories with what they are for; one if they are the same.
pub fn roles(storage: &Storage) -> Vec<(&'static str, PathBuf)> {
    let mut roles = vec![("data", storage.snapshot_dir())];
    if storage.log_dir() != storage.snapshot_dir() {
        roles.push(("log", storage.log_dir()));
    }
    roles
}

/// Looks at one of the [`roles`] without changing anything.
pub fn state(storage: &Storage, role: &str, dir: &Path) -> DirState {
    let unusable =
        |what: String, advice: &str| DirState::Unusable(ConfigError::datadir(what, advice));
    let shown = dir.display();
    if !dir.exists() {
        if !storage.creates_dirs {
            let what =
                format!("{role} directory {shown} is missing and datadir.autocreate is false");
            return unusable(what, "create it");
        }
        let Some(ancestor) = dir.ancestors().skip(1).map(or_here).find(|a| a.exists()) else {
            return DirState::Creatable;
        };
        if !ancestor.is_dir() {
            let what = format!(
                "{role} directory {shown} cannot be created: {} is no directory",
                ancestor.display()
            );
            return unusable(what, "give another directory");
        }
        return match is_writable(ancestor) {
            true => DirState::Creatable,
            false => {
                let what = format!(
                    "{role} directory {shown} cannot be created in {}",
                    ancestor.display()
                );
                unusable(what, "create it, or give this user the right to")
            }
        };
    }
    if !dir.is_dir() {
        return unusable(
            format!("{role} directory {shown} is no directory"),
            "give another directory",
        );
    }
    match is_writable(dir) {
        true => DirState::Writable,
        false => unusable(
            format!("{role} directory {shown} cannot be written"),
            "give this user the right to",
        ),
    }
}

/// Logs where snapshots belong, or the reverse, mean that the directories were exchanged or split
/// (ZOOKEEPER-2967).
pub fn refuse_swapped(storage: &Storage) -> Result<(), ConfigError> {
    if storage.log_dir() == storage.snapshot_dir() {
        return Ok(());
    }
    let wrong = [
        (storage.log_dir(), "log directory", "snapshot.", "snapshot"),
        (storage.snapshot_dir(), "data directory", "log.", "log"),
    ];
    for (dir, role, stem, kind) in wrong {
        if let Some(name) = first_with_stem(&dir, stem) {
            let what = format!("{role} {} has the {kind} file {name}", dir.display());
            return Err(ConfigError::datadir(
                what,
                "check dataDir and dataLogDir, and move the file if they are right",
            ));
        }
    }
    Ok(())
}

fn first_with_stem(dir: &Path, stem: &str) -> Option<String> {
    let names = fs::read_dir(dir)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with(stem)).min()
}

/// The parent of a relative path of one name is the working directory.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

fn is_writable(dir: &Path) -> bool {
    access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Nowhere, SystemProperties};
    use tempfile::TempDir;

    fn storage(data: &Path, log: &Path, more: &str) -> Storage {
        let cfg = format!(
            "dataDir={}\ndataLogDir={}\n{more}",
            data.display(),
            log.display()
        );
        let config = Config::from_bytes(
            "zoo.cfg",
            cfg.as_bytes(),
            &SystemProperties::new(),
            &Nowhere,
        );
        config.expect("well formed").storage
    }

    #[test]
    fn missing_directories_are_created() {
        let root = TempDir::new().unwrap();
        let storage = storage(&root.path().join("a/b"), &root.path().join("c"), "");
        assert_eq!(
            state(&storage, "data", &storage.snapshot_dir()),
            DirState::Creatable
        );
        prepare(&storage).expect("nothing forbids it");
        assert!(
            root.path().join("a/b/version-2").is_dir() && root.path().join("c/version-2").is_dir()
        );
        assert_eq!(
            state(&storage, "data", &storage.snapshot_dir()),
            DirState::Writable
        );
    }

    #[test]
    fn without_autocreate_a_missing_directory_ends_with_code_3() {
        let root = TempDir::new().unwrap();
        let storage = storage(root.path(), root.path(), "datadir.autocreate=false");
        let error = prepare(&storage).expect_err("missing");
        assert_eq!(error.exit().code(), 3);
        assert!(
            error
                .to_string()
                .contains("version-2 is missing and datadir.autocreate is false; create it"),
            "{error}"
        );
        assert!(!root.path().join("version-2").exists());
    }

    #[test]
    fn a_file_in_the_way_ends_with_code_3() {
        let root = TempDir::new().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = prepare(&storage(&file, root.path(), "")).expect_err("a file");
        assert!(error.to_string().contains("is no directory"), "{error}");
        assert_eq!(error.exit().code(), 3);
    }

    #[test]
    fn files_in_the_wrong_directory_end_with_code_3() {
        for (dir, name) in [("log", "snapshot.0"), ("data", "log.1")] {
            let root = TempDir::new().unwrap();
            let storage = storage(&root.path().join("data"), &root.path().join("log"), "");
            prepare(&storage).expect("empty");
            fs::write(root.path().join(dir).join("version-2").join(name), "").unwrap();
            let error = prepare(&storage).expect_err(name);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn one_directory_for_both_may_hold_both() {
        let root = TempDir::new().unwrap();
        let storage = storage(root.path(), root.path(), "");
        prepare(&storage).expect("empty");
        for name in ["log.1", "snapshot.0"] {
            fs::write(root.path().join("version-2").join(name), "").unwrap();
        }
        assert_eq!(prepare(&storage), Ok(()));
    }
}
