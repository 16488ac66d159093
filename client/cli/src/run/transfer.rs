//! Subtrees in and out: `export` and `import`.
//!
//! As JSON lines, an object for each znode, parents first:
//!
//! ```text
//! {"path":"/","data":"text","acl":[{"scheme":"world","id":"anyone","perms":"cdrwa"}]}
//! {"path":"/child","dataBase64":"/w==","acl":[...],"ephemeralOwner":"0x10..."}
//! ```
//!
//! Paths begin at the exported znode, so that the subtree can be imported elsewhere. Or as a directory, see
//! [`crate::folder`]. Ephemerals belong to a session and are not created by `import`. Versions, times and zxids are the
//! server's own and do not travel.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value, json};
use zabra_client::{CreateMode, CreateOptions};
use zabra_proto::{Acl, ErrorCode, Perms};

use super::walk::{self, each};
use super::{At, Context, Done, path_at};
use crate::failure::{Failure, of_system};
use crate::folder;
use crate::json as values;
use crate::options::Given;
use crate::progress::Progress;

/// A znode on its way in or out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Znode {
    /// From the top of the subtree; `/` is the top.
    pub(crate) path: String,
    /// Its data.
    pub(crate) data: Option<Vec<u8>>,
    /// Its ACL.
    pub(crate) acl: Vec<Acl<'static>>,
    /// The session that owns an ephemeral, else 0.
    pub(crate) owner: i64,
}

impl Znode {
    fn to_line(&self) -> String {
        let mut object = Map::new();
        object.insert("path".to_owned(), json!(self.path));
        values::put_data(&mut object, self.data.as_deref());
        object.insert("acl".to_owned(), values::acl(&self.acl));
        if self.owner != 0 {
            object.insert("ephemeralOwner".to_owned(), json!(values::hex(self.owner)));
        }
        Value::Object(object).to_string()
    }

    fn of_line(line: &str) -> Result<Self, String> {
        let object: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| error.to_string())?;
        let path = object
            .get("path")
            .and_then(Value::as_str)
            .ok_or("no path")?;
        crate::path::check(path)?;
        let acl = match object.get("acl") {
            Some(acl) => values::read_acl(acl)?,
            None => vec![Acl::world(Perms::ALL)],
        };
        Ok(Self {
            path: path.to_owned(),
            data: values::take_data(&object)?,
            acl,
            owner: i64::from(object.contains_key("ephemeralOwner")),
        })
    }
}

/// The path below another root.
fn moved(path: &str, root: &str) -> String {
    match (path, root) {
        ("/", root) => root.to_owned(),
        (path, "/") => path.to_owned(),
        (path, root) => format!("{root}{path}"),
    }
}

/// `export [-d] [-f] path file|directory`.
pub(super) async fn export(context: &Context<'_>, given: &Given) -> Done {
    let root = path_at(given, 1)?;
    let target = given.word(2).unwrap_or_default();
    let mut sink = Sink::open(target, given.has("d"), given.has("f"))
        .map_err(|error| unwritable(target, &error))?;
    let mut paths = Vec::new();
    walk::visit(context, root, false, |path| {
        if travels(root, path) {
            paths.push(path.to_owned());
        }
    })
    .await?;
    let mut progress = Progress::new("znodes exported", Some(paths.len() as u64));
    let (mut count, mut left_out) = (0, 0);
    // Data and ACL of a znode are two calls; both are made before either is awaited.
    for chunk in paths.chunks(walk::IN_FLIGHT) {
        let calls: Vec<_> = chunk
            .iter()
            .map(|path| (path, context.client.get(path), context.client.acl(path)))
            .collect();
        for (path, data, acl) in calls {
            progress.add(1);
            let (data, stat) = match data.await {
                Err(error) if error.is(ErrorCode::NO_NODE) => continue,
                reply => reply.at(path)?,
            };
            let (acl, _) = match acl.await {
                Err(error) if error.is(ErrorCode::NO_NODE) => continue,
                reply => reply.at(path)?,
            };
            let below = if root == "/" {
                path
            } else {
                &path[root.len()..]
            };
            let znode = Znode {
                path: if below.is_empty() {
                    "/".to_owned()
                } else {
                    below.to_owned()
                },
                data: (!data.is_null()).then(|| data.to_vec()),
                acl,
                owner: stat.ephemeral_owner,
            };
            match sink.put(&znode) {
                Ok(true) => count += 1,
                Ok(false) => left_out += 1,
                Err(error) => return Err(unwritable(target, &error)),
            }
        }
    }
    sink.end().map_err(|error| unwritable(target, &error))?;
    drop(progress);
    let mut text = format!("Exported {count} znodes of {root} to {target}");
    if left_out > 0 {
        text.push_str(&format!(", {left_out} ephemerals left out"));
    }
    context.screen.note(&text);
    Ok(json!({ "path": root, "target": target, "znodes": count, "ephemerals": left_out }))
}

/// Whether a znode belongs to an export: what is below `/zookeeper` is the server's own, unless just that is asked for.
fn travels(root: &str, path: &str) -> bool {
    let is_own = |path: &str| path == "/zookeeper" || path.starts_with("/zookeeper/");
    is_own(root) || !is_own(path)
}

/// Why an export ended.
fn unwritable(target: &str, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::AlreadyExists => "it is there already; -f overwrites it".to_owned(),
        _ => of_system(error),
    };
    Failure::text(format!("Cannot write {target}: {reason}"))
}

/// Where znodes are written.
enum Sink {
    Lines(Box<dyn Write>),
    Folder(folder::Writer),
}

impl Sink {
    fn open(target: &str, folder: bool, overwrite: bool) -> io::Result<Self> {
        if folder {
            return folder::Writer::create(Path::new(target), overwrite).map(Self::Folder);
        }
        if target == "-" {
            // Not locked: events are printed meanwhile, by the thread that carries the session.
            return Ok(Self::Lines(Box::new(io::stdout())));
        }
        let mut options = File::options();
        options.write(true);
        if overwrite {
            options.create(true).truncate(true);
        } else {
            options.create_new(true);
        }
        let file = options.open(target)?;
        Ok(Self::Lines(Box::new(BufWriter::new(file))))
    }

    /// `false` if a znode is none that is written.
    fn put(&mut self, znode: &Znode) -> io::Result<bool> {
        match self {
            Self::Lines(lines) => writeln!(lines, "{}", znode.to_line()).map(|()| true),
            Self::Folder(folder) => folder.put(znode),
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Lines(mut lines) => lines.flush(),
            Self::Folder(_) => Ok(()),
        }
    }
}

/// `import [-f] [-n] file|directory path`.
pub(super) async fn import(context: &Context<'_>, given: &Given) -> Done {
    let source = given.word(1).unwrap_or_default();
    let root = path_at(given, 2)?;
    let mut znodes =
        read(source).map_err(|error| Failure::text(format!("Cannot read {source}: {error}")))?;
    // Parents first, whatever the order of the lines.
    znodes.sort_by_key(|znode| {
        if znode.path == "/" {
            0
        } else {
            znode.path.matches('/').count()
        }
    });
    let mut import = Import {
        overwrite: given.has("f"),
        dry: given.has("n"),
        created: 0,
        overwritten: 0,
        kept: 0,
        ephemerals: 0,
    };
    let mut progress = Progress::new("znodes imported", Some(znodes.len() as u64));
    let mut rest = &znodes[..];
    while let Some(first) = rest.first() {
        let level = first.path.matches('/').count();
        let is_of_level =
            |znode: &&Znode| znode.path.matches('/').count() == level && znode.path != "/";
        let count = rest.iter().take_while(is_of_level).count().max(1);
        let (now, later) = rest.split_at(count);
        rest = later;
        import.level(context, now, root, &mut progress).await?;
    }
    drop(progress);
    context.screen.note(&import.text(root));
    Ok(json!({
        "path": root,
        "created": import.created,
        "overwritten": import.overwritten,
        "kept": import.kept,
        "ephemerals": import.ephemerals,
    }))
}

/// What an import does, and did.
struct Import {
    overwrite: bool,
    dry: bool,
    created: usize,
    overwritten: usize,
    kept: usize,
    ephemerals: usize,
}

impl Import {
    /// Creates znodes whose parents are there.
    async fn level(
        &mut self,
        context: &Context<'_>,
        znodes: &[Znode],
        root: &str,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let lasting = znodes.iter().filter(|znode| znode.owner == 0);
        let ephemerals = znodes.len() - lasting.clone().count();
        self.ephemerals += ephemerals;
        progress.add(ephemerals as u64);
        let mut there = Vec::new();
        if self.dry {
            let call = |znode: &&Znode| context.client.exists(&moved(&znode.path, root));
            return each(lasting, call, |znode, reply| {
                progress.add(1);
                match reply.at(&moved(&znode.path, root))? {
                    None => self.created += 1,
                    Some(_) if self.overwrite => self.overwritten += 1,
                    Some(_) => self.kept += 1,
                }
                Ok(())
            })
            .await;
        }
        let call = |znode: &&Znode| {
            let options = CreateOptions::from(CreateMode::Persistent).acl(znode.acl.clone());
            let options = if znode.data.is_none() {
                options.null_data()
            } else {
                options
            };
            let data = znode.data.as_deref().unwrap_or_default();
            context
                .client
                .create(&moved(&znode.path, root), data, options)
        };
        each(lasting, call, |znode, reply| {
            progress.add(1);
            match reply {
                Err(error) if error.is(ErrorCode::NODE_EXISTS) => {
                    there.push(znode);
                    Ok(())
                }
                reply => {
                    self.created += 1;
                    reply.map(drop).at(&moved(&znode.path, root))
                }
            }
        })
        .await?;
        if !self.overwrite {
            self.kept += there.len();
            return Ok(());
        }
        self.overwritten += there.len();
        let call = |znode: &&Znode| {
            let data = znode.data.clone().unwrap_or_default();
            context.client.set(&moved(&znode.path, root), data, None)
        };
        each(there, call, |znode, reply| {
            reply.map(drop).at(&moved(&znode.path, root))
        })
        .await
    }

    fn text(&self, root: &str) -> String {
        let would = if self.dry { "Would import" } else { "Imported" };
        let mut text = format!("{would} {} znodes into {root}", self.created);
        for (count, what) in [
            (self.overwritten, "overwritten"),
            (self.kept, "kept as they were"),
            (self.ephemerals, "ephemerals left out"),
        ] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        text
    }
}

fn read(source: &str) -> Result<Vec<Znode>, String> {
    let path = Path::new(source);
    if source != "-" && path.is_dir() {
        return folder::read(path).map_err(|error| of_system(&error));
    }
    let input: Box<dyn BufRead> = if source == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(
            File::open(path).map_err(|error| of_system(&error))?,
        ))
    };
    let mut znodes = Vec::new();
    for (number, line) in input.lines().enumerate() {
        let line = line.map_err(|error| of_system(&error))?;
        if !line.trim().is_empty() {
            let znode =
                Znode::of_line(&line).map_err(|error| format!("line {}: {error}", number + 1))?;
            znodes.push(znode);
        }
    }
    Ok(znodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let znode = Znode {
            path: "/a b".to_owned(),
            data: Some(vec![0xff]),
            acl: vec![Acl::world(Perms::READ)],
            owner: 0,
        };
        assert_eq!(Znode::of_line(&znode.to_line()), Ok(znode));
    }

    #[test]
    fn a_line_by_hand_needs_a_path_only() {
        let znode = Znode::of_line(r#"{"path": "/a"}"#).unwrap();
        assert_eq!(
            (znode.data, znode.acl),
            (None, vec![Acl::world(Perms::ALL)])
        );
        for line in [
            "",
            "5",
            "{}",
            r#"{"path": "a"}"#,
            r#"{"path": "/a", "acl": 5}"#,
        ] {
            assert!(Znode::of_line(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_servers_own_znodes_travel_only_when_asked_for() {
        assert!(travels("/", "/zoo") && travels("/", "/zookeepers"));
        assert!(!travels("/", "/zookeeper") && !travels("/", "/zookeeper/quota"));
        assert!(travels("/zookeeper/quota", "/zookeeper/quota/a"));
    }

    #[test]
    fn a_target_that_is_there_is_told_with_the_way_to_overwrite_it() {
        let failure = unwritable("f", &io::Error::from_raw_os_error(17));
        assert_eq!(
            failure.text,
            "Cannot write f: it is there already; -f overwrites it"
        );
    }

    #[test]
    fn a_subtree_moves_to_another_root() {
        assert_eq!(moved("/", "/r"), "/r");
        assert_eq!(moved("/a/b", "/r"), "/r/a/b");
        assert_eq!(moved("/a", "/"), "/a");
        assert_eq!(moved("/", "/"), "/");
    }
}
