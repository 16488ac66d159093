//! The lists in `xtask/rules`: one entry per line, `#` starts a comment, order as written.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::Finding;
use crate::workspace::Workspace;

/// The entries of a list, without comments and blank lines.
pub(crate) fn entries(workspace: &Workspace, name: &str) -> anyhow::Result<Vec<String>> {
    let text = workspace.read(&path(name))?;
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or("").trim());
    Ok(lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

fn path(name: &str) -> String {
    format!("xtask/rules/{name}")
}

/// A list of exceptions, each of which must be needed. The reason stands in the comment behind the entry.
pub(crate) struct Exceptions {
    name: &'static str,
    listed: Vec<String>,
    used: RefCell<BTreeSet<String>>,
}

impl Exceptions {
    /// Reads a list.
    pub(crate) fn read(workspace: &Workspace, name: &'static str) -> anyhow::Result<Self> {
        Ok(Self {
            name,
            listed: entries(workspace, name)?,
            used: RefCell::default(),
        })
    }

    /// Whether the list allows it; remembers that it was needed.
    pub(crate) fn allow(&self, entry: &str) -> bool {
        let listed = self.listed.iter().any(|line| line == entry);
        if listed {
            self.used.borrow_mut().insert(entry.to_owned());
        }
        listed
    }

    /// What was listed and never needed.
    pub(crate) fn unused(&self) -> Vec<Finding> {
        let used = self.used.borrow();
        let unused = self.listed.iter().filter(|entry| !used.contains(*entry));
        unused
            .map(|entry| {
                Finding::new(
                    path(self.name),
                    format!("`{entry}` is not needed: take it out"),
                )
            })
            .collect()
    }
}
