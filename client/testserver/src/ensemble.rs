//! Several servers that elect a leader.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;
use zabra_proto::SessionId;

use crate::Error;
use crate::expire::expire;
use crate::member::Member;
use crate::port::KeptPort;
use crate::word::{mode, until};

/// Servers 1 to n, which end with this value.
///
/// One ensemble runs at a time in a process: servers that wait long for a processor take each other for dead.
#[derive(Debug)]
pub struct TestEnsemble {
    members: Vec<Member>,
    _ports: Vec<[KeptPort; 2]>,
    _dir: TempDir,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl TestEnsemble {
    /// So many servers, one of which leads when this returns, and all others follow.
    ///
    /// # Errors
    ///
    /// If they cannot be started, or do not find a leader within a minute.
    pub fn start(servers: usize) -> Result<Self, Error> {
        Self::start_with(servers, "")
    }

    /// The same with more lines in each `zoo.cfg`.
    ///
    /// # Errors
    ///
    /// Those of [`TestEnsemble::start`], and if the lines are no configuration.
    pub fn start_with(servers: usize, lines: &str) -> Result<Self, Error> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir()?;
        let mut members = Vec::new();
        let mut ports = Vec::new();
        let mut text = format!("tickTime=1000\ninitLimit=20\nsyncLimit=10\n{lines}\n");
        for number in 1..=servers {
            let home = dir.path().join(number.to_string());
            members.push(Member::new(home, Some(number), String::new())?);
            let pair = [KeptPort::new()?, KeptPort::new()?];
            let [quorum, election] = [&pair[0], &pair[1]].map(|port| port.address().port());
            text.push_str(&format!("server.{number}=127.0.0.1:{quorum}:{election}\n"));
            ports.push(pair);
        }
        for member in &mut members {
            member.set_lines(text.clone());
            member.start()?;
        }
        let ensemble = Self {
            members,
            _ports: ports,
            _dir: dir,
            _turn: turn,
        };
        ensemble.until_settled()?;
        Ok(ensemble)
    }

    /// What to give to a client: all servers, running or not.
    #[must_use]
    pub fn connect_string(&self) -> String {
        let addresses: Vec<_> = self
            .members
            .iter()
            .map(|m| m.address().to_string())
            .collect();
        addresses.join(",")
    }

    /// Where server `number` (from 1) listens, now or when it runs.
    #[must_use]
    pub fn address(&self, number: usize) -> Option<SocketAddr> {
        self.member(number).map(Member::address)
    }

    /// The number of the server that leads; `None` while there is none.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        self.number_of(|mode| mode == "leader")
    }

    /// The number of the server with this address.
    #[must_use]
    pub fn number_at(&self, address: SocketAddr) -> Option<usize> {
        let mut members = (1..).zip(&self.members);
        members.find_map(|(number, member)| (member.address() == address).then_some(number))
    }

    /// Waits until one of the running servers leads and the others follow; says which leads.
    ///
    /// # Errors
    ///
    /// If that takes more than a minute.
    pub fn until_settled(&self) -> Result<usize, Error> {
        until("no leader that all follow", || {
            let running = || self.members.iter().filter(|member| member.is_running());
            let is_settled = running().all(|member| mode(member.address()).is_some());
            self.leader().filter(|_| is_settled)
        })
    }

    /// Stops server `number`: connections are cut, then refused.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`], or that it did not end well.
    pub fn stop(&mut self, number: usize) -> Result<(), Error> {
        let member = self.member_mut(number)?;
        if !member.is_running() {
            return Err(Error::NotRunning(number));
        }
        member.stop()
    }

    /// Starts server `number` again where it was, unless it runs. It does not wait until it serves.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if there is no such server, or if it cannot be started.
    pub fn start_again(&mut self, number: usize) -> Result<(), Error> {
        self.member_mut(number)?.start()
    }

    /// Ends a session as if it had expired. Returns whether there was such a session.
    ///
    /// # Errors
    ///
    /// If no server can be asked.
    pub fn expire(&self, session: SessionId) -> Result<bool, Error> {
        let leader = until("no leader", || self.leader())?;
        let address = self.address(leader).ok_or(Error::NotRunning(leader))?;
        Ok(expire(address, session)?)
    }

    fn number_of(&self, is_it: impl Fn(&str) -> bool) -> Option<usize> {
        let mut running = (1..)
            .zip(&self.members)
            .filter(|(_, member)| member.is_running());
        running.find_map(|(number, member)| {
            let mode = mode(member.address())?;
            is_it(&mode).then_some(number)
        })
    }

    fn member(&self, number: usize) -> Option<&Member> {
        self.members.get(number.checked_sub(1)?)
    }

    fn member_mut(&mut self, number: usize) -> Result<&mut Member, Error> {
        let at = number.checked_sub(1);
        at.and_then(|at| self.members.get_mut(at))
            .ok_or(Error::NotRunning(number))
    }
}
