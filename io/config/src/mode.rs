//! Alone or in an ensemble, and what a member of one is told when it starts (quorum 2).

use std::time::Duration;

use zabra_quorum::{HostPort, Member, Membership, Role, Sid};

/// How a server runs: the driver has a branch for each.
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    /// One server that asks nobody.
    Standalone,
    /// A member of an ensemble.
    Member(Box<ThisMember>),
}

/// A server's place in its ensemble. Every value was checked: what is here can be started with.
///
/// Tunables that do not depend on the place stand in [`Ensemble`](crate::Ensemble).
#[derive(Debug, Clone, PartialEq)]
pub struct ThisMember {
    /// From `myid`. Has a server line in `committed`.
    pub sid: Sid,
    /// Whether it votes: what its server line says.
    pub role: Role,
    /// The membership in force, with the version that its file's name bears; the own client address of `zoo.cfg` is in it.
    pub committed: Membership,
    /// A newer one that was proposed and not committed when the server stopped.
    pub last_seen: Option<Membership>,
    /// Ticks for connecting to a leader and getting in step with it.
    pub init_limit: u32,
    /// Ticks for which others may be silent.
    pub sync_limit: u32,
    /// Ticks for connecting to the leader.
    pub connect_limit: u32,
    /// How long an election connection may be silent before it is taken for dead.
    pub election_silence_max: Duration,
    /// Whether quorum and election port are bound on all addresses.
    pub listens_everywhere: bool,
}

/// Where a port is to be bound. The name is not resolved yet: that is done at each attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindAt {
    /// This port on all addresses of the machine.
    Everywhere(u16),
    /// This one address.
    Host(HostPort),
}

impl BindAt {
    /// The port, on whatever address.
    pub fn port(&self) -> u16 {
        match self {
            Self::Everywhere(port) => *port,
            Self::Host(at) => at.port,
        }
    }
}

impl ThisMember {
    /// The own server line.
    pub fn line(&self) -> Option<&Member> {
        self.committed.member(self.sid)
    }

    /// Where to listen for learners; at all times, whatever the role.
    pub fn quorum_binds(&self) -> Vec<BindAt> {
        self.binds(|address| address.quorum_port)
    }

    /// Where to listen for votes.
    pub fn election_binds(&self) -> Vec<BindAt> {
        self.binds(|address| address.election_port)
    }

    fn binds(&self, port: impl Fn(&zabra_quorum::PeerAddress) -> u16) -> Vec<BindAt> {
        let addresses = self.line().into_iter().flat_map(|line| &line.addresses);
        let binds = addresses.map(|address| match self.listens_everywhere {
            true => BindAt::Everywhere(port(address)),
            false => BindAt::Host(HostPort {
                host: address.host.clone(),
                port: port(address),
            }),
        });
        binds.collect()
    }
}
