//! Limits of subtrees: `setquota`, `listquota`, `delquota`.

use serde_json::{Map, Value, json};
use zabra_client::{CreateMode, CreateOptions, Error};
use zabra_proto::ErrorCode;

use super::{At, Context, Done, path_at, walk};
use crate::command::Command;
use crate::failure::Failure;
use crate::options::Given;
use crate::quota::{self, Figure, Figures};

/// `setquota -n|-b|-N|-B val path`.
pub(super) async fn set(context: &Context<'_>, command: &Command, given: &Given) -> Done {
    let path = given.word(1).unwrap_or_default();
    if path.starts_with(quota::ROOT) {
        let text = format!("cannot set a quota under the path: {}", quota::ROOT);
        return Ok(refused(context, &text));
    }
    let Some((figure, text)) = Figure::ALL
        .iter()
        .find_map(|(name, figure)| Some((*figure, given.value(name)?)))
    else {
        return Err(Failure::usage(command));
    };
    let value = match value(figure, text) {
        Ok(value) => value,
        Err(text) => return Ok(refused(context, text)),
    };
    let path = path_at(given, 1)?;
    if context.client.exists(path).await.at(path)?.is_none() {
        return Err(Failure::text(format!("{path} does not exist.")));
    }
    refuse_nested(context, path).await?;
    create_parents(context, path).await?;
    let (limits_path, usage_path) = (quota::limits_of(path), quota::usage_of(path));
    let is_new = context
        .client
        .exists(&limits_path)
        .await
        .at(&limits_path)?
        .is_none();
    let mut limits = Figures::unset();
    if is_new {
        limits.set(figure, value);
        create(context, &limits_path, Some(&limits))
            .await
            .at(&limits_path)?;
        create(context, &usage_path, Some(&Figures::unused()))
            .await
            .at(&usage_path)?;
    } else {
        limits = read(context, &limits_path).await.at(&limits_path)?;
        limits.set(figure, value);
    }
    let used = read(context, &usage_path).await.at(&usage_path)?;
    for warning in limits.warnings(&used) {
        context.screen.say(&warning);
    }
    if !is_new {
        write(context, &limits_path, &limits)
            .await
            .at(&limits_path)?;
    }
    Ok(json!({ "path": path, "limits": to_json(&limits), "used": to_json(&used) }))
}

/// Apache's shell says why it does nothing, and counts that as success.
fn refused(context: &Context<'_>, text: &str) -> Value {
    context.screen.note(text);
    json!({ "refused": text })
}

fn value(figure: Figure, text: &str) -> Result<i64, &'static str> {
    const NO_NUMBER: &str = "NumberFormatException happens when parsing the option value";
    if figure.is_count() {
        let count: i32 = text.parse().map_err(|_| NO_NUMBER)?;
        if count <= 0 {
            return Err("the num quota must be greater than zero");
        }
        return Ok(count.into());
    }
    let bytes: i64 = text.parse().map_err(|_| NO_NUMBER)?;
    if bytes < 0 {
        return Err("the bytes quota must be greater than or equal to zero");
    }
    Ok(bytes)
}

/// A subtree has one quota: neither a parent nor anything below may have another.
async fn refuse_nested(context: &Context<'_>, path: &str) -> Result<(), Failure> {
    let own = quota::path_of(path);
    let mut other = None;
    let found = walk::visit(context, &own, false, |at| {
        let holder = at
            .strip_suffix(quota::LIMITS)
            .and_then(|at| at.strip_suffix('/'));
        if let Some(holder) = holder.filter(|holder| *holder != own) {
            other.get_or_insert_with(|| holder[quota::ROOT.len()..].to_owned());
        }
    })
    .await;
    match (found, other) {
        (_, Some(other)) => {
            return Err(Failure::text(format!(
                "{path} has a child {other} which has a quota"
            )));
        }
        (Err(failure), _) if failure.code.as_deref() != Some(ErrorCode::NO_NODE.name()) => {
            return Err(failure);
        }
        _ => {}
    }
    for (end, _) in path.match_indices('/').skip(1) {
        let parent = &path[..end];
        let limits = quota::limits_of(parent);
        if context.client.exists(&limits).await.at(&limits)?.is_some() {
            return Err(Failure::text(format!(
                "{path} has a parent {parent} which has a quota"
            )));
        }
    }
    Ok(())
}

async fn create_parents(context: &Context<'_>, path: &str) -> Result<(), Failure> {
    let whole = quota::path_of(path);
    let ends = whole.match_indices('/').map(|(end, _)| end).skip(1);
    for end in ends.chain([whole.len()]) {
        let at = &whole[..end];
        if context.client.exists(at).await.at(at)?.is_some() {
            continue;
        }
        match create(context, at, None).await {
            Err(error) if error.is(ErrorCode::NODE_EXISTS) => {}
            result => result.at(at)?,
        }
    }
    Ok(())
}

async fn create(context: &Context<'_>, path: &str, figures: Option<&Figures>) -> Result<(), Error> {
    let options = CreateOptions::from(CreateMode::Persistent);
    let options = if figures.is_none() {
        options.null_data()
    } else {
        options
    };
    let data = figures.map(ToString::to_string).unwrap_or_default();
    context
        .client
        .create(path, data.as_bytes(), options)
        .await
        .map(drop)
}

async fn read(context: &Context<'_>, path: &str) -> Result<Figures, Error> {
    let (data, _) = context.client.get(path).await?;
    Ok(Figures::parse(&data))
}

async fn write(context: &Context<'_>, path: &str, figures: &Figures) -> Result<(), Error> {
    let text = figures.to_string();
    context
        .client
        .set(path, text.as_bytes(), None)
        .await
        .map(drop)
}

/// `listquota path`.
pub(super) async fn list(context: &Context<'_>, given: &Given) -> Done {
    let path = given.word(1).unwrap_or_default();
    let (limits_path, usage_path) = (quota::limits_of(path), quota::usage_of(path));
    context
        .screen
        .note(&format!("absolute path is {limits_path}"));
    crate::path::check(&limits_path).map_err(Failure::text)?;
    let found = async {
        let limits = read(context, &limits_path).await?;
        Ok((limits, read(context, &usage_path).await?))
    };
    match found.await {
        Err(error) if Error::is(&error, ErrorCode::NO_NODE) => {
            context
                .screen
                .note(&format!("quota for {path} does not exist."));
            Ok(json!({ "path": path, "limits": null }))
        }
        found => {
            let (limits, used) = found.at(&limits_path)?;
            context
                .screen
                .say(&format!("Output quota for {path} {limits}"));
            context
                .screen
                .say(&format!("Output stat for {path} {used}"));
            Ok(json!({ "path": path, "limits": to_json(&limits), "used": to_json(&used) }))
        }
    }
}

/// `delquota [-n|-b|-N|-B] path`.
pub(super) async fn delete(context: &Context<'_>, given: &Given) -> Done {
    let path = given.word(1).unwrap_or_default();
    let limits_path = quota::limits_of(path);
    crate::path::check(&limits_path).map_err(Failure::text)?;
    if context
        .client
        .exists(&limits_path)
        .await
        .at(&limits_path)?
        .is_none()
    {
        context
            .screen
            .say(&format!("Quota does not exist for {path}"));
        return Ok(json!({ "path": path, "deleted": false }));
    }
    let mut limits = read(context, &limits_path).await.at(&limits_path)?;
    let chosen = Figure::ALL.iter().find(|(name, _)| given.has(name));
    if let Some((_, figure)) = chosen {
        limits.set(*figure, -1);
        write(context, &limits_path, &limits)
            .await
            .at(&limits_path)?;
        return Ok(json!({ "path": path, "deleted": true, "limits": to_json(&limits) }));
    }
    let mut at = quota::path_of(path);
    for name in context.client.children(&at).await.at(&at)? {
        let child = walk::child(&at, &name);
        context.client.delete(&child, None).await.at(&child)?;
    }
    // What was only there to hold the quota goes too.
    while at != quota::ROOT && context.client.children(&at).await.at(&at)?.is_empty() {
        context.client.delete(&at, None).await.at(&at)?;
        at.truncate(at.rfind('/').unwrap_or_default());
    }
    Ok(json!({ "path": path, "deleted": true }))
}

fn to_json(figures: &Figures) -> Value {
    let map: Map<String, Value> = figures
        .iter()
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect();
    Value::Object(map)
}
