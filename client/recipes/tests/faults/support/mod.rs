//! Real servers with links that break: what the tests of recipes under faults have in common.
pub(crate) mod proxy;
pub(crate) mod server;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};
use zabra_client::{Client, Error};
use zabra_recipes::Sessions;

use self::proxy::Proxy;
use self::server::Servers;

/// How long anything may take before a test counts as stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Rounds of a fault test: 50, or 1,000 with `ZABRA_TEST_LONG`.
pub(crate) fn rounds() -> u32 {
    if std::env::var_os("ZABRA_TEST_LONG").is_some() {
        1_000
    } else {
        50
    }
}

/// The seed of a fault test: `ZABRA_TEST_SEED`, or 1.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("ZABRA_TEST_SEED").ok();
    seed.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Tests that are played on one server, and on an ensemble of three whose servers are killed more often. Each is a function of a
/// scene with so many members.
macro_rules! on_one_server_and_on_three {
    ($($test:ident: $members:literal,)*) => {
        mod on_one_server {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(crate::support::Scene::new($members).await).await;
                }
            )*
        }
        mod on_three_servers {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(crate::support::Scene::on(3, $members).await).await;
                }
            )*
        }
    };
}
pub(crate) use on_one_server_and_on_three;

/// Servers, and members that reach them each over a link of its own.
pub(crate) struct Scene {
    servers: Servers,
    pub(crate) members: Vec<Member>,
    pub(crate) random: fastrand::Rng,
    /// How often each fault was inflicted.
    inflicted: BTreeMap<&'static str, u32>,
    /// One ensemble runs at a time: servers that wait long for a processor take each other for dead.
    _turn: Option<MutexGuard<'static, ()>>,
}

static TURN: Mutex<()> = Mutex::const_new(());

/// One program that uses recipes.
pub(crate) struct Member {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) sessions: Sessions,
}

impl Scene {
    /// A fresh server with so many members.
    pub(crate) async fn new(members: usize) -> Self {
        Self::on(1, members).await
    }

    /// So many fresh servers with so many members.
    pub(crate) async fn on(servers: usize, members: usize) -> Self {
        let turn = match servers {
            1 => None,
            _ => Some(TURN.lock().await),
        };
        let mut scene = Self {
            servers: Servers::start(servers),
            members: Vec::new(),
            random: fastrand::Rng::with_seed(seed()),
            inflicted: BTreeMap::new(),
            _turn: turn,
        };
        for _ in 0..members {
            scene.join(SESSION_TIMEOUT).await;
        }
        scene
    }

    /// So many members more, whose sessions end only when they are ended: no fault takes as long as their timeout.
    pub(crate) async fn join_lasting(&mut self, members: usize) {
        for _ in 0..members {
            self.join(LASTING).await;
        }
    }

    async fn join(&mut self, session_timeout: Duration) {
        let mut servers = self.servers.addresses();
        servers.rotate_left(self.members.len() % self.servers.len());
        let proxy = Arc::new(Proxy::start(servers).await);
        let address = format!("127.0.0.1:{}", proxy.port());
        let connect = move || {
            let builder = Client::builder(&address).session_timeout(session_timeout);
            builder.connect_timeout(PATIENCE).connect()
        };
        let sessions = within(Sessions::new(connect)).await.unwrap();
        self.members.push(Member { proxy, sessions });
    }

    /// What to give to a client that knows all servers.
    fn address(&self) -> String {
        let addresses = self.servers.addresses().into_iter();
        let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
        addresses.join(",")
    }

    /// A client without a proxy in between.
    pub(crate) async fn direct(&self) -> Client {
        let builder = Client::builder(&self.address()).session_timeout(Duration::from_secs(30));
        builder.connect_timeout(PATIENCE).connect().await.unwrap()
    }

    /// Ends the present session of a member on the servers, as if it had expired.
    pub(crate) async fn expire(&self, member: usize) {
        let client = self.members[member].sessions.client().await.unwrap();
        let (id, password) = client.session();
        let builder = Client::builder(&self.address()).session(id, password);
        match builder.connect_timeout(PATIENCE).connect().await {
            Ok(other) => other.close().await,
            Err(Error::SessionExpired) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Makes it go wrong for a member.
    pub(crate) async fn inflict(&mut self, fault: Fault, member: usize) {
        *self.inflicted.entry(fault.name()).or_default() += 1;
        match fault {
            Fault::None => {}
            Fault::Cut => self.members[member].proxy.cut(),
            Fault::CutLater(messages) => self.members[member].proxy.cut_after(messages),
            Fault::Expire => self.expire(member).await,
            Fault::Kill => {
                let server = self.random.usize(0..self.servers.len());
                self.servers.restart(server);
            }
        }
    }

    /// Something goes wrong for one of the members; for which.
    pub(crate) async fn strike(&mut self) -> (Fault, usize) {
        let is_kill = self.servers.len() > 1 && self.random.u8(0..5) == 0;
        let fault = match is_kill {
            true => Fault::Kill,
            false => Fault::any(&mut self.random),
        };
        let member = self.random.usize(0..self.members.len());
        self.inflict(fault, member).await;
        (fault, member)
    }

    /// The same with a fault that ends no lasting session.
    pub(crate) async fn strike_lightly(&mut self) -> Fault {
        let fault = match self.random.u8(0..20) {
            0 => Fault::Kill,
            1..4 if self.servers.len() > 1 => Fault::Kill,
            4..10 => Fault::Cut,
            _ => Fault::CutLater(self.random.u64(0..16)),
        };
        let member = self.random.usize(0..self.members.len());
        self.inflict(fault, member).await;
        fault
    }

    /// One round: each member works, something goes wrong for one of them meanwhile, and all come through.
    pub(crate) async fn round<F>(&mut self, round: u32, work: impl Fn(usize, &Sessions) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let members = self.members.iter().enumerate();
        let workers: Vec<JoinHandle<()>> = members
            .map(|(number, member)| tokio::spawn(work(number, &member.sessions)))
            .collect();
        let (fault, member) = self.strike().await;
        for worker in workers {
            let end = self.within(worker).await;
            end.unwrap_or_else(|error| panic!("round {round}, {fault:?} of {member}: {error}"));
        }
    }

    /// Waits for something that must not take long; shows the scene when it does.
    pub(crate) async fn within<F: Future>(&self, future: F) -> F::Output {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => {
                self.show().await;
                panic!("stuck");
            }
        }
    }

    /// Who is connected, what the servers say, and all znodes with their owners.
    async fn show(&self) {
        for (number, member) in self.members.iter().enumerate() {
            let client = member.sessions.client().await;
            let of = |client: Client| (client.session().0, client.state());
            eprintln!("member {number}: {:x?}", client.map(of));
        }
        for address in self.servers.addresses() {
            for word in ["srvr", "cons", "wchp"] {
                let answer = server::word(address, word).await.unwrap_or_default();
                eprintln!("-- {address} {word}\n{answer}");
            }
        }
        let client = self.direct().await;
        let mut paths = vec!["/".to_owned()];
        while let Some(path) = paths.pop() {
            let Ok((names, stat)) = client.children_and_stat(&path).await else {
                continue;
            };
            eprintln!("{path} {:#x} {:#x}", stat.ephemeral_owner, stat.czxid);
            let above = path.trim_end_matches('/');
            paths.extend(names.iter().map(|name| format!("{above}/{name}")));
        }
    }
}

impl Drop for Scene {
    /// For whoever asks what a run has put to the test (`--nocapture`).
    fn drop(&mut self) {
        println!("inflicted on {}: {:?}", self.servers.len(), self.inflicted);
    }
}

/// Short, so that an expiry by time takes no patience; long enough for a busy machine.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_millis(2_000);

/// The timeout of sessions that are not to end by time.
const LASTING: Duration = Duration::from_secs(30);

/// Waits until something is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let mut looks = looks();
    let looked = async {
        while !is_so() {
            looks.tick().await;
        }
    };
    within(looked).await;
}

/// When to look again at what tells nobody that it changed; in between the servers have the processor.
pub(crate) fn looks() -> Interval {
    let mut looks = tokio::time::interval(Duration::from_millis(1));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

/// Waits for something that must not take long.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("stuck")
}

/// What goes wrong in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// All links of a member break at once.
    Cut,
    /// A link breaks after so many more messages, on the way there or back.
    CutLater(u64),
    /// The session ends.
    Expire,
    /// A server is killed and started again.
    Kill,
}

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Cut => "cut",
            Self::CutLater(_) => "cut later",
            Self::Expire => "expire",
            Self::Kill => "kill",
        }
    }

    /// Any, the expensive ones rarely.
    pub(crate) fn any(random: &mut fastrand::Rng) -> Self {
        match random.u8(0..24) {
            0..4 => Self::None,
            4..8 => Self::Cut,
            8..18 => Self::CutLater(random.u64(0..12)),
            18..23 => Self::Expire,
            _ => Self::Kill,
        }
    }
}
