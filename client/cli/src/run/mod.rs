//! What commands do.
//!
//! Each prints its result as text on the way and returns it as a JSON value; the [`Screen`] shows one of the two. A
//! command is a function from a [`Context`] and what was [`Given`] on its line.

mod acls;
mod membership;
mod quotas;
mod read;
mod subtree;
mod transfer;
mod walk;
mod watching;
mod write;

use jiff::tz::TimeZone;
use serde_json::Value;
pub(crate) use transfer::Znode;

use zabra_client::{Client, Error, Misuse};
use zabra_proto::ErrorCode;

use crate::command::Command;
use crate::failure::Failure;
use crate::options::{self, Given};
use crate::path;
use crate::screen::Screen;
use crate::watches::Watches;

/// What a command works with.
pub(crate) struct Context<'a> {
    /// The session.
    pub(crate) client: &'a Client,
    /// Where its text goes.
    pub(crate) screen: &'a Screen,
    /// The zone that dates are shown in.
    pub(crate) zone: &'a TimeZone,
    /// The watches of this session, which events are printed for.
    pub(crate) watches: &'a Watches,
    /// The version that `version` tells.
    pub(crate) version: &'a str,
}

/// The result of a command.
pub(crate) type Done = Result<Value, Failure>;

/// Reads the words of a command, its own name the first.
///
/// # Errors
/// Options that cannot be read, or too few words.
pub(crate) fn read(command: &'static Command, words: &[String]) -> Result<Given, Failure> {
    // These two take whatever follows.
    if matches!(command.name, "close" | "whoami") {
        return Ok(Given::default());
    }
    let given = options::parse(command.options, command.choice, words)
        .map_err(|error| Failure::options(command, &error))?;
    let asks_help = command.name == "ls" && given.has("?");
    if given.words.len() < command.words_min && !asks_help {
        return Err(Failure::usage(command));
    }
    Ok(given)
}

/// Runs a command that needs a session.
pub(crate) async fn run(context: &Context<'_>, command: &'static Command, given: &Given) -> Done {
    if command.name == "ls" && given.has("?") {
        context.screen.say(&crate::usage::ls_help(command));
        if given.words.len() < command.words_min {
            return Err(Failure::usage(command));
        }
    }
    match command.name {
        "ls" => read::ls(context, given).await,
        "ls2" => read::ls2(context, given).await,
        "get" => read::get(context, given).await,
        "stat" => read::stat(context, given).await,
        "getAllChildrenNumber" => read::all_children_number(context, given).await,
        "getEphemerals" => read::ephemerals(context, given).await,
        "sync" => read::sync(context, given).await,
        "version" => read::version(context, command, given),
        "create" => write::create(context, given).await,
        "set" => write::set(context, given).await,
        "delete" => write::delete(context, given).await,
        "deleteall" | "rmr" => write::delete_all(context, command, given).await,
        "addauth" => acls::add_auth(context, given).await,
        "whoami" => acls::who_am_i(context).await,
        "getAcl" => acls::get(context, given).await,
        "setAcl" => acls::set(context, given).await,
        "setquota" => quotas::set(context, command, given).await,
        "listquota" => quotas::list(context, given).await,
        "delquota" => quotas::delete(context, given).await,
        "config" => membership::config(context, given).await,
        "reconfig" => membership::reconfig(context, command, given).await,
        "addWatch" => watching::add(context, command, given).await,
        "removewatches" => watching::remove(context, given).await,
        "watch" => watching::follow(context, given).await,
        "tree" => subtree::tree(context, given).await,
        "find" => subtree::find(context, given).await,
        "export" => transfer::export(context, given).await,
        "import" => transfer::import(context, given).await,
        // The shell itself has done it already.
        _ => Ok(Value::Null),
    }
}

/// The path at `index`, if it is one.
fn path_at(given: &Given, index: usize) -> Result<&str, Failure> {
    let path = given.word(index).unwrap_or_default();
    path::check(path).map_err(Failure::text)?;
    Ok(path)
}

/// The version that an option asks for; any when it is not given.
fn version_of(given: &Given) -> Result<Option<i32>, Failure> {
    let Some(text) = given.value("v") else {
        return Ok(None);
    };
    let number: i32 = text
        .parse()
        .map_err(|_| Failure::text(format!("-v argument must be an int value, not {text}")))?;
    // The protocol's word for any version.
    Ok((number != -1).then_some(number))
}

/// A path on which a call was made, for the text of its failure.
trait At<T> {
    fn at(self, path: &str) -> Result<T, Failure>;
}

impl<T> At<T> for Result<T, Error> {
    fn at(self, path: &str) -> Result<T, Failure> {
        self.map_err(|error| failure(error, path))
    }
}

/// What the shell says of an error of the client.
fn failure(error: Error, path: &str) -> Failure {
    let code = match &error {
        Error::Server(code, path) => return Failure::refused(*code, Some(path)),
        Error::Transaction { path, .. } => {
            return Failure::refused(error.code().unwrap_or(ErrorCode::OK), Some(path));
        }
        // Apache's client has one word for both, -4.
        Error::ConnectionLoss | Error::Timeout => ErrorCode::from_code(-4),
        Error::SessionExpired | Error::Closed => ErrorCode::SESSION_EXPIRED,
        Error::AuthFailed => ErrorCode::AUTH_FAILED,
        Error::Misuse(Misuse::Path { path, error }) => {
            let text = path::check(path).err();
            return Failure::text(text.unwrap_or_else(|| error.to_string()));
        }
        other => return Failure::text(other.to_string()),
    };
    Failure::refused(code, Some(path))
}
