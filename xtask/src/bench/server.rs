//! A server as a process: Apache ZooKeeper with the settings it is shipped with, or Zabra on the same configuration.

use std::fmt::{self, Write};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::generator::{Generator, Target};
use crate::workspace::Workspace;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// Apache ZooKeeper 3.9
    Apache,
    /// Zabra, the release build
    Zabra,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apache => "Apache",
            Self::Zabra => "Zabra",
        })
    }
}

/// Where servers come from and where they run.
pub(super) struct Place {
    zabra: PathBuf,
    jars: PathBuf,
    logback: PathBuf,
    /// Holds a folder for each server that was started.
    pub(super) runs: PathBuf,
}

impl Place {
    /// Servers that run under this folder, which is emptied.
    pub(super) fn new(workspace: &Workspace, folder: &Path, jars: PathBuf) -> anyhow::Result<Self> {
        let place = Self {
            zabra: zabra_binary(workspace),
            jars,
            logback: workspace.root.join("test/interop/peers/logback.xml"),
            runs: folder.join("run"),
        };
        place.clear()?;
        Ok(place)
    }

    /// Removes what servers wrote.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        if self.runs.exists() {
            fs::remove_dir_all(&self.runs)
                .with_context(|| format!("cannot remove {}", self.runs.display()))?;
        }
        Ok(())
    }

    /// Starts a server on an empty directory and waits for its first answer. `role` tells apart servers of one kind.
    pub(super) fn start(
        &self,
        kind: Kind,
        role: &str,
        generator: &Generator,
    ) -> anyhow::Result<Started> {
        let folder = self.runs.join(format!("{role}-{kind}").to_lowercase());
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("data"))?;
        self.resume(kind, &folder, &[], "/", generator)
    }

    /// Starts a server on what another one left in `folder` and waits until it answers a read of `path`.
    pub(super) fn resume(
        &self,
        kind: Kind,
        folder: &Path,
        properties: &[&str],
        path: &str,
        generator: &Generator,
    ) -> anyhow::Result<Started> {
        let port = free_port()?;
        let config = folder.join("zoo.cfg");
        let mut text = String::from(CONFIG);
        writeln!(text, "dataDir={}", folder.join("data").display())?;
        writeln!(text, "clientPort={port}")?;
        fs::write(&config, text)?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("log"))?;
        let mut command = self.command(kind, properties);
        command.arg(&config).current_dir(folder);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let begun = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {kind}"))?;
        let mut server = Server {
            kind,
            port,
            folder: folder.to_owned(),
            child,
        };
        let before = begun.elapsed();
        let ready = generator.run(
            &server.target(),
            &format!("ready --path {path} --within {START_LIMIT}"),
        );
        if let Some(status) = server.child.try_wait()? {
            let log = folder.join("log");
            bail!(
                "{kind} ended at its start ({status}), see {}",
                log.display()
            );
        }
        let first_read = before + Duration::from_secs_f64(ready?.of("first_read_ms")? / 1e3);
        Ok(Started { server, first_read })
    }

    pub(super) fn command(&self, kind: Kind, properties: &[&str]) -> Command {
        let properties = properties.iter().map(|property| format!("-D{property}"));
        match kind {
            Kind::Apache => {
                let mut java = Command::new("java");
                // What its start script gives it.
                java.args(["-Xmx1000m", "-XX:+HeapDumpOnOutOfMemoryError"])
                    .args(["-Dcom.sun.management.jmxremote"])
                    .arg("-Dcom.sun.management.jmxremote.local.only=true")
                    .arg(format!(
                        "-Dlogback.configurationFile={}",
                        self.logback.display()
                    ))
                    .args(properties)
                    .arg("-cp")
                    .arg(self.jars.join("*"))
                    .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
                java
            }
            Kind::Zabra => {
                let mut zabra = Command::new(&self.zabra);
                zabra.arg("server").args(properties);
                zabra
            }
        }
    }
}

/// A server that has answered for the first time.
pub(super) struct Started {
    /// It.
    pub(super) server: Server,
    /// How long that took from the start of the process.
    pub(super) first_read: Duration,
}

/// A running server. It is killed when it is dropped.
pub(super) struct Server {
    kind: Kind,
    port: u16,
    folder: PathBuf,
    child: Child,
}

impl Server {
    /// It alone, as what load is put on.
    pub(super) fn target(&self) -> Target {
        Target {
            kind: self.kind,
            ports: vec![self.port],
            pids: vec![self.pid()],
        }
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in bytes.
    pub(super) fn resident(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kilobytes: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .with_context(|| format!("{} has ended", self.kind))?
            .parse()?;
        Ok(kilobytes * 1024.0)
    }

    /// How many snapshots it and its predecessors on this directory have begun.
    pub(super) fn snapshots(&self) -> anyhow::Result<usize> {
        let mut count = 0;
        for entry in fs::read_dir(self.folder.join("data/version-2"))? {
            let name = entry?.file_name();
            count += usize::from(name.to_string_lossy().starts_with("snapshot."));
        }
        Ok(count)
    }

    /// Ends it as a crash does; what it wrote stays in the folder that is returned.
    pub(super) fn kill(mut self) -> anyhow::Result<PathBuf> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.folder.clone())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program under test: `$ZABRA_BIN`, or the release build.
pub(super) fn zabra_binary(workspace: &Workspace) -> PathBuf {
    match std::env::var_os("ZABRA_BIN") {
        Some(path) => PathBuf::from(path),
        None => workspace.target.join("release").join("zabra"),
    }
}

/// A port below those that outgoing connections take theirs from: on one of those, a client that waits for the server
/// could be connected with itself.
pub(super) fn free_port() -> anyhow::Result<u16> {
    let first = 12_000 + (std::process::id() % 10_000) as u16;
    (first..first + 1_000)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port")
}

/// The sample configuration; limits and ports that stand in the way of a measurement are changed for both servers.
pub(super) const CONFIG: &str = "\
tickTime=2000
initLimit=10
syncLimit=5
clientPortAddress=127.0.0.1
maxClientCnxns=0
4lw.commands.whitelist=*
admin.enableServer=false
";
/// Seconds until a server must have answered.
pub(super) const START_LIMIT: u64 = 120;
