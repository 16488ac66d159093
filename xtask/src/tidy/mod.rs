//! The rules of the house that no compiler checks.
//!
//! What a rule allows is data in `xtask/rules`, so that a new edge between crates or a long file is a line in
//! a diff with a reason, not a habit. An exception that is no longer needed is a finding too: lists shrink.

use std::time::Duration;

use crate::stage::Outcome;
use crate::workspace::Workspace;

mod compat;
mod crates;
mod rules;
mod rust;
mod text;

/// One broken rule: where, and what is asked for.
pub(crate) struct Finding {
    place: String,
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }
}

/// `cargo xtask tidy`: prints what it finds.
pub(crate) fn report(workspace: &Workspace) -> anyhow::Result<bool> {
    let files = workspace.files()?;
    let mut findings = crates::check(workspace)?;
    findings.extend(rust::check(workspace, &files)?);
    findings.extend(text::check(workspace, &files)?);
    let compat = compat::check(workspace)?;
    findings.extend(compat.findings);
    for finding in &findings {
        println!("{}: {}", finding.place, finding.what);
    }
    println!(
        "COMPAT.md: {} rows work, {} differ, {} are missing",
        compat.works, compat.differs, compat.missing
    );
    println!("tidy: {} files, {} findings", files.len(), findings.len());
    Ok(findings.is_empty())
}

/// The stage of the gate.
pub(crate) fn stage(workspace: &Workspace, _limit: Duration) -> anyhow::Result<Outcome> {
    report(workspace).map(Outcome::check)
}
