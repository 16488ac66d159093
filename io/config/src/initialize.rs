//! `zabra initialize`: makes empty data directories, as `zkServer-initialize.sh` does (features
//! TL-20).
//!
//! It marks the data directory with a file `initialize`, which allows a server with
//! `db.autocreate=false` to begin with an empty database. Texts and exit code are those of Apache's
//! script.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::properties::Properties;
use crate::source::trimmed;
use crate::storage::VERSION_DIR;

/// What the arguments ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Initialize {
    /// The `zoo.cfg` that names the directories.
    pub config_file: PathBuf,
    /// The number to write to `myid`.
    pub my_id: Option<u8>,
    /// Whether directories with data are emptied.
    pub force: bool,
}

/// How it is called.
pub const USAGE: &str = "\
usage: zkServer-initialize.sh <parameters>
  Optional parameters:
     -h                  Display this message
     --help              Display this message
     --configfile=FILE   ZooKeeper config file
     --myid=#            Set the myid to be used, if any (1-255)
     --force             Force creation of the data/txnlog dirs
";

/// What ends it with code 1: the lines to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl Initialize {
    /// Reads the arguments; a later one wins. Asking for help fails with the usage, as Apache's
    /// script does.
    pub fn from_args<S: AsRef<str>>(args: &[S]) -> Result<Self, Failure> {
        let mut asked = Self::default();
        let mut args = args.iter().map(AsRef::as_ref);
        while let Some(arg) = args.next() {
            let (name, joined) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (arg, None),
            };
            let mut value = || {
                joined
                    .or_else(|| args.next())
                    .ok_or_else(|| Failure(USAGE.to_owned()))
            };
            match name {
                "--configfile" => asked.config_file = PathBuf::from(value()?),
                "--myid" => {
                    let text = value()?;
                    let id = text.parse().ok().filter(|id| *id > 0);
                    let wrong = || Failure(format!("myid {text} is not a number from 1 to 255\n"));
                    asked.my_id = Some(id.ok_or_else(wrong)?);
                }
                "--force" => asked.force = true,
                "-h" | "--help" => return Err(Failure(USAGE.to_owned())),
                _ => return Err(Failure(format!("Unknown option: {arg}\n{USAGE}"))),
            }
        }
        Ok(asked)
    }

    /// Makes the directories; what to print comes back, one line each.
    pub fn run(&self) -> Result<String, Failure> {
        let dirs = Dirs::in_file(&self.config_file)?;
        let mut said = String::new();
        if self.force {
            said.push_str("Force enabled, data/txnlog directories will be re-initialized\n");
        } else {
            dirs.refuse_data()?;
        }
        dirs.make_empty()
            .map_err(|error| Failure(format!("{said}cannot initialize: {error}\n")))?;
        match self.my_id {
            Some(id) => said.push_str(&format!("Using myid of {id}\n")),
            None => {
                let data = dirs.data.display();
                said.push_str(&format!("No myid provided, be sure to specify it in {data}/myid if using non-standalone\n"));
            }
        }
        let written = self.my_id.map_or(Ok(()), |id| {
            fs::write(dirs.data.join("myid"), format!("{id}\n"))
        });
        let marked = written.and_then(|()| fs::write(dirs.data.join("initialize"), ""));
        marked.map_err(|error| Failure(format!("{said}cannot initialize: {error}\n")))?;
        Ok(said)
    }
}

struct Dirs {
    data: PathBuf,
    log: Option<PathBuf>,
}

impl Dirs {
    fn in_file(file: &Path) -> Result<Self, Failure> {
        let shown = file.display();
        let Ok(bytes) = fs::read(file) else {
            return Err(Failure(format!("Unable to find config file at {shown}\n")));
        };
        let properties = Properties::parse(&shown.to_string(), &bytes)
            .map_err(|error| Failure(format!("{error}\n")))?;
        let dir = |key: &str| {
            let entry = properties
                .entries()
                .iter()
                .rev()
                .find(|entry| trimmed(&entry.key) == key)?;
            Some(trimmed(&entry.value))
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let data = dir("dataDir")
            .ok_or_else(|| Failure(format!("Unable to determine dataDir from {shown}\n")))?;
        Ok(Self {
            data,
            log: dir("dataLogDir"),
        })
    }

    /// Only `version-2` is data: its parent may have been made with the rights it needs.
    fn refuse_data(&self) -> Result<(), Failure> {
        let roles = [("data", Some(&self.data)), ("txnlog", self.log.as_ref())];
        for (role, dir) in roles {
            if let Some(dir) = dir.filter(|dir| dir.join(VERSION_DIR).is_dir()) {
                let what = format!(
                    "ZooKeeper {role} directory already exists at {}",
                    dir.display()
                );
                return Err(Failure(format!(
                    "{what} (or use --force to force re-initialization)\n"
                )));
            }
        }
        Ok(())
    }

    fn make_empty(&self) -> io::Result<()> {
        for dir in [Some(&self.data), self.log.as_ref()].into_iter().flatten() {
            absent_is_fine(fs::remove_file(dir.join("myid")))?;
            absent_is_fine(fs::remove_dir_all(dir.join(VERSION_DIR)))?;
            fs::create_dir_all(dir.join(VERSION_DIR))?;
        }
        Ok(())
    }
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn zoo_cfg(root: &TempDir, text: &str) -> PathBuf {
        let path = root.path().join("zoo.cfg");
        let text = text.replace("ROOT", &root.path().display().to_string());
        fs::write(&path, text).expect("a file in a temporary directory");
        path
    }

    fn run(config_file: &Path, args: &[&str]) -> Result<String, Failure> {
        Initialize {
            config_file: config_file.to_owned(),
            ..Initialize::from_args(args)?
        }
        .run()
    }

    #[test]
    fn empty_directories_are_made_with_myid_and_the_mark() {
        let root = TempDir::new().unwrap();
        let cfg = zoo_cfg(&root, "dataDir=ROOT/data\ndataLogDir = ROOT/log\n");
        assert_eq!(run(&cfg, &["--myid=7"]), Ok("Using myid of 7\n".to_owned()));
        let data = root.path().join("data");
        assert_eq!(fs::read_to_string(data.join("myid")).unwrap(), "7\n");
        assert!(data.join("initialize").is_file() && data.join("version-2").is_dir());
        assert!(root.path().join("log/version-2").is_dir());
    }

    #[test]
    fn directories_with_data_are_refused_and_emptied_by_force() {
        let root = TempDir::new().unwrap();
        let cfg = zoo_cfg(&root, "dataDir=ROOT\n");
        let snapshot = root.path().join("version-2/snapshot.0");
        fs::create_dir(root.path().join("version-2")).unwrap();
        fs::write(&snapshot, "").unwrap();
        let refused = run(&cfg, &[]).expect_err("there is data");
        assert!(
            refused
                .0
                .starts_with("ZooKeeper data directory already exists at "),
            "{refused:?}"
        );
        assert!(
            refused
                .0
                .ends_with(" (or use --force to force re-initialization)\n"),
            "{refused:?}"
        );
        assert!(snapshot.exists());
        let said = run(&cfg, &["--force"]).expect("forced");
        assert!(said.starts_with(
            "Force enabled, data/txnlog directories will be re-initialized\nNo myid provided"
        ));
        assert!(!snapshot.exists());
    }

    #[test]
    fn what_is_missing_is_named() {
        let root = TempDir::new().unwrap();
        let cfg = zoo_cfg(&root, "clientPort=2181\n");
        let shown = cfg.display();
        assert_eq!(
            run(&cfg, &[]),
            Err(Failure(format!(
                "Unable to determine dataDir from {shown}\n"
            )))
        );
        let missing = root.path().join("none");
        let expected = format!("Unable to find config file at {}\n", missing.display());
        assert_eq!(run(&missing, &[]), Err(Failure(expected)));
    }

    #[test]
    fn arguments_take_their_value_joined_or_apart_and_the_last_wins() {
        let asked =
            Initialize::from_args(&["--configfile=a", "--configfile", "b", "--myid", "3"]).unwrap();
        assert_eq!(
            (asked.config_file, asked.my_id),
            (PathBuf::from("b"), Some(3))
        );
        for args in [
            &["--help"][..],
            &["-h"],
            &["--myid"],
            &["--myid=0"],
            &["--myid=300"],
            &["--bogus"],
        ] {
            assert!(Initialize::from_args(args).is_err(), "{args:?}");
        }
    }
}
