//! How to begin a session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use zabra_cnxn::{
    Cnxn, CnxnOptions, ConnectString, Credentials, HostPort, Hosts, ResumedSession, SessionState,
};
use zabra_proto::{Acl, SessionId};

use crate::chroot::Chroot;
use crate::client::Client;
use crate::create::DefaultAcl;
use crate::driver::drive;
use crate::resolver::Resolver;
use crate::shared::Shared;
use crate::{Error, Misuse, OPEN_ACL};

/// Settings of a session to be begun.
///
/// ```no_run
/// # async fn example() -> Result<(), zabra_client::Error> {
/// use std::time::Duration;
/// use zabra_client::Client;
/// let client = Client::builder("zk1:2181,zk2:2181,zk3:2181/my-app")
///     .session_timeout(Duration::from_secs(10))
///     .auth("digest", "user:password")
///     .connect()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    connect_string: String,
    options: CnxnOptions,
    credentials: Vec<Credentials>,
    session: Option<ResumedSession>,
    connect_timeout: Option<Duration>,
    acl: DefaultAcl,
    resolver: Resolver,
}

impl Builder {
    pub(crate) fn new(connect_string: &str) -> Self {
        Self {
            connect_string: connect_string.to_owned(),
            options: CnxnOptions::default(),
            credentials: Vec::new(),
            session: None,
            connect_timeout: None,
            acl: DefaultAcl::same(OPEN_ACL),
            resolver: Resolver::default(),
        }
    }

    /// How long the session outlives its connection: 30 s if it is not said. Servers have the last word, usually between 2
    /// and 20 of their ticks.
    #[must_use]
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.options.session_timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        self
    }

    /// How long [`Builder::connect`] tries: the session timeout if it is not said.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// How long a call waits for its reply before it fails with [`Error::Timeout`]: for ever if it is not said. Without it a
    /// call ends with the connection at the latest, and that with two thirds of the session timeout in silence.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.options.request_timeout_ms =
            Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// An identity to claim on each connection; for `digest`, `user:password`. Several may be given.
    #[must_use]
    pub fn auth(mut self, scheme: &str, auth: impl AsRef<[u8]>) -> Self {
        self.credentials.push(Credentials {
            scheme: scheme.to_owned(),
            auth: auth.as_ref().to_owned(),
        });
        self
    }

    /// The ACL of all znodes whose [`CreateOptions`](crate::CreateOptions) say none, parents and those of recipes among them:
    /// [`OPEN_ACL`] if it is not said. [`Client::with_default_acl`] sets another one for a part of a program.
    #[must_use]
    pub fn default_acl(mut self, acl: &[Acl<'static>]) -> Self {
        self.acl = DefaultAcl::same(acl);
        self
    }

    /// The same by path: asked for each znode that is created without a word about it, with its path as the server knows it,
    /// chroot and namespace included; of a sequential znode without its number.
    ///
    /// ```
    /// use zabra_client::{CREATOR_ACL, Client, OPEN_ACL};
    /// let builder = Client::builder("127.0.0.1:2181").default_acl_by_path(|path| {
    ///     let acl = if path.starts_with("/secrets/") { CREATOR_ACL } else { OPEN_ACL };
    ///     acl.to_vec()
    /// });
    /// ```
    #[must_use]
    pub fn default_acl_by_path(
        mut self,
        acl: impl Fn(&str) -> Vec<Acl<'static>> + Send + Sync + 'static,
    ) -> Self {
        self.acl = DefaultAcl::by_path(acl);
        self
    }

    /// How the names of servers become addresses: as the machine itself does it, if it is not said. It is asked at each attempt to
    /// connect, and the addresses are tried in an order of chance; if it fails, or returns none, the next server has its turn. For
    /// names that are kept elsewhere than in DNS, and for tests.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), zabra_client::Error> {
    /// use std::net::SocketAddr;
    /// use zabra_client::Client;
    /// let client = Client::builder("primary:2181")
    ///     .resolver(|host| async move {
    ///         let table = std::fs::read_to_string("/run/servers")?;
    ///         let found = table.lines().filter_map(|line| line.strip_prefix(&host.host)?.trim().parse().ok());
    ///         Ok(found.map(|ip| SocketAddr::new(ip, host.port)).collect())
    ///     })
    ///     .connect()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn resolver<F>(mut self, resolve: impl Fn(HostPort) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        self.resolver = Resolver::new(resolve);
        self
    }

    /// Whether a server without a quorum will do, for reads; a better one is looked for meanwhile. No if it is not said.
    #[must_use]
    pub fn allow_read_only(mut self, allow: bool) -> Self {
        self.options.allow_read_only = allow;
        self
    }

    /// A session to take up again: what [`Client::session`] of an earlier client returned.
    #[must_use]
    pub fn session(mut self, id: SessionId, password: [u8; 16]) -> Self {
        self.session = Some(ResumedSession { id, password });
        self
    }

    /// Whether the client itself declares the session expired after 4/3 of its timeout without a word from a server. No if
    /// it is not said: [`SessionState::Lost`] says as much, and an ensemble that was down for long keeps its sessions.
    #[must_use]
    pub fn local_expiry(mut self, expires: bool) -> Self {
        self.options.local_expiry = expires;
        self
    }

    /// The longest request or reply in bytes, as `jute.maxbuffer`: 1,048,575 if it is not said. A longer request is refused
    /// here; a longer reply costs the connection.
    #[must_use]
    pub fn frame_len_max(mut self, len_max: usize) -> Self {
        self.options.frame_len_max = len_max;
        self
    }

    /// How long [`Client::close`] waits for the server's word: 1 s if it is not said.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.options.close_timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Begins a session and waits until a server serves it.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] if no server did in time, [`Error::SessionExpired`] if the session to be taken up is gone,
    /// [`Error::AuthFailed`], and those of [`Builder::start`].
    pub async fn connect(self) -> Result<Client, Error> {
        let timeout_ms = u64::try_from(self.options.session_timeout_ms).unwrap_or(0);
        let timeout = self
            .connect_timeout
            .unwrap_or(Duration::from_millis(timeout_ms));
        let client = self.start()?;
        let mut states = client.states();
        let settled = states.wait_for(|state| state.is_connected() || state.is_final());
        if tokio::time::timeout(timeout, settled).await.is_err() {
            return Err(Error::Timeout);
        }
        match client.state() {
            SessionState::Expired => Err(Error::SessionExpired),
            SessionState::AuthFailed => Err(Error::AuthFailed),
            SessionState::Closed => Err(Error::Closed),
            _ => Ok(client),
        }
    }

    /// Begins a session and does not wait: calls made at once leave as soon as a server serves it.
    ///
    /// # Errors
    ///
    /// [`Misuse`] if the connect string is none, or this is not called in a tokio runtime.
    pub fn start(self) -> Result<Client, Error> {
        let ConnectString { hosts, chroot } =
            self.connect_string.parse().map_err(Misuse::ConnectString)?;
        let runtime = Handle::try_current().map_err(|_| Misuse::NoRuntime)?;
        let hosts = Hosts::new(hosts, fastrand::u64(..));
        let are_calls_timed = self.options.request_timeout_ms.is_some();
        let shared = Arc::new(Shared::new(are_calls_timed, self.resolver, |now| {
            Cnxn::new(self.options, hosts, self.session, now)
        }));
        for credentials in self.credentials {
            // It has just begun, so it has not ended.
            let _ = shared.lock().cnxn.add_auth(credentials, None);
        }
        runtime.spawn(drive(Arc::clone(&shared)));
        Ok(Client::new(shared, Chroot::new(chroot), self.acl))
    }
}
