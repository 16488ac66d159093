//! What a run has shown, left in `target/evidence` for `cargo xtask evidence` to collect.
//!
//! A file for each kind of proof, with a figure in each line: `what: how much`. A later run of the same kind replaces it.

use std::fmt::Write as _;
use std::path::PathBuf;

/// Leaves the figures of one kind of proof. It proves nothing by itself, so a disk that does not take it is no failure.
pub fn leave(kind: &str, figures: &[(&str, String)]) {
    let mut text = String::new();
    for (what, figure) in figures {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{what}: {figure}");
    }
    print!("evidence: {kind}\n{text}");
    let dir = folder();
    let written = std::fs::create_dir_all(&dir)
        .and_then(|()| std::fs::write(dir.join(format!("{kind}.txt")), text));
    if let Err(error) = written {
        println!("evidence: {kind} is not kept: {error}");
    }
}

/// Beside what was built.
fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        PathBuf::from,
    );
    target.join("evidence")
}
