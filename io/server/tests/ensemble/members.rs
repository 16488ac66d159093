//! Members of an ensemble in this process, on ports of loopback that nobody else gets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use zabra_config::{Config, Invocation, Listen, SystemProperties};
use zabra_server::StartError;

use crate::common::{Client, Running, word};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at servers that have other things to do.
const PAUSE: Duration = Duration::from_millis(10);

/// A port of this machine, kept from others while this lives: bound, and not listening.
#[derive(Debug)]
pub(crate) struct KeptPort {
    _socket: Socket,
    pub(crate) number: u16,
}

impl KeptPort {
    pub(crate) fn new() -> Self {
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

/// One ensemble at a time: servers that wait long for a processor take each other for dead.
static TURN: Mutex<()> = Mutex::new(());

/// Servers 1 to n, each of which may run or not.
pub(crate) struct Ensemble {
    _turn: MutexGuard<'static, ()>,
    dir: tempfile::TempDir,
    ports: Vec<[KeptPort; 2]>,
    lines: String,
    members: Vec<Option<Running>>,
    /// So many of the last ones observe.
    observers: usize,
}

impl Ensemble {
    /// None of them runs yet. `lines` are more lines of each zoo.cfg.
    pub(crate) fn new(n: usize, lines: &str) -> Self {
        let ports: Vec<[KeptPort; 2]> =
            (0..n).map(|_| [KeptPort::new(), KeptPort::new()]).collect();
        Self {
            _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner),
            dir: tempfile::tempdir().unwrap(),
            members: ports.iter().map(|_| None).collect(),
            ports,
            lines: lines.to_owned(),
            observers: 0,
        }
    }

    /// Three that vote and one that observes run, and one leads.
    pub(crate) fn started_with_observer() -> Self {
        let mut ensemble = Self::new(4, "");
        ensemble.observers = 1;
        (1..=4).for_each(|sid| ensemble.start(sid));
        ensemble.until_in_step();
        ensemble
    }

    /// All of them run, and one leads.
    pub(crate) fn started(n: usize, lines: &str) -> Self {
        let mut ensemble = Self::new(n, lines);
        (1..=n).for_each(|sid| ensemble.start(sid));
        ensemble.until_in_step();
        ensemble
    }

    /// A single voter that is a member all the same.
    pub(crate) fn new_of_one() -> Self {
        let mut ensemble = Self::new(1, "standaloneEnabled=false");
        ensemble.start(1);
        ensemble.until("a leader", |ensemble| {
            (ensemble.modes()[0].1 == "leader").then_some(())
        });
        ensemble
    }

    pub(crate) fn start(&mut self, sid: usize) {
        let running = Running::start(self.configured(sid));
        self.members[sid - 1] = Some(running);
    }

    /// Starts servers that need each other for it, at the same time. Why those do not start that do not.
    pub(crate) fn try_start_together(&mut self) -> Vec<StartError> {
        let configs: Vec<Config> = (1..=self.members.len())
            .map(|sid| self.configured(sid))
            .collect();
        let started = std::thread::scope(|scope| {
            let starting: Vec<_> = configs
                .into_iter()
                .map(|config| scope.spawn(|| Running::try_start(config)))
                .collect();
            let joined = starting
                .into_iter()
                .map(|starting| starting.join().unwrap());
            joined.collect::<Vec<_>>()
        });
        let mut errors = Vec::new();
        for (member, started) in self.members.iter_mut().zip(started) {
            *member = started.map_err(|error| errors.push(error)).ok();
        }
        errors
    }

    /// Where a member keeps its logs.
    pub(crate) fn logs(&self, sid: usize) -> PathBuf {
        self.dir.path().join(sid.to_string()).join("data/version-2")
    }

    fn configured(&self, sid: usize) -> Config {
        let home = self.dir.path().join(sid.to_string());
        std::fs::create_dir_all(home.join("data")).unwrap();
        std::fs::write(home.join("data/myid"), sid.to_string()).unwrap();
        self.config(&home)
    }

    fn config(&self, home: &Path) -> Config {
        let data = home.join("data").display().to_string();
        let mut text = format!(
            "dataDir={data}\ntickTime=1000\ninitLimit=20\nsyncLimit=10\n4lw.commands.whitelist=*\npreAllocSize=64\n{}\n",
            self.lines
        );
        for (sid, [quorum, election]) in (1..).zip(&self.ports) {
            let (quorum, election) = (quorum.number, election.number);
            let observes = sid + self.observers > self.ports.len();
            let role = if observes { "observer" } else { "participant" };
            text.push_str(&format!(
                "server.{sid}=127.0.0.1:{quorum}:{election}:{role}\n"
            ));
        }
        let file = home.join("zoo.cfg");
        std::fs::write(&file, text).unwrap();
        let mut config =
            Config::load(&Invocation::File(file), &SystemProperties::default()).unwrap();
        config.client = Some(Listen::at("127.0.0.1", IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
        config
    }

    /// Stops a member in good order.
    pub(crate) fn stop(&mut self, sid: usize) {
        self.members[sid - 1].take().unwrap().stop();
    }

    /// Stops whoever runs.
    pub(crate) fn stop_all(mut self) {
        let running = self.members.iter_mut().filter_map(Option::take);
        running.for_each(Running::stop);
    }

    /// Removes everything that a stopped member has written, but not its number.
    pub(crate) fn wipe(&mut self, sid: usize) {
        let home = self.dir.path().join(sid.to_string());
        std::fs::remove_dir_all(home.join("data/version-2")).unwrap();
    }

    pub(crate) fn address(&self, sid: usize) -> SocketAddr {
        self.members[sid - 1].as_ref().unwrap().address
    }

    pub(crate) fn quorum_address(&self, sid: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[sid - 1][0].number))
    }

    pub(crate) fn election_address(&self, sid: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[sid - 1][1].number))
    }

    pub(crate) fn client(&self, sid: usize) -> Client {
        Client::open(self.address(sid))
    }

    /// What each running member says of itself.
    pub(crate) fn modes(&self) -> Vec<(usize, String)> {
        let running = (1..).zip(&self.members);
        let running = running.filter_map(|(sid, member)| Some((sid, member.as_ref()?)));
        running
            .map(|(sid, member)| (sid, mode(&word(member.address, "srvr"))))
            .collect()
    }

    /// Waits until one of those that run leads and the others follow, and says who leads.
    pub(crate) fn until_in_step(&self) -> usize {
        self.until("a leader that all follow", |ensemble| {
            let modes = ensemble.modes();
            let count = |wanted: &str| modes.iter().filter(|(_, mode)| mode == wanted).count();
            let leader = modes.iter().find(|(_, mode)| mode == "leader");
            let learners = count("follower") + count("observer");
            let settled = count("leader") == 1 && learners + 1 == modes.len();
            leader.map(|(sid, _)| *sid).filter(|_| settled)
        })
    }

    /// Waits until this gives something.
    pub(crate) fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: {:?}", self.modes());
            std::thread::park_timeout(PAUSE);
        }
    }
}

/// The mode in an answer to `srvr`; that of a server which does not serve is the answer itself.
fn mode(srvr: &str) -> String {
    let mode = srvr.lines().find_map(|line| line.strip_prefix("Mode: "));
    mode.unwrap_or(srvr).to_owned()
}
