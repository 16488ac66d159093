//! Licences, sources and banned crates of everything that is linked, by cargo-deny over `deny.toml`.
//!
//! Advisories are not part of it: they need a clone of a database that changes daily, so that the same tree
//! could pass today and fail tomorrow.

use std::time::Duration;

use crate::shell;
use crate::stage::Outcome;
use crate::tools::CARGO_DENY;
use crate::workspace::Workspace;

/// `cargo xtask deny`.
pub(crate) fn report(workspace: &Workspace) -> anyhow::Result<bool> {
    check(workspace, Duration::from_secs(600))
}

/// The stage of the gate.
pub(crate) fn stage(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    check(workspace, limit).map(Outcome::check)
}

fn check(workspace: &Workspace, limit: Duration) -> anyhow::Result<bool> {
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let mut deny = CARGO_DENY.command(workspace)?;
        deny.args([
            "--locked",
            "--manifest-path",
            manifest,
            "--config",
            "deny.toml",
            "check",
        ]);
        // What one workspace skips may not be in the other.
        deny.args([
            "--allow",
            "unmatched-skip",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ]);
        if !shell::run(&mut deny, limit)?.success {
            return Ok(false);
        }
    }
    Ok(true)
}
