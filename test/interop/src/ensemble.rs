//! Ensembles as processes: each member an Apache ZooKeeper of some line, or Zabra, on loopback or cut off at will.
//!
//! All members read the same form of `zoo.cfg`, have a directory of their own that outlives their process, and keep their
//! seat (id, addresses, directory) when another implementation takes it. What one member can be told and asked is in
//! [`member`]; the network that can be cut is in [`net`], and what slows its links in [`proxy`]. What clients see of an ensemble is checked by
//! [`crate::load`], not here.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::peer::{Peer, free_ports};

pub mod disk;
pub mod member;
pub mod net;
pub mod proxy;

pub use member::{Member, Role};
use net::Network;

/// How long an ensemble may take until all its running members serve: JVMs on a busy machine, and elections that
/// are held again.
const SERVICE_LIMIT: Duration = Duration::from_secs(90);

/// A member's id, as in its `myid` file.
pub type Sid = u8;

/// Who sits on one seat at the beginning.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// What runs there.
    pub peer: Peer,
    /// Whether it observes instead of voting.
    pub observes: bool,
}

impl Seat {
    /// A voter.
    #[must_use]
    pub const fn voter(peer: Peer) -> Self {
        Self {
            peer,
            observes: false,
        }
    }

    /// An observer.
    #[must_use]
    pub const fn observer(peer: Peer) -> Self {
        Self {
            peer,
            observes: true,
        }
    }
}

/// Where the list of members is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In `zoo.cfg`.
    Static,
    /// In a file of its own, with `reconfigEnabled`.
    Dynamic,
}

/// What an ensemble is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its members; the first has id 1.
    pub seats: Vec<Seat>,
    /// Where the list of members is kept.
    pub form: Form,
    /// Milliseconds of a tick.
    pub tick: u32,
    /// Ticks that a member may take to join.
    pub init_limit: u32,
    /// Ticks that a leader or a learner may be silent.
    pub sync_limit: u32,
    /// Heap of each JVM.
    pub heap: &'static str,
    /// Lines for every `zoo.cfg`.
    pub config: Vec<String>,
    /// System properties of every member, as `name=value`.
    pub properties: Vec<String>,
    /// Whether members of ours are the build whose disk and clock take orders ([`disk`]).
    pub faulty: bool,
}

impl Plan {
    /// Short ticks, so that hung servers are given up within seconds.
    #[must_use]
    pub fn brisk(seats: Vec<Seat>) -> Self {
        Self {
            tick: 500,
            init_limit: 40,
            sync_limit: 6,
            ..Self::usual(seats)
        }
    }

    /// The limits that everybody's `zoo.cfg` has.
    #[must_use]
    pub fn usual(seats: Vec<Seat>) -> Self {
        Self {
            seats,
            form: Form::Static,
            tick: 2000,
            init_limit: 10,
            sync_limit: 5,
            heap: "256m",
            config: [
                "4lw.commands.whitelist=*",
                "maxClientCnxns=0",
                "admin.enableServer=false",
                "minSessionTimeout=1000",
                "maxSessionTimeout=60000",
            ]
            .map(String::from)
            .to_vec(),
            // Who lags behind gets the log, however long it is; only who has nothing gets a snapshot.
            properties: vec![
                "zookeeper.preAllocSize=1024".into(),
                "zookeeper.commitLogCount=100000".into(),
            ],
            faulty: false,
        }
    }

    /// With the list of members in `form`.
    #[must_use]
    pub const fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }
}

/// A running ensemble, killed when it is dropped.
#[derive(Debug)]
pub struct Ensemble {
    members: Vec<Member>,
    network: Network,
    tick: Duration,
}

impl Ensemble {
    /// Lays out the directories under `dir` and starts everybody at once, on loopback.
    ///
    /// # Errors
    /// A peer is missing, or the ensemble does not come to serve.
    pub fn start(dir: &Path, plan: &Plan) -> Result<Self> {
        Self::start_in(dir, plan, Network::Loopback)
    }

    /// The same in a network that may be cut.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_in(dir: &Path, plan: &Plan, network: Network) -> Result<Self> {
        let mut ensemble = Self::lay_out(dir, plan, network)?;
        ensemble.start_all()?;
        Ok(ensemble)
    }

    /// Starts everybody at once.
    ///
    /// # Errors
    /// The ensemble does not come to serve.
    pub fn start_all(&mut self) -> Result<()> {
        for member in &mut self.members {
            member.start()?;
        }
        self.await_service().map(drop)
    }

    /// Lays out the directories and starts nobody.
    ///
    /// # Errors
    /// A peer is missing, or the disk refuses.
    pub fn lay_out(dir: &Path, plan: &Plan, network: Network) -> Result<Self> {
        let mut members = Vec::new();
        for (seat, sid) in plan.seats.iter().zip(1..) {
            seat.peer.provide()?;
            let host = network.host(sid);
            members.push(Member::new(sid, *seat, host, dir, plan));
        }
        let first_port = free_ports(u16::try_from(3 * members.len())?)?;
        for (member, at) in members.iter_mut().zip(0..) {
            member.take_ports(first_port + 3 * at);
        }
        let list = Self::list(&members, plan.form);
        for member in &members {
            member.write_files(plan, &list)?;
        }
        Ok(Self {
            members,
            network,
            tick: Duration::from_millis(plan.tick.into()),
        })
    }

    /// The lines that name the members.
    fn list(members: &[Member], form: Form) -> String {
        let mut list = String::new();
        for member in members {
            list.push_str(&member.line(form, member.observes()));
            list.push('\n');
        }
        list
    }

    /// A tick of the servers.
    #[must_use]
    pub const fn tick(&self) -> Duration {
        self.tick
    }

    /// Every member, in the order of their ids.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member with this id.
    ///
    /// # Panics
    /// There is none.
    pub fn member(&mut self, sid: Sid) -> &mut Member {
        &mut self.members[usize::from(sid) - 1]
    }

    /// The ids of all members.
    #[must_use]
    pub fn sids(&self) -> Vec<Sid> {
        self.members.iter().map(Member::sid).collect()
    }

    /// Whether the member's disk and clock take orders.
    #[must_use]
    pub fn is_faulty(&self, sid: Sid) -> bool {
        self.members[usize::from(sid) - 1].is_faulty()
    }

    /// The voters that run and are not paused, without `except`.
    #[must_use]
    pub fn awake_voters(&self, except: Sid) -> Vec<Sid> {
        let awake = |member: &&Member| !member.observes() && member.is_awake();
        let awake = self.members.iter().filter(awake).map(Member::sid);
        awake.filter(|sid| *sid != except).collect()
    }

    /// The client addresses of all members.
    #[must_use]
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.members.iter().map(Member::addr).collect()
    }

    /// The client addresses of all members, as a client takes them.
    #[must_use]
    pub fn servers(&self) -> String {
        let addrs: Vec<String> = self.addrs().iter().map(ToString::to_string).collect();
        addrs.join(",")
    }

    /// The network between the members.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// How often members have begun to look for a leader, by their logs.
    #[must_use]
    pub fn elections(&self) -> usize {
        let looks = |line: &&str| line.contains("looking for a leader") || line.contains("LOOKING");
        let of = |member: &Member| member.log().lines().filter(looks).count();
        self.members.iter().map(of).sum()
    }

    /// Whether every member is ours.
    #[must_use]
    pub fn is_pure(&self) -> bool {
        self.members
            .iter()
            .all(|member| member.peer() == Peer::Zabra)
    }

    /// Waits until every member that runs and is not paused serves in a role, and exactly one of them leads.
    ///
    /// # Errors
    /// A process has ended by itself, or they do not come to serve; the message has the ends of their logs.
    pub fn await_service(&mut self) -> Result<Sid> {
        let start = Instant::now();
        loop {
            let roles = self.roles()?;
            let leads =
                |(sid, role): (&Sid, &Option<Role>)| (*role == Some(Role::Leader)).then_some(*sid);
            let leaders: Vec<Sid> = roles.iter().filter_map(leads).collect();
            if let ([leader], true) = (&leaders[..], roles.values().all(Option::is_some)) {
                return Ok(*leader);
            }
            if start.elapsed() > SERVICE_LIMIT {
                bail!("not in service after {SERVICE_LIMIT:?}: {}", self.show());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until somebody leads who is not `other`, whatever the rest does.
    ///
    /// # Errors
    /// As [`Self::await_service`].
    pub fn await_leader_other_than(&mut self, other: Sid) -> Result<Sid> {
        let start = Instant::now();
        loop {
            let leads = |(sid, role): (&Sid, &Option<Role>)| {
                (*role == Some(Role::Leader) && *sid != other).then_some(*sid)
            };
            if let Some(leader) = self.roles()?.iter().find_map(leads) {
                return Ok(leader);
            }
            ensure!(
                start.elapsed() <= SERVICE_LIMIT,
                "no new leader after {SERVICE_LIMIT:?}: {}",
                self.show()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `sid` serves in `role`, and everybody else serves.
    ///
    /// # Errors
    /// As [`Self::await_service`].
    pub fn await_role(&mut self, sid: Sid, role: Role) -> Result<()> {
        let start = Instant::now();
        while self.member(sid).role() != Some(role) {
            self.member(sid).ensure_alive()?;
            ensure!(
                start.elapsed() <= SERVICE_LIMIT,
                "{sid} is no {role:?} after {SERVICE_LIMIT:?}: {}",
                self.show()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        self.await_service().map(drop)
    }

    /// The roles of all members that run and are not paused.
    fn roles(&mut self) -> Result<HashMap<Sid, Option<Role>>> {
        let mut roles = HashMap::new();
        for member in self.members.iter_mut().filter(|member| member.is_awake()) {
            member.ensure_alive()?;
            roles.insert(member.sid(), member.role());
        }
        Ok(roles)
    }

    /// The leader.
    ///
    /// # Errors
    /// As [`Self::await_service`].
    pub fn leader(&mut self) -> Result<Sid> {
        self.await_service()
    }

    /// Has the leadership handed on until `sid` leads. Nobody writes meanwhile, so that the newest histories are the
    /// same and the highest id decides.
    ///
    /// # Errors
    /// It never comes to lead.
    pub fn make_leader(&mut self, sid: Sid) -> Result<()> {
        for _ in 0..8 {
            let leader = self.await_service()?;
            if leader == sid {
                return Ok(());
            }
            self.member(leader).terminate()?;
            self.await_leader_other_than(leader)
                .with_context(|| format!("after {leader} was stopped"))?;
            self.member(leader).start()?;
        }
        bail!("{sid} does not come to lead: {}", self.show())
    }

    /// What each member says and the ends of the logs, for a message.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text = String::new();
        for member in &self.members {
            let state = match (member.is_running(), member.is_awake()) {
                (false, _) => "down".to_owned(),
                (true, false) => "paused".to_owned(),
                (true, true) => format!("{:?}", member.role()),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "\n-- {} ({}): {state}\n{}",
                member.sid(),
                member.peer(),
                member.log_tail()
            );
        }
        text
    }
}

/// Where a member listens.
#[derive(Clone, Copy, Debug)]
pub struct SeatAddresses {
    /// Its address.
    pub host: Ipv4Addr,
    /// The port for learners.
    pub quorum: u16,
    /// The port for elections.
    pub election: u16,
    /// The port for clients.
    pub client: u16,
}
