//! Why a command failed: one line of text, as Apache's shell says it, and the exit code.

use std::io;

use serde_json::{Value, json};
use zabra_proto::ErrorCode;

use crate::command::Command;
use crate::options::OptionError;
use crate::usage;

/// The end of a command that did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What is printed on standard error.
    pub(crate) text: String,
    /// The exit code, if it is the last command.
    pub(crate) exit: u8,
    /// The name of the server's error code, if a server refused.
    pub(crate) code: Option<String>,
    /// The path that it is about.
    pub(crate) path: Option<String>,
}

impl Failure {
    /// A failure that is nothing but a text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            exit: 1,
            code: None,
            path: None,
        }
    }

    /// Words are missing.
    pub(crate) fn usage(command: &Command) -> Self {
        Self::text(usage::of(command))
    }

    /// Options that cannot be read.
    pub(crate) fn options(command: &Command, error: &OptionError) -> Self {
        Self::text(format!(
            "{error}\nusage: {} {}",
            command.name, command.syntax
        ))
    }

    /// There is no such command.
    pub(crate) fn unknown(name: &str) -> Self {
        Self {
            exit: 127,
            ..Self::text(format!("Command not found: Command not found {name}"))
        }
    }

    /// The same for who sits at the terminal: what may have been meant, rather than all there is.
    pub(crate) fn unknown_with_advice(name: &str) -> Self {
        let mut failure = Self::unknown(name);
        if let Some(nearest) = usage::nearest(name) {
            failure.text.push_str(&format!("; perhaps {nearest}?"));
        }
        failure.text.push_str("\n`help` lists the commands");
        failure
    }

    /// A server, or the client in its place, refused.
    pub(crate) fn refused(code: ErrorCode, path: Option<&str>) -> Self {
        Self {
            code: Some(code.name().to_owned()),
            path: path.map(str::to_owned),
            ..Self::text(refusal(code, path))
        }
    }

    /// The same for programs.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "message": self.text });
        if let Some(code) = &self.code {
            error["code"] = json!(code);
        }
        if let Some(path) = &self.path {
            error["path"] = json!(path);
        }
        json!({ "error": error })
    }
}

/// What the system says of a failure, without the number that only the system knows.
pub(crate) fn of_system(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// What Apache's shell says of an error code.
pub(crate) fn refusal(code: ErrorCode, path: Option<&str>) -> String {
    let about = path.unwrap_or("null");
    let text = match code {
        ErrorCode::NO_NODE => "Node does not exist: ",
        ErrorCode::NO_CHILDREN_FOR_EPHEMERALS => "Ephemerals cannot have children: ",
        ErrorCode::NODE_EXISTS => "Node already exists: ",
        ErrorCode::NOT_EMPTY => "Node not empty: ",
        ErrorCode::NOT_READ_ONLY => "Not a read-only call: ",
        ErrorCode::INVALID_ACL => "Acl is not valid : ",
        ErrorCode::NO_AUTH => "Insufficient permission : ",
        ErrorCode::BAD_ARGUMENTS => "Arguments are not valid : ",
        ErrorCode::BAD_VERSION => "version No is not valid : ",
        ErrorCode::QUOTA_EXCEEDED => "Quota has exceeded : ",
        ErrorCode::RECONFIG_IN_PROGRESS => {
            return "Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)".to_owned();
        }
        ErrorCode::NEW_CONFIG_NO_QUORUM => {
            return "No quorum of new config is connected and up-to-date with the leader of last commmitted config - \
                    try invoking reconfiguration after new servers are connected and synced"
                .to_owned();
        }
        other => return keeper_error(other, path),
    };
    format!("{text}{about}")
}

/// The text that Apache's client has for every code.
pub(crate) fn keeper_error(code: ErrorCode, path: Option<&str>) -> String {
    let message = match code.code() {
        -3 => "DataInconsistency".to_owned(),
        -4 => "ConnectionLoss".to_owned(),
        -7 => "OperationTimeout".to_owned(),
        -100 => "APIError".to_owned(),
        -111 => "Directory not empty".to_owned(),
        -112 => "Session expired".to_owned(),
        -113 => "Invalid callback".to_owned(),
        -118 => "Session moved".to_owned(),
        -119 => "Not a read-only call".to_owned(),
        -120 => "Ephemeral node on local session".to_owned(),
        -121 => "No such watcher".to_owned(),
        -123 => "Reconfig is disabled".to_owned(),
        -124 => "Session closed because client failed to authenticate".to_owned(),
        -125 => "Quota has exceeded".to_owned(),
        -127 => "Op throttled due to high load".to_owned(),
        number => match code.name() {
            "Unknown" => format!("Unknown error {number}"),
            name => name.to_owned(),
        },
    };
    match path {
        Some(path) if !path.is_empty() => format!("KeeperErrorCode = {message} for {path}"),
        _ => format!("KeeperErrorCode = {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_errors_have_a_sentence() {
        let text = |code| refusal(code, Some("/a"));
        assert_eq!(text(ErrorCode::NO_NODE), "Node does not exist: /a");
        assert_eq!(text(ErrorCode::NODE_EXISTS), "Node already exists: /a");
        assert_eq!(text(ErrorCode::NOT_EMPTY), "Node not empty: /a");
        assert_eq!(text(ErrorCode::NO_AUTH), "Insufficient permission : /a");
        assert_eq!(text(ErrorCode::BAD_VERSION), "version No is not valid : /a");
        assert_eq!(text(ErrorCode::QUOTA_EXCEEDED), "Quota has exceeded : /a");
        assert_eq!(
            refusal(ErrorCode::INVALID_ACL, None),
            "Acl is not valid : null"
        );
        assert!(text(ErrorCode::RECONFIG_IN_PROGRESS).starts_with("Another reconfiguration"));
    }

    #[test]
    fn other_errors_show_the_code() {
        assert_eq!(
            refusal(ErrorCode::NO_WATCHER, Some("/a")),
            "KeeperErrorCode = No such watcher for /a"
        );
        assert_eq!(
            refusal(ErrorCode::RECONFIG_DISABLED, Some("")),
            "KeeperErrorCode = Reconfig is disabled"
        );
        assert_eq!(
            refusal(ErrorCode::from_code(-999), None),
            "KeeperErrorCode = Unknown error -999"
        );
    }

    #[test]
    fn only_an_unknown_command_has_an_exit_code_of_its_own() {
        let failure = Failure::unknown("foo");
        assert_eq!(failure.exit, 127);
        assert_eq!(failure.text, "Command not found: Command not found foo");
        assert_eq!(Failure::refused(ErrorCode::NO_NODE, Some("/a")).exit, 1);
    }

    #[test]
    fn programs_get_the_code_and_the_path() {
        assert_eq!(
            Failure::refused(ErrorCode::NO_NODE, Some("/a")).to_json(),
            json!({"error": {"code": "NoNode", "path": "/a", "message": "Node does not exist: /a"}})
        );
    }
}
