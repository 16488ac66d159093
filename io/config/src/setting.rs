//! What a setting is: its names, its type and default, and what this server makes of it.
//!
//! The settings themselves are the rows of [`crate::table`].

use std::fmt;

/// One setting, or one family of settings whose key ends in `*` or `N`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The row of the feature list that describes it.
    pub row: &'static str,
    /// Its key in `zoo.cfg`.
    pub key: &'static str,
    /// How it can be given.
    pub place: Place,
    /// Further system properties with the same meaning, by their full names, in the order in which
    /// Apache asks.
    pub also: &'static [&'static str],
    /// Names under which the documentation lists it; Apache ignores them, this server does not.
    pub documented_as: &'static [&'static str],
    /// The type of its value.
    pub kind: Kind,
    /// Its default as one would write it; empty when there is none.
    pub default: &'static str,
    /// How much users depend on it.
    pub priority: Priority,
    /// What this server makes of it.
    pub status: Status,
    /// What it does, in one line.
    pub about: &'static str,
}

/// How a setting can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In `zoo.cfg` only; a bad value is an error.
    File,
    /// As system property `zookeeper.<key>`, and in `zoo.cfg` as `<key>`, where it wins. A bad
    /// value is a default.
    Prefixed,
    /// As system property `<key>`. Apache does not take it from `zoo.cfg`; this server does, below
    /// the property.
    Bare,
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A number with a fraction.
    Real,
    /// `true` or `false`.
    Bool,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// A file or directory.
    Path,
    /// The name of a Java class.
    Class,
    /// A text that is never shown.
    Secret,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int => f.write_str("number"),
            Self::Long => f.write_str("long number"),
            Self::Real => f.write_str("decimal number"),
            Self::Bool => f.write_str("true, false"),
            Self::Choice(words) => f.write_str(&words.join(", ")),
            Self::Text => f.write_str("text"),
            Self::Path => f.write_str("path"),
            Self::Class => f.write_str("class"),
            Self::Secret => f.write_str("secret"),
        }
    }
}

/// How much users depend on a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Must be there; a user notices at once.
    M,
    /// Should be there.
    S,
    /// Rarely used.
    R,
    /// Of Java, of logging or obsolete: accepted.
    J,
}

/// What this server makes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does what it does in Apache's server.
    Acts,
    /// It is read and kept for the ensemble, and has no effect on a standalone server, as in
    /// Apache's.
    Ensemble,
    /// It is accepted and has nothing to act on here.
    Accepted,
    /// It belongs to what is named and not built yet: a line at start says so when it is set.
    NotBuilt(&'static str),
    /// A value other than the default is refused, for the reason given.
    Refused(&'static str),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acts => f.write_str("acts"),
            Self::Ensemble => f.write_str("read; acts in an ensemble"),
            Self::Accepted => f.write_str("accepted, no effect"),
            Self::NotBuilt(part) => write!(f, "not built yet ({part}): a line at start"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
        }
    }
}

/// What Apache puts before a key of `zoo.cfg` that its parser does not know (features CF-02).
pub const PREFIX: &str = "zookeeper.";

impl Setting {
    /// The full name of its system property, unless it can be given in `zoo.cfg` only.
    pub fn property(&self) -> Option<String> {
        match self.place {
            Place::File => None,
            Place::Prefixed => Some(format!("{PREFIX}{}", self.key)),
            Place::Bare => Some(self.key.to_owned()),
        }
    }

    /// Whether `key`, written in `zoo.cfg`, is this setting's own name.
    pub fn is_key(&self, key: &str) -> bool {
        match self.family() {
            Some(stem) => key.starts_with(stem),
            None => self.key == key,
        }
    }

    /// What the keys of a family begin with.
    pub fn family(&self) -> Option<&'static str> {
        self.key
            .strip_suffix('*')
            .or_else(|| self.key.strip_suffix('N'))
    }

    /// Whether a value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    pub(crate) const fn new(
        row: &'static str,
        key: &'static str,
        place: Place,
        kind: Kind,
        default: &'static str,
    ) -> Self {
        Self {
            row,
            key,
            place,
            also: &[],
            documented_as: &[],
            kind,
            default,
            priority: Priority::J,
            status: Status::Accepted,
            about: "",
        }
    }

    pub(crate) const fn is(
        mut self,
        priority: Priority,
        status: Status,
        about: &'static str,
    ) -> Self {
        self.priority = priority;
        self.status = status;
        self.about = about;
        self
    }

    pub(crate) const fn also(mut self, properties: &'static [&'static str]) -> Self {
        self.also = properties;
        self
    }

    pub(crate) const fn documented_as(mut self, names: &'static [&'static str]) -> Self {
        self.documented_as = names;
        self
    }
}
