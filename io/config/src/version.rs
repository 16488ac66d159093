//! The version that clients and tools are told.
//!
//! Tools take the digits that come first for ZooKeeper's version and switch features by them, so
//! Apache's version stands there (features FL-30).

use std::sync::LazyLock;

/// The version of Apache ZooKeeper that this server stands for.
pub const APACHE: &str = "3.9.5";

/// When this was built, as Apache writes it; a release sets `ZABRA_BUILT`. The epoch stands for
/// unknown, since tools parse a date here.
const BUILT: &str = match option_env!("ZABRA_BUILT") {
    Some(built) => built,
    None => "1970-01-01 00:00 UTC",
};

/// The commit this was built from; a release sets `ZABRA_COMMIT`.
const COMMIT: &str = match option_env!("ZABRA_COMMIT") {
    Some(commit) => commit,
    None => "dev",
};

/// `3.9.5-zabra-<version>-<commit>`.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> =
        LazyLock::new(|| format!("{APACHE}-zabra-{}-{COMMIT}", env!("CARGO_PKG_VERSION")));
    &VERSION
}

/// The version as `srvr`, `stat`, `mntr` and `envi` show it, with the time of the build.
pub fn full_version() -> String {
    format!("{}, built on {BUILT}", version())
}

/// What `zkServer.sh version` prints.
pub fn version_line() -> String {
    format!("Apache ZooKeeper, version {} {BUILT}", version())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_begins_with_apaches_digits() {
        let rest = version()
            .strip_prefix("3.9.5-zabra-")
            .map(str::to_owned)
            .expect("shape");
        assert!(rest.starts_with(env!("CARGO_PKG_VERSION")), "{rest}");
        assert!(rest.split('-').count() >= 2, "{rest}");
    }

    #[test]
    fn the_longer_forms_have_the_shape_that_tools_read() {
        let (version_part, built) = full_version()
            .split_once(", built on ")
            .map(own)
            .expect("shape");
        assert_eq!(version_part, version());
        assert!(built.ends_with(" UTC"), "{built}");
        assert_eq!(
            version_line(),
            format!("Apache ZooKeeper, version {version_part} {built}")
        );
    }

    fn own((a, b): (&str, &str)) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }
}
