//! Writes the files that remember memberships: `<zoo.cfg>.dynamic.<version>`, the `zoo.cfg` that names it,
//! `<zoo.cfg>.dynamic.next` and `<zoo.cfg>.bak` (quorum 14.6).
//!
//! When to write is decided elsewhere: nothing is written where `reconfigEnabled` is false. How they are read stands in
//! [`crate::Config`].

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zabra_quorum::{ConfigVersion, Membership, Sid};

use crate::membership::next_file;
use crate::properties::Properties;
use crate::source::trimmed;

/// The files beside a static configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipFiles {
    static_file: PathBuf,
}

/// One change of the disk. Each is atomic and durable before the next one begins, and after each of them the files are
/// a configuration that a server can start with.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Replace(PathBuf, Vec<u8>),
    Remove(PathBuf),
}

impl MembershipFiles {
    /// Of this static file, as it was named when the server was started.
    pub fn of(static_file: &Path) -> Self {
        Self {
            static_file: static_file.to_owned(),
        }
    }

    /// Keeps a copy of the static file, in which the members stand until a membership is written.
    pub fn back_up(&self) -> io::Result<()> {
        let bytes = fs::read(&self.static_file)?;
        replace(&self.beside(".bak"), &bytes)
    }

    /// Remembers a membership that is proposed and not yet committed. It is durable when this returns.
    pub fn save_proposed(&self, proposed: &Membership) -> io::Result<()> {
        let mut lines = proposed.file_lines();
        lines.push(format!("version={}", proposed.version()));
        lines.sort_unstable();
        replace(&next_file(&self.name()), lines.join("\n").as_bytes())
    }

    /// Remembers a membership in force: `me` is this server, `last_seen` the version of the newest one that was proposed.
    pub fn save_committed(
        &self,
        committed: &Membership,
        me: Sid,
        last_seen: ConfigVersion,
    ) -> io::Result<()> {
        let written = fs::read(&self.static_file)?;
        for step in self.steps(&written, &self.dir()?, committed, me, last_seen)? {
            match step {
                Step::Replace(path, bytes) => replace(&path, &bytes)?,
                Step::Remove(path) => remove(&path)?,
            }
        }
        Ok(())
    }

    /// The new members first, then the static file that names them, and what was proposed last. `dir` is the directory by
    /// its full name: the server may be started from elsewhere next.
    fn steps(
        &self,
        written: &[u8],
        dir: &Path,
        committed: &Membership,
        me: Sid,
        last_seen: ConfigVersion,
    ) -> io::Result<Vec<Step>> {
        let dynamic = self.beside(&format!(".dynamic.{}", committed.version()));
        let named = dir.join(dynamic.file_name().unwrap_or_default());
        let own = committed.member(me).and_then(|line| line.client.as_ref());
        let has_own_client = own.is_some_and(|client| !client.is_static);
        let rewritten = rewritten(
            &self.name(),
            written,
            &named.to_string_lossy(),
            has_own_client,
        )?;
        let mut steps = vec![
            Step::Replace(dynamic, committed.file_lines().join("\n").into_bytes()),
            Step::Replace(self.static_file.clone(), rewritten),
        ];
        if committed.version() >= last_seen {
            steps.push(Step::Remove(next_file(&self.name())));
        }
        Ok(steps)
    }

    fn dir(&self) -> io::Result<PathBuf> {
        fs::canonicalize(dir_of(&self.static_file))
    }

    fn name(&self) -> String {
        self.static_file.display().to_string()
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.static_file.clone().into_os_string();
        path.push(suffix);
        PathBuf::from(path)
    }
}

/// The static file without what the dynamic file says, and with the name of that. Apache's server drops comments and order
/// here; they stay.
fn rewritten(
    name: &str,
    written: &[u8],
    dynamic_file: &str,
    has_own_client: bool,
) -> io::Result<Vec<u8>> {
    let parsed = Properties::parse(name, written).map_err(io::Error::other)?;
    let mut kept = parsed.without(written, |key| {
        let key = trimmed(key);
        let of_client = key.starts_with("clientPort") && key != "clientPortListenBacklog";
        Membership::is_key(key)
            || key.starts_with("dynamicConfigFile")
            || key.starts_with("peerType")
            || has_own_client && of_client
    });
    kept.extend_from_slice(b"dynamicConfigFile=");
    kept.extend(escaped(dynamic_file));
    kept.push(b'\n');
    Ok(kept)
}

/// A value of a properties file: backslashes doubled, what is not ASCII as `\uXXXX`.
fn escaped(value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for unit in value.encode_utf16() {
        match u8::try_from(unit) {
            Ok(b'\\') => out.extend(b"\\\\"),
            Ok(byte) if byte.is_ascii_graphic() || byte == b' ' => out.push(byte),
            _ => out.extend(format!("\\u{unit:04x}").bytes()),
        }
    }
    out
}

/// Temporary file, fsync, rename, fsync of the directory.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temp = path.to_owned().into_os_string();
    temp.push(".tmp");
    let temp = PathBuf::from(temp);
    let mut file = File::create(&temp)?;
    if let Ok(before) = fs::metadata(path) {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temp, path)?;
    sync_dir_of(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_dir_of(path),
    }
}

fn sync_dir_of(path: &Path) -> io::Result<()> {
    File::open(dir_of(path))?.sync_all()
}

fn dir_of(path: &Path) -> &Path {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    dir.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Invocation, Mode, SystemProperties, ThisMember};
    use tempfile::TempDir;

    const MEMBERS: &str = "server.1=127.0.0.1:2888:3888:participant;127.0.0.1:2181\n\
                           server.2=127.0.0.1:2889:3889:participant;127.0.0.1:2182";
    const OTHER: &str = "server.1=127.0.0.1:2888:3888:participant;127.0.0.1:2181\n\
                         server.3=127.0.0.1:2890:3890:participant;127.0.0.1:2183\n\
                         server.12=127.0.0.1:2891:3891:observer;127.0.0.1:2184";

    /// A directory with `zoo.cfg` and the data of server 1.
    struct Case(TempDir);

    impl Case {
        fn new(cfg: &str) -> Self {
            let root = TempDir::new().expect("a temporary directory");
            let data = root.path().join("data");
            fs::create_dir(&data).expect("a directory");
            fs::write(data.join("myid"), "1\n").expect("myid");
            let head = format!(
                "# ours\ndataDir={}\ninitLimit=10\nsyncLimit=5\n",
                data.display()
            );
            fs::write(root.path().join("zoo.cfg"), head + cfg).expect("zoo.cfg");
            Self(root)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
        }

        fn files(&self) -> MembershipFiles {
            MembershipFiles::of(&self.path("zoo.cfg"))
        }

        fn start(&self) -> ThisMember {
            let invocation = Invocation::File(self.path("zoo.cfg"));
            let config = Config::load(&invocation, &SystemProperties::new()).expect("it starts");
            match config.mode {
                Mode::Member(member) => *member,
                Mode::Standalone => panic!("not a member"),
            }
        }
    }

    fn members(lines: &str, version: i64) -> Membership {
        let members = Membership::parse(lines).expect("well formed");
        members.with_version(ConfigVersion(version))
    }

    #[test]
    fn the_static_file_keeps_everything_but_the_members_and_names_the_dynamic_file() {
        let case = Case::new(&format!(
            "clientPort=2181\n! the port\nclientPortListenBacklog=7\npeerType=participant\n{MEMBERS}\ngroup.1=1:2\n"
        ));
        let committed = members(OTHER, 0x1_0000_0003);
        case.files()
            .save_committed(&committed, Sid(1), committed.version())
            .expect("written");
        let dir = fs::canonicalize(case.0.path()).expect("it exists");
        assert_eq!(
            case.read("zoo.cfg"),
            format!(
                "# ours\ndataDir={}/data\ninitLimit=10\nsyncLimit=5\n! the port\nclientPortListenBacklog=7\n\
                 dynamicConfigFile={}/zoo.cfg.dynamic.100000003\n",
                case.0.path().display(),
                dir.display()
            )
        );
        assert_eq!(
            case.read("zoo.cfg.dynamic.100000003"),
            "server.12=127.0.0.1:2891:3891:observer;127.0.0.1:2184\n\
             server.1=127.0.0.1:2888:3888:participant;127.0.0.1:2181\n\
             server.3=127.0.0.1:2890:3890:participant;127.0.0.1:2183"
        );
        assert_eq!(case.start().committed, committed);
    }

    #[test]
    fn a_client_port_that_the_members_do_not_name_stays_in_the_static_file() {
        let plain = MEMBERS.replace(";127.0.0.1:2181", "");
        let case = Case::new(&format!("clientPort=2181\n{plain}\n"));
        let mut committed = case.start().committed.with_version(ConfigVersion(7));
        case.files()
            .save_committed(&committed, Sid(1), ConfigVersion(7))
            .expect("written");
        assert!(case.read("zoo.cfg").contains("\nclientPort=2181\n"));
        assert!(!case.read("zoo.cfg.dynamic.7").contains("2181"));
        assert_eq!(case.start().committed, committed);
        committed = committed.with_version(ConfigVersion(8));
        case.files()
            .save_committed(&committed, Sid(1), ConfigVersion(8))
            .expect("written");
        assert_eq!(case.start().committed.version(), ConfigVersion(8));
        assert!(case.path("zoo.cfg.dynamic.7").exists(), "old ones are kept");
    }

    #[test]
    fn what_is_proposed_is_seen_again_until_it_is_committed() {
        let case = Case::new("");
        let committed = members(MEMBERS, 5);
        let files = case.files();
        files
            .save_committed(&committed, Sid(1), ConfigVersion(5))
            .expect("written");
        let proposed = members(OTHER, 6);
        files.save_proposed(&proposed).expect("written");
        assert!(case.read("zoo.cfg.dynamic.next").ends_with("\nversion=6"));
        let started = case.start();
        assert_eq!(
            (started.committed, started.last_seen),
            (committed.clone(), Some(proposed.clone()))
        );
        // An older one that comes to be in force meanwhile leaves it.
        files
            .save_committed(&committed, Sid(1), ConfigVersion(6))
            .expect("written");
        assert!(case.path("zoo.cfg.dynamic.next").exists());
        files
            .save_committed(&proposed, Sid(1), ConfigVersion(6))
            .expect("written");
        assert!(!case.path("zoo.cfg.dynamic.next").exists());
        let started = case.start();
        assert_eq!((started.committed, started.last_seen), (proposed, None));
    }

    #[test]
    fn a_crash_between_two_steps_leaves_the_old_or_the_new_members() {
        for crash_after in 0..=3 {
            let case = Case::new(&format!("{MEMBERS}\n"));
            let files = case.files();
            let committed = members(OTHER, 9);
            files.save_proposed(&committed).expect("written");
            let written = fs::read(case.path("zoo.cfg")).expect("zoo.cfg");
            let dir = files.dir().expect("it exists");
            let steps = files
                .steps(&written, &dir, &committed, Sid(1), ConfigVersion(9))
                .expect("planned");
            assert_eq!(steps.len(), 3);
            for step in steps.into_iter().take(crash_after) {
                match step {
                    Step::Replace(path, bytes) => replace(&path, &bytes).expect("replaced"),
                    Step::Remove(path) => remove(&path).expect("removed"),
                }
            }
            let started = case.start();
            let expected = match crash_after {
                0 | 1 => members(MEMBERS, 0),
                _ => committed,
            };
            assert_eq!(started.committed, expected, "after {crash_after} steps");
            assert_eq!(started.last_seen, None);
        }
    }

    #[test]
    fn a_file_with_members_is_copied_where_they_may_change_and_only_there() {
        for (lines, is_copied) in [
            (MEMBERS.to_owned(), false),
            (format!("{MEMBERS}\nreconfigEnabled=true"), true),
        ] {
            let case = Case::new(&format!("# a comment\n{lines}\n"));
            let invocation = Invocation::File(case.path("zoo.cfg"));
            let config = Config::load(&invocation, &SystemProperties::new()).expect("it starts");
            config.back_up_members().expect("copied");
            assert_eq!(case.path("zoo.cfg.bak").exists(), is_copied);
            if is_copied {
                assert_eq!(case.read("zoo.cfg.bak"), case.read("zoo.cfg"));
            }
        }
    }

    #[test]
    fn a_path_is_written_so_that_java_reads_the_same() {
        assert_eq!(escaped("/c/zoo.cfg"), b"/c/zoo.cfg");
        assert_eq!(escaped("/\u{e9}\\x\ty"), b"/\\u00e9\\\\x\\u0009y");
    }
}
