//! Where things are in the repository: checked-in harness files and the folder for everything that is installed.

use std::path::{Path, PathBuf};

/// The checked-in folder of this crate, which holds the harness files of the suites.
#[must_use]
pub fn harness() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    harness()
        .ancestors()
        .nth(2)
        .unwrap_or(harness())
        .to_path_buf()
}

/// The build folder: `CARGO_TARGET_DIR`, or `target` in the root.
#[must_use]
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The folder under which peers and clients are installed. A fresh clone has none; `cargo clean` removes it.
#[must_use]
pub fn installed() -> PathBuf {
    target().join("interop")
}

/// The server under test: `$ZABRA_BIN`, or the release build.
#[must_use]
pub fn zabra_binary() -> PathBuf {
    match std::env::var_os("ZABRA_BIN") {
        Some(path) => PathBuf::from(path),
        None => target().join("release/zabra"),
    }
}

/// The build of the server whose disk and clock can be told to misbehave: `$ZABRA_FAULTS_BIN`, or that of the simulator's
/// profile.
#[must_use]
pub fn faulty_binary() -> PathBuf {
    match std::env::var_os("ZABRA_FAULTS_BIN") {
        Some(path) => PathBuf::from(path),
        None => target().join("sim/zabra"),
    }
}
