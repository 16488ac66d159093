//! Rules for the crates as a whole: who may use whom, lints, and that the documents know every crate.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, rules};
use crate::workspace::{Package, Workspace};

/// The names of our own crates begin like this, besides the two programs.
const PREFIX: &str = "zabra-";

/// Crates that any other may use in its tests.
const FOR_TESTS: [&str; 2] = ["zabra-testkit", "zabra-testserver"];

/// Features that no program of users has: whoever wants one says so on the command line.
const SWITCHES: [&str; 2] = ["faults", "mutants"];

/// Everything that is wrong with the crates.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<Vec<Finding>> {
    let members = workspace.members()?;
    let edges = table(workspace, "edges.txt")?;
    let outside: BTreeSet<String> = rules::entries(workspace, "core_dependencies.txt")?
        .into_iter()
        .collect();
    let architecture = workspace.read("ARCHITECTURE.md")?;
    let reasons = workspace.read("docs/dependencies.md")?;
    let mut findings = switched_on("Cargo.toml", &workspace.read("Cargo.toml")?);
    for package in &members {
        let folder = workspace.relative(&package.folder);
        let manifest = format!("{folder}/Cargo.toml");
        check_edges(package, &manifest, &edges, &mut findings);
        if folder.starts_with("core/") {
            check_core(workspace, package, &folder, &outside, &mut findings)?;
        }
        let lints = workspace.read(&manifest)?;
        findings.extend(switched_on(&manifest, &lints));
        if !lints.contains("[lints]\nworkspace = true") {
            findings.push(Finding::new(
                &manifest,
                "must have `[lints]` with `workspace = true`",
            ));
        }
        if !architecture.contains(&format!("`{folder}`")) {
            findings.push(Finding::new(
                "ARCHITECTURE.md",
                format!("does not list the crate `{folder}`"),
            ));
        }
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| !is_ours(&dependency.name))
        {
            if !reasons.contains(&format!("`{}`", dependency.name)) {
                let what = format!(
                    "uses `{}` without a line in docs/dependencies.md",
                    dependency.name
                );
                findings.push(Finding::new(&manifest, what));
            }
        }
    }
    for name in edges
        .keys()
        .filter(|name| !members.iter().any(|member| member.name == **name))
    {
        findings.push(Finding::new(
            "xtask/rules/edges.txt",
            format!("there is no crate `{name}`"),
        ));
    }
    Ok(findings)
}

/// `crate: dependency dependency` per line.
fn table(workspace: &Workspace, name: &str) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let lines = rules::entries(workspace, name)?;
    let split = lines.iter().filter_map(|line| line.split_once(':'));
    Ok(split
        .map(|(from, to)| {
            (
                from.to_owned(),
                to.split_whitespace().map(str::to_owned).collect(),
            )
        })
        .collect())
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) || name == "zabra" || name == "xtask"
}

fn check_edges(
    package: &Package,
    manifest: &str,
    edges: &BTreeMap<String, BTreeSet<String>>,
    findings: &mut Vec<Finding>,
) {
    let Some(allowed) = edges.get(&package.name) else {
        findings.push(Finding::new(
            manifest,
            "the crate has no line in xtask/rules/edges.txt",
        ));
        return;
    };
    for dependency in package
        .dependencies
        .iter()
        .filter(|dependency| is_ours(&dependency.name))
    {
        let for_tests = dependency.is_dev && FOR_TESTS.contains(&dependency.name.as_str());
        if !allowed.contains(&dependency.name) && !for_tests {
            let what = format!(
                "may not depend on `{}` (xtask/rules/edges.txt)",
                dependency.name
            );
            findings.push(Finding::new(manifest, what));
        }
    }
}

/// Lines of a manifest that turn on what may only be handed on.
fn switched_on(manifest: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for switch in SWITCHES {
        let named = [format!("\"{switch}\""), format!("/{switch}\"")];
        let handed_on = format!("{switch} = [");
        let lines = text.lines().map(str::trim);
        let bad = lines.filter(|line| {
            named.iter().any(|name| line.contains(name)) && !line.starts_with(&handed_on)
        });
        findings.extend(bad.map(|line| {
            let what = format!(
                "`{line}`: the feature `{switch}` may only be handed on by one of that name"
            );
            Finding::new(manifest, what)
        }));
    }
    findings
}

/// What is asked of the pure crates: few dependencies, no unsafe code.
fn check_core(
    workspace: &Workspace,
    package: &Package,
    folder: &str,
    outside: &BTreeSet<String>,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let foreign = package
        .dependencies
        .iter()
        .filter(|dependency| !dependency.is_dev && !is_ours(&dependency.name));
    for dependency in foreign.filter(|dependency| !outside.contains(&dependency.name)) {
        let what = format!("a core crate may not depend on `{}`", dependency.name);
        findings.push(Finding::new(format!("{folder}/Cargo.toml"), what));
    }
    let root = format!("{folder}/src/lib.rs");
    if !workspace.read(&root)?.contains("#![forbid(unsafe_code)]") {
        findings.push(Finding::new(
            root,
            "a core crate must have `#![forbid(unsafe_code)]`",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::switched_on;

    #[test]
    fn a_switch_is_handed_on_and_never_turned_on() {
        for (line, findings) in [
            ("faults = []", 0),
            ("name = \"zabra-faults\"", 0),
            ("faults = [\"zabra-storage/faults\"]", 0),
            ("default = [\"faults\"]", 1),
            (
                "zabra-server = { path = \"x\", features = [\"faults\"] }",
                1,
            ),
            ("test = [\"zabra-mutant/mutants\"]", 1),
        ] {
            assert_eq!(switched_on("Cargo.toml", line).len(), findings, "{line}");
        }
    }
}
