//! The configuration of a server, typed: every setting that acts, with its default where nothing
//! was written.
//!
//! [`Config::load`] is the door. What a field means and how it can be given is a row of
//! [`crate::table`]; here stand the types. Nothing is opened, bound or created: [`crate::dirs`] and
//! the server do that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::access::Access;
use crate::admin::{Admin, Metrics};
use crate::ensemble::Ensemble;
use crate::error::{ConfigError, Location};
use crate::invocation::Invocation;
use crate::limits::Limits;
use crate::listen::Listen;
use crate::membership_files::MembershipFiles;
use crate::mode::Mode;
use crate::notice::{Notice, Severity};
use crate::properties::Properties;
use crate::source::Source;
use crate::storage::Storage;
use crate::survey;
use crate::system_properties::SystemProperties;
use crate::whitelist::Whitelist;
use crate::world::{Machine, World};

/// Everything a server needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The configuration file, if there was one.
    pub file: Option<PathBuf>,
    /// Where clients connect; `None` opens no port.
    pub client: Option<Listen>,
    /// Where clients would connect with TLS. Not built yet: nothing listens there.
    pub secure_client: Option<Listen>,
    /// Connections that wait to be accepted; `None` is as many as the system allows.
    pub listen_backlog: Option<u32>,
    /// Whether client connections use TCP keepalive.
    pub client_tcp_keep_alive: bool,
    /// When a connection that opened no session is closed.
    pub sessionless_timeout: Duration,
    /// The tick, and between what session timeouts are negotiated.
    pub sessions: SessionTimes,
    /// How much of everything is taken on.
    pub limits: Limits,
    /// Directories, logs and snapshots.
    pub storage: Storage,
    /// Kinds of znodes, quotas and sweeps.
    pub znodes: Znodes,
    /// Who may do what.
    pub access: Access,
    /// The four-letter words that are answered.
    pub words: Whitelist,
    /// Whether read-only mode is on.
    pub read_only_mode: bool,
    /// The HTTP admin server.
    pub admin: Admin,
    /// The metrics provider.
    pub metrics: Metrics,
    /// Whether a line is logged for each change and who asked for it.
    pub audit: bool,
    /// Alone or in an ensemble, and as which member of it.
    pub mode: Mode,
    /// What else is said of the ensemble.
    pub ensemble: Ensemble,
    /// What the user should hear, in the order of the file; each is one line.
    pub notices: Vec<Notice>,
    /// All system properties, keys of `zoo.cfg` that became one included.
    pub properties: SystemProperties,
}

/// The tick, and between what session timeouts are negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimes {
    /// The base unit of time; sessions expire at its multiples.
    pub tick: Duration,
    /// The shortest timeout that a client gets.
    pub timeout_min: Duration,
    /// The longest timeout that a client gets.
    pub timeout_max: Duration,
}

/// Kinds of znodes, quotas and sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Znodes {
    /// Whether znodes may have a time to live.
    pub extended_types: bool,
    /// Whether TTL znodes are read as 3.5.3 wrote them.
    pub emulate_353_ttl: bool,
    /// Whether quotas are looked at; usage is counted always.
    pub enforce_quota: bool,
    /// Between sweeps for empty containers and expired TTL znodes.
    pub sweep_interval: Duration,
    /// Deletions of a sweep per minute.
    pub sweep_deletions_per_minute: u32,
    /// When a container that never had children goes; `None` is never.
    pub container_never_used_max: Option<Duration>,
}

impl Config {
    /// Reads what `invocation` and `properties` say, from this machine's files.
    pub fn load(
        invocation: &Invocation,
        properties: &SystemProperties,
    ) -> Result<Self, ConfigError> {
        Self::load_in(invocation, properties, &Machine)
    }

    /// As [`Config::load`], with the outside given.
    pub fn load_in(
        invocation: &Invocation,
        properties: &SystemProperties,
        world: &dyn World,
    ) -> Result<Self, ConfigError> {
        match invocation {
            Invocation::File(path) => {
                let name = path.display().to_string();
                let bytes = world.read(path).map_err(|error| {
                    ConfigError::new(
                        None,
                        format!("cannot read {name}: {error}"),
                        "give the path of a zoo.cfg",
                    )
                })?;
                let mut config = Self::from_bytes(&name, &bytes, properties, world)?;
                config.file = Some(path.clone());
                Ok(config)
            }
            Invocation::PortAndDir {
                port,
                data_dir,
                tick_time,
                max_client_cnxns,
            } => {
                let lines = [
                    Some(("clientPort", port.to_string())),
                    Some(("dataDir", data_dir.clone())),
                    tick_time.map(|millis| ("tickTime", millis.to_string())),
                    // Unlike a file, this form limits nothing unless it says so.
                    Some(("maxClientCnxns", max_client_cnxns.unwrap_or(0).to_string())),
                ];
                Self::from_lines(lines.into_iter().flatten(), properties, world)
            }
            Invocation::Nothing => {
                let lines = [
                    ("clientPort", "2181"),
                    ("clientPortAddress", "127.0.0.1"),
                    ("dataDir", "./zabra-data"),
                ];
                Self::from_lines(
                    lines.map(|(key, value)| (key, value.to_owned())),
                    properties,
                    world,
                )
            }
        }
    }

    /// Reads the content of a `zoo.cfg`; `name` is its path, beside which dynamic files are looked
    /// for. No input panics, whatever `bytes` are.
    pub fn from_bytes(
        name: &str,
        bytes: &[u8],
        properties: &SystemProperties,
        world: &dyn World,
    ) -> Result<Self, ConfigError> {
        let file = Properties::parse(name, bytes)?;
        let mut config = Self::build(&file, properties, world)?;
        for (entry, by) in crate::source::repeated(&file) {
            let text = format!(
                "{} is given again in line {by}, which wins",
                entry.key.trim()
            );
            config.notices.push(Notice::new(
                Severity::Warning,
                Some(file.location(entry)),
                text,
            ));
        }
        if let Some(line) = file.foreign_line() {
            let text =
                "bytes outside ASCII are read as ISO 8859-1, as Java does; write \\uXXXX instead";
            config.notices.push(Notice::new(
                Severity::Warning,
                Some(Location::line(name, line)),
                text,
            ));
        }
        config.notices.sort_by_key(|notice| match &notice.location {
            Some(Location::Line(_, line)) => *line,
            _ => usize::MAX,
        });
        Ok(config)
    }

    fn from_lines<'a>(
        lines: impl IntoIterator<Item = (&'a str, String)>,
        properties: &SystemProperties,
        world: &dyn World,
    ) -> Result<Self, ConfigError> {
        Self::build(&Properties::from_arguments(lines), properties, world)
    }

    fn build(
        file: &Properties,
        defined: &SystemProperties,
        world: &dyn World,
    ) -> Result<Self, ConfigError> {
        let mut source = Source::new(Some(file), defined);
        survey::refuse_bad_values(&mut source)?;
        survey::refuse_unsupported(&source)?;
        let storage = Storage::read(&mut source, file.name())?;
        let mut ensemble = Ensemble::read(&mut source)?;
        let sessions = SessionTimes::read(&mut source)?;
        let from_file = listen(&mut source, "clientPort", "clientPortAddress", world)?;
        let secure_client = listen(
            &mut source,
            "secureClientPort",
            "secureClientPortAddress",
            world,
        )?;
        ensemble.settle(&mut source, file, &storage.data_dir, world)?;
        let znodes = Znodes::read(&mut source)?;
        let mode = ensemble.mode(
            &source,
            file,
            &storage.data_dir,
            from_file.as_ref(),
            sessions.tick,
            znodes.extended_types,
        )?;
        let client = ensemble.client_listen(&mut source, from_file, world)?;
        let backlog = source.int("clientPortListenBacklog")?;
        let config = Self {
            file: None,
            client,
            secure_client,
            listen_backlog: u32::try_from(backlog).ok().filter(|backlog| *backlog > 0),
            client_tcp_keep_alive: source.flag("clientTcpKeepAlive")?,
            sessionless_timeout: source.millis("nio.sessionlessCnxnTimeout")?,
            sessions,
            limits: Limits::read(&mut source)?,
            storage,
            znodes,
            access: Access::read(&mut source)?,
            words: Whitelist::read(&mut source)?,
            read_only_mode: source.flag("readonlymode.enabled")?,
            admin: Admin::read(&mut source)?,
            metrics: Metrics::read(&mut source)?,
            audit: audit(&mut source)?,
            mode,
            ensemble,
            notices: Vec::new(),
            properties: survey::effective_properties(&source),
        };
        survey::remark(&config, &mut source);
        Ok(Self {
            notices: source.into_notices(),
            ..config
        })
    }

    /// Where memberships are remembered that others decide: only a member that allows `reconfig` and has a file writes any.
    pub fn membership_files(&self) -> Option<MembershipFiles> {
        let writes = self.ensemble.reconfig_enabled && matches!(self.mode, Mode::Member(_));
        let file = self.file.as_deref().filter(|_| writes)?;
        Some(MembershipFiles::of(file))
    }

    /// Keeps a copy of a static file with members in it, which a membership that others decide will take out.
    pub fn back_up_members(&self) -> std::io::Result<()> {
        let files = self.membership_files();
        match files.filter(|_| self.ensemble.dynamic_file.is_none()) {
            Some(files) => files.back_up(),
            None => Ok(()),
        }
    }

    /// The data directory as written; [`Storage::snapshot_dir`] is what lies in it.
    pub fn data_dir(&self) -> &Path {
        &self.storage.data_dir
    }
}

impl SessionTimes {
    fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let tick = source.int("tickTime")?;
        if tick <= 0 {
            return Err(source.refuse(
                "tickTime",
                format!("tickTime = {tick} is not a time"),
                "give ms, e.g. tickTime=2000",
            ));
        }
        let mut bound = |key: &str, ticks: i32| -> Result<i32, ConfigError> {
            let given = source.int(key)?;
            Ok(if given == -1 {
                tick.saturating_mul(ticks)
            } else {
                given
            })
        };
        let (min, max) = (
            bound("minSessionTimeout", 2)?,
            bound("maxSessionTimeout", 20)?,
        );
        if min > max || max <= 0 {
            let key = if source.is_given("maxSessionTimeout") {
                "maxSessionTimeout"
            } else {
                "minSessionTimeout"
            };
            let what = format!(
                "minSessionTimeout, {min} ms, must not be larger than maxSessionTimeout, {max} ms"
            );
            return Err(source.refuse(
                key,
                what,
                "without a value they are 2 and 20 times tickTime",
            ));
        }
        let millis = |n: i32| Duration::from_millis(u64::try_from(n).unwrap_or(0));
        Ok(Self {
            tick: millis(tick),
            timeout_min: millis(min),
            timeout_max: millis(max),
        })
    }
}

impl Znodes {
    fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let never_used = source.millis("znode.container.maxNeverUsedIntervalMs")?;
        Ok(Self {
            extended_types: source.flag("extendedTypesEnabled")?,
            emulate_353_ttl: source.flag("emulate353TTLNodes")?,
            enforce_quota: source.flag("enforceQuota")?,
            sweep_interval: source.millis("znode.container.checkIntervalMs")?,
            sweep_deletions_per_minute: u32::try_from(source.int("znode.container.maxPerMinute")?)
                .unwrap_or(0),
            container_never_used_max: (!never_used.is_zero()).then_some(never_used),
        })
    }
}

/// Reads a port and its address; an address without a port is an error.
fn listen(
    source: &mut Source,
    port_key: &str,
    host_key: &str,
    world: &dyn World,
) -> Result<Option<Listen>, ConfigError> {
    let host = source.text(host_key);
    let Some(port) = source.int_if_given(port_key)? else {
        return match host {
            Some(_) => Err(source.refuse(
                host_key,
                format!("{host_key} is set but {port_key} is not"),
                format!("add {port_key}"),
            )),
            None => Ok(None),
        };
    };
    let Ok(port) = u16::try_from(port) else {
        let what = format!("{port_key} = {port} is not a port");
        return Err(source.refuse(
            port_key,
            what,
            "ports go from 1 to 65535; 0 takes a free one",
        ));
    };
    let Some(host) = host else {
        return Ok(Some(Listen::everywhere(port)));
    };
    let address = world.resolve(&host).map_err(|error| {
        let what = format!("{host_key} = {host} is no address of this machine: {error}");
        source.refuse(host_key, what, "give an address or a name that resolves")
    })?;
    Ok(Some(Listen::at(host, address, port)))
}

/// Only the built-in logger is there; whoever configured another wants audits at least.
fn audit(source: &mut Source) -> Result<bool, ConfigError> {
    const CLASS: &str = "audit.impl.class";
    let is_on = source.flag("audit.enable")?;
    let class = source.text(CLASS).unwrap_or_default();
    if is_on && !class.ends_with("Slf4jAuditLogger") {
        let text = format!(
            "{CLASS} = {class} is a Java class that this server does not have; audits go to standard error"
        );
        source.warn(CLASS, text);
    }
    Ok(is_on)
}
