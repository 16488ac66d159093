//! The servers of the ensemble: `config` and `reconfig`.

use serde_json::json;
use zabra_client::{Error, Reconfigure};

use super::read::show_stat;
use super::{At, Context, Done};
use crate::command::Command;
use crate::failure::Failure;
use crate::json;
use crate::options::Given;
use crate::watches::Kind;

/// The znode that holds the configuration.
const CONFIG: &str = "/zookeeper/config";

/// `config [-c] [-w] [-s]`.
pub(super) async fn config(context: &Context<'_>, given: &Given) -> Done {
    let (data, stat) = if given.has("w") {
        let (data, stat, handle) = context.client.config_and_watch().await.at(CONFIG)?;
        context.watches.once(CONFIG, Kind::Data, handle);
        (data, stat)
    } else {
        context.client.config().await.at(CONFIG)?
    };
    let text = if data.is_null() {
        "null".into()
    } else {
        String::from_utf8_lossy(&data)
    };
    if given.has("c") {
        context.screen.say(&connect_string(&text));
    } else {
        context.screen.say(&text);
    }
    if given.has("s") {
        show_stat(context, &stat);
    }
    Ok(json!({ "config": text, "stat": json::stat(&stat) }))
}

/// `VERSION host:port,host:port` from the lines of a configuration.
fn connect_string(config: &str) -> String {
    let mut version = "";
    let mut servers = Vec::new();
    for (key, value) in config.lines().filter_map(|line| line.split_once('=')) {
        match key.trim() {
            "version" => version = value.trim(),
            key if key.starts_with("server.") => servers.push(client_address(value.trim())),
            _ => {}
        }
    }
    format!("{version} {}", servers.join(","))
}

/// The part of a server's line behind the semicolon, with the host that it means when none is written.
fn client_address(server: &str) -> String {
    match server.split(';').nth(1) {
        None => String::new(),
        Some(port) if !port.contains(':') => format!("0.0.0.0:{port}"),
        Some(address) => address.to_owned(),
    }
}

/// `reconfig [-s] [-v version] [[-file path] | [-members ...]] | [-add ...] [-remove ...]`.
pub(super) async fn reconfig(context: &Context<'_>, command: &Command, given: &Given) -> Done {
    let [file, members, add, remove] =
        ["file", "members", "add", "remove"].map(|name| given.value(name));
    let refuse = |text: &str| Err(Failure::text(text));
    if [file, members, add, remove].iter().all(Option::is_none) {
        return Err(Failure::usage(command));
    }
    let version = match given.value("v").map(|text| i64::from_str_radix(text, 16)) {
        None => None,
        Some(Ok(version)) => Some(version),
        Some(Err(_)) => return refuse("-v must be followed by a long (configuration version)"),
    };
    if (file.is_some() || members.is_some()) && (add.is_some() || remove.is_some()) {
        return refuse(
            "Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental modes is \
             not allowed)",
        );
    }
    if file.is_some() && members.is_some() {
        return refuse("Can't use -file and -members together (conflicting non-incremental modes)");
    }
    let of_file = file.map(members_of_file).transpose()?;
    let change = Reconfigure {
        joining: add.map(str::to_lowercase),
        leaving: remove.map(str::to_lowercase),
        members: of_file.or_else(|| members.map(str::to_lowercase)),
        from_version: version,
    };
    let reply = context.client.reconfigure(&change).await;
    // Apache's shell names no path here.
    let reply = reply.map_err(|error| match error {
        Error::Server(code, _) => Error::Server(code, String::new()),
        error => error,
    });
    let (data, stat) = reply.at("")?;
    let text = String::from_utf8_lossy(&data);
    context
        .screen
        .say(&format!("Committed new configuration:\n{text}"));
    if given.has("s") {
        show_stat(context, &stat);
    }
    Ok(json!({ "config": text, "stat": json::stat(&stat) }))
}

/// The lines of a file that say who is a member; the servers check them.
fn members_of_file(file: &str) -> Result<String, Failure> {
    let refuse = |error: &str| Failure::text(format!("Error processing {file}: {error}"));
    let text = std::fs::read_to_string(file).map_err(|error| refuse(&error.to_string()))?;
    let members: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| {
            ["server.", "group.", "weight."]
                .iter()
                .any(|key| line.starts_with(key))
        })
        .collect();
    if members.is_empty() {
        return Err(refuse("it names no server"));
    }
    Ok(members.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_string_names_where_clients_go() {
        let config = "server.1=a:2888:3888:participant;0.0.0.0:2181\nserver.2=b:1:2:observer;2182\nserver.3=c:1:2\n\
                      version=100000000";
        assert_eq!(
            connect_string(config),
            "100000000 0.0.0.0:2181,0.0.0.0:2182,"
        );
        assert_eq!(connect_string(""), " ");
    }
}
