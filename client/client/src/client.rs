//! The client: one session and what can be asked in it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use zabra_cnxn::{After, ConnectString, Credentials, SessionState, WatchAsk, WatchKind};
use zabra_jute::Encode;
use zabra_proto::{Acl, OpCode, RawAcl, SessionId, Zxid};

use crate::call::{Finish, Parts};
use crate::chroot::Chroot;
use crate::create::{DefaultAcl, raw};
use crate::events::{Events, Feed};
use crate::shared::Shared;
use crate::states::States;
use crate::trace::Caller;
use crate::watch::{Registered, Sink};
use crate::{Builder, Call, CreateOptions, Error, Misuse};

/// A session with a ZooKeeper ensemble.
///
/// Clones are handles to the same session; when the last one is dropped, the session is closed in the background. Calls may be
/// made from any task. Each is put into the session's order when it is made, and servers answer in that order.
#[derive(Debug, Clone)]
pub struct Client {
    handle: Arc<Handle>,
    chroot: Chroot,
    /// Of znodes that are created without a word about it.
    acl: DefaultAcl,
}

/// Closes the session with the last clone.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.change(|inner, now| inner.cnxn.close(now, None));
    }
}

impl Client {
    pub(crate) fn new(shared: Arc<Shared>, chroot: Chroot, acl: DefaultAcl) -> Self {
        Self {
            handle: Arc::new(Handle { shared }),
            chroot,
            acl,
        }
    }

    /// A session to be begun with these servers: `host1:2181,host2:2181/chroot`. Ports are 2181 if they are not given, IPv6
    /// addresses stand in brackets, and all paths of the client are below the chroot.
    #[must_use]
    pub fn builder(connect_string: &str) -> Builder {
        Builder::new(connect_string)
    }

    /// Begins a session with default settings.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::connect`].
    pub async fn connect(connect_string: &str) -> Result<Self, Error> {
        Self::builder(connect_string).connect().await
    }

    /// The same session, with all paths below a znode: the prefix is put in front of what goes out and taken off what comes
    /// back, events included. The znode is not created by this; [`Client::ensure_path`] does.
    ///
    /// # Errors
    ///
    /// [`Misuse::Path`].
    pub fn namespace(&self, path: &str) -> Result<Self, Error> {
        Ok(Self {
            handle: Arc::clone(&self.handle),
            chroot: self.chroot.below(path)?,
            acl: self.acl.clone(),
        })
    }

    /// The same session, with another ACL for all znodes that are created through this handle and whose [`CreateOptions`] say
    /// none: parents, and those of recipes, too.
    #[must_use]
    pub fn with_default_acl(&self, acl: &[Acl<'static>]) -> Self {
        Self {
            handle: Arc::clone(&self.handle),
            chroot: self.chroot.clone(),
            acl: DefaultAcl::same(acl),
        }
    }

    /// The same with an ACL by path, as [`Builder::default_acl_by_path`] has it.
    #[must_use]
    pub fn with_default_acl_by_path(
        &self,
        acl: impl Fn(&str) -> Vec<Acl<'static>> + Send + Sync + 'static,
    ) -> Self {
        Self {
            handle: Arc::clone(&self.handle),
            chroot: self.chroot.clone(),
            acl: DefaultAcl::by_path(acl),
        }
    }

    /// The session's state.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.shared().lock().cnxn.state()
    }

    /// The session's states from now on, beginning with the present one.
    #[must_use]
    pub fn states(&self) -> States {
        let inner = self.shared().lock();
        States::new(inner.cnxn.state(), inner.states.subscribe())
    }

    /// All that happens to the session from now on, events of all its watches and changes of its state, in one order. Paths are
    /// those of this client; what is not below its chroot stays as the server knows it.
    #[must_use]
    pub fn events(&self) -> Events {
        let feed = Arc::new(Feed::new(self.chroot.clone()));
        let mut inner = self.shared().lock();
        match inner.cnxn.state() {
            state if state.is_final() => feed.on_state(state),
            _ => inner.feeds.push(Arc::downgrade(&feed)),
        }
        Events(feed)
    }

    /// The session's id and password, to take it up again elsewhere; [`SessionId::NONE`] before a server has given one.
    #[must_use]
    pub fn session(&self) -> (SessionId, [u8; 16]) {
        self.shared().lock().cnxn.session()
    }

    /// The session timeout: as granted by the server, or as asked for before that.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        Duration::from_millis(self.shared().lock().cnxn.timing().session_ms())
    }

    /// The server of the present connection, if there is one.
    #[must_use]
    pub fn server(&self) -> Option<SocketAddr> {
        self.shared().lock().server
    }

    /// The last transaction that a reply has shown.
    #[must_use]
    pub fn last_zxid(&self) -> Zxid {
        self.shared().lock().cnxn.seen()
    }

    /// Takes another list of servers. If it asks for it, the connection moves to one of them, so that all servers come to
    /// carry the same load when all clients do this. The chroot stays.
    ///
    /// # Errors
    ///
    /// [`Misuse::ConnectString`].
    pub fn update_server_list(&self, connect_string: &str) -> Result<(), Error> {
        let list: ConnectString = connect_string.parse().map_err(Misuse::ConnectString)?;
        self.shared()
            .change(|inner, now| inner.cnxn.update_hosts(now, list.hosts));
        Ok(())
    }

    /// Claims an identity on this connection and all later ones; for `digest`, `user:password`. It holds for all calls made
    /// after this one.
    ///
    /// # Errors
    ///
    /// [`Error::AuthFailed`] if the server refuses it. The session is of no use then.
    pub fn add_auth(&self, scheme: &str, auth: impl AsRef<[u8]>) -> Call<()> {
        let credentials = Credentials {
            scheme: scheme.to_owned(),
            auth: auth.as_ref().to_owned(),
        };
        let (caller, answer, _) = Caller::new(OpCode::Auth, "");
        let made = self
            .shared()
            .change(|inner, _| inner.cnxn.add_auth(credentials, Some(caller)));
        let answer = made.map(|()| answer).map_err(|(caller, error)| {
            if let Some(caller) = caller {
                caller.tell(Err(error));
            }
            error
        });
        Call::new(answer, self.parts(String::new(), None), Parts::nothing)
    }

    /// Closes the session: its ephemerals are gone when this returns, if a server could be asked. All clones of this client
    /// are closed. Calls made before are answered; watches end.
    pub async fn close(&self) {
        let (caller, answer, _) = Caller::new(OpCode::CloseSession, "");
        self.shared().change(|inner, now| {
            if !inner.cnxn.state().is_final() {
                inner.cnxn.close(now, Some(caller));
            }
        });
        // However it ended: it is closed.
        let _ = answer.await;
        self.states().wait_for(SessionState::is_final).await;
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    pub(crate) fn chroot(&self) -> &Chroot {
        &self.chroot
    }

    /// The ACL of a znode to be created, by its path as the server knows it.
    pub(crate) fn acl_of(
        &self,
        options: &CreateOptions,
        full_path: &str,
    ) -> Option<Vec<RawAcl<'static>>> {
        match &options.acl {
            Some(acl) => raw(acl),
            None => self.acl.of(full_path),
        }
    }

    pub(crate) fn parts(&self, path: String, watch: Option<Registered>) -> Parts {
        Parts {
            path,
            chroot: self.chroot.clone(),
            watch,
        }
    }

    /// Makes a call.
    pub(crate) fn send<T>(
        &self,
        op: OpCode,
        path: &str,
        body: &impl Encode,
        finish: Finish<T>,
    ) -> Call<T> {
        self.send_with(op, path, body, After::Nothing, finish)
    }

    /// Makes a call that changes watches.
    pub(crate) fn send_with<T>(
        &self,
        op: OpCode,
        path: &str,
        body: &impl Encode,
        after: After,
        finish: Finish<T>,
    ) -> Call<T> {
        let answer = self.shared().call(op, path, body, |_| after);
        Call::new(answer, self.parts(path.to_owned(), None), finish)
    }

    /// Makes a call that sets a watch at a path.
    pub(crate) fn send_watching<T>(
        &self,
        op: OpCode,
        (path, full_path): (&str, &str),
        body: &impl Encode,
        kind: WatchKind,
        finish: Finish<T>,
    ) -> Call<T> {
        let sink = Arc::new(Sink::new(self.chroot.clone()));
        let mut id = None;
        let answer = self.shared().call(op, path, body, |inner| {
            let watcher = inner.cnxn.next_watcher();
            inner.sinks.insert(watcher, Arc::clone(&sink));
            id = Some(watcher);
            After::Watch(Box::new(WatchAsk {
                watcher: Some(watcher),
                path: full_path.to_owned(),
                kind,
            }))
        });
        let watch = id.map(|watcher| Registered {
            shared: Arc::clone(self.shared()),
            sink,
            watcher,
            full_path: full_path.to_owned(),
        });
        Call::new(answer, self.parts(path.to_owned(), watch), finish)
    }
}
