//! One configuration of the ensemble and its text (quorum 6.1).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use zabra_proto::Zxid;

use crate::{
    ClientAddress, GroupId, Hierarchy, HostPort, Member, MembershipError, QuorumSet, Role, Sid,
    Weight, properties,
};

/// The longest text that is read: no frame of the election port may be longer (quorum 4.3).
pub const TEXT_LEN_MAX: usize = 524_288;

/// Which configuration: the zxid of the transaction that made it, 0 for the one a server was started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConfigVersion(pub i64);

impl ConfigVersion {
    /// What servers are started with.
    pub const INITIAL: Self = Self(0);

    /// The version that a reconfiguration with this zxid makes.
    #[must_use]
    pub const fn of(zxid: Zxid) -> Self {
        Self(zxid.to_wire())
    }
}

impl fmt::Display for ConfigVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// The servers of the ensemble, and how they decide.
///
/// Invariant: at least one participant; in a hierarchical one each participant is in exactly one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    version: ConfigVersion,
    members: BTreeMap<Sid, Member>,
    hierarchy: Option<Hierarchy>,
}

/// The lines of a text, sorted by kind.
#[derive(Default)]
struct Lines {
    version: ConfigVersion,
    members: BTreeMap<Sid, Member>,
    is_hierarchical: bool,
    groups: BTreeMap<GroupId, Vec<Sid>>,
    weights: BTreeMap<Sid, Weight>,
}

impl Membership {
    /// Servers with one voice each.
    pub fn majority(
        members: impl IntoIterator<Item = Member>,
        version: ConfigVersion,
    ) -> Result<Self, MembershipError> {
        let members = members.into_iter().map(|member| (member.sid, member));
        let lines = Lines {
            version,
            members: members.collect(),
            ..Lines::default()
        };
        lines.into_membership()
    }

    /// Reads a text. Of several lines with one key the last counts, as in any property file.
    ///
    /// Several addresses per server and secure client addresses are read; whether they may be used depends on settings
    /// and on the other servers' releases.
    pub fn parse(text: &str) -> Result<Self, MembershipError> {
        if text.len() > TEXT_LEN_MAX {
            return Err(MembershipError::TooLong(text.len()));
        }
        let pairs = properties::parse(text)?;
        Self::from_pairs(pairs.iter().map(|(key, value)| (&**key, &**value)))
    }

    /// As [`Self::parse`], from keys and values that stood in a file among others.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, MembershipError> {
        let mut lines = Lines::default();
        // Only the last line of a key is looked at.
        for (key, value) in BTreeMap::from_iter(pairs) {
            lines.add(key, value)?;
        }
        lines.into_membership()
    }

    /// Whether a line with this key belongs to a membership; `version` stands in texts only, not in files.
    #[must_use]
    pub fn is_key(key: &str) -> bool {
        key.starts_with("server.") || key.starts_with("group") || key.starts_with("weight")
    }

    /// Which configuration this is.
    #[must_use]
    pub fn version(&self) -> ConfigVersion {
        self.version
    }

    /// The same servers under another version.
    #[must_use]
    pub fn with_version(self, version: ConfigVersion) -> Self {
        Self { version, ..self }
    }

    /// The servers by id.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<Sid, Member> {
        &self.members
    }

    /// One server.
    #[must_use]
    pub fn member(&self, sid: Sid) -> Option<&Member> {
        self.members.get(&sid)
    }

    /// Whether the server votes here.
    #[must_use]
    pub fn is_voter(&self, sid: Sid) -> bool {
        self.role(sid) == Some(Role::Participant)
    }

    /// The server's role, if it has one.
    #[must_use]
    pub fn role(&self, sid: Sid) -> Option<Role> {
        self.members.get(&sid).map(|member| member.role)
    }

    /// Everyone who votes here.
    #[must_use]
    pub fn voters(&self) -> BTreeSet<Sid> {
        let members = self.members.values();
        members
            .filter(|member| member.role == Role::Participant)
            .map(|member| member.sid)
            .collect()
    }

    /// What it takes to decide.
    #[must_use]
    pub fn quorum_set(&self) -> QuorumSet {
        match &self.hierarchy {
            Some(hierarchy) => QuorumSet::Hierarchical(hierarchy.clone()),
            None => QuorumSet::Majority(self.voters()),
        }
    }

    /// Groups and weights, if there are any.
    #[must_use]
    pub fn hierarchy(&self) -> Option<&Hierarchy> {
        self.hierarchy.as_ref()
    }

    /// What a server's voice weighs: one for every id where there are no groups (quorum 5.2).
    #[must_use]
    pub fn weight(&self, sid: Sid) -> Weight {
        match &self.hierarchy {
            Some(hierarchy) => hierarchy.weight(sid),
            None => Weight::ONE,
        }
    }

    /// Gives a server that says nothing of clients the address of the static file; it is not printed (quorum 2.2, 6.1).
    pub fn set_static_client(&mut self, sid: Sid, at: HostPort) {
        if let Some(member) = self.members.get_mut(&sid) {
            member.client.get_or_insert(ClientAddress {
                at,
                is_static: true,
            });
        }
    }

    /// Same servers, roles, addresses, groups and weights, whatever the versions.
    #[must_use]
    pub fn has_same_members(&self, other: &Self) -> bool {
        let same_members = self.members.len() == other.members.len()
            && self
                .members
                .iter()
                .zip(&other.members)
                .all(|((_, one), (_, two))| one.is_same(two));
        same_members && self.hierarchy == other.hierarchy
    }

    /// The lines of a dynamic configuration file: sorted as text, without the version (quorum 14.6).
    #[must_use]
    pub fn file_lines(&self) -> Vec<String> {
        let text = self.to_string();
        let lines = text.lines().filter(|line| !line.starts_with("version="));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }

    /// Whether both mean the same configuration: by version, otherwise by content (quorum 6.1).
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.version == other.version || self.has_same_members(other)
    }
}

impl Member {
    /// Same id, role and addresses; where an address was written down does not matter.
    fn is_same(&self, other: &Self) -> bool {
        let at = |member: &Self| member.client.as_ref().map(|client| client.at.clone());
        self.sid == other.sid
            && self.role == other.role
            && self.addresses == other.addresses
            && at(self) == at(other)
    }
}

impl Lines {
    fn add(&mut self, key: &str, value: &str) -> Result<(), MembershipError> {
        if key.starts_with("server.") {
            let sid = Sid(key_number(key)?);
            self.members.insert(sid, Member::parse(sid, value)?);
        } else if key.starts_with("group") {
            self.is_hierarchical = true;
            let group = GroupId(key_number(key)?.cast_unsigned());
            let sids = value.split(':').map(parse_number);
            let sids: Option<Vec<Sid>> = sids.map(|sid| sid.map(Sid)).collect();
            let sids = sids.ok_or_else(|| MembershipError::Group {
                key: key.to_owned(),
                value: value.to_owned(),
            })?;
            self.groups.insert(group, sids);
        } else if key.starts_with("weight") {
            self.is_hierarchical = true;
            let sid = Sid(key_number(key)?);
            let weight = parse_number(value).ok_or_else(|| MembershipError::Weight {
                key: key.to_owned(),
                value: value.to_owned(),
            })?;
            self.weights.insert(sid, Weight(weight.cast_unsigned()));
        } else if key == "version" {
            let is_hex = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_hexdigit());
            let version = is_hex.then(|| i64::from_str_radix(value, 16).ok());
            let version = version.flatten();
            self.version =
                ConfigVersion(version.ok_or_else(|| MembershipError::Version(value.to_owned()))?);
        } else if key == "oraclePath" {
            return Err(MembershipError::Oracle);
        } else {
            return Err(MembershipError::UnknownKey(key.to_owned()));
        }
        Ok(())
    }

    fn into_membership(self) -> Result<Membership, MembershipError> {
        let mut membership = Membership {
            version: self.version,
            members: self.members,
            hierarchy: None,
        };
        let voters = membership.voters();
        if voters.is_empty() {
            return Err(MembershipError::NoParticipant);
        }
        if self.is_hierarchical {
            let groups = self.groups.into_iter();
            let pairs: Vec<(GroupId, Sid)> = groups
                .flat_map(|(group, sids)| sids.into_iter().map(move |sid| (group, sid)))
                .collect();
            membership.hierarchy = Some(Hierarchy::new(voters, &pairs, self.weights)?);
        }
        Ok(membership)
    }
}

/// The number behind the first dot of a key.
fn key_number(key: &str) -> Result<i64, MembershipError> {
    key.split_once('.')
        .and_then(|(_, number)| parse_number(number))
        .ok_or_else(|| MembershipError::KeyNumber(key.to_owned()))
}

/// Decimal digits only; negative ids do not work anywhere (quorum 1.2).
fn parse_number(text: &str) -> Option<i64> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| text.parse().ok()).flatten()
}

/// The text, without a line end behind its last line.
impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for member in self.members.values() {
            writeln!(f, "server.{}={member}", member.sid)?;
        }
        if let Some(hierarchy) = &self.hierarchy {
            for (group, sids) in hierarchy.groups() {
                let sids: Vec<String> = sids.iter().map(Sid::to_string).collect();
                writeln!(f, "group.{}={}", group.0, sids.join(":"))?;
            }
            for (sid, weight) in hierarchy.weights() {
                writeln!(f, "weight.{sid}={}", weight.0)?;
            }
        }
        write!(f, "version={}", self.version)
    }
}
