//! An image is the tree as it was when it was begun, whatever happens while it is written.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use common::{Image, ModelNode, ModelTree, Op, dump, header};
use proptest::prelude::*;
use zabra_proto::txn::{CreateTxn, DeleteTxn, SetAclTxn, SetDataTxn};
use zabra_proto::{SessionId, Txn, Zxid};
use zabra_tree::{DataTree, ImageWalk};

const SESSIONS: [(SessionId, i32); 2] = [(SessionId(7), 1000), (SessionId(9), 2000)];

/// Walks to the end in chunks of one record.
fn finish(walk: &mut ImageWalk, tree: &DataTree, bytes: &mut Vec<u8>) {
    while !walk.chunk(tree, 1, bytes) {}
}

/// What must hold of every image.
fn check(bytes: &[u8], begun: &BTreeMap<String, ModelNode>) -> Image {
    let (image, rest) = Image::decode(bytes);
    assert!(rest.is_empty());
    assert_eq!(image.sessions, SESSIONS);
    let mut seen: BTreeMap<&str, ModelNode> = BTreeMap::new();
    let lists: BTreeMap<i64, _> = image.acls.iter().cloned().collect();
    assert_eq!(lists.len(), image.acls.len(), "keys are unique");
    for (path, data, key, stat) in &image.nodes {
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        assert!(
            parent.is_none_or(|parent| seen.contains_key(parent)),
            "{path} comes before its parent"
        );
        let acl = if *key == -1 {
            common::acl_list(0).unwrap()
        } else {
            lists[key].clone()
        };
        let twice = seen.insert(
            path,
            ModelNode {
                data: data.clone(),
                acl,
                stat: *stat,
            },
        );
        assert_eq!(twice, None, "{path} comes twice");
    }
    let seen: BTreeMap<String, ModelNode> = seen
        .into_iter()
        .map(|(path, node)| (path.to_owned(), node))
        .collect();
    assert_eq!(&seen, begun);
    image
}

/// What must hold of the tree that comes of it.
fn check_load(image: &Image, walk: &ImageWalk, begun: &BTreeMap<String, ModelNode>) {
    let loaded = image.load(walk.zxid());
    assert_eq!(loaded.missing_acls, 0);
    assert_eq!(loaded.sessions, SESSIONS);
    assert_eq!(
        without_stats(dump(&loaded.tree)),
        without_stats(begun.clone())
    );
    assert_eq!(loaded.tree.digest(), walk.digest());
    assert_eq!(loaded.tree.last_zxid(), walk.zxid());
}

/// A load counts quotas anew, whatever a client wrote over them.
fn without_stats(mut nodes: BTreeMap<String, ModelNode>) -> BTreeMap<String, ModelNode> {
    nodes.retain(|path, _| !path.ends_with("/zookeeper_stats"));
    nodes
}

fn create(path: &'static str, acl: usize) -> Txn<'static> {
    let acl = common::acl_list(acl);
    Txn::Create(CreateTxn {
        path: path.into(),
        data: Some(b"d"),
        acl,
        ephemeral: false,
        parent_cversion: -1,
    })
}

fn delete(path: &'static str) -> Txn<'static> {
    Txn::Delete(DeleteTxn { path: path.into() })
}

fn set(path: &'static str, data: Option<&'static [u8]>) -> Txn<'static> {
    Txn::SetData(SetDataTxn {
        path: path.into(),
        data,
        version: 9,
    })
}

fn set_acl(path: &'static str, acl: usize) -> Txn<'static> {
    Txn::SetAcl(SetAclTxn {
        path: path.into(),
        acl: common::acl_list(acl),
        version: 9,
    })
}

/// A tree from a script, and the zxid of its last transaction.
fn build(script: &[Txn<'_>]) -> (DataTree, Zxid) {
    let mut tree = DataTree::new(common::OPTIONS);
    let mut zxid = Zxid(0);
    for txn in script {
        zxid = zxid.next();
        tree.apply(&header(SessionId(1), zxid), txn, &mut ());
    }
    (tree, zxid)
}

/// Every way to mix the chunks of a walk with some transactions. Each bit of `order` is a step: a transaction or a
/// chunk; what is left of the walk is done at the end.
fn every_interleaving(before: &[Txn<'_>], during: &[Txn<'_>]) -> usize {
    let (tree, _) = build(before);
    let begun = dump(&tree);
    // One more than the chunks that leave something to do: transactions may come after the last one, too.
    let mut steps = 1;
    {
        let (mut tree, _) = build(before);
        let mut walk = tree.begin_image(SESSIONS.to_vec()).unwrap();
        while !walk.chunk(&tree, 1, &mut Vec::new()) {
            steps += 1;
        }
    }
    let mut places = vec![0usize; during.len()];
    let mut runs = 0;
    loop {
        // places[i]: how many chunks come before transaction i; never falling.
        let (mut tree, mut zxid) = build(before);
        let mut walk = tree.begin_image(SESSIONS.to_vec()).unwrap();
        let mut bytes = Vec::new();
        let mut chunks = 0;
        for (txn, place) in during.iter().zip(&places) {
            while chunks < *place {
                walk.chunk(&tree, 1, &mut bytes);
                chunks += 1;
            }
            zxid = zxid.next();
            tree.apply(&header(SessionId(1), zxid), txn, &mut ());
        }
        finish(&mut walk, &tree, &mut bytes);
        let image = check(&bytes, &begun);
        // Equal records load equally; a few are loaded to see that they load.
        if runs % 50 == 0 {
            check_load(&image, &walk, &begun);
        }
        tree.end_image(walk);
        assert_eq!(tree.check_invariants(), Ok(()));
        runs += 1;
        let Some(last) = places.iter().rposition(|place| *place < steps) else {
            return runs;
        };
        let next = places[last] + 1;
        places[last..].fill(next);
    }
}

#[test]
fn an_image_of_a_quiet_tree_is_the_tree() {
    let (mut tree, _) = build(&[
        create("/a", 1),
        create("/a/b", 2),
        create("/c", 4),
        set("/c", None),
    ]);
    let begun = dump(&tree);
    for max_bytes in [1, 100, 1 << 20] {
        let mut walk = tree.begin_image(SESSIONS.to_vec()).unwrap();
        assert!(tree.begin_image(vec![]).is_none(), "one at a time");
        let mut bytes = Vec::new();
        while !walk.chunk(&tree, max_bytes, &mut bytes) {}
        assert!(walk.chunk(&tree, 1, &mut bytes), "the end stays the end");
        check_load(&check(&bytes, &begun), &walk, &begun);
        assert_eq!(tree.image_saved_bytes(), 0);
        tree.end_image(walk);
    }
}

#[test]
fn changes_deletions_and_births_at_every_point_stay_outside() {
    let before = [
        create("/a", 1),
        create("/a/b", 2),
        create("/c", 1),
        create("/c/d", 2),
    ];
    let during = [
        vec![
            set("/a", Some(b"new")),
            set("/a/b", None),
            set("/c/d", Some(b"")),
        ],
        vec![
            delete("/a/b"),
            delete("/a"),
            create("/n", 1),
            create("/n/m", 2),
        ],
        vec![delete("/c/d"), create("/c/e", 3), create("/c/d", 4)],
        vec![set_acl("/a", 2), set_acl("/a/b", 1), set_acl("/c/d", 3)],
        vec![delete("/c/d"), delete("/a/b"), create("/c/y", 1)],
        // Creates that find their znode give it their ACL.
        vec![create("/a/b", 3), create("/a", 2), create("/c/d", 1)],
    ];
    for during in during {
        assert!(every_interleaving(&before, &during) >= 200);
    }
}

#[test]
fn children_in_slots_below_their_parents_come_after_them() {
    // /p/q/r gets the slot of /t, /p/q that of /u: both stand before their parents.
    let before = [
        create("/t", 1),
        create("/u", 1),
        create("/p", 1),
        delete("/t"),
        delete("/u"),
        create("/p/q", 2),
        create("/p/q/r", 2),
    ];
    let during = [
        vec![delete("/p/q/r"), delete("/p/q"), delete("/p")],
        vec![delete("/p/q/r"), create("/v", 3), create("/v/w", 1)],
        vec![set("/p/q", None), delete("/p/q/r"), create("/p/q/s", 1)],
    ];
    for during in during {
        every_interleaving(&before, &during);
    }
}

#[test]
fn quota_accounting_stays_outside_too() {
    let before = [
        create("/q", 1),
        create("/zookeeper/quota/q", 4),
        create("/zookeeper/quota/q/zookeeper_limits", 4),
        create("/zookeeper/quota/q/zookeeper_stats", 4),
    ];
    every_interleaving(
        &before,
        &[create("/q/a", 1), set("/q/a", None), delete("/q/a")],
    );
}

#[test]
fn an_abandoned_image_leaves_nothing_behind() {
    let (mut tree, zxid) = build(&[create("/a", 1), create("/b", 2)]);
    let walk = tree.begin_image(vec![]).unwrap();
    tree.apply(
        &header(SessionId(1), zxid.next()),
        &set_acl("/a", 2),
        &mut (),
    );
    assert!(tree.image_saved_bytes() > 0);
    assert_eq!(
        tree.acl_count(),
        3,
        "config's, and both lists: one is pinned"
    );
    tree.end_image(walk);
    assert_eq!((tree.image_saved_bytes(), tree.acl_count()), (0, 2));
    assert!(tree.begin_image(vec![]).is_some());
}

#[test]
fn a_walk_looks_at_a_bounded_number_of_slots_in_a_chunk() {
    let paths: Vec<String> = (0..20_000).map(|n| format!("/n{n}")).collect();
    let mut tree = DataTree::new(common::OPTIONS);
    let mut zxid = Zxid(0);
    let mut apply = |tree: &mut DataTree, txn: Txn<'_>| {
        zxid = zxid.next();
        tree.apply(&header(SessionId(1), zxid), &txn, &mut ());
    };
    for path in &paths {
        let path = path.as_str().into();
        let acl = common::acl_list(0);
        apply(
            &mut tree,
            Txn::Create(CreateTxn {
                path,
                data: None,
                acl,
                ephemeral: false,
                parent_cversion: -1,
            }),
        );
    }
    for path in &paths {
        apply(
            &mut tree,
            Txn::Delete(DeleteTxn {
                path: path.as_str().into(),
            }),
        );
    }
    let mut walk = tree.begin_image(vec![]).unwrap();
    let (mut bytes, mut chunks) = (Vec::new(), 1);
    while !walk.chunk(&tree, 1 << 20, &mut bytes) {
        chunks += 1;
    }
    assert!(chunks >= 3, "{chunks}");
    assert_eq!(Image::decode(&bytes).0.nodes.len(), 4);
}

proptest! {
    #![proptest_config(common::config())]

    #[test]
    fn random_transactions_between_random_chunks_stay_outside(
        before in prop::collection::vec(common::ops(common::PATHS.len()), 0..30),
        during in prop::collection::vec((common::ops(common::PATHS.len()), 0..400usize), 0..30),
        after in prop::collection::vec(common::ops(common::PATHS.len()), 0..3),
    ) {
        let mut model = ModelTree::new(true);
        let mut tree = DataTree::new(common::OPTIONS);
        let mut zxid = Zxid(0);
        let mut step = |tree: &mut DataTree, op: &Op| {
            zxid = zxid.next();
            let (session, txn) = common::decide(op, &model);
            let header = header(session, zxid);
            model.apply(&header, &txn);
            tree.apply(&header, &txn, &mut ());
        };
        for op in &before {
            step(&mut tree, op);
        }
        // The second image meets what the first one left.
        for _ in 0..2 {
            let begun = dump(&tree);
            let mut walk = tree.begin_image(SESSIONS.to_vec()).unwrap();
            let mut bytes = Vec::new();
            for (op, max_bytes) in &during {
                if *max_bytes > 0 {
                    walk.chunk(&tree, *max_bytes, &mut bytes);
                }
                step(&mut tree, op);
            }
            finish(&mut walk, &tree, &mut bytes);
            for op in &after {
                step(&mut tree, op);
            }
            check_load(&check(&bytes, &begun), &walk, &begun);
            tree.end_image(walk);
            prop_assert_eq!(tree.check_invariants(), Ok(()));
        }
    }
}
