//! `zabra bench` as a program: its figures come back as JSON.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use super::server::{Kind, zabra_binary};
use crate::workspace::Workspace;

/// The load generator.
pub(super) struct Generator {
    program: PathBuf,
}

/// The figures of one run.
pub(super) struct Figures(Value);

/// What the load is put on: one server, or several of an ensemble.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Which kind they are.
    pub(super) kind: Kind,
    /// Where sessions are opened, in turn.
    pub(super) ports: Vec<u16>,
    /// All processes whose time counts.
    pub(super) pids: Vec<u32>,
}

impl Generator {
    /// The one of the release build.
    pub(super) fn new(workspace: &Workspace) -> Self {
        Self {
            program: zabra_binary(workspace),
        }
    }

    /// Runs `zabra bench` against servers.
    pub(super) fn run(&self, target: &Target, work: &str) -> anyhow::Result<Figures> {
        let servers = target.ports.iter().map(|port| format!("127.0.0.1:{port}"));
        let servers: Vec<String> = servers.collect();
        let pids: Vec<String> = target.pids.iter().map(u32::to_string).collect();
        let output = Command::new(&self.program)
            .arg("bench")
            .args(work.split_whitespace())
            .args(["--json", "--server", &servers.join(",")])
            .args(["--server-pid", &pids.join(",")])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        if !output.status.success() {
            bail!("`zabra bench {work}` against {} failed", target.kind);
        }
        let figures = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("`zabra bench {work}` did not answer in JSON"))?;
        Ok(Figures(figures))
    }
}

impl Figures {
    /// A figure by its name.
    pub(super) fn of(&self, name: &str) -> anyhow::Result<f64> {
        self.0[name]
            .as_f64()
            .with_context(|| format!("`zabra bench` reported no {name}"))
    }
}
