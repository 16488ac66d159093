//! `zabra bench` as a program: its figures come back as JSON.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;

use super::server::{Server, zabra_binary};
use crate::workspace::Workspace;

/// The load generator.
pub(super) struct Generator {
    program: PathBuf,
}

/// The figures of one run.
pub(super) struct Figures(Value);

impl Generator {
    /// The one of the release build.
    pub(super) fn new(workspace: &Workspace) -> Self {
        Self {
            program: zabra_binary(workspace),
        }
    }

    /// Runs `zabra bench` against a server.
    pub(super) fn run(&self, server: &Server, work: &str) -> anyhow::Result<Figures> {
        let output = Command::new(&self.program)
            .arg("bench")
            .args(work.split_whitespace())
            .args([
                "--json",
                "--server",
                &format!("127.0.0.1:{}", server.port()),
            ])
            .args(["--server-pid", &server.pid().to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        if !output.status.success() {
            bail!("`zabra bench {work}` against {} failed", server.kind());
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
