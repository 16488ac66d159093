//! One session as recipes see it: the requests they make, their watches, its states.
//!
//! It is the client library's. In tests it may be one of the simulator's model instead, so that the recipes run there as they are.

use std::future::Future;
use std::pin::Pin;

use zabra_client::{
    AddWatchMode, Client, CreateOptions, Created, Error as ClientError, ErrorCode, OneshotWatch,
    ReadResult, SessionState, Stat, States as ClientStates, WatchStream, WatchedEvent,
};

#[cfg(test)]
use crate::simulation;

/// A session. Its clones are the same one.
#[derive(Debug, Clone)]
pub(crate) enum Session {
    Client(Client),
    #[cfg(test)]
    Model(simulation::Session),
}

/// A write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write<'a> {
    Set {
        path: &'a str,
        data: &'a [u8],
        version: i32,
    },
    Delete {
        path: &'a str,
    },
}

/// Calls of the client, by the same names.
impl Session {
    pub(crate) async fn children(&self, path: &str) -> Result<(Vec<String>, Stat), ClientError> {
        self.begin_children(path).await
    }

    pub(crate) async fn children_and_watch(
        &self,
        path: &str,
    ) -> Result<(Vec<String>, Stat, Watch), ClientError> {
        match self {
            Self::Client(client) => {
                let (names, stat, watch) = client.children_and_watch(path).await?;
                Ok((names, stat, Watch::Client(watch)))
            }
            #[cfg(test)]
            Self::Model(session) => session.children_and_watch(path).await,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<(Vec<u8>, Stat), ClientError> {
        self.begin_get(path).await
    }

    pub(crate) async fn get_and_watch(
        &self,
        path: &str,
    ) -> Result<(Vec<u8>, Stat, Watch), ClientError> {
        match self {
            Self::Client(client) => {
                let (data, stat, watch) = client.get_and_watch(path).await?;
                Ok((data.into(), stat, Watch::Client(watch)))
            }
            #[cfg(test)]
            Self::Model(session) => session.get_and_watch(path).await,
        }
    }

    pub(crate) async fn exists(&self, path: &str) -> Result<Option<Stat>, ClientError> {
        self.begin_exists(path).await
    }

    pub(crate) async fn exists_and_watch(
        &self,
        path: &str,
    ) -> Result<(Option<Stat>, Watch), ClientError> {
        match self {
            Self::Client(client) => {
                let (stat, watch) = client.exists_and_watch(path).await?;
                Ok((stat, Watch::Client(watch)))
            }
            #[cfg(test)]
            Self::Model(session) => session.exists_and_watch(path).await,
        }
    }

    pub(crate) async fn sync(&self, path: &str) -> Result<(), ClientError> {
        self.begin_sync(path).await
    }

    /// A watch that stays.
    pub(crate) async fn watch(
        &self,
        path: &str,
        mode: AddWatchMode,
    ) -> Result<Stream, ClientError> {
        match self {
            Self::Client(client) => client.watch(path, mode).await.map(Stream::Client),
            #[cfg(test)]
            Self::Model(session) => session.watch(path, mode).await,
        }
    }

    pub(crate) async fn create(
        &self,
        path: &str,
        data: &[u8],
        options: &CreateOptions,
    ) -> Result<Created, ClientError> {
        match self {
            Self::Client(client) => client.create(path, data, options).await,
            #[cfg(test)]
            Self::Model(session) => session.create(path, data, options.mode()).await,
        }
    }

    pub(crate) async fn set(
        &self,
        path: &str,
        data: &[u8],
        version: Option<i32>,
    ) -> Result<Stat, ClientError> {
        match self {
            Self::Client(client) => client.set(path, data, version).await,
            #[cfg(test)]
            Self::Model(session) => session.set(path, data, version).await,
        }
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), ClientError> {
        match self {
            Self::Client(client) => client.delete(path, None).await,
            #[cfg(test)]
            Self::Model(session) => session.delete(path).await,
        }
    }

    /// All of them or none.
    pub(crate) async fn commit(&self, writes: &[Write<'_>]) -> Result<(), ClientError> {
        match self {
            Self::Client(client) => {
                let all = writes
                    .iter()
                    .fold(client.transaction(), |all, write| match *write {
                        Write::Set {
                            path,
                            data,
                            version,
                        } => all.set(path, data, Some(version)),
                        Write::Delete { path } => all.delete(path, None),
                    });
                all.commit().await.map(drop)
            }
            #[cfg(test)]
            Self::Model(session) => session.commit(writes).await,
        }
    }

    pub(crate) fn id(&self) -> i64 {
        match self {
            Self::Client(client) => client.session().0.0,
            #[cfg(test)]
            Self::Model(session) => session.id(),
        }
    }

    pub(crate) fn state(&self) -> SessionState {
        match self {
            Self::Client(client) => client.state(),
            #[cfg(test)]
            Self::Model(session) => session.state(),
        }
    }

    pub(crate) fn states(&self) -> States {
        match self {
            Self::Client(client) => States::Client(client.states()),
            #[cfg(test)]
            Self::Model(session) => States::Model(session.states()),
        }
    }

    pub(crate) fn timeout(&self) -> std::time::Duration {
        match self {
            Self::Client(client) => client.session_timeout(),
            #[cfg(test)]
            Self::Model(session) => session.timeout(),
        }
    }
}

/// The answer to a request that has left already.
pub(crate) type Pending<T> = Pin<Box<dyn Future<Output = Result<T, ClientError>> + Send>>;

/// Data and Stat, or why there are none.
pub(crate) type Got = Result<(Vec<u8>, Stat), ErrorCode>;

/// Requests that leave at once, in the order of these calls.
impl Session {
    pub(crate) fn begin_children(&self, path: &str) -> Pending<(Vec<String>, Stat)> {
        match self {
            Self::Client(client) => Box::pin(client.children_and_stat(path)),
            #[cfg(test)]
            Self::Model(session) => session.begin_children(path),
        }
    }

    pub(crate) fn begin_get(&self, path: &str) -> Pending<(Vec<u8>, Stat)> {
        match self {
            Self::Client(client) => {
                let call = client.get(path);
                Box::pin(async { call.await.map(|(data, stat)| (data.into(), stat)) })
            }
            #[cfg(test)]
            Self::Model(session) => session.begin_get(path),
        }
    }

    pub(crate) fn begin_exists(&self, path: &str) -> Pending<Option<Stat>> {
        match self {
            Self::Client(client) => Box::pin(client.exists(path)),
            #[cfg(test)]
            Self::Model(session) => session.begin_exists(path),
        }
    }

    /// Several in one request.
    pub(crate) fn begin_gets(&self, paths: &[String]) -> Pending<Vec<Got>> {
        match self {
            Self::Client(client) => {
                let reads = paths
                    .iter()
                    .fold(client.multi_read(), |reads, path| reads.get(path));
                let call = reads.run();
                Box::pin(async { call.await?.into_iter().map(got).collect() })
            }
            #[cfg(test)]
            Self::Model(session) => session.begin_gets(paths),
        }
    }

    pub(crate) fn begin_sync(&self, path: &str) -> Pending<()> {
        match self {
            Self::Client(client) => {
                let call = client.sync(path);
                Box::pin(async { call.await.map(drop) })
            }
            #[cfg(test)]
            Self::Model(session) => session.begin_sync(),
        }
    }
}

fn got(result: ReadResult) -> Result<Got, ClientError> {
    match result {
        ReadResult::Data(data, stat) => Ok(Ok((data.into(), stat))),
        ReadResult::Error(code) => Ok(Err(code)),
        // Nothing else was asked for.
        _ => Err(ClientError::Closed),
    }
}

/// A watch that stays.
#[derive(Debug)]
pub(crate) enum Stream {
    Client(WatchStream),
    #[cfg(test)]
    Model(tokio::sync::mpsc::UnboundedReceiver<Result<WatchedEvent, ClientError>>),
}

impl Stream {
    /// The next event, or how the session ended. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<WatchedEvent, ClientError> {
        match self {
            Self::Client(stream) => stream.next().await,
            #[cfg(test)]
            Self::Model(stream) => stream.recv().await.unwrap_or(Err(ClientError::Closed)),
        }
    }
}

/// A one-shot watch.
#[derive(Debug)]
pub(crate) enum Watch {
    Client(OneshotWatch),
    #[cfg(test)]
    Model(tokio::sync::oneshot::Receiver<()>),
}

impl Watch {
    /// Waits until it fires or the session ends; in both cases it is time to look again.
    pub(crate) async fn fired(self) {
        // How it ended shows when looking.
        match self {
            Self::Client(watch) => drop(watch.await),
            #[cfg(test)]
            Self::Model(watch) => drop(watch.await),
        }
    }
}

/// The changes of a session's state, first the one of now.
#[derive(Debug)]
pub(crate) enum States {
    Client(ClientStates),
    #[cfg(test)]
    Model(simulation::States),
}

impl States {
    /// The next one; `None` after a final one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<SessionState> {
        match self {
            Self::Client(states) => states.next().await,
            #[cfg(test)]
            Self::Model(states) => states.next().await,
        }
    }

    /// Waits for a connection; `false` if there will be none.
    pub(crate) async fn connected(&mut self) -> bool {
        while let Some(state) = self.next().await {
            if state.is_connected() {
                return true;
            }
        }
        false
    }
}
