//! A server as a process: Apache ZooKeeper with the settings it is shipped with, Zabra on the same configuration, or etcd with
//! its defaults.

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
pub(crate) enum Kind {
    /// Apache ZooKeeper 3.9
    Apache,
    /// Zabra, the release build
    Zabra,
    /// etcd, which only the referee knows how to ask
    #[value(skip)]
    Etcd,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apache => "Apache",
            Self::Zabra => "Zabra",
            Self::Etcd => "etcd",
        })
    }
}

/// Where servers come from and where they run.
pub(crate) struct Place {
    zabra: PathBuf,
    jars: PathBuf,
    logback: PathBuf,
    etcd: PathBuf,
    /// By how much each flush of a server is lengthened.
    flush_delay: Duration,
    /// The only cores that a server runs on, as `taskset` reads them.
    cores: Option<String>,
    /// System properties of every server of ZooKeeper's protocol, as `zookeeper.snapCount=20000`.
    properties: Vec<String>,
    /// Holds a folder for each server that was started.
    pub(crate) runs: PathBuf,
}

impl Place {
    /// Servers that run under this folder, which is emptied.
    pub(crate) fn new(workspace: &Workspace, folder: &Path, jars: PathBuf) -> anyhow::Result<Self> {
        let place = Self {
            zabra: zabra_binary(workspace),
            jars,
            logback: workspace.root.join("test/interop/peers/logback.xml"),
            etcd: PathBuf::from("etcd"),
            flush_delay: Duration::ZERO,
            cores: None,
            properties: Vec::new(),
            runs: folder.join("run"),
        };
        place.clear()?;
        Ok(place)
    }

    /// The same with this etcd.
    pub(crate) fn with_etcd(self, etcd: PathBuf) -> Self {
        Self { etcd, ..self }
    }

    /// The same, but each flush of a server that it starts takes so much longer.
    pub(crate) fn with_flush_delay(self, flush_delay: Duration) -> Self {
        Self {
            flush_delay,
            ..self
        }
    }

    /// The same, but a server that it starts runs on these cores only, as `0` or `0-3`.
    pub(crate) fn with_cores(self, cores: &str) -> Self {
        Self {
            cores: Some(cores.to_owned()),
            ..self
        }
    }

    /// The same, but every server of ZooKeeper's protocol has these system properties.
    pub(crate) fn with_properties(self, properties: Vec<String>) -> Self {
        Self { properties, ..self }
    }

    /// Removes what servers wrote.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        if self.runs.exists() {
            fs::remove_dir_all(&self.runs)
                .with_context(|| format!("cannot remove {}", self.runs.display()))?;
        }
        Ok(())
    }

    /// Starts a server on an empty directory and waits for its first answer. `role` tells apart servers of one kind.
    pub(crate) fn start(
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
    pub(crate) fn resume(
        &self,
        kind: Kind,
        folder: &Path,
        properties: &[&str],
        path: &str,
        generator: &Generator,
    ) -> anyhow::Result<Started> {
        let ports = [Ports::alone(free_port()?, kind)?];
        let seat = Seat {
            folder: folder.to_owned(),
            at: 0,
            ports: &ports,
        };
        let port = ports[0].client;
        let begun = Instant::now();
        let child = self.spawn(kind, properties, &seat)?;
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

    /// Starts a server, which may not answer yet.
    pub(crate) fn spawn(
        &self,
        kind: Kind,
        properties: &[&str],
        seat: &Seat<'_>,
    ) -> anyhow::Result<Child> {
        fs::create_dir_all(seat.folder.join("data"))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(seat.folder.join("log"))?;
        let mut command = self.command(kind, properties);
        match kind {
            Kind::Apache | Kind::Zabra => command.arg(seat.configure()?),
            Kind::Etcd => command.args(seat.flags()),
        };
        if !self.flush_delay.is_zero() {
            command = slowed(&command, self.flush_delay);
        }
        if let Some(cores) = &self.cores {
            command = pinned(&command, cores);
        }
        command
            .current_dir(&seat.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {kind}"))
    }

    fn command(&self, kind: Kind, properties: &[&str]) -> Command {
        let properties = self
            .properties
            .iter()
            .map(String::as_str)
            .chain(properties.iter().copied());
        let properties = properties.map(|property| format!("-D{property}"));
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
            Kind::Etcd => Command::new(&self.etcd),
        }
    }
}

/// Where a server listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    /// For clients.
    pub(crate) client: u16,
    /// For the other servers.
    pub(crate) quorum: u16,
    /// For elections.
    pub(crate) election: u16,
}

impl Ports {
    /// Of a server without others; etcd listens for them all the same.
    fn alone(client: u16, kind: Kind) -> anyhow::Result<Self> {
        let quorum = match kind {
            Kind::Apache | Kind::Zabra => 0,
            Kind::Etcd => {
                let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, client))?;
                free_port()?
            }
        };
        Ok(Self {
            client,
            quorum,
            election: 0,
        })
    }
}

/// A place among servers that belong together.
pub(crate) struct Seat<'a> {
    /// What it writes is under this.
    pub(crate) folder: PathBuf,
    /// Which of them it is, from 0.
    pub(crate) at: usize,
    /// Of all of them.
    pub(crate) ports: &'a [Ports],
}

impl Seat<'_> {
    /// Writes the configuration of a server of ZooKeeper's protocol.
    fn configure(&self) -> anyhow::Result<PathBuf> {
        let data = self.folder.join("data");
        let mut text = String::from(CONFIG);
        writeln!(text, "dataDir={}", data.display())?;
        writeln!(text, "clientPort={}", self.ports[self.at].client)?;
        if self.ports.len() > 1 {
            fs::write(data.join("myid"), format!("{}\n", self.at + 1))?;
            for (at, ports) in self.ports.iter().enumerate() {
                let (quorum, election) = (ports.quorum, ports.election);
                writeln!(text, "server.{}=127.0.0.1:{quorum}:{election}", at + 1)?;
            }
        }
        let config = self.folder.join("zoo.cfg");
        fs::write(&config, text)?;
        Ok(config)
    }

    /// The command line of an etcd: its defaults, but for addresses, the limit of its database and the level of its log.
    fn flags(&self) -> Vec<String> {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let Ports { client, quorum, .. } = self.ports[self.at];
        let members = self.ports.iter().enumerate();
        let members = members.map(|(at, ports)| format!("s{at}={}", url(ports.quorum)));
        let flags = [
            ("name", format!("s{}", self.at)),
            ("data-dir", self.folder.join("data").display().to_string()),
            ("listen-client-urls", url(client)),
            ("advertise-client-urls", url(client)),
            ("listen-peer-urls", url(quorum)),
            ("initial-advertise-peer-urls", url(quorum)),
            ("initial-cluster", members.collect::<Vec<_>>().join(",")),
            // It keeps every version of a key: a long run would reach its limit of 2 GB.
            ("quota-backend-bytes", "8589934592".to_owned()),
            ("logger", "zap".to_owned()),
            ("log-level", "error".to_owned()),
        ];
        let flags = flags.map(|(name, value)| format!("--{name}={value}"));
        flags.into()
    }
}

/// The same command, but the kernel lets each flush return so much later.
///
/// One means for all servers, whatever they are written in: `strace` changes the system call, not a library's function, which
/// programs in Go do not call. With its filter in the kernel no other system call stops; a flush pays about 20 µs more than it should.
/// The tracer is a grandchild, so that the process that is returned is the server's own.
pub(crate) fn slowed(command: &Command, delay: Duration) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f", "-q", "--seccomp-bpf", "-o", "/dev/null"])
        .args(["-e", "trace=fsync,fdatasync", "-e"])
        .arg(format!(
            "inject=fsync,fdatasync:delay_exit={}",
            delay.as_micros()
        ))
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    strace
}

/// The same command on these cores only; `taskset` becomes the program, so that the process is its own.
pub(crate) fn pinned(command: &Command, cores: &str) -> Command {
    let mut taskset = Command::new("taskset");
    taskset
        .args(["--cpu-list", cores])
        .arg(command.get_program())
        .args(command.get_args());
    taskset
}

/// A server that has answered for the first time.
pub(crate) struct Started {
    /// It.
    pub(crate) server: Server,
    /// How long that took from the start of the process.
    pub(crate) first_read: Duration,
}

/// A running server. It is killed when it is dropped.
pub(crate) struct Server {
    kind: Kind,
    port: u16,
    folder: PathBuf,
    child: Child,
}

impl Server {
    /// It alone, as what load is put on.
    pub(crate) fn target(&self) -> Target {
        Target {
            kind: self.kind,
            ports: vec![self.port],
            pids: vec![self.pid()],
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        resident(self.pid()).with_context(|| format!("{} has ended", self.kind))
    }

    /// How many snapshots it and its predecessors on this directory have begun.
    pub(crate) fn snapshots(&self) -> anyhow::Result<usize> {
        let mut count = 0;
        for entry in fs::read_dir(self.folder.join("data/version-2"))? {
            let name = entry?.file_name();
            count += usize::from(name.to_string_lossy().starts_with("snapshot."));
        }
        Ok(count)
    }

    /// Ends it as a crash does; what it wrote stays in the folder that is returned.
    pub(crate) fn kill(mut self) -> anyhow::Result<PathBuf> {
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

/// The resident memory of a process in bytes.
pub(crate) fn resident(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .context("a process without memory")?
        .parse()?;
    Ok(kilobytes * 1024.0)
}

/// The program under test: `$ZABRA_BIN`, or the release build.
pub(crate) fn zabra_binary(workspace: &Workspace) -> PathBuf {
    match std::env::var_os("ZABRA_BIN") {
        Some(path) => PathBuf::from(path),
        None => workspace.target.join("release").join("zabra"),
    }
}

/// A port below those that outgoing connections take theirs from: on one of those, a client that waits for the server
/// could be connected with itself.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let first = 12_000 + (std::process::id() % 10_000) as u16;
    (first..first + 1_000)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port")
}

/// The sample configuration; limits and ports that stand in the way of a measurement are changed for both servers.
pub(crate) const CONFIG: &str = "\
tickTime=2000
initLimit=10
syncLimit=5
clientPortAddress=127.0.0.1
maxClientCnxns=0
4lw.commands.whitelist=*
admin.enableServer=false
";
/// Seconds until a server must have answered.
pub(crate) const START_LIMIT: u64 = 120;
