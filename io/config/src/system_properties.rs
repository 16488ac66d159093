//! System properties: what `-Dname=value` says, on the command line and in the environment
//! variables that Apache's scripts pass on to Java.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::Location;
use crate::secret::is_secret_key;

/// Names and values; the last definition of a name wins, as in Java.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SystemProperties {
    defined: BTreeMap<String, (String, Location)>,
}

/// The environment variables whose `-D` words are read, in the order in which `zkServer.sh` joins
/// them.
pub const VARIABLES: [&str; 2] = ["SERVER_JVMFLAGS", "JVMFLAGS"];

impl SystemProperties {
    /// None defined.
    pub fn new() -> Self {
        Self::default()
    }

    /// The `-D` words of [`VARIABLES`]; `variable` tells what one holds.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut properties = Self::new();
        for name in VARIABLES {
            for word in variable(name).unwrap_or_default().split_whitespace() {
                // Other words are for Java: -Xmx and the like.
                if let Some(definition) = word.strip_prefix("-D") {
                    properties.define_at(definition, Location::Property(name));
                }
            }
        }
        properties
    }

    /// Takes the `name=value` that followed a `-D` on the command line.
    pub fn define(&mut self, definition: &str) {
        self.define_at(definition, Location::Property("-D"));
    }

    fn define_at(&mut self, definition: &str, location: Location) {
        let (name, value) = definition.split_once('=').unwrap_or((definition, ""));
        self.put(name, value, location);
    }

    pub(crate) fn put(&mut self, name: &str, value: &str, location: Location) {
        self.defined
            .insert(name.to_owned(), (value.to_owned(), location));
    }

    /// The value of `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.defined.get(name).map(|(value, _)| value.as_str())
    }

    /// Every name that begins with `stem`, with its value.
    pub fn with_stem<'a>(&'a self, stem: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from_stem = self.defined.range(stem.to_owned()..);
        from_stem
            .take_while(move |(name, _)| name.starts_with(stem))
            .map(|(name, (value, _))| (name.as_str(), value.as_str()))
    }

    pub(crate) fn found(&self, name: &str) -> Option<(&str, &Location)> {
        self.defined
            .get(name)
            .map(|(value, location)| (value.as_str(), location))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &Location)> {
        self.defined
            .iter()
            .map(|(name, (value, location))| (name.as_str(), value.as_str(), location))
    }
}

impl fmt::Debug for SystemProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str, value: &str| {
            if is_secret_key(name) {
                "***".to_owned()
            } else {
                value.to_owned()
            }
        };
        f.debug_map()
            .entries(
                self.iter()
                    .map(|(name, value, _)| (name, shown(name, value))),
            )
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jvmflags_come_after_server_jvmflags_and_the_command_line_last() {
        let mut properties = SystemProperties::from_environment(|name| {
            Some(match name {
                "SERVER_JVMFLAGS" => "-Xmx1000m  -Da=1 -Db=1 -Dc=1".to_owned(),
                _ => "-Db=2 -Dc=2 -Dflag -De=x=y".to_owned(),
            })
        });
        properties.define("c=3");
        let values = ["a", "b", "c", "flag", "e", "Xmx"].map(|name| properties.value(name));
        assert_eq!(
            values,
            [Some("1"), Some("2"), Some("3"), Some(""), Some("x=y"), None]
        );
    }

    #[test]
    fn names_of_a_stem_are_listed() {
        let mut properties = SystemProperties::new();
        for definition in [
            "zookeeper.authProvider.1=a",
            "zookeeper.authProvider.2=b",
            "zookeeper.x=c",
        ] {
            properties.define(definition);
        }
        let listed: Vec<_> = properties.with_stem("zookeeper.authProvider.").collect();
        assert_eq!(
            listed,
            [
                ("zookeeper.authProvider.1", "a"),
                ("zookeeper.authProvider.2", "b")
            ]
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut properties = SystemProperties::new();
        properties.define("zookeeper.ssl.keyStore.password=hunter2");
        properties.define("zookeeper.snapCount=5");
        let shown = format!("{properties:?}");
        assert!(
            !shown.contains("hunter2") && shown.contains("\"5\""),
            "{shown}"
        );
    }
}
