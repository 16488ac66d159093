//! Quorums against a dumb twin, over every small ensemble and every set of servers (quorum 6.2, 6.3, 6.5).

use std::collections::{BTreeMap, BTreeSet};

use zabra_quorum::{AckSet, GroupId, Hierarchy, Membership, QuorumSet, Sid, Views, Weight};

/// The servers whose bits are set.
fn servers(bits: u32) -> BTreeSet<Sid> {
    (0..32)
        .filter(|bit| bits & (1 << bit) != 0)
        .map(Sid)
        .collect()
}

#[test]
fn a_majority_is_more_than_half_of_the_voters_and_nobody_else_counts() {
    for voters in 0..128_u32 {
        let set = QuorumSet::Majority(servers(voters));
        for acks in 0..128_u32 {
            let twin = 2 * (voters & acks).count_ones() > voters.count_ones();
            assert_eq!(set.is_quorum(&servers(acks)), twin, "{voters:b} {acks:b}");
        }
    }
}

/// Written from the definition, with nothing in common with the code under test.
fn twin(groups: &[u64], weights: &[u64], acks: u32) -> bool {
    let weigh = |group: u64, only_acked: bool| -> u64 {
        (0..groups.len())
            .filter(|at| groups[*at] == group && (!only_acked || acks & (1 << at) != 0))
            .map(|at| weights[at])
            .sum()
    };
    let all: BTreeSet<u64> = groups.iter().copied().collect();
    let counted: Vec<u64> = all.into_iter().filter(|g| weigh(*g, false) > 0).collect();
    let won = counted
        .iter()
        .filter(|g| weigh(**g, true) * 2 > weigh(**g, false))
        .count();
    won * 2 > counted.len()
}

/// Calls `check` with every list of `len` numbers below `base`.
fn every_list(len: u32, base: u64, mut check: impl FnMut(&[u64])) {
    for code in 0..base.pow(len) {
        let digits: Vec<u64> = (0..len).map(|at| code / base.pow(at) % base).collect();
        check(&digits);
    }
}

fn hierarchy(groups: &[u64], weights: &[u64]) -> QuorumSet {
    let sid = |at: usize| Sid(i64::try_from(at).expect("small"));
    let pairs: Vec<(GroupId, Sid)> = groups
        .iter()
        .enumerate()
        .map(|(at, group)| (GroupId(*group), sid(at)))
        .collect();
    let weights: BTreeMap<Sid, Weight> = weights
        .iter()
        .enumerate()
        .map(|(at, weight)| (sid(at), Weight(*weight)))
        .collect();
    let voters = weights.keys().copied().collect();
    QuorumSet::Hierarchical(Hierarchy::new(voters, &pairs, weights).expect("groups"))
}

#[test]
fn groups_and_weights_decide_as_their_definition_says() {
    for len in 1..=4 {
        every_list(len, 3, |groups| {
            every_list(len, 3, |weights| {
                let set = hierarchy(groups, weights);
                for acks in 0..1 << len {
                    assert_eq!(
                        set.is_quorum(&servers(acks)),
                        twin(groups, weights, acks),
                        "{groups:?} {weights:?} {acks:b}"
                    );
                }
            });
        });
    }
}

#[test]
fn two_quorums_always_have_a_voter_in_common() {
    every_list(4, 3, |groups| {
        every_list(4, 3, |weights| {
            let set = hierarchy(groups, weights);
            for one in 0..16_u32 {
                let disjoint = set.is_quorum(&servers(one)) && set.is_quorum(&servers(!one & 15));
                assert!(!disjoint, "{groups:?} {weights:?} {one:b}");
            }
        });
    });
}

#[test]
fn a_joint_quorum_is_one_of_each() {
    for one in 1..16_u32 {
        for other in 1..16_u32 {
            let majority = |voters| Box::new(QuorumSet::Majority(servers(voters)));
            let set = QuorumSet::Joint(majority(one), majority(other));
            for acks in 0..16_u32 {
                let has = |voters: u32| 2 * (voters & acks).count_ones() > voters.count_ones();
                assert_eq!(set.is_quorum(&servers(acks)), has(one) && has(other));
            }
        }
    }
}

fn membership(text: &str) -> Membership {
    Membership::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn voters_of(sids: &[i64], version: u64) -> Membership {
    let lines: Vec<String> = sids
        .iter()
        .map(|sid| format!("server.{sid}=h:1:2"))
        .collect();
    membership(&format!("{}\nversion={version:x}", lines.join("\n")))
}

#[test]
fn a_pending_configuration_needs_its_own_quorum() {
    let views = Views::new(voters_of(&[1, 2, 3], 1), voters_of(&[3, 4, 5], 2));
    let mut acks = AckSet::new(&views);
    for sid in [1, 2] {
        assert!(acks.add(Sid(sid)));
    }
    assert!(!acks.is_satisfied());
    assert!(acks.add(Sid(4)));
    assert!(!acks.is_satisfied());
    assert!(acks.add(Sid(5)));
    assert!(acks.is_satisfied());
}

#[test]
fn a_last_seen_configuration_that_is_not_newer_does_not_count() {
    let views = Views::new(voters_of(&[1, 2, 3], 2), voters_of(&[4, 5, 6], 2));
    assert_eq!(views.pending(), None);
    assert!(!views.is_voter(Sid(4)));
    assert_eq!(views.voters(), [Sid(1), Sid(2), Sid(3)].into());
}

#[test]
fn answers_of_observers_and_strangers_and_second_answers_are_not_counted() {
    let views = Views::settled(membership(
        "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2:observer",
    ));
    let mut acks = AckSet::new(&views);
    assert!(!acks.add(Sid(4)) && !acks.add(Sid(9)));
    assert!(acks.add(Sid(1)) && !acks.add(Sid(1)));
    assert!(!acks.is_satisfied());
    assert_eq!(acks.acks(), &[Sid(1)].into());
}

#[test]
fn a_server_without_weight_acks_without_counting() {
    let views = Views::settled(membership(
        "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\ngroup.1=1:2:3\nweight.3=0",
    ));
    let mut acks = AckSet::new(&views);
    assert!(acks.add(Sid(1)) && acks.add(Sid(3)));
    assert!(!acks.is_satisfied());
    acks.add(Sid(2));
    assert!(acks.is_satisfied());
}
