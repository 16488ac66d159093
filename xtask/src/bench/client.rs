//! The client library beside the crate `zookeeper-client`, by the program in `compare/`: a workspace of its own, so that what is
//! compared with is in no lock file of ours.

use std::path::PathBuf;

use super::generator::Generator;
use super::server::{Kind, Place};
use super::{Args, BUILD_LIMIT};
use crate::shell;
use crate::workspace::Workspace;

/// Builds the program, starts a server, and has both clients ask it.
pub(super) fn report(workspace: &Workspace, args: &Args) -> anyhow::Result<bool> {
    let mut build = shell::cargo(workspace);
    build.args(["build", "--release", "--locked"]);
    build.args(["--manifest-path", "compare/Cargo.toml", "--target-dir"]);
    build.arg(&workspace.target);
    shell::run(&mut build, BUILD_LIMIT)?.checked("the build of the comparison")?;
    // No server of Apache's is started.
    let folder = workspace.target.join("bench");
    let place = Place::new(workspace, &folder, PathBuf::new())?;
    let started = place.start(Kind::Zabra, "client", &Generator::new(workspace))?;
    let servers: Vec<String> = started.server.target().ports.iter().map(at).collect();
    let mut compare = std::process::Command::new(workspace.target.join("release/zabra-compare"));
    // Many short windows rather than few long ones: what else runs on the machine comes and goes.
    let passes = args.passes * args.seconds.try_into().unwrap_or(u32::MAX);
    compare.args(["--servers", &servers.join(","), "--window", "250"]);
    compare.args(["--passes", &passes.to_string()]);
    compare.args(["--one-core-with", &started.server.pid().to_string()]);
    let finished = shell::run(&mut compare, BUILD_LIMIT)?;
    drop(started);
    place.clear()?;
    Ok(finished.success)
}

fn at(port: &u16) -> String {
    format!("127.0.0.1:{port}")
}
