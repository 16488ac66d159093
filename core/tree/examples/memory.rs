//! Fills a tree with a million znodes of 100 bytes under 22-character paths, and prints what they cost.
//!
//! `cargo run --release -p zabra-tree --example memory [znodes]`; with a second argument, as many watches instead.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a program that measures reads the clock"
)]

use std::time::{Duration, Instant};

use zabra_proto::txn::{CreateTxn, SetDataTxn};
use zabra_proto::{
    Acl, EventKind, Perms, SessionId, StatPersisted, Txn, TxnHeader, TxnKind, WallMillis, Xid, Zxid,
};
use zabra_tree::{DataTree, NodeId, TreeLoader, TreeOptions, WatchMode, WatchTable, Watcher};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .unwrap_or(0)
        * 4096
}

fn path_into(n: usize, path: &mut String) {
    use std::fmt::Write;
    path.clear();
    // 22 characters and 1000 siblings, as in the measurements of Apache.
    let _ = write!(path, "/bench/p{:04}/n{:08}", n / 1000, n);
}

/// Processor time of this process in user mode, in ms: what stays steady on a busy machine.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split(' ').nth(12))
        .and_then(|t| t.parse::<f64>().ok());
    ticks.unwrap_or(0.0) * 10.0
}

fn timed<T>(what: &str, count: usize, work: impl FnOnce() -> T) -> T {
    let (start, cpu) = (Instant::now(), cpu_ms());
    let result = work();
    let (wall, cpu) = (start.elapsed().as_secs_f64() * 1e3, cpu_ms() - cpu);
    let each = cpu * 1e6 / count as f64;
    println!("{what:36} {wall:8.0} ms, of processor {cpu:6.0} ms, {each:7.0} ns each");
    result
}

fn apply(tree: &mut DataTree, txn: &Txn<'_>) {
    let zxid = tree.last_zxid().next();
    let header = TxnHeader {
        session: SessionId(1),
        cxid: Xid(1),
        zxid,
        time: WallMillis(1),
        kind: TxnKind::Create,
    };
    let applied = tree.apply(&header, txn, &mut ());
    assert!(applied.outcome.error.is_ok());
}

fn create<'a>(path: &'a str, data: &'a [u8]) -> Txn<'a> {
    let acl = Some(vec![Acl::world(Perms::ALL)]);
    Txn::Create(CreateTxn {
        path: path.into(),
        data: Some(data),
        acl,
        ephemeral: false,
        parent_cversion: -1,
    })
}

fn fill(options: TreeOptions, znodes: usize) -> DataTree {
    let mut tree = DataTree::new(options);
    let data = [b'x'; 100];
    let mut path = String::new();
    apply(&mut tree, &create("/bench", b""));
    for n in 0..znodes {
        path_into(n, &mut path);
        if n % 1000 == 0 {
            apply(&mut tree, &create(&path[..12], b""));
        }
        apply(&mut tree, &create(&path, &data));
    }
    tree
}

fn main() {
    let znodes = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000_000);
    let options = TreeOptions {
        hash_seed: 1,
        ..TreeOptions::default()
    };
    if std::env::args().nth(2).is_some() {
        return watches(znodes);
    }
    let empty = resident();
    let mut tree = timed("create by transactions", znodes, || fill(options, znodes));
    let each = (resident() - empty) as f64 / znodes as f64;
    println!("{znodes} znodes: {each:.1} bytes of resident memory each");

    lookups(&mut tree, znodes);
    image(&mut tree, znodes);
    timed("drop", znodes, || drop(tree));
    timed("load", znodes, || load(options, znodes));
}

fn lookups(tree: &mut DataTree, znodes: usize) {
    let mut path = String::new();
    let mut at = 0;
    let mut next = || {
        at = (at + 7_368_787) % znodes;
        at
    };
    timed("find, in random order", znodes, || {
        for _ in 0..znodes {
            path_into(next(), &mut path);
            assert!(tree.find(&path).is_some());
        }
    });
    timed("of which for making the path", znodes, || {
        for _ in 0..znodes {
            path_into(next(), &mut path);
            std::hint::black_box(&path);
        }
    });
    timed("setData, in random order", znodes, || {
        for _ in 0..znodes {
            path_into(next(), &mut path);
            let data = Some(&[b'y'; 100][..]);
            let txn = SetDataTxn {
                path: path.as_str().into(),
                data,
                version: 1,
            };
            apply(tree, &Txn::SetData(txn));
        }
    });
    let top = tree.find("/bench/p0000").unwrap_or(NodeId::ROOT);
    let children = tree.child_count(top);
    timed("names of the children of one znode", children, || {
        assert_eq!(
            tree.children(top).map(str::len).sum::<usize>(),
            children * 9
        );
    });
}

fn image(tree: &mut DataTree, znodes: usize) {
    let mut walk = tree
        .begin_image(Vec::new())
        .expect("no other image is written");
    let mut bytes = 0;
    let mut longest = Duration::ZERO;
    timed("image in chunks of 64 KiB", znodes, || {
        let mut chunk = Vec::new();
        let mut done = false;
        while !done {
            let start = Instant::now();
            chunk.clear();
            done = walk.chunk(tree, 64 << 10, &mut chunk);
            longest = longest.max(start.elapsed());
            bytes += chunk.len();
        }
    });
    println!("{} MB of image, longest chunk {longest:?}", bytes >> 20);
    tree.end_image(walk);
}

fn load(options: TreeOptions, znodes: usize) {
    let stat = StatPersisted {
        czxid: 5,
        mzxid: 5,
        pzxid: 5,
        ..StatPersisted::default()
    };
    let mut loader = TreeLoader::new(options);
    loader
        .acl(1, &[Acl::world(Perms::ALL)])
        .expect("a fresh key");
    let mut node = |path: &str| {
        loader
            .node(path, Some(&[b'x'; 100]), 1, &stat)
            .expect("in order")
    };
    ["", "/bench"].into_iter().for_each(&mut node);
    let mut path = String::new();
    for n in 0..znodes {
        path_into(n, &mut path);
        if n % 1000 == 0 {
            node(&path[..12]);
        }
        node(&path);
    }
    assert!(loader.finish(Zxid(9)).is_ok());
}

fn watches(count: usize) {
    let before = resident();
    let mut path = String::new();
    let mut table = WatchTable::new(1);
    timed("watches, 1000 connections", count, || {
        for n in 0..count {
            path_into(n, &mut path);
            table.add(Watcher(n as u64 % 1000), &path, WatchMode::Data);
        }
    });
    println!(
        "{:.1} bytes of resident memory for each watch",
        (resident().saturating_sub(before)) as f64 / count as f64
    );
    timed("trigger each", count, || {
        for n in 0..count {
            path_into(n, &mut path);
            let mut told = 0;
            table.trigger(EventKind::NodeDataChanged, &path, |_| told += 1);
            assert_eq!(told, 1);
        }
    });
    assert_eq!(table.watch_count(), 0);
}
