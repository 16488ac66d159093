//! Servers as processes: an Apache ZooKeeper of some line, or Zabra, started standalone on a free port.
//!
//! A [`Server`] is killed (`SIGKILL`) when it is dropped. Its data directory belongs to the caller, so that another
//! server can be started on the same files.

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::step::Missing;
use crate::{packages, place};

/// How long a server may take until it serves; a cold JVM on a busy machine needs seconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A line of Apache ZooKeeper releases that Zabra is tested against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// 3.5
    V3_5,
    /// 3.6
    V3_6,
    /// 3.7
    V3_7,
    /// 3.8
    V3_8,
    /// 3.9, the line whose behaviour Zabra has.
    V3_9,
}

impl Line {
    /// Every line, newest first.
    pub const ALL: [Self; 5] = [Self::V3_9, Self::V3_8, Self::V3_7, Self::V3_6, Self::V3_5];
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3_5 => "3.5",
            Self::V3_6 => "3.6",
            Self::V3_7 => "3.7",
            Self::V3_8 => "3.8",
            Self::V3_9 => "3.9",
        })
    }
}

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Apache ZooKeeper.
    Apache(Line),
    /// The server under test.
    Zabra,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apache(line) => write!(f, "Apache {line}"),
            Self::Zabra => f.write_str("Zabra"),
        }
    }
}

/// What a server is told beyond its port and data directory.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Lines for `zoo.cfg`.
    pub config: Vec<String>,
    /// System properties, as `name=value`.
    pub properties: Vec<String>,
}

impl Settings {
    /// No pauses between ticks to speak of, every four-letter word, no admin server.
    #[must_use]
    pub fn base() -> Self {
        Self {
            config: [
                "tickTime=2000",
                "4lw.commands.whitelist=*",
                "maxClientCnxns=0",
                "admin.enableServer=false",
            ]
            .map(String::from)
            .to_vec(),
            properties: Vec::new(),
        }
    }

    /// Adds a line of `zoo.cfg`.
    #[must_use]
    pub fn config(mut self, line: impl Into<String>) -> Self {
        self.config.push(line.into());
        self
    }

    /// Adds a system property.
    #[must_use]
    pub fn property(mut self, pair: impl Into<String>) -> Self {
        self.properties.push(pair.into());
        self
    }
}

impl Peer {
    /// Installs what this peer needs.
    ///
    /// # Errors
    /// [`Missing`] when it cannot be had, or when Zabra was not built.
    pub fn provide(self) -> Result<()> {
        match self {
            Self::Apache(line) => packages::apache(line).map(|_| ()),
            Self::Zabra => {
                let binary = place::zabra_binary();
                if binary.is_file() {
                    return Ok(());
                }
                Err(Missing(format!(
                    "{} is not built (cargo build --release)",
                    binary.display()
                ))
                .into())
            }
        }
    }

    /// The command that runs this peer in the foreground with the configuration in `config`; only a JVM has a heap.
    pub(crate) fn command(
        self,
        properties: &[String],
        config: &Path,
        heap: &str,
    ) -> Result<Command> {
        let properties = properties.iter().map(|pair| format!("-D{pair}"));
        match self {
            Self::Apache(line) => {
                let mut java = java(line, heap)?;
                java.args(properties)
                    .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
                    .arg(config);
                Ok(java)
            }
            Self::Zabra => {
                let mut zabra = Command::new(place::zabra_binary());
                zabra.arg("server").args(properties).arg(config);
                Ok(zabra)
            }
        }
    }

    /// Starts a standalone server in `dir`: data in `dir/data`, log in `dir/<peer>.log`.
    ///
    /// # Errors
    /// It is missing, or did not begin to serve; the end of its log is in the message.
    pub fn start(self, dir: &Path, settings: &Settings) -> Result<Server> {
        self.provide()?;
        let port = free_ports(1)?;
        let data = dir.join("data");
        fs::create_dir_all(&data)?;
        let config = dir.join("zoo.cfg");
        let mut text = format!("dataDir={}\nclientPort={port}\n", data.display());
        for line in &settings.config {
            text.push_str(line);
            text.push('\n');
        }
        fs::write(&config, text)?;
        let log = dir.join(format!("{self}.log").replace(' ', "-").to_lowercase());
        let out = File::options().create(true).append(true).open(&log)?;
        let mut command = self.command(&settings.properties, &config, "512m")?;
        command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let child = command.spawn().with_context(|| format!("start {self}"))?;
        let mut server = Server {
            peer: self,
            port,
            data,
            log,
            child,
        };
        server.await_service()?;
        Ok(server)
    }
}

/// A JVM command with the class path of an Apache line, small and quick to start.
///
/// # Errors
/// The line cannot be installed.
pub fn java(line: Line, heap: &str) -> Result<Command> {
    let jars = packages::apache(line)?;
    let peers = place::harness().join("peers");
    let mut java = Command::new("java");
    java.arg(format!("-Xmx{heap}"))
        .args([
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
            "-Dfile.encoding=UTF-8",
        ])
        .arg(format!(
            "-Dlogback.configurationFile={}",
            peers.join("logback.xml").display()
        ))
        .arg(format!(
            "-Dlog4j.configuration=file:{}",
            peers.join("log4j.properties").display()
        ))
        .arg("-cp")
        .arg(jars.join("*"));
    Ok(java)
}

/// A running standalone server.
#[derive(Debug)]
pub struct Server {
    peer: Peer,
    port: u16,
    data: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Server {
    /// What kind of server this is.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// Its client port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its client address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks a four-letter word and reads the answer to its end.
    ///
    /// # Errors
    /// No connection, or no end of the answer within ten seconds.
    pub fn word(&self, word: &str) -> Result<String> {
        self.word_within(word, Duration::from_secs(10))
    }

    fn word_within(&self, word: &str, limit: Duration) -> Result<String> {
        ask(self.addr(), word, limit).with_context(|| format!("{} answering `{word}`", self.peer))
    }

    /// Ends the process at once, as a crash of the process does.
    ///
    /// # Errors
    /// It had ended by itself before.
    pub fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "{} had ended by itself: {status}\n{}",
                self.peer,
                self.log_tail()
            );
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks the process to end (`SIGTERM`) and waits until it did.
    ///
    /// # Errors
    /// It does not end within ten seconds.
    pub fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("process id")?;
        kill_process(id, Signal::TERM)?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(
                start.elapsed() < Duration::from_secs(10),
                "{} does not stop on SIGTERM",
                self.peer
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The last lines of the server's log, for a message.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tail(&self.log)
    }

    fn await_service(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended at start: {status}\n{}",
                    self.peer,
                    self.log_tail()
                );
            }
            // Apache may leave a connection that comes too early without an answer; nothing of it shall be left.
            let answer = self.word_within("srvr", Duration::from_millis(500));
            if answer.is_ok_and(|text| text.contains("Mode: ") && text.contains("Connections: 1\n"))
            {
                return Ok(());
            }
            if start.elapsed() > START_LIMIT {
                bail!(
                    "{} does not serve after {START_LIMIT:?}\n{}",
                    self.peer,
                    self.log_tail()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may be gone already; there is nothing else to do about either error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks a four-letter word and reads the answer to its end.
///
/// # Errors
/// No connection, or no end of the answer within `limit`.
pub(crate) fn ask(addr: SocketAddr, word: &str, limit: Duration) -> Result<String> {
    let mut socket = TcpStream::connect_timeout(&addr, limit)?;
    socket.set_read_timeout(Some(limit))?;
    socket.write_all(word.as_bytes())?;
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Ok(_) => {}
        // Closing with unread input resets the connection; what was said before that counts.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => return Err(error.into()),
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The last lines of a log file, for a message.
pub(crate) fn log_tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// The first of `count` neighbouring free ports, outside of the range that outgoing connections take theirs from.
///
/// # Errors
/// No such range is free.
pub fn free_ports(count: u16) -> Result<u16> {
    for _ in 0..200 {
        let first = fastrand::u16(12_000..32_000 - count);
        // Held until all are bound, so that one answer cannot name a port twice.
        let held: Result<Vec<TcpListener>, _> = (first..first + count)
            .map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
            .collect();
        if held.is_ok() {
            return Ok(first);
        }
    }
    bail!("no {count} free ports in a row")
}
