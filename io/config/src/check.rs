//! `zabra check`: what a configuration would do, without starting a server.
//!
//! [`Report::on`] looks, [`Report::render`] tells, [`Report::exit_code`] is the code with which a
//! server started now would end. Nothing is created or left bound.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr, TcpListener};

use crate::config::Config;
use crate::dirs::{self, DirState};
use crate::error::{ConfigError, Location};
use crate::explain::{doubts, explain};
use crate::invocation::Invocation;
use crate::listen::Listen;
use crate::mode::{BindAt, Mode, ThisMember};
use crate::notice::{Notice, Severity};
use crate::properties::Properties;
use crate::setting::{Priority, Setting, Status};
use crate::source::Source;
use crate::survey;
use crate::system_properties::SystemProperties;
use crate::table;
use crate::world::World;

/// What a check found.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was checked.
    pub subject: String,
    /// The mode, unless the configuration is wrong.
    pub mode: Option<Mode>,
    /// What each setting became: those that were written, and the most important others.
    pub settings: Vec<Became>,
    /// What the ensemble is and how it works, if there is one.
    pub ensemble: Vec<String>,
    /// Remarks on what was written.
    pub notices: Vec<Notice>,
    /// What using it found out.
    pub findings: Vec<Finding>,
}

/// A setting with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Became {
    /// Its key in `zoo.cfg`.
    pub key: &'static str,
    /// The value that counts; `***` for a secret.
    pub value: String,
    /// Where it was written; `None` is the default.
    pub location: Option<Location>,
    /// What this server makes of it.
    pub status: Status,
}

/// The outcome of one attempt to use what is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It can be used.
    Good(String),
    /// It may not work; a server would start.
    Doubtful(String),
    /// A server would not start, and end with this code.
    Bad(String, u8),
}

/// The code of a server that cannot bind its client port: Apache calls it an unexpected error.
const CANNOT_BIND: u8 = 1;
/// The code of a member that cannot bind a port for the other servers.
const CANNOT_BIND_FOR_SERVERS: u8 = 14;

impl Report {
    /// Checks what a server called with `invocation` and `properties` would do.
    pub fn on(invocation: &Invocation, properties: &SystemProperties, world: &dyn World) -> Self {
        let subject = match invocation {
            Invocation::File(path) => path.display().to_string(),
            Invocation::PortAndDir { .. } => "command line".to_owned(),
            Invocation::Nothing => "no configuration".to_owned(),
        };
        let mut report = Self {
            subject,
            mode: None,
            settings: Vec::new(),
            ensemble: Vec::new(),
            notices: Vec::new(),
            findings: Vec::new(),
        };
        match Config::load_in(invocation, properties, world) {
            Ok(config) => report.add_usable(config, invocation, properties, world),
            Err(error) => report.add_unusable(&error, invocation, properties, world),
        }
        report
    }

    /// 0 if a server would start, otherwise the code with which it would end.
    pub fn exit_code(&self) -> u8 {
        let codes = self.findings.iter().filter_map(|finding| match finding {
            Finding::Bad(_, code) => Some(*code),
            _ => None,
        });
        codes.max().unwrap_or(0)
    }

    fn add_usable(
        &mut self,
        config: Config,
        invocation: &Invocation,
        properties: &SystemProperties,
        world: &dyn World,
    ) {
        self.mode = Some(config.mode.clone());
        let file = file_of(invocation, world);
        let source = Source::new(file.as_ref(), properties);
        self.settings = table::all()
            .filter_map(|setting| became(setting, &config, &source))
            .collect();
        self.check_dirs(&config);
        if let Some(client) = &config.client {
            self.findings
                .push(port_finding("client", client, CANNOT_BIND));
        }
        if let Mode::Member(this) = &config.mode {
            self.ensemble = explain(&config, this);
            self.check_members(this, world);
        }
        self.notices = config.notices;
    }

    /// A wrong configuration is still looked over: the error may come from a key that was misspelt.
    fn add_unusable(
        &mut self,
        error: &ConfigError,
        invocation: &Invocation,
        properties: &SystemProperties,
        world: &dyn World,
    ) {
        self.findings
            .push(Finding::Bad(error.to_string(), error.exit().code()));
        let file = file_of(invocation, world);
        self.notices = survey::remarks_on_entries(&Source::new(file.as_ref(), properties));
    }

    fn check_dirs(&mut self, config: &Config) {
        for (role, dir) in dirs::roles(&config.storage) {
            let shown = dir.display();
            self.findings
                .push(match dirs::state(&config.storage, role, &dir) {
                    DirState::Writable => {
                        Finding::Good(format!("{role} directory {shown} can be written"))
                    }
                    DirState::Creatable => {
                        Finding::Good(format!("{role} directory {shown} will be created"))
                    }
                    DirState::Unusable(error) => {
                        Finding::Bad(error.to_string(), error.exit().code())
                    }
                });
        }
        if let Err(error) = dirs::refuse_swapped(&config.storage) {
            self.findings
                .push(Finding::Bad(error.to_string(), error.exit().code()));
        }
    }

    /// Names first: the ports of a host that is not known cannot be tried.
    fn check_members(&mut self, this: &ThisMember, world: &dyn World) {
        for (sid, member) in this.committed.members() {
            for address in &member.addresses {
                let host = &address.host;
                self.findings.push(match world.resolve(host) {
                    Ok(resolved) if resolved.to_string() == *host => continue,
                    Ok(resolved) => Finding::Good(format!("server.{sid}: {host} is {resolved}")),
                    Err(error) => {
                        Finding::Doubtful(format!("server.{sid}: {host} does not resolve: {error}"))
                    }
                });
            }
        }
        for (role, binds) in [
            ("quorum", this.quorum_binds()),
            ("election", this.election_binds()),
        ] {
            for bind in binds {
                let listen = match &bind {
                    BindAt::Everywhere(port) => Listen::everywhere(*port),
                    BindAt::Host(at) => match world.resolve(&at.host) {
                        Ok(address) => Listen::at(&at.host, address, at.port),
                        Err(_) => continue,
                    },
                };
                self.findings
                    .push(port_finding(role, &listen, CANNOT_BIND_FOR_SERVERS));
            }
        }
        let doubts = doubts(&this.committed).into_iter();
        self.findings.extend(doubts.map(Finding::Doubtful));
    }

    /// The report as text, each line a fact.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write_settings(&self, text: &mut String) -> std::fmt::Result {
        let width = self
            .settings
            .iter()
            .map(|s| s.key.len() + s.value.len())
            .max()
            .unwrap_or(0)
            .min(60);
        for Became {
            key,
            value,
            location,
            status,
        } in &self.settings
        {
            let origin = location
                .as_ref()
                .map_or_else(|| "default".to_owned(), ToString::to_string);
            let acts = match status {
                Status::Acts => true,
                Status::Ensemble => matches!(self.mode, Some(Mode::Member(_))),
                _ => false,
            };
            let fate = if acts {
                String::new()
            } else {
                format!(", {status}")
            };
            let padding = width.saturating_sub(key.len() + value.len());
            writeln!(text, "  {key} = {value}{:padding$}  {origin}{fate}", "")?;
        }
        Ok(())
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let mode = match &self.mode {
            Some(Mode::Standalone) => "a standalone server",
            Some(Mode::Member(_)) => "a member of an ensemble",
            None => "no server can be started with it",
        };
        writeln!(text, "{}: {mode}", self.subject)?;
        if !self.settings.is_empty() {
            writeln!(text, "\nsettings")?;
        }
        self.write_settings(text)?;
        if !self.ensemble.is_empty() {
            writeln!(text, "\nensemble")?;
        }
        for line in &self.ensemble {
            writeln!(text, "  {line}")?;
        }
        if self.notices.iter().any(|n| n.severity > Severity::Debug) {
            writeln!(text, "\nremarks")?;
        }
        for notice in self.notices.iter().filter(|n| n.severity > Severity::Debug) {
            writeln!(text, "  {:<8} {notice}", notice.severity)?;
        }
        writeln!(text, "\nchecks")?;
        for finding in &self.findings {
            match finding {
                Finding::Good(what) => writeln!(text, "  ok       {what}")?,
                Finding::Doubtful(what) => writeln!(text, "  warning  {what}")?,
                Finding::Bad(what, code) => writeln!(text, "  error    {what} (exit code {code})")?,
            }
        }
        let doubts = self
            .notices
            .iter()
            .filter(|n| n.severity >= Severity::Warning)
            .count();
        match self.exit_code() {
            0 if doubts == 0 => writeln!(text, "\na server would start"),
            0 => writeln!(text, "\na server would start; remarks to look at: {doubts}"),
            code => writeln!(text, "\na server would not start and end with code {code}"),
        }
    }
}

/// The file once more, for where its settings were written; one that cannot be read has none.
fn file_of(invocation: &Invocation, world: &dyn World) -> Option<Properties> {
    let Invocation::File(path) = invocation else {
        return None;
    };
    Properties::parse(&path.display().to_string(), &world.read(path).ok()?).ok()
}

fn became(setting: &'static Setting, config: &Config, source: &Source) -> Option<Became> {
    let given = source.given(setting).filter(|_| setting.family().is_none());
    let always = setting.priority == Priority::M
        && setting.status == Status::Acts
        && setting.family().is_none();
    if given.is_none() && !always {
        return None;
    }
    let (written, location) = match given {
        Some(given) => (given.value, Some(given.location)),
        None => (setting.default.to_owned(), None),
    };
    let value = match corrected(setting.key, config) {
        _ if setting.is_secret() && written.is_empty() => return None,
        _ if setting.is_secret() => "***".to_owned(),
        Some(value) => value,
        None => written,
    };
    let shown = if value.is_empty() {
        "none".to_owned()
    } else {
        value
    };
    Some(Became {
        key: setting.key,
        value: shown,
        location,
        status: setting.status,
    })
}

/// Values that are not always what was written.
fn corrected(key: &str, config: &Config) -> Option<String> {
    let storage = &config.storage;
    Some(match key {
        "dataDir" => storage.data_dir.display().to_string(),
        "dataLogDir" => storage.data_log_dir.display().to_string(),
        "clientPort" => config
            .client
            .as_ref()
            .map_or_else(String::new, |listen| listen.port().to_string()),
        "clientPortAddress" => match config.client.as_ref()?.address() {
            Some(address) => address.to_string(),
            None => "all".to_owned(),
        },
        "minSessionTimeout" => config.sessions.timeout_min.as_millis().to_string(),
        "maxSessionTimeout" => config.sessions.timeout_max.as_millis().to_string(),
        "snapCount" => storage.snap_count.to_string(),
        "autopurge.snapRetainCount" => storage.snap_retain_count.to_string(),
        "forceSync" => if storage.force_sync { "yes" } else { "no" }.to_owned(),
        "skipACL" => if config.access.skips_acl { "yes" } else { "no" }.to_owned(),
        "maxWriteQueuePollTime" => storage.write_queue_poll_max.as_millis().to_string(),
        "jute.maxbuffer" => config.limits.packet_max_bytes.to_string(),
        "jute.maxbuffer.extrasize" => config.limits.packet_extra_bytes.to_string(),
        "peerType" => config.ensemble.role.to_string(),
        _ => return None,
    })
}

/// Binds the port for a moment.
fn port_finding(role: &str, listen: &Listen, code: u8) -> Finding {
    if listen.port() == 0 {
        return Finding::Good(format!("{role} port: a free one will be taken"));
    }
    let bind = |candidate: &SocketAddr| TcpListener::bind(candidate).map(drop);
    let mut last = Ok(());
    for candidate in listen.candidates() {
        last = bind(&candidate);
        // Only a machine without addresses of version 6 is tried with version 4.
        match &last {
            Err(error) if is_unsupported(error, candidate.ip()) => {}
            _ => break,
        }
    }
    match last {
        Ok(()) => Finding::Good(format!("{role} port {listen} is free")),
        Err(error) => Finding::Bad(
            format!("{role} port {listen} cannot be bound: {error}"),
            code,
        ),
    }
}

fn is_unsupported(error: &std::io::Error, address: IpAddr) -> bool {
    use std::io::ErrorKind::{AddrNotAvailable, Unsupported};
    let no_such_family =
        error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    address.is_ipv6() && (matches!(error.kind(), AddrNotAvailable | Unsupported) || no_such_family)
}
