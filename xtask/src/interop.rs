//! Real clients and real Apache servers against a release build of Zabra.
//!
//! The suites are in `test/interop`; its program `zabra-interop` installs what they need under the target
//! folder, and says in a line each what it did, left out and found.

use std::process::Command;
use std::time::Duration;

use crate::shell;
use crate::stage::{Outcome, Tally};
use crate::workspace::Workspace;

/// How long a build may take.
const LIMIT: Duration = Duration::from_secs(45 * 60);

/// `cargo xtask interop`.
pub(crate) fn report(workspace: &Workspace, args: &[String]) -> anyhow::Result<bool> {
    build(workspace)?;
    let mut command = command(workspace);
    if args.is_empty() {
        command.arg("all");
    }
    Ok(shell::run(command.args(args), Duration::MAX)?.success)
}

/// The stage of the gate for standalone servers.
pub(crate) fn standalone(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    stage(workspace, limit, "standalone")
}

/// The stage of the gate for ensembles, mixed ones and real processes under faults.
pub(crate) fn ensembles(workspace: &Workspace, limit: Duration) -> anyhow::Result<Outcome> {
    stage(workspace, limit, "ensembles")
}

fn stage(workspace: &Workspace, limit: Duration, suites: &str) -> anyhow::Result<Outcome> {
    build(workspace)?;
    let run = shell::run(command(workspace).arg(suites), limit)?;
    Ok(Outcome::Ran {
        tally: Tally::of_interop(&run.stdout),
        success: run.success,
    })
}

/// Builds the server and the suites as users get them, and beside them the server whose disk and clock take orders: in the
/// profile of the simulator, so that it never is where the other one is looked for.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = shell::cargo(workspace);
    cargo.args([
        "build",
        "--release",
        "--locked",
        "-p",
        "zabra",
        "-p",
        "zabra-interop",
    ]);
    shell::run(&mut cargo, LIMIT)?.checked("the release build")?;
    let mut cargo = shell::cargo(workspace);
    cargo.args(["build", "--profile", "sim", "--locked"]);
    cargo.args(["-p", "zabra", "--features", "faults"]);
    shell::run(&mut cargo, LIMIT)?.checked("the build with faults")?;
    Ok(())
}

/// The program of the suites, which finds the server beside itself.
pub(crate) fn command(workspace: &Workspace) -> Command {
    let mut command = Command::new(workspace.target.join("release").join("zabra-interop"));
    command.current_dir(&workspace.root);
    command
}
