//! Commands that change znodes: `create`, `set`, `delete`, `deleteall`.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::json;
use zabra_client::{CreateMode, CreateOptions, Error};
use zabra_proto::{Acl, ErrorCode};

use super::read::show_stat;
use super::{At, Context, Done, path_at, version_of, walk};
use crate::command::Command;
use crate::failure::{Failure, keeper_error};
use crate::options::Given;
use crate::progress::Progress;
use crate::{acl, json, path};

/// How many deletes go into one transaction, if nothing else is said.
const BATCH: i32 = 1000;

/// How many transactions are under way at once.
const IN_FLIGHT: usize = 10;

/// The longest time to live, in ms (features CI-35).
const TTL_MAX: i64 = 0xff_ffff_ffff;

/// As Java reads base64: padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `create [-s] [-e] [-c] [-t ttl] path [data] [acl]`.
pub(super) async fn create(context: &Context<'_>, given: &Given) -> Done {
    let (mode, ttl) = mode(given)?;
    let path = given.word(1).unwrap_or_default();
    let mut options = CreateOptions::from(mode);
    if let Some(ttl) = ttl {
        options = options.ttl(ttl);
    }
    if given.word(2).is_none() {
        options = options.null_data();
    }
    let acl = given.word(3).map(|text| entries(context, text));
    path::check_new(path, given.has("s")).map_err(Failure::text)?;
    if acl.as_ref().is_some_and(Vec::is_empty) {
        context
            .screen
            .note(&keeper_error(ErrorCode::INVALID_ACL, None));
        return Err(Failure::refused(ErrorCode::INVALID_ACL, None));
    }
    if let Some(acl) = acl {
        options = options.acl(acl);
    }
    let data = given.word(2).unwrap_or_default();
    let created = match context.client.create(path, data, options).await {
        Err(Error::Server(ErrorCode::INVALID_ACL, path)) => {
            context
                .screen
                .note(&keeper_error(ErrorCode::INVALID_ACL, Some(&path)));
            return Err(Failure::refused(ErrorCode::INVALID_ACL, Some(&path)));
        }
        Err(error) if error.is(ErrorCode::EPHEMERAL_ON_LOCAL_SESSION) => {
            context
                .screen
                .note("Unable to create ephemeral node on a local session");
            return Err(error).at(path);
        }
        result => result.at(path)?,
    };
    context.screen.note(&format!("Created {}", created.path));
    let mut value = json!({ "created": created.path });
    if let Some(stat) = &created.stat {
        value["stat"] = json::stat(stat);
    }
    Ok(value)
}

/// The mode that the options of `create` ask for, with its time to live; or why they do not go together.
fn mode(given: &Given) -> Result<(CreateMode, Option<Duration>), Failure> {
    let [e, s, c] = ["e", "s", "c"].map(|name| given.has(name));
    let refuse = |text: &str| Err(Failure::text(text));
    if c && (e || s) {
        return refuse(
            "-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.",
        );
    }
    let ttl: Option<i64> = match given.value("t").map(str::parse) {
        None => None,
        Some(Ok(millis)) => Some(millis),
        Some(Err(_)) => return refuse("-t argument must be a long value"),
    };
    match ttl {
        Some(_) if e => return refuse("TTLs cannot be used with Ephemeral znodes"),
        Some(_) if c => return refuse("TTLs cannot be used with Container znodes"),
        Some(millis) if !(1..=TTL_MAX).contains(&millis) => {
            return refuse(&format!(
                "ttl must be positive and cannot be larger than: {TTL_MAX}"
            ));
        }
        _ => {}
    }
    let mode = match (e, s, c, ttl.is_some()) {
        (true, true, ..) => CreateMode::EphemeralSequential,
        (true, false, ..) => CreateMode::Ephemeral,
        (_, true, _, true) => CreateMode::PersistentSequentialWithTtl,
        (_, true, _, false) => CreateMode::PersistentSequential,
        (_, _, true, _) => CreateMode::Container,
        (.., true) => CreateMode::PersistentWithTtl,
        (.., false) => CreateMode::Persistent,
    };
    let ttl = ttl.and_then(|millis| u64::try_from(millis).ok());
    Ok((mode, ttl.map(Duration::from_millis)))
}

/// The entries of an ACL argument; what could not be read is said.
pub(super) fn entries(context: &Context<'_>, text: &str) -> Vec<Acl<'static>> {
    let (entries, complaints) = acl::parse(text);
    for complaint in complaints {
        context.screen.complain(&complaint);
    }
    entries
}

/// `set path data [-s] [-v version] [-b]`.
pub(super) async fn set(context: &Context<'_>, given: &Given) -> Done {
    let text = given.word(2).unwrap_or_default();
    let data = if given.has("b") {
        let data = BASE64.decode(text);
        data.map_err(|error| Failure::text(format!("The data is not base64: {error}")))?
    } else {
        text.as_bytes().to_vec()
    };
    let version = version_of(given)?;
    let path = path_at(given, 1)?;
    let stat = context.client.set(path, data, version).await.at(path)?;
    if given.has("s") {
        show_stat(context, &stat);
    }
    Ok(json!({ "path": path, "stat": json::stat(&stat) }))
}

/// `delete [-v version] path`.
pub(super) async fn delete(context: &Context<'_>, given: &Given) -> Done {
    if given.words.len() > 2 {
        context.screen.note(
            "'delete path [version]' has been deprecated. Please use 'delete [-v version] path' instead.",
        );
    }
    let version = version_of(given)?;
    let path = path_at(given, 1)?;
    context.client.delete(path, version).await.at(path)?;
    Ok(json!({ "deleted": path }))
}

/// `deleteall path [-b batch size]`, and `rmr path` of 3.4.
///
/// A batch is one transaction: all of it is deleted or nothing. After a failure no further batch is begun.
pub(super) async fn delete_all(context: &Context<'_>, command: &Command, given: &Given) -> Done {
    if command.name == "rmr" {
        context
            .screen
            .note("The command 'rmr' has been deprecated. Please use 'deleteall' instead.");
    }
    let batch: i32 = match given.value("b").map(str::parse) {
        None => BATCH,
        Some(Ok(batch)) => batch,
        Some(Err(_)) => return Err(Failure::text("-b argument must be an int value")),
    };
    let path = path_at(given, 1)?;
    let mut paths = walk::breadth_first(context, path).await?;
    paths.reverse();
    let mut progress = Progress::new("znodes deleted", Some(paths.len() as u64));
    let Some(batch) = usize::try_from(batch).ok().filter(|batch| *batch > 0) else {
        for path in &paths {
            context.client.delete(path, None).await.at(path)?;
            progress.add(1);
        }
        return Ok(json!({ "deleted": path, "znodes": paths.len() }));
    };
    let deleted = delete_in_batches(context, &paths, batch, &mut progress).await;
    drop(progress);
    if deleted < paths.len() {
        context
            .screen
            .note("Failed to delete some node(s) in the subtree!");
    }
    Ok(json!({ "path": path, "znodes": deleted, "complete": deleted == paths.len() }))
}

/// How many were deleted.
async fn delete_in_batches(
    context: &Context<'_>,
    paths: &[String],
    batch: usize,
    progress: &mut Progress,
) -> usize {
    let mut under_way = VecDeque::new();
    let mut deleted = 0;
    let mut chunks = paths.chunks(batch);
    let mut failed = false;
    loop {
        while under_way.len() < IN_FLIGHT && !failed {
            let Some(chunk) = chunks.next() else { break };
            let mut transaction = context.client.transaction();
            for path in chunk {
                transaction = transaction.delete(path, None);
            }
            under_way.push_back((transaction.commit(), chunk.len()));
        }
        let Some((reply, count)) = under_way.pop_front() else {
            return deleted;
        };
        if reply.await.is_ok() {
            deleted += count;
            progress.add(count as u64);
        } else {
            failed = true;
        }
    }
}
