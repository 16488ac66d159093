//! The tree against its dumb twin, over random transactions of every kind.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::ModelTree;
use common::{Heard, Op, PATHS, dump, header};
use proptest::prelude::*;
use zabra_proto::{SessionId, Txn, Zxid};
use zabra_tree::{DataTree, NodeId, Outcome};

struct Twins {
    tree: DataTree,
    model: ModelTree,
    zxid: Zxid,
}

impl Twins {
    fn new() -> Self {
        Self {
            tree: DataTree::new(common::OPTIONS),
            model: ModelTree::new(true),
            zxid: Zxid(0),
        }
    }

    fn apply(&mut self, session: SessionId, txn: &Txn<'_>) -> Result<(), TestCaseError> {
        self.zxid = self.zxid.next();
        let header = header(session, self.zxid);
        let mut heard = Heard::default();
        let applied = self.tree.apply(&header, txn, &mut heard);
        let expected = self.model.apply(&header, txn);
        let outcomes = if matches!(txn, Txn::Multi(_)) {
            applied.elements
        } else {
            vec![applied.outcome]
        };
        let got: Vec<_> = outcomes
            .iter()
            .map(|Outcome { error, stat }| (*error, *stat))
            .collect();
        prop_assert_eq!(got, expected, "{:?}", txn);
        prop_assert_eq!(heard.0, std::mem::take(&mut self.model.events), "{:?}", txn);
        prop_assert_eq!(self.tree.last_zxid(), self.zxid);
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let Self { tree, model, .. } = self;
        prop_assert_eq!(tree.check_invariants(), Ok(()));
        prop_assert_eq!(&dump(tree), &model.nodes);
        prop_assert_eq!(tree.digest(), Some(model.digest()));
        for path in PATHS.iter().chain(&["", "a", "/a/", "//a", "/zookeeper"]) {
            let node = tree.find(path);
            prop_assert_eq!(
                node.map(|node| tree.stat(node)),
                model.stat(path),
                "{}",
                path
            );
            let Some(node) = node else { continue };
            let mut children: Vec<&str> = tree.children(node).collect();
            children.sort_unstable();
            prop_assert_eq!(children, model.children(path));
            prop_assert_eq!(tree.descendant_count(node), model.descendant_count(path));
            let mut back = String::from("stale");
            tree.path_of(node, &mut back);
            prop_assert_eq!(&back, if path.is_empty() { "/" } else { path });
        }
        for session in (0..5).map(SessionId) {
            prop_assert_eq!(tree.ephemerals(session), model.ephemerals(session));
            prop_assert_eq!(
                tree.ephemeral_count_of(session),
                model.ephemerals(session).len()
            );
        }
        prop_assert_eq!(tree.node_count(), model.nodes.len() + 1);
        let size: usize = model
            .nodes
            .iter()
            .map(|(p, n)| p.len() + n.data.as_ref().map_or(0, Vec::len))
            .sum();
        prop_assert_eq!(tree.approximate_data_size(), size as u64 + 1);
        Ok(())
    }
}

fn deletes_in_zookeeper(op: &Op) -> bool {
    match op {
        Op::Delete { path } => PATHS[*path].starts_with("/zookeeper"),
        Op::Multi(elements) => elements.iter().any(deletes_in_zookeeper),
        _ => false,
    }
}

fn script() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(common::ops(PATHS.len()), 1..60)
}

proptest! {
    #![proptest_config(common::config())]

    #[test]
    fn decided_transactions_do_what_the_model_says(script in script()) {
        let mut twins = Twins::new();
        for op in &script {
            let (session, txn) = common::decide(op, &twins.model);
            twins.apply(session, &txn)?;
        }
        twins.compare()?;
    }

    #[test]
    fn transactions_that_a_replay_may_meet_do_what_the_model_says(script in script()) {
        let mut twins = Twins::new();
        for op in &script {
            // Deleting what is above a quota's znodes depends on the order among descendants: not in any log.
            if deletes_in_zookeeper(op) {
                continue;
            }
            let session = match op {
                Op::Create { session, .. } | Op::CloseSession { session, .. } => *session,
                _ => 1,
            };
            let txn = common::raw(op, &twins.model);
            twins.apply(SessionId(session), &txn)?;
        }
        twins.compare()?;
    }

    /// P104: nothing depends on the order of a hash table.
    #[test]
    fn the_seed_of_the_hash_tables_changes_nothing(script in script()) {
        let mut model = ModelTree::new(true);
        let mut trees = [1, 2].map(|hash_seed| {
            DataTree::new(zabra_tree::TreeOptions { hash_seed, ..common::OPTIONS })
        });
        for (n, op) in script.iter().enumerate() {
            let (session, txn) = common::decide(op, &model);
            let header = header(session, Zxid(n as u64 + 1));
            model.apply(&header, &txn);
            let heard = trees.each_mut().map(|tree| {
                let mut heard = Heard::default();
                let applied = tree.apply(&header, &txn, &mut heard);
                let names: Vec<String> = tree.children(NodeId::ROOT).map(str::to_owned).collect();
                (applied, heard.0, names)
            });
            prop_assert_eq!(&heard[0], &heard[1]);
        }
        prop_assert_eq!(dump(&trees[0]), dump(&trees[1]));
    }
}
