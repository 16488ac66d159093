//! One server.

use std::net::SocketAddr;

use tempfile::TempDir;
use zabra_proto::SessionId;

use crate::Error;
use crate::expire::expire;
use crate::member::Member;

/// A server alone, which ends with this value.
#[derive(Debug)]
pub struct TestServer {
    member: Member,
    /// Behind the server, so that it goes away after it.
    _dir: TempDir,
}

impl TestServer {
    /// A server that serves when this returns.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start() -> Result<Self, Error> {
        Self::start_with("")
    }

    /// The same with more lines of `zoo.cfg`.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or the lines are no configuration.
    pub fn start_with(lines: &str) -> Result<Self, Error> {
        let dir = tempfile::tempdir()?;
        let lines = format!("tickTime=1000\n{lines}");
        let mut member = Member::new(dir.path().to_owned(), None, lines)?;
        member.start()?;
        Ok(Self { member, _dir: dir })
    }

    /// What to give to a client.
    #[must_use]
    pub fn connect_string(&self) -> String {
        self.address().to_string()
    }

    /// Where it listens, now or when it runs again.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.member.address()
    }

    /// Stops it: connections are cut, then refused. Sessions and znodes are kept.
    ///
    /// # Errors
    ///
    /// If it did not end well.
    pub fn stop(&mut self) -> Result<(), Error> {
        self.member.stop()
    }

    /// Starts it again where it was, unless it runs.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_again(&mut self) -> Result<(), Error> {
        self.member.start()
    }

    /// Stops and starts it.
    ///
    /// # Errors
    ///
    /// Those of [`TestServer::stop`] and [`TestServer::start_again`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop()?;
        self.start_again()
    }

    /// Ends a session as if it had expired: its ephemerals are gone when this returns, and its client learns it when it
    /// connects again, which it does at once. Returns whether there was such a session.
    ///
    /// # Errors
    ///
    /// If the server cannot be asked.
    pub fn expire(&self, session: SessionId) -> Result<bool, Error> {
        Ok(expire(self.address(), session)?)
    }
}
