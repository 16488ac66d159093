//! Watches: `addWatch`, `removewatches`, and `watch`, which follows a subtree.

use serde_json::{Value, json};
use zabra_client::{AddWatchMode, RemoveWatchesKind, WatchedEvent};

use super::{At, Context, Done, path_at};
use crate::command::Command;
use crate::failure::Failure;
use crate::options::Given;
use crate::watches::{self, Kind};

/// `addWatch [-m mode] path`.
pub(super) async fn add(context: &Context<'_>, command: &Command, given: &Given) -> Done {
    let mode = given
        .value("m")
        .unwrap_or("PERSISTENT_RECURSIVE")
        .to_uppercase();
    let (mode, kind) = match mode.as_str() {
        "PERSISTENT" => (AddWatchMode::Persistent, Kind::Persistent),
        "PERSISTENT_RECURSIVE" => (AddWatchMode::PersistentRecursive, Kind::Recursive),
        _ => return Err(Failure::usage(command)),
    };
    if given.words.len() != 2 {
        return Err(Failure::usage(command));
    }
    let path = path_at(given, 1)?;
    let stream = context.client.watch(path, mode).await.at(path)?;
    context.watches.lasting(path, kind, stream);
    Ok(json!({ "watched": path }))
}

/// `removewatches path [-c|-d|-p|-r|-a] [-l]`.
pub(super) async fn remove(context: &Context<'_>, given: &Given) -> Done {
    let kind = [
        ("c", RemoveWatchesKind::Children),
        ("d", RemoveWatchesKind::Data),
        ("p", RemoveWatchesKind::Persistent),
        ("r", RemoveWatchesKind::PersistentRecursive),
    ];
    let kind = kind.iter().find(|(name, _)| given.has(name));
    let kind = kind.map_or(RemoveWatchesKind::Any, |(_, kind)| *kind);
    let path = path_at(given, 1)?;
    context
        .client
        .remove_watches(path, kind, given.has("l"))
        .await
        .at(path)?;
    context.watches.removed(path, kind);
    Ok(json!({ "unwatched": path }))
}

/// `watch path`: a line for each event below, until the command is interrupted or the session ends.
pub(super) async fn follow(context: &Context<'_>, given: &Given) -> Done {
    let path = path_at(given, 1)?;
    let mode = AddWatchMode::PersistentRecursive;
    let mut stream = context.client.watch(path, mode).await.at(path)?;
    while !context.screen.is_gone() {
        match stream.next().await.at(path)? {
            WatchedEvent::Znode { kind, path, zxid } => {
                let name = watches::event_name(kind);
                let zxid = zxid.map_or(-1, zabra_proto::Zxid::to_wire);
                let value = watches::event_json(name, Some(&path), zxid);
                context
                    .screen
                    .event(&format!("{name} {path} zxid: {zxid}"), &value);
            }
            WatchedEvent::Missed => {
                let value = json!({ "event": { "type": "Missed", "path": path } });
                let text = "Missed: the connection was lost for a while, changes may have gone by";
                context.screen.event(text, &value);
            }
        }
    }
    Ok(Value::Null)
}
