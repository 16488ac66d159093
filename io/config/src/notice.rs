//! What a user should hear about a configuration that can be used.

use std::fmt;

use crate::error::Location;

/// One remark, one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How loud it is.
    pub severity: Severity,
    /// Where its reason was written, if it was written anywhere.
    pub location: Option<Location>,
    /// What there is to say.
    pub text: String,
}

/// How loud a [`Notice`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For those who look for it: a setting that is accepted and has nothing to act on.
    Debug,
    /// Worth a line at start.
    Info,
    /// Probably not what was meant.
    Warning,
    /// Something stands open, can be lost or does not do what it says: never to be overheard.
    Unsafe,
}

impl Notice {
    pub(crate) fn new(
        severity: Severity,
        location: Option<Location>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            location,
            text: text.into(),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        f.write_str(&self.text)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Unsafe => "UNSAFE",
        })
    }
}
