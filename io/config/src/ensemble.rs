//! What a configuration says about the ensemble: members, roles, limits, and whether there is one
//! at all.
//!
//! Nothing here starts one. A server that cannot run an ensemble asks [`Ensemble::mode`] and
//! refuses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{ConfigError, Location};
use crate::listen::Listen;
use crate::member::{ClientAddress, Member, MemberId, Membership, PeerType};
use crate::notice::Severity;
use crate::properties::Properties;
use crate::source::{Source, trimmed};
use crate::world::World;

/// Alone or with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One server that asks nobody.
    Standalone,
    /// A member of an ensemble.
    Ensemble,
}

/// The settings of an ensemble; a standalone server has them too and ignores them.
#[derive(Debug, Clone)]
pub struct Ensemble {
    /// Whether this configuration is of an ensemble (features RG-13).
    pub mode: Mode,
    /// The content of `myid`, if the file is there.
    pub my_id: Option<MemberId>,
    /// The members, with the version of that knowledge.
    pub membership: Membership,
    /// A membership that was proposed and not yet committed when the server stopped.
    pub proposed_membership: Option<Membership>,
    /// Where the members were read from, if not from `zoo.cfg`.
    pub dynamic_file: Option<PathBuf>,
    /// This server's role.
    pub peer_type: PeerType,
    /// Whether an observer writes log and snapshots.
    pub sync_enabled: bool,
    /// Ticks for connecting and synchronizing.
    pub init_limit: i32,
    /// Ticks for which a learner may be silent.
    pub sync_limit: i32,
    /// Ticks for connecting to the leader.
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
    /// Attempts to bind the election port; `None` is for ever.
    pub election_bind_attempts: Option<u32>,
    /// Whether the leader takes clients.
    pub leader_serves: bool,
    /// Committed proposals kept in memory for learners.
    pub commit_log_count: usize,
    /// The share of the snapshot up to which the log on disk serves a learner.
    pub snapshot_size_factor: f64,
    /// Whether links between servers use TCP keepalive.
    pub tcp_keep_alive: bool,
}

impl Ensemble {
    /// Reads everything but the members, which [`Ensemble::settle`] adds.
    pub(crate) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let peer_type = source.text("peerType").unwrap_or_default();
        let peer_type = PeerType::parse(&peer_type).ok_or_else(|| {
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
            mode: Mode::Standalone,
            my_id: None,
            membership: Membership::default(),
            proposed_membership: None,
            dynamic_file: source.text("dynamicConfigFile").map(PathBuf::from),
            peer_type,
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
            leader_serves: !source.is_word("leaderServes", "no"),
            commit_log_count: usize::try_from(source.int("commitLogCount")?)
                .unwrap_or(0)
                .max(COMMIT_LOG_COUNT_MIN),
            snapshot_size_factor: snapshot_size_factor(source)?,
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
        if let Some(dynamic) = &self.dynamic_file {
            self.membership = read_dynamic(source, file, dynamic, self.multi_address, world)?;
            self.proposed_membership = read_proposed(file.name(), self.multi_address, world);
        } else {
            self.membership = read_members(file, self.multi_address)?;
        }
        self.judge_members(source, file)?;
        self.my_id = read_my_id(data_dir, world)?;
        self.judge_role(source);
        if self.mode == Mode::Ensemble {
            self.judge_limits(source, file, data_dir)?;
        }
        Ok(())
    }

    fn judge_members(&mut self, source: &mut Source, file: &Properties) -> Result<(), ConfigError> {
        let voters = self.membership.voters().count();
        let observers = self.membership.observers().count();
        let at = || Some(Location::file(file.name()));
        if voters == 0 && !self.standalone_enabled {
            let what = "standaloneEnabled is false and no participant is listed";
            return Err(ConfigError::new(
                at(),
                what,
                "add server lines or set standaloneEnabled=true",
            ));
        }
        if observers > 0 && (voters == 0 || voters == 1 && self.standalone_enabled) {
            let what = format!("{observers} observers are listed and {voters} participants");
            return Err(ConfigError::new(
                at(),
                what,
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
        let distributed = !self.standalone_enabled || voters > 1;
        self.mode = if distributed {
            Mode::Ensemble
        } else {
            Mode::Standalone
        };
        Ok(())
    }

    /// The role in the server lines wins (features RG-15).
    fn judge_role(&mut self, source: &mut Source) {
        let member = self.my_id.and_then(|id| self.membership.members.get(&id));
        let by_line = member.map_or(PeerType::Participant, |m| m.peer_type);
        if by_line != self.peer_type {
            let text = format!(
                "peerType is {}, but the server lines say {by_line}, and they win",
                self.peer_type
            );
            source.warn("peerType", text);
            self.peer_type = by_line;
        }
    }

    fn judge_limits(
        &self,
        source: &Source,
        file: &Properties,
        data_dir: &Path,
    ) -> Result<(), ConfigError> {
        for (key, value, example) in [
            ("initLimit", self.init_limit, 10),
            ("syncLimit", self.sync_limit, 5),
        ] {
            if value == 0 {
                let at = source
                    .location(key)
                    .or_else(|| Some(Location::file(file.name())));
                return Err(ConfigError::new(
                    at,
                    format!("{key} is not set"),
                    format!("add e.g. {key}={example}"),
                ));
            }
        }
        if self.my_id.is_none() {
            let what = format!("myid file is missing in {}", data_dir.display());
            let advice = "write this server's number there, as in its server line";
            return Err(ConfigError::new(
                Some(Location::file(file.name())),
                what,
                advice,
            ));
        }
        Ok(())
    }

    /// This server's own address for clients, if its server line has one.
    pub fn own_client_address(&self) -> Option<&ClientAddress> {
        self.membership.members.get(&self.my_id?)?.client.as_ref()
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
        let address = world.resolve(&own.host).map_err(|error| {
            let what = format!(
                "client address {}:{} of this server's line: {error}",
                own.host, own.port
            );
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

/// Reads the server, group and weight lines among all others.
fn read_members(file: &Properties, multi_address: bool) -> Result<Membership, ConfigError> {
    let mut membership = Membership::default();
    let mut hierarchical = false;
    // The last of two entries with one key wins; going backwards, the first seen does.
    for entry in file.entries().iter().rev() {
        let (key, value) = (trimmed(&entry.key), trimmed(&entry.value));
        let wrong = |what: String| {
            let advice =
                "the form is server.N=host:quorumPort:electionPort[:role][;[address:]clientPort]";
            ConfigError::new(Some(file.location(entry)), what, advice)
        };
        let number = |text: &str| {
            text.parse::<i64>()
                .map_err(|_| wrong(format!("\"{text}\" in {key} is not a number")))
        };
        let id = || number(key.split_once('.').map_or("", |(_, id)| id));
        if key.starts_with("server.") {
            let member = Member::parse(value)
                .map_err(|problem| wrong(format!("{key}={value} {problem}")))?;
            if member.addresses.len() > 1 && !multi_address {
                return Err(wrong(format!(
                    "{key} has several addresses and multiAddress.enabled is not true"
                )));
            }
            membership.members.entry(MemberId(id()?)).or_insert(member);
        } else if key.starts_with("group") {
            hierarchical = true;
            let group = id()?;
            for member in value.split(':') {
                let member = MemberId(number(member)?);
                if membership
                    .groups
                    .insert(member, group)
                    .is_some_and(|other| other != group)
                {
                    return Err(wrong(format!("server {member} is in two groups")));
                }
            }
        } else if key.starts_with("weight") {
            hierarchical = true;
            membership
                .weights
                .entry(MemberId(id()?))
                .or_insert(number(value)?);
        }
    }
    if hierarchical {
        complete_hierarchy(file, &mut membership)?;
    }
    Ok(membership)
}

/// In hierarchical quorums every voter has a group, and a weight of 1 unless it is given.
fn complete_hierarchy(file: &Properties, membership: &mut Membership) -> Result<(), ConfigError> {
    let voters: Vec<MemberId> = membership.voters().map(|(id, _)| id).collect();
    for id in voters {
        if !membership.groups.contains_key(&id) {
            let what = format!("server {id} is in no group, although groups or weights are given");
            return Err(ConfigError::new(
                Some(Location::file(file.name())),
                what,
                "add it to a group line",
            ));
        }
        membership.weights.entry(id).or_insert(1);
    }
    Ok(())
}

fn read_dynamic(
    source: &Source,
    static_file: &Properties,
    path: &Path,
    multi_address: bool,
    world: &dyn World,
) -> Result<Membership, ConfigError> {
    let is_member_key = |key: &str| {
        key.starts_with("server.") || key.starts_with("group") || key.starts_with("weight")
    };
    if let Some(entry) = static_file
        .entries()
        .iter()
        .find(|e| is_member_key(trimmed(&e.key)))
    {
        let what = format!(
            "{} is given here, although dynamicConfigFile is",
            trimmed(&entry.key)
        );
        return Err(ConfigError::new(
            Some(static_file.location(entry)),
            what,
            "move it to the dynamic file",
        ));
    }
    let name = path.display().to_string();
    let bytes = world.read(path).map_err(|error| {
        source.refuse(
            "dynamicConfigFile",
            format!("cannot read {name}: {error}"),
            "give the file of the server lines",
        )
    })?;
    let dynamic = Properties::parse(&name, &bytes)?;
    for entry in dynamic.entries() {
        let key = trimmed(&entry.key);
        let what = match key {
            "version" => "a version belongs into the file's name, not into the file".to_owned(),
            _ if !is_member_key(key) => format!("{key} is not of a dynamic file"),
            _ => continue,
        };
        let advice = "a dynamic file has server, group and weight lines only";
        return Err(ConfigError::new(
            Some(dynamic.location(entry)),
            what,
            advice,
        ));
    }
    let mut membership = read_members(&dynamic, multi_address)?;
    membership.version = version_in_name(&name).unwrap_or(0);
    Ok(membership)
}

/// A file that cannot be read or understood says nothing, as in Apache's server.
fn read_proposed(static_name: &str, multi_address: bool, world: &dyn World) -> Option<Membership> {
    let name = format!("{static_name}.dynamic.next");
    let bytes = world.read(Path::new(&name)).ok()?;
    let next = Properties::parse(&name, &bytes).ok()?;
    let mut membership = read_members(&next, multi_address).ok()?;
    let version = next
        .entries()
        .iter()
        .rev()
        .find(|e| trimmed(&e.key) == "version")?;
    membership.version = i64::from_str_radix(trimmed(&version.value), 16).ok()?;
    Some(membership)
}

/// The hexadecimal number after the last dot, as in `zoo.cfg.dynamic.100000000`.
fn version_in_name(name: &str) -> Option<i64> {
    i64::from_str_radix(name.rsplit_once('.')?.1, 16).ok()
}

/// One line with a decimal number, without blanks; a longer file than this is something else.
fn read_my_id(data_dir: &Path, world: &dyn World) -> Result<Option<MemberId>, ConfigError> {
    let path = data_dir.join("myid");
    let Ok(bytes) = world.read(&path) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]);
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    line.parse().map(|id| Some(MemberId(id))).map_err(|_| {
        let at = Some(Location::line(&path.display().to_string(), 1));
        let shown = line.escape_debug();
        ConfigError::new(
            at,
            format!("serverid \"{shown}\" is not a number"),
            "write this server's number there and nothing else",
        )
    })
}
