//! Zabra and Apache ZooKeeper measured side by side; never part of the gate, because it has a clock in it.

use std::time::Duration;

use crate::workspace::Workspace;
use crate::{interop, shell};

/// `cargo xtask bench`: the comparison that `zabra-interop` knows how to set up.
pub(crate) fn report(workspace: &Workspace, args: &[String]) -> anyhow::Result<bool> {
    interop::build(workspace)?;
    let mut compare = interop::command(workspace);
    compare.arg("compare").args(args);
    Ok(shell::run(&mut compare, Duration::MAX)?.success)
}
