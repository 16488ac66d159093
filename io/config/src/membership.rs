//! Reads memberships: from the lines of `zoo.cfg`, from the dynamic file that it names, from the file of a proposed one
//! (quorum 2.2). What a line means is the matter of `zabra-quorum`.

use std::path::{Path, PathBuf};

use zabra_quorum::{ConfigVersion, Membership, MembershipError};

use crate::error::{ConfigError, Location};
use crate::properties::Properties;
use crate::source::{Source, trimmed};
use crate::world::World;

/// The members as `zoo.cfg` and the files beside it have them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memberships {
    /// In force; none if no participant is named.
    pub(crate) committed: Option<Membership>,
    /// Proposed and not committed.
    pub(crate) last_seen: Option<Membership>,
    /// Observers without any participant, which no membership can hold.
    pub(crate) has_only_observers: bool,
}

impl Memberships {
    pub(crate) fn read(
        source: &Source,
        file: &Properties,
        dynamic: Option<&Path>,
        multi_address: bool,
        world: &dyn World,
    ) -> Result<Self, ConfigError> {
        let Some(dynamic) = dynamic else {
            return Self::in_lines(file, multi_address);
        };
        refuse_members(file)?;
        let name = dynamic.display().to_string();
        let bytes = world.read(dynamic).map_err(|error| {
            source.refuse(
                "dynamicConfigFile",
                format!("cannot read {name}: {error}"),
                "give the file of the server lines",
            )
        })?;
        let lines = Properties::parse(&name, &bytes)?;
        refuse_others(&lines)?;
        let read = Self::in_lines(&lines, multi_address)?;
        let version = version_in_name(&name);
        Ok(Self {
            committed: read.committed.map(|members| members.with_version(version)),
            last_seen: read_next(&next_file(file.name()), multi_address, world),
            ..read
        })
    }

    /// The server, group and weight lines among all others.
    fn in_lines(file: &Properties, multi_address: bool) -> Result<Self, ConfigError> {
        let pairs = || {
            let entries = file.entries().iter();
            let pairs = entries.map(|entry| (trimmed(&entry.key), trimmed(&entry.value)));
            pairs.filter(|(key, _)| Membership::is_key(key))
        };
        if pairs().next().is_none() {
            return Ok(Self::default());
        }
        match Membership::from_pairs(pairs()) {
            Ok(members) => {
                refuse_several_addresses(file, &members, multi_address)?;
                Ok(Self {
                    committed: Some(members),
                    ..Self::default()
                })
            }
            Err(MembershipError::NoParticipant) => Ok(Self {
                has_only_observers: pairs().any(|(key, _)| key.starts_with("server.")),
                ..Self::default()
            }),
            Err(error) => Err(ConfigError::new(
                Some(place_of(file, error.key().as_deref())),
                error.to_string(),
                "the form is server.N=host:quorumPort:electionPort[:role][;[address:]clientPort], and with groups \
                 group.G=N:N:... for every participant",
            )),
        }
    }
}

/// Where a proposed membership is kept while it is not committed.
pub(crate) fn next_file(static_file: &str) -> PathBuf {
    PathBuf::from(format!("{static_file}.dynamic.next"))
}

/// The hexadecimal number after the last dot, as in `zoo.cfg.dynamic.100000000`; 0 if there is none.
fn version_in_name(name: &str) -> ConfigVersion {
    let number = name
        .rsplit_once('.')
        .and_then(|(_, number)| i64::from_str_radix(number, 16).ok());
    number.map_or(ConfigVersion::INITIAL, ConfigVersion)
}

/// A file that cannot be read or understood says nothing, as in Apache's server.
fn read_next(path: &Path, multi_address: bool, world: &dyn World) -> Option<Membership> {
    let bytes = world.read(path).ok()?;
    let next = Properties::parse(&path.display().to_string(), &bytes).ok()?;
    let pairs = next.entries().iter();
    let pairs = pairs.map(|entry| (trimmed(&entry.key), trimmed(&entry.value)));
    let members = Membership::from_pairs(pairs).ok()?;
    refuse_several_addresses(&next, &members, multi_address).ok()?;
    Some(members)
}

fn refuse_several_addresses(
    file: &Properties,
    members: &Membership,
    multi_address: bool,
) -> Result<(), ConfigError> {
    let mut members = members.members().values();
    match members.find(|member| member.addresses.len() > 1 && !multi_address) {
        None => Ok(()),
        Some(member) => Err(ConfigError::new(
            Some(place_of(file, Some(&format!("server.{}", member.sid)))),
            format!(
                "server.{} has several addresses and multiAddress.enabled is not true",
                member.sid
            ),
            "give one address, or set multiAddress.enabled=true on every server",
        )),
    }
}

/// With a dynamic file the members stand there and nowhere else.
fn refuse_members(file: &Properties) -> Result<(), ConfigError> {
    let mut entries = file.entries().iter();
    match entries.find(|entry| Membership::is_key(trimmed(&entry.key))) {
        None => Ok(()),
        Some(entry) => Err(ConfigError::new(
            Some(file.location(entry)),
            format!(
                "{} is given here, although dynamicConfigFile is",
                trimmed(&entry.key)
            ),
            "move it to the dynamic file",
        )),
    }
}

/// A dynamic file has nothing but members.
fn refuse_others(dynamic: &Properties) -> Result<(), ConfigError> {
    for entry in dynamic.entries() {
        let key = trimmed(&entry.key);
        let what = match key {
            "version" => "a version belongs into the file's name, not into the file".to_owned(),
            _ if Membership::is_key(key) => continue,
            _ => format!("{key} is not of a dynamic file"),
        };
        return Err(ConfigError::new(
            Some(dynamic.location(entry)),
            what,
            "a dynamic file has server, group and weight lines only",
        ));
    }
    Ok(())
}

/// The line of the key, or the file as a whole.
fn place_of(file: &Properties, key: Option<&str>) -> Location {
    let entries = file.entries().iter().rev();
    let entry = key.and_then(|key| entries.into_iter().find(|entry| trimmed(&entry.key) == key));
    entry.map_or_else(|| Location::file(file.name()), |entry| file.location(entry))
}
