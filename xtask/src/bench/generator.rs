//! `zabra bench` as a program, and for etcd one that does the same: figures come back as JSON.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use super::server::{Kind, pinned, zabra_binary};
use crate::workspace::Workspace;

/// The load generator.
pub(crate) struct Generator {
    program: PathBuf,
    etcd: PathBuf,
    /// The only cores that it runs on.
    cores: Option<String>,
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
            cores: None,
        }
    }

    /// The same, but on these cores only, as `1` or `4-7`.
    pub(crate) fn with_cores(self, cores: &str) -> Self {
        Self {
            cores: Some(cores.to_owned()),
            ..self
        }
    }

    /// Runs `zabra bench` against servers, or what stands for it with etcd.
    pub(crate) fn run(&self, target: &Target, work: &str) -> anyhow::Result<Figures> {
        let mut command = self.command(target, work);
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {command:?}"))?;
        if !output.status.success() {
            bail!("`zabra bench {work}` against {} failed", target.kind);
        }
        Figures::read(&output.stdout)
            .with_context(|| format!("`zabra bench {work}` did not answer in JSON"))
    }

    /// What [`Self::run`] starts.
    pub(crate) fn command(&self, target: &Target, work: &str) -> Command {
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
        command
            .args(work.split_whitespace())
            .args(["--json", "--server", &servers.join(",")])
            .args(["--server-pid", &pids.join(",")]);
        if let Some(cores) = &self.cores {
            command = pinned(&command, cores);
        }
        command.stdin(Stdio::null());
        command
    }
}

impl Figures {
    /// What it printed.
    pub(crate) fn read(json: &[u8]) -> anyhow::Result<Self> {
        Ok(Self(serde_json::from_slice(json)?))
    }

    /// A figure by its name.
    pub(crate) fn of(&self, name: &str) -> anyhow::Result<f64> {
        self.0[name]
            .as_f64()
            .with_context(|| format!("`zabra bench` reported no {name}"))
    }
}
