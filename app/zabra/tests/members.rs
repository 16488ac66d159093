//! Members of an ensemble as processes: how they begin, go on and end.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port of this machine, kept from others while this lives: bound, and not listening.
struct KeptPort {
    _socket: Socket,
    number: u16,
}

impl KeptPort {
    fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).unwrap();
        let number = socket.local_addr().unwrap().as_socket().unwrap().port();
        Self {
            _socket: socket,
            number,
        }
    }
}

/// Quorum and election port of each server.
fn ports() -> Vec<[KeptPort; 2]> {
    (0..3).map(|_| [KeptPort::new(), KeptPort::new()]).collect()
}

/// A process that ends with the test, and what it logs.
struct Server {
    process: Child,
    log: Receiver<String>,
}

impl Server {
    /// Server `sid` of three, by the same lines as the others.
    fn start(dir: &Path, sid: usize, server_lines: &str) -> Self {
        let home = dir.join(sid.to_string());
        let data = home.join("data");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("myid"), sid.to_string()).unwrap();
        let text = format!(
            "dataDir={}\nclientPort=0\nclientPortAddress=127.0.0.1\ntickTime=1000\ninitLimit=30\nsyncLimit=10\npreAllocSize=64\n\
             electionPortBindRetry=1\n{server_lines}",
            data.display()
        );
        std::fs::write(home.join("zoo.cfg"), text).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_zabra"))
            .arg("server")
            .arg(home.join("zoo.cfg"))
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, log) = mpsc::channel();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { process, log }
    }

    /// Waits until it logs a line with this in it.
    fn until(&self, what: &str) {
        self.until_it_says(what, |line| line.contains(what).then_some(()));
    }

    /// Waits until it is in step with a leader other than `not`, and says with whom.
    fn until_in_step(&self, not: Option<usize>) -> usize {
        self.until_it_says("in step", |line| {
            let (_, leader) = line
                .split_once("in step with the ensemble")?
                .1
                .split_once("leader=")?;
            let leader = leader.split(' ').next()?.parse().ok()?;
            (Some(leader) != not).then_some(leader)
        })
    }

    fn until_it_says<T>(&self, what: &str, look: impl Fn(&str) -> Option<T>) -> T {
        let mut seen = Vec::new();
        loop {
            let Ok(line) = self.log.recv_timeout(PATIENCE) else {
                panic!("{what} is not among {seen:#?}")
            };
            if let Some(found) = look(&line) {
                return found;
            }
            seen.push(line);
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lines(ports: &[[KeptPort; 2]]) -> String {
    let line = |(sid, [quorum, election]): (usize, &[KeptPort; 2])| {
        let (quorum, election) = (quorum.number, election.number);
        format!("server.{sid}=127.0.0.1:{quorum}:{election}\n")
    };
    (1..).zip(ports).map(line).collect()
}

#[test]
fn a_member_whose_election_port_is_taken_ends_with_code_14() {
    let dir = tempfile::tempdir().unwrap();
    let mut ports = ports();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    ports[0][1].number = taken.local_addr().unwrap().port();
    let mut server = Server::start(dir.path(), 1, &lines(&ports));
    server.until(&format!(
        "cannot listen for other servers on 127.0.0.1:{}",
        ports[0][1].number
    ));
    assert_eq!(server.exit_code(), Some(14));
}

#[test]
fn a_member_that_looks_for_a_leader_stops_when_it_is_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    let ports = ports();
    let mut server = Server::start(dir.path(), 1, &lines(&ports));
    server.until("looking for a leader");
    server.signal(Signal::TERM);
    server.until("the server has stopped");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn the_others_elect_another_when_the_leader_dies_and_take_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let ports = ports();
    let start = |sid: usize| Server::start(dir.path(), sid, &lines(&ports));
    let mut servers: Vec<Server> = (1..=3).map(start).collect();
    let leaders: Vec<usize> = servers
        .iter()
        .map(|server| server.until_in_step(None))
        .collect();
    let leader = leaders[0];
    servers[leader - 1].signal(Signal::KILL);
    for sid in (1..=3).filter(|sid| *sid != leader) {
        servers[sid - 1].until_in_step(Some(leader));
    }
    servers[leader - 1] = start(leader);
    servers[leader - 1].until_in_step(None);
    for server in &servers {
        server.signal(Signal::TERM);
    }
    for server in &mut servers {
        assert_eq!(server.exit_code(), Some(0));
    }
}
