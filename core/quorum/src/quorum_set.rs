//! Which sets of servers decide (quorum 6.2, 6.3).

use std::collections::{BTreeMap, BTreeSet};

use crate::{MembershipError, Sid};
use zabra_mutant::{self as mutant, Mutant};

/// What it takes to decide. Two quorums of one set always have a voter in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuorumSet {
    /// More than half of these voters.
    Majority(BTreeSet<Sid>),
    /// More than half of the groups, each by more than half of its weight.
    Hierarchical(Hierarchy),
    /// A quorum of each of two: while a reconfiguration is pending (quorum 6.5).
    Joint(Box<QuorumSet>, Box<QuorumSet>),
}

/// The name of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u64);

/// How much a server's voice counts within its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(pub u64);

impl Weight {
    /// What a voter weighs that has no weight line.
    pub const ONE: Self = Self(1);
}

/// Voters in groups, with weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    group_of: BTreeMap<Sid, GroupId>,
    weights: BTreeMap<Sid, Weight>,
    // Invariant: the sum of `weights` over the group's servers; it does not overflow.
    totals: BTreeMap<GroupId, u64>,
    voters: BTreeSet<Sid>,
}

impl QuorumSet {
    /// Whether these servers decide. Servers that have no vote here are not counted (P60).
    #[must_use]
    pub fn is_quorum(&self, servers: &BTreeSet<Sid>) -> bool {
        match self {
            Self::Majority(voters) if mutant::on(Mutant::ObserverCounted) => {
                servers.len() > voters.len() / 2
            }
            Self::Majority(voters) => servers.intersection(voters).count() > voters.len() / 2,
            Self::Hierarchical(hierarchy) => hierarchy.is_quorum(servers),
            Self::Joint(one, other) => one.is_quorum(servers) && other.is_quorum(servers),
        }
    }

    /// Whether the voters of which `holds` is true decide. The plain case costs no memory: it is asked at each ack.
    #[must_use]
    pub fn is_held_by(&self, holds: &dyn Fn(Sid) -> bool) -> bool {
        match self {
            Self::Majority(voters) => {
                voters.iter().filter(|sid| holds(**sid)).count() > voters.len() / 2
            }
            Self::Hierarchical(hierarchy) => {
                let voters = hierarchy.voters.iter().copied();
                hierarchy.is_quorum(&voters.filter(|sid| holds(*sid)).collect())
            }
            Self::Joint(one, other) => one.is_held_by(holds) && other.is_held_by(holds),
        }
    }

    /// Whether the server's voice is heard at all.
    #[must_use]
    pub fn is_voter(&self, sid: Sid) -> bool {
        match self {
            Self::Majority(voters) => voters.contains(&sid),
            Self::Hierarchical(hierarchy) => hierarchy.voters.contains(&sid),
            Self::Joint(one, other) => one.is_voter(sid) || other.is_voter(sid),
        }
    }
}

impl Hierarchy {
    /// Checks that each voter is in exactly one group and that every weight is known (quorum 6.3).
    ///
    /// `groups` are pairs of a group and one of its servers.
    pub fn new(
        voters: BTreeSet<Sid>,
        groups: &[(GroupId, Sid)],
        mut weights: BTreeMap<Sid, Weight>,
    ) -> Result<Self, MembershipError> {
        let mut group_of = BTreeMap::new();
        for (group, sid) in groups {
            if group_of.insert(*sid, *group).is_some() {
                return Err(MembershipError::SeveralGroups(*sid));
            }
        }
        for sid in &voters {
            if !group_of.contains_key(sid) {
                return Err(MembershipError::NoGroup(*sid));
            }
            weights.entry(*sid).or_insert(Weight::ONE);
        }
        let mut totals = BTreeMap::new();
        for (sid, group) in &group_of {
            let weight = weights.get(sid).ok_or(MembershipError::NoWeight(*sid))?;
            let total = totals.entry(*group).or_insert(0_u64);
            *total = total
                .checked_add(weight.0)
                .ok_or(MembershipError::WeightSum)?;
        }
        Ok(Self {
            group_of,
            weights,
            totals,
            voters,
        })
    }

    /// What the server weighs; nothing if it is not known here.
    #[must_use]
    pub fn weight(&self, sid: Sid) -> Weight {
        self.weights.get(&sid).copied().unwrap_or(Weight(0))
    }

    /// Each group with its servers.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<GroupId, Vec<Sid>> {
        let mut groups: BTreeMap<GroupId, Vec<Sid>> = BTreeMap::new();
        for (sid, group) in &self.group_of {
            groups.entry(*group).or_default().push(*sid);
        }
        groups
    }

    /// Every weight, also those that are one by default.
    #[must_use]
    pub fn weights(&self) -> &BTreeMap<Sid, Weight> {
        &self.weights
    }

    fn is_quorum(&self, servers: &BTreeSet<Sid>) -> bool {
        let mut acked: BTreeMap<GroupId, u64> = BTreeMap::new();
        for sid in servers.intersection(&self.voters) {
            if let Some(group) = self.group_of.get(sid) {
                // Cannot overflow: a part of the group's total.
                *acked.entry(*group).or_default() += self.weight(*sid).0;
            }
        }
        let total = |group: &GroupId| self.totals.get(group).copied().unwrap_or(0);
        let won = acked
            .iter()
            .filter(|(group, weight)| **weight > total(group) / 2)
            .count();
        let counted = self.totals.values().filter(|total| **total > 0).count();
        won > counted / 2
    }
}
