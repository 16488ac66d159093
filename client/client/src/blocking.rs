//! The client for programs without async: each call returns when it is answered.
//!
//! A thread of its own carries the bytes. Do not use it from async code; that is what [`crate::Client`] is for.
//!
//! ```no_run
//! # fn main() -> Result<(), zabra_client::Error> {
//! use zabra_client::CreateMode;
//! use zabra_client::blocking::Client;
//!
//! let client = Client::connect("127.0.0.1:2181")?;
//! client.create("/greeting", "hello", CreateMode::Persistent)?;
//! let (data, stat) = client.get("/greeting")?;
//! // Everything else that the async client can do:
//! let (names, _, changed) = client.wait(client.inner().children_and_watch("/"))?;
//! println!("{names:?}, then {:?}", client.wait(changed)?);
//! # Ok(()) }
//! ```

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder as RuntimeBuilder, Handle};
use tokio::sync::oneshot;

use crate::{
    Builder, CreateOptions, Created, Data, Error, Misuse, Stat, Transaction, TransactionResult,
};

/// A session, from code that may block. It is closed with the last clone.
#[derive(Debug, Clone)]
pub struct Client {
    session: Arc<Session>,
}

#[derive(Debug)]
struct Session {
    inner: crate::Client,
    /// Behind the client, so that it is stopped last.
    thread: Thread,
}

impl Drop for Session {
    fn drop(&mut self) {
        // In async code there is nothing to wait with; the session then goes when it expires.
        if Handle::try_current().is_err() {
            self.thread.runtime.block_on(self.inner.close());
        }
    }
}

/// The thread that carries the bytes of a client.
#[derive(Debug)]
struct Thread {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    joined: Option<JoinHandle<()>>,
}

impl Thread {
    fn start() -> Result<Self, Error> {
        let runtime = RuntimeBuilder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| Misuse::NoRuntime)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let joined = thread::Builder::new()
            .name("zabra-client".to_owned())
            .spawn(move || {
                // Told to stop, or forgotten: either way nobody calls any more.
                let _ = runtime.block_on(stopped);
            });
        Ok(Self {
            runtime: handle,
            stop: Some(stop),
            joined: Some(joined.map_err(|_| Misuse::NoRuntime)?),
        })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.joined.take() {
            // It does nothing that could panic.
            let _ = thread.join();
        }
    }
}

impl Client {
    /// Begins a session with default settings, and waits until a server serves it.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::connect`].
    pub fn connect(connect_string: &str) -> Result<Self, Error> {
        Self::connect_with(crate::Client::builder(connect_string))
    }

    /// Begins a session with these settings, and waits until a server serves it.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::connect`].
    pub fn connect_with(builder: Builder) -> Result<Self, Error> {
        let thread = Thread::start()?;
        let inner = thread.runtime.block_on(builder.connect())?;
        let session = Session { inner, thread };
        Ok(Self {
            session: Arc::new(session),
        })
    }

    /// The async client of the same session, whose calls [`Client::wait`] waits for.
    #[must_use]
    pub fn inner(&self) -> &crate::Client {
        &self.session.inner
    }

    /// Waits for a call, a watch, or whatever else the async client gives.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.session.thread.runtime.block_on(future)
    }

    /// See [`crate::Client::create`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn create(
        &self,
        path: &str,
        data: impl AsRef<[u8]>,
        options: impl Into<CreateOptions>,
    ) -> Result<Created, Error> {
        self.wait(self.inner().create(path, data, options))
    }

    /// See [`crate::Client::get`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get(&self, path: &str) -> Result<(Data, Stat), Error> {
        self.wait(self.inner().get(path))
    }

    /// See [`crate::Client::exists`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn exists(&self, path: &str) -> Result<Option<Stat>, Error> {
        self.wait(self.inner().exists(path))
    }

    /// See [`crate::Client::children`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn children(&self, path: &str) -> Result<Vec<String>, Error> {
        self.wait(self.inner().children(path))
    }

    /// See [`crate::Client::set`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set(
        &self,
        path: &str,
        data: impl AsRef<[u8]>,
        version: Option<i32>,
    ) -> Result<Stat, Error> {
        self.wait(self.inner().set(path, data, version))
    }

    /// See [`crate::Client::delete`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn delete(&self, path: &str, version: Option<i32>) -> Result<(), Error> {
        self.wait(self.inner().delete(path, version))
    }

    /// See [`crate::Client::sync`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn sync(&self, path: &str) -> Result<(), Error> {
        self.wait(self.inner().sync(path))
    }

    /// A transaction, to be filled and given to [`Client::commit`].
    pub fn transaction(&self) -> Transaction {
        self.inner().transaction()
    }

    /// See [`Transaction::commit`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn commit(&self, transaction: Transaction) -> Result<Vec<TransactionResult>, Error> {
        self.wait(transaction.commit())
    }

    /// See [`crate::Client::close`].
    pub fn close(self) {
        self.wait(self.inner().close());
    }
}
