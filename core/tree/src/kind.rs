//! What kind of znode an owner field says (protocol 8.4).

use zabra_proto::SessionId;

/// The kind of a znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// Stays until it is deleted.
    Persistent,
    /// Goes with its session.
    Ephemeral(SessionId),
    /// Deleted by the sweep some time after its last child went.
    Container,
    /// Deleted by the sweep when it has been childless and unmodified for this many milliseconds.
    Ttl(i64),
    /// An extended kind that nobody has defined: kept, never swept (R14).
    Unknown,
}

/// The owner field of a container.
pub const CONTAINER_OWNER: i64 = i64::MIN;

/// The longest time to live, ms: about 34 years.
pub const MAX_TTL: i64 = 0xff_ffff_ffff;

const EXTENDED: i64 = 0xff << 56;
const FEATURE: i64 = 0xffff << 40;

/// Which readings of the owner field are switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnerRules {
    /// `zookeeper.extendedTypesEnabled`: owners with the high byte 0xff are TTLs, not sessions.
    pub extended_types: bool,
    /// `zookeeper.emulate353TTLNodes`: so are all other negative owners.
    pub emulate_353_ttl: bool,
}

impl OwnerRules {
    /// What an owner field says.
    #[must_use]
    pub const fn kind(self, owner: i64) -> NodeKind {
        if owner == 0 {
            return NodeKind::Persistent;
        }
        if owner == CONTAINER_OWNER {
            return NodeKind::Container;
        }
        if self.extended_types {
            if self.emulate_353_ttl && owner < 0 {
                return NodeKind::Ttl(owner & MAX_TTL);
            }
            if owner & EXTENDED == EXTENDED {
                return if owner & FEATURE == 0 {
                    NodeKind::Ttl(owner & MAX_TTL)
                } else {
                    NodeKind::Unknown
                };
            }
        }
        NodeKind::Ephemeral(SessionId(owner))
    }

    /// The owner field of a znode with a time to live. The TTL must be valid ([`is_valid_ttl`]); what a log holds beyond
    /// is cut to the bits that the field has.
    #[must_use]
    pub const fn ttl_owner(self, ttl: i64) -> i64 {
        EXTENDED | (ttl & MAX_TTL)
    }
}

/// Whether a client may ask for this time to live.
#[must_use]
pub const fn is_valid_ttl(ttl: i64) -> bool {
    ttl >= 1 && ttl <= MAX_TTL
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFF: OwnerRules = OwnerRules {
        extended_types: false,
        emulate_353_ttl: false,
    };
    const ON: OwnerRules = OwnerRules {
        extended_types: true,
        emulate_353_ttl: false,
    };
    const OLD: OwnerRules = OwnerRules {
        extended_types: true,
        emulate_353_ttl: true,
    };

    const fn hex(owner: u64) -> i64 {
        owner.cast_signed()
    }

    #[test]
    fn owners_are_read_as_the_switches_say() {
        use NodeKind::{Container, Ephemeral, Persistent, Ttl, Unknown};
        let session = |owner: u64| Ephemeral(SessionId(hex(owner)));
        let table = [
            (0, Persistent, Persistent, Persistent),
            (0x8000_0000_0000_0000, Container, Container, Container),
            (
                0x0100_0018_c939_0000,
                session(0x0100_0018_c939_0000),
                session(0x0100_0018_c939_0000),
                session(0x0100_0018_c939_0000),
            ),
            (
                0xff00_0000_0036_ee80,
                session(0xff00_0000_0036_ee80),
                Ttl(3_600_000),
                Ttl(3_600_000),
            ),
            (
                0xff00_0100_0000_0001,
                session(0xff00_0100_0000_0001),
                Unknown,
                Ttl(1),
            ),
            (
                0x8000_0000_0000_0064,
                session(0x8000_0000_0000_0064),
                session(0x8000_0000_0000_0064),
                Ttl(100),
            ),
            (
                0xfe00_0000_0000_0001,
                session(0xfe00_0000_0000_0001),
                session(0xfe00_0000_0000_0001),
                Ttl(1),
            ),
        ];
        for (owner, off, on, old) in table {
            assert_eq!(
                [OFF, ON, OLD].map(|rules| rules.kind(hex(owner))),
                [off, on, old],
                "{owner:#x}"
            );
        }
    }

    #[test]
    fn a_ttl_survives_the_owner_field() {
        for ttl in [1, 3_600_000, MAX_TTL] {
            assert!(is_valid_ttl(ttl));
            assert_eq!(ON.kind(ON.ttl_owner(ttl)), NodeKind::Ttl(ttl));
        }
        assert!(!is_valid_ttl(0) && !is_valid_ttl(-1) && !is_valid_ttl(MAX_TTL + 1));
    }
}
