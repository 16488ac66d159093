//! What is wrong with a configuration: one line that says what, where, and what to do.

use std::fmt;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file as a whole.
    File(String),
    /// A line of a file, counted from 1.
    Line(String, usize),
    /// A `-Dname=value` of the command line or of an environment variable, which is named.
    Property(&'static str),
    /// An argument of the command line.
    Argument,
}

impl Location {
    /// A file as a whole.
    pub fn file(name: &str) -> Self {
        Self::File(name.to_owned())
    }

    /// A line of a file, counted from 1.
    pub fn line(name: &str, line: usize) -> Self {
        Self::Line(name.to_owned(), line)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => f.write_str(name),
            Self::Line(name, line) => write!(f, "{name}:{line}"),
            Self::Property(from) => f.write_str(from),
            Self::Argument => f.write_str("command line"),
        }
    }
}

/// The exit codes with which a server that cannot start ends; Apache's numbers (features TL-13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// What Apache's server finds out too late to call it a wrong configuration.
    Unexpected = 1,
    /// Bad arguments or configuration.
    InvalidInvocation = 2,
    /// A data directory is missing, of the wrong kind or not writable.
    UnableToAccessDatadir = 3,
}

impl ExitCode {
    /// The number given to the operating system.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// A configuration that no server can be started with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    location: Option<Location>,
    what: String,
    advice: String,
    exit: ExitCode,
}

impl ConfigError {
    /// An error that ends the process with [`ExitCode::InvalidInvocation`].
    pub fn new(
        location: Option<Location>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            location,
            what: what.into(),
            advice: advice.into(),
            exit: ExitCode::InvalidInvocation,
        }
    }

    /// An error that ends the process with [`ExitCode::Unexpected`].
    pub fn unexpected(
        location: Option<Location>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            exit: ExitCode::Unexpected,
            ..Self::new(location, what, advice)
        }
    }

    /// An error about a data directory, which ends the process with
    /// [`ExitCode::UnableToAccessDatadir`].
    pub fn datadir(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            location: None,
            what: what.into(),
            advice: advice.into(),
            exit: ExitCode::UnableToAccessDatadir,
        }
    }

    /// Where the mistake was written, if it was written anywhere.
    pub fn location(&self) -> Option<&Location> {
        self.location.as_ref()
    }

    /// What is wrong, without place and advice.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do about it.
    pub fn advice(&self) -> &str {
        &self.advice
    }

    /// The exit code that this error asks for.
    pub fn exit(&self) -> ExitCode {
        self.exit
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        f.write_str(&self.what)?;
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}
