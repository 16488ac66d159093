//! A real server with a link that breaks: what the tests of recipes under faults have in common.
pub(crate) mod proxy;
pub(crate) mod server;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use zabra_client::{Client, Error};
use zabra_recipes::Sessions;

use self::proxy::Proxy;
use self::server::Server;

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

/// A server, and members that reach it each over a link of its own.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) members: Vec<Member>,
}

/// One program that uses recipes.
pub(crate) struct Member {
    pub(crate) proxy: Arc<Proxy>,
    pub(crate) sessions: Sessions,
}

impl Scene {
    /// A fresh server with so many members.
    pub(crate) async fn new(members: usize) -> Self {
        let server = Server::start();
        let mut scene = Self {
            server,
            members: Vec::new(),
        };
        for _ in 0..members {
            let member = scene.member().await;
            scene.members.push(member);
        }
        scene
    }

    /// One more member.
    pub(crate) async fn member(&self) -> Member {
        let proxy = Arc::new(Proxy::start(self.server.target()).await);
        let address = format!("127.0.0.1:{}", proxy.port());
        let connect = move || {
            let builder = Client::builder(&address).session_timeout(SESSION_TIMEOUT);
            builder.connect_timeout(PATIENCE).connect()
        };
        let sessions = within(Sessions::new(connect)).await.unwrap();
        Member { proxy, sessions }
    }

    /// A client without a proxy in between.
    pub(crate) async fn direct(&self) -> Client {
        let builder =
            Client::builder(&self.server.address()).session_timeout(Duration::from_secs(30));
        builder.connect().await.unwrap()
    }

    /// Ends the present session of a member on the server, as if it had expired.
    pub(crate) async fn expire(&self, member: usize) {
        let client = self.members[member].sessions.client().await.unwrap();
        let (id, password) = client.session();
        let builder = Client::builder(&self.server.address()).session(id, password);
        match builder.connect_timeout(PATIENCE).connect().await {
            Ok(other) => other.close().await,
            Err(Error::SessionExpired) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Short, so that an expiry by time takes no patience; long enough for a busy machine.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_millis(2_000);

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
    /// The server is killed and started again.
    Kill,
}

impl Fault {
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

impl Scene {
    /// Makes it go wrong for a member.
    pub(crate) async fn inflict(&mut self, fault: Fault, member: usize) {
        match fault {
            Fault::None => {}
            Fault::Cut => self.members[member].proxy.cut(),
            Fault::CutLater(messages) => self.members[member].proxy.cut_after(messages),
            Fault::Expire => self.expire(member).await,
            Fault::Kill => self.server.restart(),
        }
    }
}
