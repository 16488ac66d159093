//! The tree with as many znodes as the load generator makes.

use std::hint::black_box;

use zabra_proto::txn::{CreateTxn, DeleteTxn, SetDataTxn};
use zabra_proto::{Acl, Perms, SessionId, Txn, TxnHeader, WallMillis, Xid};
use zabra_tree::{DataTree, TreeOptions};

use crate::{DATA, Work, ZNODES, path, path_of, paths};

/// By path: data and Stat.
pub fn get() -> Work {
    let tree = filled();
    let paths = paths();
    Box::new(move |number| {
        let found = tree.find(path(&paths, number));
        let read = found.map(|node| (tree.data(node).map(<[u8]>::len), tree.stat(node)));
        black_box(read);
    })
}

/// New data of the same length; nobody watches.
pub fn set() -> Work {
    let mut tree = filled();
    let paths = paths();
    Box::new(move |number| {
        let txn = Txn::SetData(SetDataTxn {
            path: path(&paths, number).into(),
            data: Some(&DATA),
            version: 1,
        });
        apply(&mut tree, &txn);
    })
}

/// A znode more and less among the others.
pub fn create_and_delete() -> Work {
    let mut tree = filled();
    let paths: Vec<String> = (0..ZNODES).map(|at| format!("{}x", path_of(at))).collect();
    Box::new(move |number| {
        let path = path(&paths, number);
        apply(&mut tree, &create(path, &DATA));
        apply(&mut tree, &Txn::Delete(DeleteTxn { path: path.into() }));
    })
}

fn filled() -> DataTree {
    let mut tree = DataTree::new(TreeOptions {
        hash_seed: 1,
        ..TreeOptions::default()
    });
    apply(&mut tree, &create("/zabra-bench-12345", b""));
    for path in paths() {
        apply(&mut tree, &create(&path, &DATA));
    }
    tree
}

fn create<'a>(path: &'a str, data: &'a [u8]) -> Txn<'a> {
    Txn::Create(CreateTxn {
        path: path.into(),
        data: Some(data),
        acl: Some(vec![Acl::world(Perms::ALL)]),
        ephemeral: false,
        parent_cversion: -1,
    })
}

fn apply(tree: &mut DataTree, txn: &Txn<'_>) {
    let header = TxnHeader {
        session: SessionId(1),
        cxid: Xid(1),
        zxid: tree.last_zxid().next(),
        time: WallMillis(1),
        kind: txn.kind(),
    };
    let applied = tree.apply(&header, txn, &mut ());
    assert!(applied.outcome.error.is_ok(), "{applied:?}");
}
