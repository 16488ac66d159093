//! Subtrees: every path below a path, while others may change it.
//!
//! Lists of children are asked for many at a time, and used in the order that Apache's shell has.

use std::collections::VecDeque;

use zabra_client::{Call, Error};
use zabra_proto::ErrorCode;

use super::{At, Context};
use crate::failure::{Failure, refusal};
use crate::watches::Kind;

/// How many requests are under way at once.
pub(super) const IN_FLIGHT: usize = 64;

/// The path of a child.
pub(super) fn child(parent: &str, name: &str) -> String {
    if parent == "/" {
        format!("/{name}")
    } else {
        format!("{parent}/{name}")
    }
}

/// Makes a call for each item, some ahead, and hands the results on in order. Stops at the first error of `then`.
pub(super) async fn each<I, T>(
    items: impl IntoIterator<Item = I>,
    mut call: impl FnMut(&I) -> Call<T>,
    mut then: impl FnMut(I, Result<T, Error>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut items = items.into_iter();
    let mut under_way = VecDeque::new();
    loop {
        while under_way.len() < IN_FLIGHT {
            let Some(item) = items.next() else { break };
            let reply = call(&item);
            under_way.push_back((item, reply));
        }
        let Some((item, reply)) = under_way.pop_front() else {
            return Ok(());
        };
        then(item, reply.await)?;
    }
}

/// Hands each path on: the path itself, its children, then what is below the first child, and so on. A path is handed on
/// before its children are asked for.
///
/// A znode that goes meanwhile is passed over.
///
/// # Errors
/// The path itself does not exist, or a list of children may not be read.
pub(super) async fn visit(
    context: &Context<'_>,
    root: &str,
    watch: bool,
    on_path: impl FnMut(&str),
) -> Result<(), Failure> {
    visit_with(context, root, watch, Denied::Fails, on_path).await
}

/// What becomes of a znode whose children may not be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// It ends the visit.
    Fails,
    /// It is told, and passed over.
    IsSkipped,
}

/// The same, with a say in what may not be read.
///
/// # Errors
/// As [`visit`].
pub(super) async fn visit_with(
    context: &Context<'_>,
    root: &str,
    watch: bool,
    denied: Denied,
    mut on_path: impl FnMut(&str),
) -> Result<(), Failure> {
    context.client.get(root).await.at(root)?;
    on_path(root);
    let mut lists = lists(context, vec![root.to_owned()], watch).await?;
    while let Some((path, list)) = lists.pop() {
        let mut names = match list {
            Err(error) if error.is(ErrorCode::NO_NODE) => continue,
            Err(error) if error.is(ErrorCode::NO_AUTH) && denied == Denied::IsSkipped => {
                let text = refusal(ErrorCode::NO_AUTH, Some(&path));
                context.screen.complain(&text);
                continue;
            }
            list => list.at(&path)?,
        };
        names.sort();
        let paths: Vec<String> = names.iter().map(|name| child(&path, name)).collect();
        for path in &paths {
            on_path(path);
        }
        let mut below = self::lists(context, paths, watch).await?;
        below.reverse();
        lists.append(&mut below);
    }
    Ok(())
}

type Lists = Vec<(String, Result<Vec<String>, Error>)>;

/// The children of each path.
async fn lists(context: &Context<'_>, paths: Vec<String>, watch: bool) -> Result<Lists, Failure> {
    let mut lists = Lists::with_capacity(paths.len());
    if watch {
        let call = |path: &String| context.client.children_and_watch(path);
        each(paths, call, |path, reply| {
            let names = reply.map(|(names, _, handle)| {
                context.watches.once(&path, Kind::Child, handle);
                names
            });
            lists.push((path, names));
            Ok(())
        })
        .await?;
    } else {
        let call = |path: &String| context.client.children(path);
        each(paths, call, |path, names| {
            lists.push((path, names));
            Ok(())
        })
        .await?;
    }
    Ok(lists)
}

/// All paths, parents first, level by level.
///
/// # Errors
/// As soon as a list of children cannot be read, also because its znode has gone.
pub(super) async fn breadth_first(
    context: &Context<'_>,
    root: &str,
) -> Result<Vec<String>, Failure> {
    let mut paths = vec![root.to_owned()];
    let mut listed = 0;
    while listed < paths.len() {
        let level = paths[listed..].to_vec();
        listed = paths.len();
        for (path, names) in lists(context, level, false).await? {
            let names = names.at(&path)?;
            paths.extend(names.iter().map(|name| child(&path, name)));
        }
    }
    Ok(paths)
}
