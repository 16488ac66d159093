//! A client's end of a session of the model.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};
use zabra_client::{
    AddWatchMode, CreateMode, Created, Error as ClientError, ErrorCode, SessionState, Stat,
};

use super::ensemble::{Ensemble, Op, OwnedWrite, Reply, Request};
use super::tree::ANY;
use crate::session::{Got, Pending, Stream, Watch, Write};

/// A session of the model.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(super) ensemble: Arc<Mutex<Ensemble>>,
    pub(super) id: i64,
}

/// Its states: the one of now, then every change.
#[derive(Debug)]
pub(crate) struct States {
    current: Option<SessionState>,
    changes: broadcast::Receiver<SessionState>,
}

impl States {
    pub(crate) async fn next(&mut self) -> Option<SessionState> {
        match self.current.take() {
            Some(state) => Some(state),
            None => self.changes.recv().await.ok(),
        }
    }
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, Ensemble> {
        self.ensemble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request leaves at once.
    fn send(&self, op: Op) -> impl Future<Output = Result<Reply, ClientError>> + Send + use<> {
        let (tell, reply) = oneshot::channel();
        let request = Request { op, tell };
        self.lock().ask(self.id, request);
        async { reply.await.map_err(|_| ClientError::Closed)? }
    }

    async fn call(&self, op: Op) -> Result<Reply, ClientError> {
        self.send(op).await
    }

    pub(crate) fn begin_children(&self, path: &str) -> Pending<(Vec<String>, Stat)> {
        let (path, watch) = (path.to_owned(), false);
        let reply = self.send(Op::Children { path, watch });
        Box::pin(async {
            match reply.await? {
                Reply::Children(names, stat, _) => Ok((names, stat)),
                other => panic!("{other:?}"),
            }
        })
    }

    pub(crate) fn begin_get(&self, path: &str) -> Pending<(Vec<u8>, Stat)> {
        let (path, watch) = (path.to_owned(), false);
        let reply = self.send(Op::Get { path, watch });
        Box::pin(async {
            match reply.await? {
                Reply::Data(data, stat, _) => Ok((data, stat)),
                other => panic!("{other:?}"),
            }
        })
    }

    pub(crate) fn begin_exists(&self, path: &str) -> Pending<Option<Stat>> {
        let (path, watch) = (path.to_owned(), false);
        let reply = self.send(Op::Exists { path, watch });
        Box::pin(async {
            match reply.await? {
                Reply::Exists(stat, _) => Ok(stat),
                other => panic!("{other:?}"),
            }
        })
    }

    pub(crate) fn begin_gets(&self, paths: &[String]) -> Pending<Vec<Got>> {
        let reply = self.send(Op::GetAll(paths.to_vec()));
        Box::pin(async {
            match reply.await? {
                Reply::All(all) => Ok(all),
                other => panic!("{other:?}"),
            }
        })
    }

    pub(crate) fn begin_sync(&self) -> Pending<()> {
        let reply = self.send(Op::Sync);
        Box::pin(async { reply.await.map(drop) })
    }

    pub(crate) async fn watch(
        &self,
        path: &str,
        mode: AddWatchMode,
    ) -> Result<Stream, ClientError> {
        let path = path.to_owned();
        let is_recursive = mode == AddWatchMode::PersistentRecursive;
        match self.call(Op::Watch { path, is_recursive }).await? {
            Reply::Watching(told) => Ok(Stream::Model(told)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn children_and_watch(
        &self,
        path: &str,
    ) -> Result<(Vec<String>, Stat, Watch), ClientError> {
        let (path, watch) = (path.to_owned(), true);
        match self.call(Op::Children { path, watch }).await? {
            Reply::Children(names, stat, watch) => Ok((names, stat, Watch::Model(watch))),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn get_and_watch(
        &self,
        path: &str,
    ) -> Result<(Vec<u8>, Stat, Watch), ClientError> {
        let (path, watch) = (path.to_owned(), true);
        match self.call(Op::Get { path, watch }).await? {
            Reply::Data(data, stat, watch) => Ok((data, stat, Watch::Model(watch))),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn exists_and_watch(
        &self,
        path: &str,
    ) -> Result<(Option<Stat>, Watch), ClientError> {
        let (path, watch) = (path.to_owned(), true);
        match self.call(Op::Exists { path, watch }).await? {
            Reply::Exists(stat, watch) => Ok((stat, Watch::Model(watch))),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn create(
        &self,
        path: &str,
        data: &[u8],
        mode: CreateMode,
    ) -> Result<Created, ClientError> {
        let op = Op::Create {
            path: path.to_owned(),
            data: data.to_vec(),
            mode,
        };
        match self.call(op).await? {
            Reply::Created(path, stat) => Ok(Created {
                path,
                stat: Some(stat),
            }),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn set(
        &self,
        path: &str,
        data: &[u8],
        version: Option<i32>,
    ) -> Result<Stat, ClientError> {
        let version = version.unwrap_or(ANY);
        let write = Write::Set {
            path,
            data,
            version,
        };
        let reply = self.write(&[write]).await.map_err(single)?;
        match reply {
            Reply::Written(Some(stat)) => Ok(stat),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), ClientError> {
        let written = self.write(&[Write::Delete { path }]).await;
        written.map(drop).map_err(single)
    }

    pub(crate) async fn commit(&self, writes: &[Write<'_>]) -> Result<(), ClientError> {
        self.write(writes).await.map(drop)
    }

    async fn write(&self, writes: &[Write<'_>]) -> Result<Reply, ClientError> {
        let owned = writes.iter().map(|write| match *write {
            Write::Set {
                path,
                data,
                version,
            } => OwnedWrite {
                path: path.to_owned(),
                set: Some((data.to_vec(), version)),
            },
            Write::Delete { path } => OwnedWrite {
                path: path.to_owned(),
                set: None,
            },
        });
        self.call(Op::Write(owned.collect())).await
    }

    pub(crate) const fn id(&self) -> i64 {
        self.id
    }

    pub(crate) fn state(&self) -> SessionState {
        self.lock().line(self.id).state
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.lock().told_timeout
    }

    pub(crate) fn states(&self) -> States {
        let ensemble = self.lock();
        let line = ensemble.line(self.id);
        States {
            current: Some(line.state),
            changes: line.states.subscribe(),
        }
    }
}

/// The error of a write that is no transaction.
fn single(error: ClientError) -> ClientError {
    match error {
        ClientError::Transaction {
            failed,
            path,
            codes,
        } => {
            let code = codes.get(failed).copied();
            ClientError::Server(code.unwrap_or(ErrorCode::RUNTIME_INCONSISTENCY), path)
        }
        other => other,
    }
}
