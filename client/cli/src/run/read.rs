//! Commands that only read: `ls`, `get`, `stat` and the like.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use zabra_proto::{ErrorCode, Stat};

use super::{At, Context, Done, path_at, walk};
use crate::command::Command;
use crate::failure::Failure;
use crate::options::Given;
use crate::watches::Kind;
use crate::{json, text};

/// Whether a watch is asked for: by `-w`, or in the form of 3.4, by any word behind the path.
fn wants_watch(context: &Context<'_>, given: &Given, old: &str, new: &str) -> bool {
    let is_old = given.words.len() > 2;
    if is_old {
        let name = &given.words[0];
        context.screen.note(&format!(
            "'{name} path [watch]' has been deprecated. Please use '{new}' instead."
        ));
        debug_assert_eq!(name, old);
    }
    is_old || given.has("w")
}

/// `ls [-s] [-w] [-R] path`.
pub(super) async fn ls(context: &Context<'_>, given: &Given) -> Done {
    let watch = wants_watch(context, given, "ls", "ls [-w] path");
    let path = path_at(given, 1)?;
    if given.has("R") {
        return ls_recursive(context, path, watch).await;
    }
    let (mut names, stat) = if watch {
        let (names, stat, handle) = context.client.children_and_watch(path).await.at(path)?;
        context.watches.once(path, Kind::Child, handle);
        (names, stat)
    } else {
        context.client.children_and_stat(path).await.at(path)?
    };
    names.sort();
    context.screen.say(&text::listing(&names));
    let mut value = json!({ "path": path, "children": names });
    if given.has("s") {
        context.screen.say(&text::stat(&stat, context.zone));
        value["stat"] = json::stat(&stat);
    }
    Ok(value)
}

async fn ls_recursive(context: &Context<'_>, path: &str, watch: bool) -> Done {
    if watch {
        let (_, _, handle) = context.client.get_and_watch(path).await.at(path)?;
        context.watches.once(path, Kind::Data, handle);
    }
    let mut paths = Vec::new();
    walk::visit(context, path, watch, |path| {
        context.screen.say(path);
        if context.screen.is_json() {
            paths.push(path.to_owned());
        }
    })
    .await?;
    Ok(json!({ "path": path, "paths": paths }))
}

/// `ls2 path`, the form of 3.4 for `ls -s`.
pub(super) async fn ls2(context: &Context<'_>, given: &Given) -> Done {
    context
        .screen
        .note("'ls2' has been deprecated. Please use 'ls [-s] path' instead.");
    let path = path_at(given, 1)?;
    let (mut names, stat) = context.client.children_and_stat(path).await.at(path)?;
    names.sort();
    context.screen.say(&text::listing(&names));
    context.screen.say(&text::stat(&stat, context.zone));
    Ok(json!({ "path": path, "children": names, "stat": json::stat(&stat) }))
}

/// `get [-s] [-w] [-b] [-x] path`.
pub(super) async fn get(context: &Context<'_>, given: &Given) -> Done {
    let watch = wants_watch(context, given, "get", "get [-s] [-w] path");
    let path = path_at(given, 1)?;
    let (data, stat) = if watch {
        let (data, stat, handle) = context.client.get_and_watch(path).await.at(path)?;
        context.watches.once(path, Kind::Data, handle);
        (data, stat)
    } else {
        context.client.get(path).await.at(path)?
    };
    let shown = if data.is_null() {
        b"null"
    } else {
        data.as_bytes()
    };
    let shown = if given.has("x") {
        text::hex_dump(shown)
    } else if given.has("b") {
        STANDARD.encode(shown)
    } else {
        String::from_utf8_lossy(shown).into_owned()
    };
    context.screen.say(&shown);
    if given.has("s") {
        context.screen.say(&text::stat(&stat, context.zone));
    }
    let mut object = Map::new();
    object.insert("path".to_owned(), json!(path));
    json::put_data(&mut object, (!data.is_null()).then(|| data.as_bytes()));
    object.insert("stat".to_owned(), json::stat(&stat));
    Ok(Value::Object(object))
}

/// `stat [-w] path`.
pub(super) async fn stat(context: &Context<'_>, given: &Given) -> Done {
    let watch = wants_watch(context, given, "stat", "stat [-w] path");
    let path = path_at(given, 1)?;
    let stat = if watch {
        let (stat, handle) = context.client.exists_and_watch(path).await.at(path)?;
        let kind = if stat.is_some() {
            Kind::Data
        } else {
            Kind::Exist
        };
        context.watches.once(path, kind, handle);
        stat
    } else {
        context.client.exists(path).await.at(path)?
    };
    let stat = stat.ok_or_else(|| Failure::refused(ErrorCode::NO_NODE, Some(path)))?;
    show_stat(context, &stat);
    Ok(json!({ "path": path, "stat": json::stat(&stat) }))
}

/// Prints a Stat block.
pub(super) fn show_stat(context: &Context<'_>, stat: &Stat) {
    context.screen.say(&text::stat(stat, context.zone));
}

/// `getAllChildrenNumber path`.
pub(super) async fn all_children_number(context: &Context<'_>, given: &Given) -> Done {
    let path = path_at(given, 1)?;
    let number = context.client.all_children_number(path).await.at(path)?;
    context.screen.say(&number.to_string());
    Ok(json!({ "path": path, "number": number }))
}

/// `getEphemerals [path]`.
pub(super) async fn ephemerals(context: &Context<'_>, given: &Given) -> Done {
    let path = match given.word(1) {
        Some(_) => path_at(given, 1)?,
        None => "/",
    };
    let paths = context.client.ephemerals(path).await.at(path)?;
    context.screen.say(&text::listing(&paths));
    Ok(json!({ "path": path, "ephemerals": paths }))
}

/// `sync path`.
pub(super) async fn sync(context: &Context<'_>, given: &Given) -> Done {
    let path = path_at(given, 1)?;
    match context.client.sync(path).await {
        Ok(_) => context.screen.say("Sync is OK"),
        Err(error) => {
            let Some(code) = error.code() else {
                return Err(error).at(path);
            };
            context
                .screen
                .say(&format!("Sync has failed. rc={}", code.code()));
            return Ok(json!({ "path": path, "synced": false, "code": code.name() }));
        }
    }
    Ok(json!({ "path": path, "synced": true }))
}

/// `version`.
pub(super) fn version(context: &Context<'_>, command: &Command, given: &Given) -> Done {
    if given.words.len() > 1 {
        return Err(Failure::usage(command));
    }
    context
        .screen
        .say(&format!("ZooKeeper CLI version: {}", context.version));
    Ok(json!({ "version": context.version }))
}
