//! `zabra bench` as a program, and for etcd one that does the same: figures come back as JSON.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use super::server::{Kind, zabra_binary};
use crate::workspace::Workspace;

/// The load generator.
pub(crate) struct Generator {
    program: PathBuf,
    etcd: PathBuf,
}

/// The figures of one run.
pub(crate) struct Figures(Value);

/// What the load is put on: one server, or several of an ensemble.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Which kind they are.
    pub(crate) kind: Kind,
    /// Where sessions are opened, in turn.
    pub(crate) ports: Vec<u16>,
    /// All processes whose time counts.
    pub(crate) pids: Vec<u32>,
}

impl Generator {
    /// The one of the release build.
    pub(crate) fn new(workspace: &Workspace) -> Self {
        Self {
            program: zabra_binary(workspace),
            etcd: workspace.target.join("release/zabra-compare-etcd"),
        }
    }

    /// Runs `zabra bench` against servers, or what stands for it with etcd.
    pub(crate) fn run(&self, target: &Target, work: &str) -> anyhow::Result<Figures> {
        let servers = target.ports.iter().map(|port| format!("127.0.0.1:{port}"));
        let servers: Vec<String> = servers.collect();
        let pids: Vec<String> = target.pids.iter().map(u32::to_string).collect();
        let mut command = match target.kind {
            Kind::Etcd => Command::new(&self.etcd),
            Kind::Apache | Kind::Zabra => {
                let mut zabra = Command::new(&self.program);
                zabra.arg("bench");
                zabra
            }
        };
        let output = command
            .args(work.split_whitespace())
            .args(["--json", "--server", &servers.join(",")])
            .args(["--server-pid", &pids.join(",")])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {command:?}"))?;
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
    pub(crate) fn of(&self, name: &str) -> anyhow::Result<f64> {
        self.0[name]
            .as_f64()
            .with_context(|| format!("`zabra bench` reported no {name}"))
    }
}
