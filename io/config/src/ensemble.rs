//! What a configuration says about the ensemble: members, limits, tunables, and whether there is one at all.
//!
//! [`Ensemble::settle`] judges the members as Apache does and decides the [`Mode`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use zabra_quorum::{ClientAddress, HostPort, Member, Membership, Role, Sid};

use crate::error::{ConfigError, Location};
use crate::listen::Listen;
use crate::membership::Memberships;
use crate::mode::{Mode, ThisMember};
use crate::notice::Severity;
use crate::properties::Properties;
use crate::source::Source;
use crate::world::World;

/// The settings of an ensemble; a standalone server has them too and ignores them.
#[derive(Debug, Clone)]
pub struct Ensemble {
    /// The content of `myid`, if the file is there.
    pub my_id: Option<Sid>,
    /// The members, with the version of that knowledge; none if no participant is named.
    pub membership: Option<Membership>,
    /// A membership that was proposed and not yet committed when the server stopped.
    pub proposed_membership: Option<Membership>,
    /// Where the members were read from, if not from `zoo.cfg`.
    pub dynamic_file: Option<PathBuf>,
    /// This server's role.
    pub role: Role,
    /// Whether an observer writes log and snapshots.
    pub sync_enabled: bool,
    /// Ticks for connecting and synchronizing.
    pub init_limit: i32,
    /// Ticks for which a learner may be silent.
    pub sync_limit: i32,
    /// Ticks for connecting to the leader; 0 is `init_limit`.
    pub connect_to_learner_master_limit: i32,
    /// Whether one voter alone is a standalone server.
    pub standalone_enabled: bool,
    /// Whether `reconfig` is allowed.
    pub reconfig_enabled: bool,
    /// Whether quorum and election port are bound on all addresses.
    pub listen_on_all_ips: bool,
    /// Whether sessions are local at first.
    pub local_sessions: bool,
    /// Whether a local session becomes global when it creates an ephemeral.
    pub local_session_upgrades: bool,
    /// The port of a follower for observers.
    pub observer_master_port: Option<u16>,
    /// Whether members may have several addresses.
    pub multi_address: bool,
    /// Whether addresses are probed before use.
    pub probes_addresses: bool,
    /// How long a probe may take.
    pub probe_timeout: Duration,
    /// When a vote is sent again, at first.
    pub notification_interval_min: Duration,
    /// When a vote is sent again, at most.
    pub notification_interval_max: Duration,
    /// How long opening an election connection may take.
    pub election_connect_timeout: Duration,
    /// How long an election connection may be silent; `None` is `sync_limit` ticks.
    pub election_silence_max: Option<Duration>,
    /// Attempts to bind the election port; `None` is for ever.
    pub election_bind_attempts: Option<u32>,
    /// Between attempts to connect to the leader.
    pub leader_connect_delay: Duration,
    /// How long a new leader waits for an elector that looks for a leader again; `None` is until its init limit.
    pub epoch_wait_max: Option<Duration>,
    /// Whether the leader takes clients.
    pub leader_serves: bool,
    /// Committed proposals kept in memory for learners.
    pub commit_log_count: usize,
    /// The share of the snapshot up to which the log on disk serves a learner; negative is never, 0 always.
    pub snapshot_size_factor: f64,
    /// Whether learners always get a snapshot.
    pub always_snapshot: bool,
    /// Observers that may get a snapshot at once.
    pub snapshot_syncs_max: usize,
    /// Observers that may get a diff at once.
    pub diff_syncs_max: usize,
    /// An observer waits a random time below this before it connects again.
    pub observer_reconnect_delay_max: Duration,
    /// An observer waits a random time below this before it looks for a leader again.
    pub observer_election_delay_max: Duration,
    /// Whether links between servers use TCP keepalive.
    pub tcp_keep_alive: bool,
}

impl Ensemble {
    /// Reads everything but the members, which [`Ensemble::settle`] adds.
    pub(crate) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let peer_type = source.text("peerType").unwrap_or_default();
        let role = peer_type.parse().map_err(|_| {
            source.refuse(
                "peerType",
                format!("peerType = \"{peer_type}\" is unknown"),
                "give participant or observer",
            )
        })?;
        let sync_enabled = match source.is_given("observer.syncEnabled") {
            true => source.flag("observer.syncEnabled")?,
            false => source.flag("syncEnabled")?,
        };
        let observer_master_port = source.int("observerMasterPort")?;
        let bind_attempts = source.int("electionPortBindRetry")?;
        Ok(Self {
            my_id: None,
            membership: None,
            proposed_membership: None,
            dynamic_file: source.text("dynamicConfigFile").map(PathBuf::from),
            role,
            sync_enabled,
            init_limit: source.int("initLimit")?,
            sync_limit: source.int("syncLimit")?,
            connect_to_learner_master_limit: source.int("connectToLearnerMasterLimit")?,
            standalone_enabled: source.flag("standaloneEnabled")?,
            reconfig_enabled: source.flag("reconfigEnabled")?,
            listen_on_all_ips: source.flag("quorumListenOnAllIPs")?,
            local_sessions: source.flag("localSessionsEnabled")?,
            local_session_upgrades: source.flag("localSessionsUpgradingEnabled")?,
            observer_master_port: u16::try_from(observer_master_port)
                .ok()
                .filter(|port| *port > 0),
            multi_address: source.flag("multiAddress.enabled")?,
            probes_addresses: source.flag("multiAddress.reachabilityCheckEnabled")?,
            probe_timeout: source.millis("multiAddress.reachabilityCheckTimeoutMs")?,
            notification_interval_min: source.millis("fastleader.minNotificationInterval")?,
            notification_interval_max: source.millis("fastleader.maxNotificationInterval")?,
            election_connect_timeout: source.millis("cnxTimeout")?,
            election_bind_attempts: u32::try_from(bind_attempts)
                .ok()
                .filter(|attempts| *attempts > 0),
            election_silence_max: positive_millis(source, "quorumCnxnTimeoutMs")?,
            leader_connect_delay: source.millis("leaderConnectDelayDuringRetryMs")?,
            epoch_wait_max: not_negative_millis(source, "leader.maxTimeToWaitForEpoch")?,
            leader_serves: !source.is_word("leaderServes", "no"),
            commit_log_count: usize::try_from(source.int("commitLogCount")?)
                .unwrap_or(0)
                .max(COMMIT_LOG_COUNT_MIN),
            snapshot_size_factor: snapshot_size_factor(source)?,
            always_snapshot: source.flag("forceSnapshotSync")?,
            snapshot_syncs_max: count(source, "leader.maxConcurrentSnapSyncs")?,
            diff_syncs_max: count(source, "leader.maxConcurrentDiffSyncs")?,
            observer_reconnect_delay_max: source.millis("observer.reconnectDelayMs")?,
            observer_election_delay_max: source.millis("observer.election.DelayMs")?,
            tcp_keep_alive: source.flag("tcpKeepAlive")?,
        })
    }

    /// Adds the members from `file` or from the dynamic file that it names, and `myid`; judges the
    /// whole as Apache does.
    pub(crate) fn settle(
        &mut self,
        source: &mut Source,
        file: &Properties,
        data_dir: &Path,
        world: &dyn World,
    ) -> Result<(), ConfigError> {
        let dynamic = self.dynamic_file.as_deref();
        let read = Memberships::read(source, file, dynamic, self.multi_address, world)?;
        self.judge_members(source, file, &read)?;
        self.membership = read.committed;
        self.proposed_membership = read.last_seen;
        self.my_id = read_my_id(data_dir, world)?;
        self.judge_role(source);
        Ok(())
    }

    fn judge_members(
        &self,
        source: &mut Source,
        file: &Properties,
        read: &Memberships,
    ) -> Result<(), ConfigError> {
        let members = read.committed.as_ref();
        let voters = members.map_or(0, |members| members.voters().len());
        let observers = members.map_or(0, |members| members.members().len() - voters);
        let at = || Some(Location::file(file.name()));
        if voters == 0 && !self.standalone_enabled {
            return Err(ConfigError::new(
                at(),
                "standaloneEnabled is false and no participant is listed",
                "add server lines or set standaloneEnabled=true",
            ));
        }
        if read.has_only_observers || observers > 0 && voters == 1 && self.standalone_enabled {
            let voters = if voters == 0 { "no" } else { "only one" };
            return Err(ConfigError::new(
                at(),
                format!("observers are listed, but {voters} participant"),
                "observers need an ensemble of participants; list them",
            ));
        }
        if voters == 1 && self.standalone_enabled {
            source.warn(
                "server.N",
                "one server line alone is ignored; standaloneEnabled=false makes an ensemble of one",
            );
        } else if voters == 1 || voters == 2 {
            let text = format!(
                "an ensemble of {voters} tolerates no failure; at least 3 participants are needed for that"
            );
            source.warn("server.N", text);
        } else if voters > 2 && voters.is_multiple_of(2) {
            source.warn(
                "server.N",
                format!(
                    "{voters} participants tolerate no more failures than {}",
                    voters - 1
                ),
            );
        }
        Ok(())
    }

    /// The role in the server lines wins (features RG-15).
    fn judge_role(&mut self, source: &mut Source) {
        let by_line = self.own_line().map_or(Role::Participant, |line| line.role);
        if by_line != self.role && source.is_given("peerType") {
            let text = format!(
                "peerType is {}, but the server lines say {by_line}, and they win",
                self.role
            );
            source.warn("peerType", text);
        }
        self.role = by_line;
    }

    /// Whether these settings are of an ensemble (features RG-13).
    fn is_distributed(&self) -> bool {
        let voters = self
            .membership
            .as_ref()
            .map(|members| members.voters().len());
        voters.is_some_and(|voters| !self.standalone_enabled || voters > 1)
    }

    /// Alone or in an ensemble; what a member must know is checked here. `client` is what `zoo.cfg` says of clients,
    /// `tick` the length of a tick.
    pub(crate) fn mode(
        &self,
        source: &Source,
        file: &Properties,
        data_dir: &Path,
        client: Option<&Listen>,
        tick: Duration,
        extended_types: bool,
    ) -> Result<Mode, ConfigError> {
        let Some(committed) = self.membership.as_ref().filter(|_| self.is_distributed()) else {
            return Ok(Mode::Standalone);
        };
        let limit = |key, ticks: i32, example| {
            let refuse = |what: String| {
                let whole = || Location::file(file.name());
                let at = source.location(key).unwrap_or_else(whole);
                ConfigError::new(Some(at), what, format!("write e.g. {key}={example}"))
            };
            match u32::try_from(ticks) {
                Ok(0) => Err(refuse(format!("{key} is not set"))),
                Ok(ticks) => Ok(ticks),
                Err(_) => Err(refuse(format!("{key} = {ticks} is not a number of ticks"))),
            }
        };
        let init_limit = limit("initLimit", self.init_limit, 10)?;
        let sync_limit = limit("syncLimit", self.sync_limit, 5)?;
        let connect_limit = u32::try_from(self.connect_to_learner_master_limit).unwrap_or(0);
        let (sid, role) = self.judge_my_id(committed, file, data_dir)?;
        if extended_types && sid.0 > SID_MAX_OF_EXTENDED_TYPES {
            let what = format!(
                "myid is {sid}, but with extendedTypesEnabled no server may have a number above {SID_MAX_OF_EXTENDED_TYPES}"
            );
            let at = source.location("extendedTypesEnabled");
            let advice = "give this server a smaller number, or leave TTL znodes off";
            return Err(ConfigError::unexpected(at, what, advice));
        }
        let mut committed = committed.clone();
        if let Some(client) = client {
            committed.set_static_client(sid, written(client));
        }
        let last_seen = self.proposed_membership.clone();
        Ok(Mode::Member(Box::new(ThisMember {
            sid,
            role,
            last_seen: last_seen.filter(|seen| seen.version() > committed.version()),
            committed,
            init_limit,
            sync_limit,
            connect_limit: if connect_limit == 0 {
                init_limit
            } else {
                connect_limit
            },
            election_silence_max: self
                .election_silence_max
                .unwrap_or_else(|| tick.saturating_mul(sync_limit)),
            listens_everywhere: self.listen_on_all_ips,
        })))
    }

    /// A member without a number, or with one that no server line has, cannot be (quorum 2.3).
    fn judge_my_id(
        &self,
        members: &Membership,
        file: &Properties,
        data_dir: &Path,
    ) -> Result<(Sid, Role), ConfigError> {
        let Some(sid) = self.my_id else {
            return Err(ConfigError::new(
                Some(Location::file(file.name())),
                format!("myid file is missing in {}", data_dir.display()),
                "write this server's number there, as in its server line",
            ));
        };
        let Some(role) = members.role(sid) else {
            let listed: Vec<String> = members.members().keys().map(Sid::to_string).collect();
            return Err(ConfigError::unexpected(
                Some(Location::line(
                    &data_dir.join("myid").display().to_string(),
                    1,
                )),
                format!(
                    "myid is {sid}, but the servers of this ensemble are {}",
                    listed.join(", ")
                ),
                "correct myid, or add a server line for it; a server that was removed cannot start",
            ));
        };
        Ok((sid, role))
    }

    /// This server's own line, if there is one.
    pub fn own_line(&self) -> Option<&Member> {
        self.membership.as_ref()?.member(self.my_id?)
    }

    /// This server's own address for clients, if its server line has one.
    pub fn own_client_address(&self) -> Option<&ClientAddress> {
        self.own_line()?.client.as_ref()
    }

    /// The client address that counts: that of the own server line, which must not contradict
    /// `zoo.cfg`.
    pub(crate) fn client_listen(
        &self,
        source: &mut Source,
        from_file: Option<Listen>,
        world: &dyn World,
    ) -> Result<Option<Listen>, ConfigError> {
        let Some(own) = self.own_client_address() else {
            return Ok(from_file);
        };
        let own = &own.at;
        let address = world.resolve(&own.host).map_err(|error| {
            let what = format!("client address {own} of this server's line: {error}");
            source.refuse("server.N", what, "give an address of this machine")
        })?;
        let listen = Listen::at(&own.host, address, own.port);
        if let Some(file) = from_file {
            let contradicts = file.port() != listen.port()
                || file.address().is_some_and(|a| listen.address() != Some(a));
            if contradicts {
                let what = format!(
                    "clients are served at {file} here and at {listen} in this server's line"
                );
                return Err(source.refuse(
                    "clientPort",
                    what,
                    "make them agree or remove clientPort",
                ));
            }
        }
        Ok(Some(listen))
    }
}

/// Session ids and the owners of TTL znodes tell each other apart by a byte of 255.
const SID_MAX_OF_EXTENDED_TYPES: i64 = 254;

/// Fewer are not kept, whatever is configured.
const COMMIT_LOG_COUNT_MIN: usize = 500;

fn snapshot_size_factor(source: &mut Source) -> Result<f64, ConfigError> {
    let factor = source.real("snapshotSizeFactor")?;
    if factor <= 1.0 {
        return Ok(factor);
    }
    source.say(
        Severity::Warning,
        "snapshotSizeFactor",
        format!("snapshotSizeFactor = {factor} is above 1; 0.33 is used"),
    );
    Ok(0.33)
}

/// A wait that -1 leaves to something else.
fn not_negative_millis(source: &mut Source, key: &str) -> Result<Option<Duration>, ConfigError> {
    let given = source.int(key)?;
    Ok(u64::try_from(given).ok().map(Duration::from_millis))
}

/// As above, where nothing is no time either.
fn positive_millis(source: &mut Source, key: &str) -> Result<Option<Duration>, ConfigError> {
    Ok(not_negative_millis(source, key)?.filter(|wait| !wait.is_zero()))
}

fn count(source: &mut Source, key: &str) -> Result<usize, ConfigError> {
    Ok(usize::try_from(source.int(key)?).unwrap_or(0))
}

/// Where clients are served, as a server line would write it.
fn written(client: &Listen) -> HostPort {
    HostPort {
        host: client.host().unwrap_or("0.0.0.0").to_owned(),
        port: client.port(),
    }
}

/// One line with a decimal number, without blanks; a longer file than this is something else.
fn read_my_id(data_dir: &Path, world: &dyn World) -> Result<Option<Sid>, ConfigError> {
    let path = data_dir.join("myid");
    let Ok(bytes) = world.read(&path) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]);
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    line.parse().map(|id| Some(Sid(id))).map_err(|_| {
        let at = Some(Location::line(&path.display().to_string(), 1));
        let shown = line.escape_debug();
        ConfigError::new(
            at,
            format!("serverid \"{shown}\" is not a number"),
            "write this server's number there and nothing else",
        )
    })
}
