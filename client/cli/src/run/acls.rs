//! Who may do what, and who this session is: `getAcl`, `setAcl`, `addauth`, `whoami`.

use serde_json::json;
use zabra_proto::ErrorCode;

use super::read::show_stat;
use super::write::entries;
use super::{At, Context, Done, path_at, version_of, walk};
use crate::failure::{Failure, keeper_error};
use crate::options::Given;
use crate::{json, text};

/// `addauth scheme auth`.
pub(super) async fn add_auth(context: &Context<'_>, given: &Given) -> Done {
    let scheme = given.word(1).unwrap_or_default();
    let auth = given.word(2).unwrap_or_default();
    context
        .client
        .add_auth(scheme, auth.as_bytes())
        .await
        .at("")?;
    Ok(json!({ "scheme": scheme }))
}

/// `whoami`.
pub(super) async fn who_am_i(context: &Context<'_>) -> Done {
    let identities = context.client.whoami().await.at("")?;
    context.screen.say("Auth scheme: User");
    let mut list = Vec::new();
    for identity in identities {
        context
            .screen
            .say(&format!("{}: {}", identity.scheme, identity.id));
        list.push(json!({ "scheme": identity.scheme, "user": identity.id }));
    }
    Ok(json!({ "identities": list }))
}

/// `getAcl [-s] path`.
pub(super) async fn get(context: &Context<'_>, given: &Given) -> Done {
    let path = path_at(given, 1)?;
    let (entries, stat) = context.client.acl(path).await.at(path)?;
    for entry in &entries {
        context.screen.say(&text::acl(entry));
    }
    if given.has("s") {
        show_stat(context, &stat);
    }
    Ok(json!({ "path": path, "acl": json::acl(&entries), "stat": json::stat(&stat) }))
}

/// `setAcl [-s] [-v version] [-R] path acl`.
pub(super) async fn set(context: &Context<'_>, given: &Given) -> Done {
    let entries = entries(context, given.word(2).unwrap_or_default());
    let version = version_of(given)?;
    let path = path_at(given, 1)?;
    if entries.is_empty() {
        return Err(Failure::refused(ErrorCode::INVALID_ACL, None));
    }
    if !given.has("R") {
        let stat = context
            .client
            .set_acl(path, &entries, version)
            .await
            .at(path)?;
        if given.has("s") {
            show_stat(context, &stat);
        }
        return Ok(json!({ "path": path, "stat": json::stat(&stat) }));
    }
    // Each call is made before the children are asked for: what the new ACL forbids to read is not reached.
    let mut calls = Vec::new();
    let visited = walk::visit(context, path, false, |path| {
        let call = context.client.set_acl(path, &entries, version);
        calls.push((path.to_owned(), call));
    });
    let visited = visited.await;
    let (znodes, mut refused) = (calls.len(), Vec::new());
    for (path, call) in calls {
        let Err(error) = call.await else {
            continue;
        };
        let Some(code) = error.code() else {
            return Err(error).at(&path);
        };
        context.screen.say(&keeper_error(code, Some(&path)));
        refused.push(json!({ "path": path, "code": code.name() }));
    }
    visited?;
    Ok(json!({ "path": path, "znodes": znodes, "refused": refused }))
}
