//! Replay over fuzzy snapshots ends where a clean run ends (pitfalls P49, P50, P88; protocol 14.2).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::ModelTree;
use common::{Image, Op, dump, header};
use proptest::prelude::*;
use zabra_proto::{Acl, SessionId, Txn, Zxid};
use zabra_tree::DataTree;

/// What Apache writes while transactions go on: the ACL table of the moment when it begins, then each znode as it is
/// when the walk comes to it. `when` says after how many more transactions each step is taken.
fn fuzzy_snapshot(states: &[ModelTree], begin: usize, when: &[usize]) -> Image {
    let mut keys: Vec<Vec<Acl<'static>>> = Vec::new();
    for state in states {
        for node in state.nodes.values() {
            if !keys.contains(&node.acl) {
                keys.push(node.acl.clone());
            }
        }
    }
    let key =
        |acl: &Vec<Acl<'static>>| 1 + keys.iter().position(|known| known == acl).unwrap() as i64;
    let mut acls: Vec<(i64, Vec<Acl<'static>>)> = Vec::new();
    for node in states[begin].nodes.values() {
        if !acls.iter().any(|(_, acl)| *acl == node.acl) {
            acls.push((key(&node.acl), node.acl.clone()));
        }
    }
    let mut image = Image {
        sessions: vec![],
        acls,
        nodes: vec![],
    };
    let mut at = begin;
    let mut steps = when.iter().chain(std::iter::repeat(&0));
    let mut waiting = vec![String::new()];
    while let Some(path) = waiting.pop() {
        at = (at + steps.next().unwrap()).min(states.len() - 1);
        let Some(node) = states[at].nodes.get(&path) else {
            continue;
        };
        image
            .nodes
            .push((path.clone(), node.data.clone(), key(&node.acl), node.stat));
        for name in states[at].children(&path) {
            waiting.push(format!("{path}/{name}"));
        }
    }
    image
}

/// Operations of servers that write closeSession with its body. Without one, a fuzzy snapshot can miss an ephemeral's
/// deletion and with it the parent's pzxid: that is why the body was added (ZOOKEEPER-3145).
fn ops() -> impl Strategy<Value = Op> {
    common::ops(common::PLAIN).prop_map(|op| match op {
        Op::CloseSession { session, .. } => Op::CloseSession {
            session,
            with_body: true,
        },
        op => op,
    })
}

proptest! {
    #![proptest_config(common::config())]

    #[test]
    fn a_replay_over_a_fuzzy_snapshot_ends_in_the_clean_state(
        script in prop::collection::vec(ops(), 1..40),
        begin in 0..40usize,
        when in prop::collection::vec(0..4usize, 0..12),
    ) {
        let mut model = ModelTree::new(true);
        let mut clean = DataTree::new(common::OPTIONS);
        let mut states = vec![model.clone()];
        let mut log = Vec::new();
        for (n, op) in script.iter().enumerate() {
            let (session, txn) = common::decide(op, &model);
            let header = header(session, Zxid(n as u64 + 1));
            model.apply(&header, &txn);
            clean.apply(&header, &txn, &mut ());
            states.push(model.clone());
            log.push((header, txn));
        }
        let begin = begin % states.len();
        let mut tree = fuzzy_snapshot(&states, begin, &when).load(Zxid(begin as u64)).tree;
        prop_assert_eq!(tree.check_invariants(), Ok(()));
        for (header, txn) in &log[begin..] {
            tree.apply(header, txn, &mut ());
        }
        prop_assert_eq!(tree.check_invariants(), Ok(()));
        prop_assert_eq!(dump(&tree), dump(&clean));
        prop_assert_eq!(tree.digest(), clean.digest());
        for session in (0..5).map(SessionId) {
            prop_assert_eq!(tree.ephemerals(session), clean.ephemerals(session));
        }
    }

    #[test]
    fn applying_a_log_again_from_any_point_changes_nothing(
        script in prop::collection::vec(ops(), 1..30),
        from in 0..30usize,
    ) {
        let mut model = ModelTree::new(true);
        let mut tree = DataTree::new(common::OPTIONS);
        let mut log: Vec<(_, Txn<'_>)> = Vec::new();
        for (n, op) in script.iter().enumerate() {
            let (session, txn) = common::decide(op, &model);
            let header = header(session, Zxid(n as u64 + 1));
            model.apply(&header, &txn);
            tree.apply(&header, &txn, &mut ());
            log.push((header, txn));
        }
        for (header, txn) in &log[from % log.len()..] {
            tree.apply(header, txn, &mut ());
        }
        prop_assert_eq!(tree.check_invariants(), Ok(()));
        prop_assert_eq!(&dump(&tree), &model.nodes);
        prop_assert_eq!(tree.digest(), Some(model.digest()));
    }
}
