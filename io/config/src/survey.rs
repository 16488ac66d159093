//! Looks over everything that was written: what is refused, what is unknown, what has no effect,
//! what stands open.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::error::{ConfigError, Location};
use crate::mode::{BindAt, Mode, ThisMember};
use crate::notice::{Notice, Severity};
use crate::setting::{Kind, PREFIX, Place, Setting, Status};
use crate::source::Source;
use crate::suggest::nearest;
use crate::system_properties::SystemProperties;
use crate::table;

/// The error of the first setting that asks for what this server must refuse.
pub(crate) fn refuse_unsupported(source: &Source) -> Result<(), ConfigError> {
    for setting in table::all() {
        let Status::Refused(reason) = setting.status else {
            continue;
        };
        let Some(given) = source.given(setting) else {
            continue;
        };
        if !is_default(setting, &given.value) {
            let advice = match setting.default {
                "" => format!("remove {}", setting.key),
                default => format!("remove it or write {}={default}", setting.key),
            };
            let what = format!("{} = {}: {reason}", given.name, given.value);
            return Err(ConfigError::new(Some(given.location), what, advice));
        }
    }
    Ok(())
}

/// Apache's parser reads every key that it knows, whether or not it acts; so a bad value of any is
/// an error.
pub(crate) fn refuse_bad_values(source: &mut Source) -> Result<(), ConfigError> {
    for setting in table::all().filter(|setting| setting.place == Place::File) {
        match setting.kind {
            Kind::Int => source.int_if_given(setting.key).map(drop)?,
            Kind::Long => source.long_if_given(setting.key).map(drop)?,
            Kind::Bool => source.flag(setting.key).map(drop)?,
            _ => {}
        }
    }
    Ok(())
}

fn is_default(setting: &Setting, value: &str) -> bool {
    match setting.kind {
        // What is not true is false, or is judged where the flag is read.
        Kind::Bool => value.eq_ignore_ascii_case("true") == (setting.default == "true"),
        _ => value == setting.default,
    }
}

/// All system properties as Apache would have them: keys of the file that its parser does not know
/// become `zookeeper.<key>`.
pub(crate) fn effective_properties(source: &Source) -> SystemProperties {
    let mut effective = source.properties().clone();
    for (key, value, location) in source.file_entries() {
        if table::by_key(key).is_none_or(|setting| setting.place != Place::File) {
            effective.put(&format!("{PREFIX}{key}"), value, location.clone());
        }
    }
    effective
}

/// Adds every remark that follows from what was written and from what the configuration became.
pub(crate) fn remark(config: &Config, source: &mut Source) {
    for notice in remarks_on_entries(source) {
        source.push(notice);
    }
    remark_unsafe(config, source);
}

/// The remarks that single entries give rise to, whether or not the whole can be used.
pub(crate) fn remarks_on_entries(source: &Source) -> Vec<Notice> {
    let mut remarks = Remarks::default();
    for (key, value, location) in source.file_entries() {
        remarks.on_key(key, value, location);
    }
    for (name, value, location) in source.properties().iter() {
        remarks.on_property(name, value, location);
    }
    remarks.finish()
}

/// Remarks on single entries, those on what is not built gathered by the part that is missing.
#[derive(Default)]
struct Remarks {
    notices: Vec<Notice>,
    not_built: BTreeMap<&'static str, Vec<(String, Location)>>,
}

impl Remarks {
    fn on_key(&mut self, key: &str, value: &str, location: &Location) {
        if let Some(setting) = table::by_key(key) {
            if setting.place == Place::Bare {
                let text = format!(
                    "{key} acts here although Apache's server takes it only as -D{key}=..."
                );
                self.say(Severity::Info, location, text);
            }
            return self.on_setting(setting, key, value, location);
        }
        if let Some(setting) = table::by_documented_name(key) {
            let text = format!(
                "{key} is taken as {}, the name that Apache's server knows; write that",
                setting.key
            );
            self.say(Severity::Warning, location, text);
            return self.on_setting(setting, key, value, location);
        }
        if let Some(setting) = table::by_property(key).filter(|s| s.place != Place::File) {
            let text = format!(
                "{key} has no effect in Apache's server, where it becomes {PREFIX}{key}; write {}",
                setting.key
            );
            self.say(Severity::Warning, location, text);
            return self.on_setting(setting, key, value, location);
        }
        self.on_unknown(key, table::all().map(|s| s.key), location);
    }

    fn on_property(&mut self, name: &str, value: &str, location: &Location) {
        if let Some(setting) = table::by_property(name) {
            return self.on_setting(setting, name, value, location);
        }
        // Java and its libraries have properties beyond number.
        let Some(key) = name.strip_prefix(PREFIX) else {
            return;
        };
        if let Some(setting) = table::by_documented_name(key) {
            let text = format!(
                "{name} is taken as {PREFIX}{}, the name that Apache's server knows; write that",
                setting.key
            );
            return self.say(Severity::Warning, location, text);
        }
        if table::by_key(key).is_some() {
            let text = format!("{name} has no effect as a system property; write {key} in zoo.cfg");
            return self.say(Severity::Warning, location, text);
        }
        let properties: Vec<String> = table::all().filter_map(Setting::property).collect();
        self.on_unknown(name, properties.iter().map(String::as_str), location);
    }

    fn on_unknown<'a>(
        &mut self,
        name: &str,
        known: impl Iterator<Item = &'a str>,
        location: &Location,
    ) {
        let shown: String = name.chars().take(100).collect();
        let shown = shown.escape_debug();
        let text = match nearest(name, known) {
            Some(meant) => format!("unknown setting {shown} has no effect; did you mean {meant}?"),
            None => format!("unknown setting {shown} has no effect"),
        };
        self.say(Severity::Warning, location, text);
    }

    fn on_setting(&mut self, setting: &Setting, name: &str, value: &str, location: &Location) {
        match setting.status {
            Status::Accepted => {
                self.say(
                    Severity::Debug,
                    location,
                    format!("{name} is accepted and has no effect: {}", setting.about),
                );
            }
            Status::NotBuilt(part) if !is_default(setting, value) => {
                self.not_built
                    .entry(part)
                    .or_default()
                    .push((name.to_owned(), location.clone()));
            }
            _ => {}
        }
    }

    fn say(&mut self, severity: Severity, location: &Location, text: String) {
        self.notices
            .push(Notice::new(severity, Some(location.clone()), text));
    }

    fn finish(mut self) -> Vec<Notice> {
        for (part, mut settings) in std::mem::take(&mut self.not_built) {
            settings.sort_by_key(|(_, location)| match location {
                Location::Line(_, line) => *line,
                _ => usize::MAX,
            });
            let names: Vec<&str> = settings.iter().map(|(name, _)| name.as_str()).collect();
            let verb = if names.len() == 1 { "has" } else { "have" };
            let text = format!(
                "{part}: not built yet, so that {} {verb} no effect",
                names.join(", ")
            );
            let location = settings.first().map(|(_, location)| location.clone());
            self.notices
                .push(Notice::new(Severity::Warning, location, text));
        }
        self.notices
    }
}

/// One loud line for each thing that stands open or can be lost (design section 7).
fn remark_unsafe(config: &Config, source: &mut Source) {
    if !config.storage.force_sync {
        source.say(
            Severity::Unsafe,
            "forceSync",
            "forceSync=no: acknowledged writes are lost when the machine stops",
        );
    }
    if config.access.skips_acl {
        source.say(
            Severity::Unsafe,
            "skipACL",
            "skipACL=yes: every client may read, change and delete everything",
        );
    }
    if let Some(secure) = &config.secure_client {
        let text = format!("secureClientPort: TLS is not built yet, nothing listens at {secure}");
        source.say(Severity::Unsafe, "secureClientPort", text);
    }
    match &config.client {
        Some(client) if client.is_open() => {
            let text = format!(
                "clients connect at {client}, open to the network and without TLS; clientPortAddress=127.0.0.1 closes it"
            );
            source.say(Severity::Unsafe, "clientPort", text);
        }
        Some(_) => {}
        None => {
            let text = "no clientPort is set: no client can connect";
            source.say(Severity::Unsafe, "clientPort", text);
        }
    }
    if let Mode::Member(member) = &config.mode {
        remark_open_ports(member, source);
    }
    if config.admin.enabled {
        let text = format!(
            "the admin server is not built yet: nothing listens at port {}",
            config.admin.port
        );
        source.say(Severity::Info, "admin.enableServer", text);
    }
    if config.storage.trusts_empty_snapshot {
        let text = "snapshot.trust.empty=true: a lost snapshot goes unnoticed; take it out after an upgrade from 3.4";
        source.say(Severity::Unsafe, "snapshot.trust.empty", text);
    }
    if config.read_only_mode {
        let (severity, text) = match config.mode {
            Mode::Standalone => (
                Severity::Debug,
                "readonlymode.enabled: a standalone server is never read-only; only isro is answered",
            ),
            Mode::Member(_) => (
                Severity::Warning,
                "read-only mode: not built yet, so that without a quorum nobody is served; only isro is answered",
            ),
        };
        source.say(severity, "readonlymode.enabled", text);
    }
}

/// Quorum and election port trust whoever connects.
fn remark_open_ports(member: &ThisMember, source: &mut Source) {
    let is_open = |bind: &BindAt| match bind {
        BindAt::Everywhere(_) => true,
        BindAt::Host(at) => {
            let number = at.host.parse::<std::net::IpAddr>();
            number.map_or(at.host != "localhost", |number| !number.is_loopback())
        }
    };
    let binds = [member.quorum_binds(), member.election_binds()].concat();
    if binds.iter().any(is_open) {
        let ports: Vec<String> = binds.iter().map(|bind| bind.port().to_string()).collect();
        let text = format!(
            "ports {} take whoever connects for another server, in the clear; keep them on a network of the servers' own",
            ports.join(" and ")
        );
        source.say(Severity::Unsafe, "server.N", text);
    }
}
