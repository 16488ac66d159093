//! Looking at subtrees: `tree` and `find`.

use serde_json::{Value, json};
use zabra_proto::{ErrorCode, Stat};

use super::walk::{self, Denied, each};
use super::{At, Context, Done, path_at};
use crate::failure::Failure;
use crate::glob;
use crate::options::Given;
use crate::progress::Progress;

/// A znode on its way to be drawn.
struct Branch {
    path: String,
    line: String,
    /// What stands before the lines of its children.
    indent: String,
    level: usize,
    children: Vec<String>,
}

/// `tree [-L depth] [-s] path`.
pub(super) async fn tree(context: &Context<'_>, given: &Given) -> Done {
    let levels: usize = match given.value("L").map(str::parse) {
        None => usize::MAX,
        Some(Ok(levels)) => levels,
        Some(Err(_)) => return Err(Failure::text("-L argument must be a number of levels")),
    };
    let sizes = given.has("s");
    let root = path_at(given, 1)?;
    let (children, stat) = context.client.children_and_stat(root).await.at(root)?;
    let mut znodes = vec![entry(root, &stat)];
    let mut branches = vec![Branch {
        path: root.to_owned(),
        line: label(root, &stat, sizes),
        indent: String::new(),
        level: 0,
        children,
    }];
    while let Some(branch) = branches.pop() {
        context.screen.say(&branch.line);
        if branch.level < levels {
            let mut below = below(context, &branch, sizes, &mut znodes).await?;
            below.reverse();
            branches.append(&mut below);
        }
    }
    context.screen.say(&format!("\n{} znodes", znodes.len()));
    Ok(json!({ "path": root, "znodes": znodes }))
}

/// The children of a branch, ready to be drawn, in the order of their names.
async fn below(
    context: &Context<'_>,
    branch: &Branch,
    sizes: bool,
    znodes: &mut Vec<Value>,
) -> Result<Vec<Branch>, Failure> {
    let mut names = branch.children.clone();
    names.sort();
    let paths: Vec<String> = names
        .iter()
        .map(|name| walk::child(&branch.path, name))
        .collect();
    let call = |path: &String| context.client.children_and_stat(path);
    let mut found = Vec::new();
    each(paths, call, |path, reply| {
        match reply {
            // It has gone meanwhile.
            Err(error) if error.is(ErrorCode::NO_NODE) => {}
            Err(error) if error.is(ErrorCode::NO_AUTH) => found.push((path, None)),
            reply => found.push((path.clone(), Some(reply.at(&path)?))),
        }
        Ok(())
    })
    .await?;
    let last = found.len().saturating_sub(1);
    let branches = found.into_iter().enumerate().map(|(index, (path, reply))| {
        let (corner, bar) = if index == last {
            ("└── ", "    ")
        } else {
            ("├── ", "│   ")
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        let (text, children) = match reply {
            Some((children, stat)) => {
                znodes.push(entry(&path, &stat));
                (label(name, &stat, sizes), children)
            }
            None => (format!("{name} (not readable)"), Vec::new()),
        };
        Branch {
            line: format!("{}{corner}{text}", branch.indent),
            indent: format!("{}{bar}", branch.indent),
            level: branch.level + 1,
            path,
            children,
        }
    });
    Ok(branches.collect())
}

fn label(name: &str, stat: &Stat, sizes: bool) -> String {
    let mut text = name.to_owned();
    if sizes {
        text.push_str(&format!(" [{} B]", stat.data_length));
    }
    if stat.ephemeral_owner != 0 {
        text.push_str(&format!(" (ephemeral of {:#x})", stat.ephemeral_owner));
    }
    text
}

fn entry(path: &str, stat: &Stat) -> Value {
    let mut value = json!({
        "path": path,
        "dataLength": stat.data_length,
        "numChildren": stat.num_children,
    });
    if stat.ephemeral_owner != 0 {
        value["ephemeralOwner"] = json!(crate::json::hex(stat.ephemeral_owner));
    }
    value
}

/// What `find` looks for.
struct Wanted {
    name: Option<String>,
    data: Option<Vec<u8>>,
    owner: Option<Owner>,
}

enum Owner {
    Any,
    Session(i64),
}

impl Wanted {
    fn of(given: &Given) -> Result<Self, Failure> {
        let owner = match given.value("owner") {
            None => None,
            Some("any") => Some(Owner::Any),
            Some(text) => {
                let digits = text.trim_start_matches("0x");
                // Ids are unsigned on paper and signed on the wire.
                let id = u64::from_str_radix(digits, 16).map(u64::cast_signed);
                Some(Owner::Session(id.map_err(|_| {
                    Failure::text(format!(
                        "-owner argument must be a session id in hex, or any, not {text}"
                    ))
                })?))
            }
        };
        Ok(Self {
            name: given.value("name").map(str::to_owned),
            data: given.value("data").map(|text| text.as_bytes().to_vec()),
            owner,
        })
    }

    fn name_fits(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        self.name
            .as_deref()
            .is_none_or(|glob| glob::matches(glob, name))
    }

    fn content_fits(&self, data: &[u8], stat: &Stat) -> bool {
        let data_fits = self.data.as_deref().is_none_or(|wanted| {
            wanted.is_empty() || data.windows(wanted.len()).any(|part| part == wanted)
        });
        data_fits
            && match self.owner {
                None => true,
                Some(Owner::Any) => stat.ephemeral_owner != 0,
                Some(Owner::Session(id)) => stat.ephemeral_owner == id,
            }
    }

    const fn reads_content(&self) -> bool {
        self.data.is_some() || self.owner.is_some()
    }
}

/// `find path [-name glob] [-data text] [-owner session]`.
pub(super) async fn find(context: &Context<'_>, given: &Given) -> Done {
    let wanted = Wanted::of(given)?;
    let root = path_at(given, 1)?;
    let mut named = Vec::new();
    let mut found = Vec::new();
    walk::visit_with(context, root, false, Denied::IsSkipped, |path| {
        if !wanted.name_fits(path) {
        } else if wanted.reads_content() {
            named.push(path.to_owned());
        } else {
            context.screen.say(path);
            found.push(path.to_owned());
        }
    })
    .await?;
    let mut progress = Progress::new("znodes searched", Some(named.len() as u64));
    let call = |path: &String| context.client.get(path);
    each(named, call, |path, reply| {
        progress.add(1);
        match reply {
            // Gone, or not for us: it is not found.
            Err(error) if error.is(ErrorCode::NO_NODE) || error.is(ErrorCode::NO_AUTH) => {}
            reply => {
                let (data, stat) = reply.at(&path)?;
                if wanted.content_fits(&data, &stat) {
                    context.screen.say(&path);
                    found.push(path);
                }
            }
        }
        Ok(())
    })
    .await?;
    Ok(json!({ "path": root, "found": found }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command;
    use crate::options::parse;
    use crate::words::split;

    fn wanted(line: &str) -> Result<Wanted, Failure> {
        let command = command::find("find").unwrap();
        Wanted::of(&parse(command.options, command.choice, &split(line)).unwrap())
    }

    #[test]
    fn find_asks_for_all_that_is_given() {
        let wanted = wanted("find / -name lock-* -data bc -owner 0xff").unwrap();
        assert!(wanted.name_fits("/a/lock-1") && !wanted.name_fits("/lock-/x"));
        let stat = Stat {
            ephemeral_owner: 255,
            ..Stat::default()
        };
        assert!(wanted.content_fits(b"abcd", &stat));
        assert!(!wanted.content_fits(b"abd", &stat));
        assert!(!wanted.content_fits(b"abcd", &Stat::default()));
    }

    #[test]
    fn an_owner_is_a_session_or_any() {
        assert!(wanted("find / -owner xyz").is_err());
        let wanted = wanted("find / -owner any").unwrap();
        assert!(!wanted.content_fits(b"", &Stat::default()));
    }
}
