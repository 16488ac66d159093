//! Server processes, one or an ensemble, on ports of loopback that nobody else gets, in directories of their own.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// Servers that can be killed and started again on the same data and ports.
pub(crate) struct Servers {
    members: Vec<Server>,
    _dir: tempfile::TempDir,
}

struct Server {
    home: PathBuf,
    child: Child,
    port: KeptPort,
    _peer_ports: [KeptPort; 2],
}

impl Servers {
    /// So many; they serve soon.
    pub(crate) fn start(servers: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ports: Vec<[KeptPort; 3]> = (0..servers)
            .map(|_| std::array::from_fn(|_| KeptPort::new()))
            .collect();
        let mut list = String::new();
        if servers > 1 {
            for (number, [_, quorum, election]) in (1..).zip(&ports) {
                let (quorum, election) = (quorum.number(), election.number());
                writeln!(list, "server.{number}=127.0.0.1:{quorum}:{election}").unwrap();
            }
        }
        let start = |(number, [port, quorum, election]): (usize, [KeptPort; 3])| {
            let home = dir.path().join(number.to_string());
            let data = home.join("data");
            std::fs::create_dir_all(&data).unwrap();
            std::fs::write(data.join("myid"), number.to_string()).unwrap();
            let config = format!(
                "{CONFIG}clientPort={}\ndataDir={}\n{list}",
                port.number(),
                data.display()
            );
            std::fs::write(home.join("zoo.cfg"), config).unwrap();
            let child = run(&home);
            Server {
                home,
                child,
                port,
                _peer_ports: [quorum, election],
            }
        };
        let members = (1..).zip(ports).map(start).collect();
        Self { members, _dir: dir }
    }

    pub(crate) const fn len(&self) -> usize {
        self.members.len()
    }

    /// Kills one (`SIGKILL`) and starts it again.
    pub(crate) fn restart(&mut self, server: usize) {
        let server = &mut self.members[server];
        server.stop();
        server.child = run(&server.home);
    }

    /// Where they listen when they run.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|server| server.port.0).collect()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for server in &self.members {
                let log = std::fs::read_to_string(server.home.join("log")).unwrap_or_default();
                let last = log.lines().rev().take(LINES_SHOWN).collect::<Vec<_>>();
                let last: Vec<&str> = last.into_iter().rev().collect();
                eprintln!("-- {}\n{}", server.home.display(), last.join("\n"));
            }
        }
    }
}

/// How much of each server's log is shown after a failure.
const LINES_SHOWN: usize = 40;

impl Server {
    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that is bound and not listening: nobody else gets it, and without its server connections are refused.
struct KeptPort(
    SocketAddr,
    #[expect(dead_code, reason = "it is kept")] TcpSocket,
);

impl KeptPort {
    fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self(socket.local_addr().unwrap(), socket)
    }

    const fn number(&self) -> u16 {
        self.0.port()
    }
}

/// What a server says to a four-letter word.
pub(crate) async fn word(address: SocketAddr, word: &str) -> std::io::Result<String> {
    let mut socket = tokio::net::TcpStream::connect(address).await?;
    socket.write_all(word.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Short ticks for short sessions, and much patience between servers on a busy machine.
const CONFIG: &str = "tickTime=100\n4lw.commands.whitelist=*\ninitLimit=200\nsyncLimit=100\nminSessionTimeout=200\nmaxSessionTimeout=60000\nmaxClientCnxns=0\n\
                      admin.enableServer=false\nclientPortAddress=127.0.0.1\nextendedTypesEnabled=true\n\
                      znode.container.checkIntervalMs=600000\n";

fn run(home: &std::path::Path) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(home.join("log"))
        .unwrap();
    Command::new(binary())
        .args(["server", "-Dzookeeper.extendedTypesEnabled=true"])
        // Small, so that a restart has little to look through.
        .arg("-Dzookeeper.preAllocSize=64")
        .arg(home.join("zoo.cfg"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The server of this build; built if it is not there.
fn binary() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf();
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir));
    let binary = target.join("debug/zabra");
    if !binary.is_file() {
        let cargo = Command::new(env!("CARGO"))
            .args(["build", "--locked", "-p", "zabra"])
            .current_dir(&root)
            .status();
        assert!(cargo.unwrap().success(), "cargo build -p zabra");
    }
    binary
}
