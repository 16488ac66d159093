//! The znode under which a client lives.

use std::borrow::Cow;
use std::sync::Arc;

use zabra_proto::path;

use crate::Misuse;

/// A prefix of all paths of a client (features CL-01): put in front of what goes out, taken off what comes back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chroot(Option<Arc<str>>);

impl Chroot {
    /// `None` is the root.
    pub(crate) fn new(chroot: Option<String>) -> Self {
        Self(chroot.map(Into::into))
    }

    /// A prefix behind this one.
    pub(crate) fn below(&self, path: &str) -> Result<Self, Misuse> {
        match path {
            "/" => Ok(self.clone()),
            path => Ok(Self(Some(self.full(path)?.into()))),
        }
    }

    fn prefix(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// The path as the server knows it.
    pub(crate) fn full<'a>(&self, path: &'a str) -> Result<Cow<'a, str>, Misuse> {
        checked(path, path)?;
        Ok(self.join(path))
    }

    /// The path of a sequential znode, which may end in a slash: the counter is a whole name then.
    pub(crate) fn full_sequential<'a>(&self, path: &'a str) -> Result<Cow<'a, str>, Misuse> {
        match path.strip_suffix('/') {
            Some("") => {}
            Some(parent) => checked(path, parent)?,
            None => checked(path, path)?,
        }
        Ok(Cow::Owned([self.prefix(), path].concat()))
    }

    /// Any string, as of `ephemerals`.
    pub(crate) fn join<'a>(&self, path: &'a str) -> Cow<'a, str> {
        match (self.prefix(), path) {
            ("", path) => Cow::Borrowed(path),
            (chroot, "/") => Cow::Owned(chroot.to_owned()),
            (chroot, path) => Cow::Owned([chroot, path].concat()),
        }
    }

    /// The path as the client knows it. What is not below the chroot stays as it is: `/zookeeper/config`.
    pub(crate) fn strip(&self, full: String) -> String {
        match full.strip_prefix(self.prefix()) {
            Some("") if !self.prefix().is_empty() => "/".to_owned(),
            Some(path) if path.starts_with('/') && !self.prefix().is_empty() => path.to_owned(),
            _ => full,
        }
    }
}

fn checked(given: &str, checked: &str) -> Result<(), Misuse> {
    path::validate(checked).map_err(|error| Misuse::Path {
        path: given.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_gain_and_lose_their_chroot() {
        let chroot = Chroot::new(Some("/app/x".to_owned()));
        for (path, full) in [("/", "/app/x"), ("/a", "/app/x/a")] {
            assert_eq!(chroot.full(path).unwrap(), full);
            assert_eq!(chroot.strip(full.to_owned()), path);
        }
        for foreign in ["/app/xy", "/zookeeper/config", "/"] {
            assert_eq!(chroot.strip(foreign.to_owned()), foreign);
        }
    }

    #[test]
    fn a_chroot_may_be_below_another() {
        let chroot = Chroot::new(None).below("/a").unwrap().below("/b").unwrap();
        assert_eq!(chroot.full("/c").unwrap(), "/a/b/c");
        assert_eq!(chroot.below("/").unwrap().full("/c").unwrap(), "/a/b/c");
        assert!(chroot.below("x").is_err());
    }

    #[test]
    fn without_a_chroot_nothing_changes() {
        let chroot = Chroot::new(None);
        for path in ["/", "/a", "/a/b"] {
            assert_eq!(chroot.full(path).unwrap(), path);
            assert_eq!(chroot.strip(path.to_owned()), path);
        }
    }

    #[test]
    fn malformed_paths_are_refused_before_they_meet_a_chroot() {
        let chroot = Chroot::new(Some("/app".to_owned()));
        for path in ["", "a", "/a/", "//"] {
            assert!(chroot.full(path).is_err(), "{path:?}");
        }
        assert_eq!(chroot.full_sequential("/a/").unwrap(), "/app/a/");
        assert_eq!(chroot.full_sequential("/").unwrap(), "/app/");
        assert!(chroot.full_sequential("/a//").is_err());
    }
}
