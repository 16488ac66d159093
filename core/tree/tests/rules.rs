//! Rules of the tree, case by case, and against what real servers wrote.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Heard, Image, dump, header};
use zabra_proto::txn::{
    CloseSessionTxn, CreateContainerTxn, CreateTtlTxn, CreateTxn, DeleteTxn, SetAclTxn, SetDataTxn,
};
use zabra_proto::{
    Acl, ErrorCode, EventKind, Identity, Perms, SessionId, Stat, StatPersisted, Txn, WallMillis,
    Zxid,
};
use zabra_tree::acl::AclRules;
use zabra_tree::{
    DataTree, LoadError, NodeKind, Outcome, QuotaTrack, TreeLoader, TreeOptions, acl,
};

/// A tree and its next zxid.
struct Server {
    tree: DataTree,
    zxid: Zxid,
    heard: Heard,
}

impl Server {
    fn new() -> Self {
        Self {
            tree: DataTree::new(common::OPTIONS),
            zxid: Zxid(0),
            heard: Heard::default(),
        }
    }

    fn apply_as(&mut self, session: i64, txn: &Txn<'_>) -> zabra_tree::Applied {
        self.zxid = self.zxid.next();
        self.heard.0.clear();
        self.tree
            .apply(&header(SessionId(session), self.zxid), txn, &mut self.heard)
    }

    fn apply(&mut self, txn: &Txn<'_>) -> Outcome {
        self.apply_as(1, txn).outcome
    }

    fn stat(&self, path: &str) -> Stat {
        self.tree.stat(self.tree.find(path).unwrap())
    }

    fn persisted(&self, path: &str) -> StatPersisted {
        self.tree.persisted(self.tree.find(path).unwrap())
    }

    fn text(&self, path: &str) -> &str {
        std::str::from_utf8(self.tree.data(self.tree.find(path).unwrap()).unwrap()).unwrap()
    }

    fn events(&self) -> Vec<(EventKind, &str)> {
        self.heard
            .0
            .iter()
            .map(|(kind, path, _)| (*kind, path.as_str()))
            .collect()
    }
}

fn create<'a>(path: &'a str, data: &'a [u8], parent_cversion: i32) -> Txn<'a> {
    let acl = Some(vec![Acl::world(Perms::ALL)]);
    Txn::Create(CreateTxn {
        path: path.into(),
        data: Some(data),
        acl,
        ephemeral: false,
        parent_cversion,
    })
}

fn ephemeral(path: &str) -> Txn<'_> {
    let acl = Some(vec![Acl::world(Perms::ALL)]);
    Txn::Create2(CreateTxn {
        path: path.into(),
        data: None,
        acl,
        ephemeral: true,
        parent_cversion: -1,
    })
}

fn delete(path: &str) -> Txn<'_> {
    Txn::Delete(DeleteTxn { path: path.into() })
}

fn set<'a>(path: &'a str, data: &'a [u8], version: i32) -> Txn<'a> {
    Txn::SetData(SetDataTxn {
        path: path.into(),
        data: Some(data),
        version,
    })
}

#[test]
fn a_new_tree_has_the_system_nodes_of_apache() {
    let server = Server::new();
    let tree = &server.tree;
    assert_eq!(tree.node_count(), 5);
    assert_eq!(tree.approximate_data_size(), 44);
    assert_eq!(tree.digest(), Some(0x51c6_d660));
    for (path, cversion, children) in [
        ("/", -1, 1),
        ("/zookeeper", -2, 2),
        ("/zookeeper/quota", 0, 0),
    ] {
        let expected = Stat {
            cversion,
            num_children: children,
            ..Stat::default()
        };
        assert_eq!(server.stat(path), expected, "{path}");
        assert_eq!(tree.acl_id(tree.find(path).unwrap()).key(), -1);
        assert_eq!(tree.data(tree.find(path).unwrap()), Some(&b""[..]));
    }
    assert_eq!(
        server.stat("/zookeeper/config"),
        Stat {
            aversion: -1,
            ..Stat::default()
        }
    );
    assert_eq!(
        tree.acl(tree.find("/zookeeper/config").unwrap()),
        [Acl::world(Perms::READ)]
    );
    assert_eq!(
        tree.find("").map(|root| tree.stat(root)),
        tree.find("/").map(|root| tree.stat(root))
    );
}

#[test]
fn stats_change_as_the_table_says() {
    let mut server = Server::new();
    let created = server.apply(&create("/a", b"x", 1)).stat.unwrap();
    let new = Stat {
        czxid: 1,
        mzxid: 1,
        pzxid: 1,
        ctime: 1001,
        mtime: 1001,
        data_length: 1,
        ..Stat::default()
    };
    assert_eq!(created, new);
    assert_eq!((server.stat("/").cversion, server.stat("/").pzxid), (0, 1));
    let set_data = server.apply(&set("/a", b"xyz", 1)).stat.unwrap();
    assert_eq!(
        set_data,
        Stat {
            mzxid: 2,
            mtime: 1002,
            version: 1,
            data_length: 3,
            ..new
        }
    );
    assert_eq!(server.stat("/").pzxid, 1);
    let acl = Some(vec![Acl::world(Perms::READ)]);
    let set_acl = server
        .apply(&Txn::SetAcl(SetAclTxn {
            path: "/a".into(),
            acl,
            version: 1,
        }))
        .stat
        .unwrap();
    assert_eq!(
        set_acl,
        Stat {
            aversion: 1,
            ..set_data
        }
    );
    server.apply(&create("/a/b", b"", 1));
    assert_eq!(
        server.stat("/a"),
        Stat {
            cversion: 1,
            num_children: 1,
            pzxid: 4,
            ..set_acl
        }
    );
    server.apply(&delete("/a/b"));
    assert_eq!(
        server.stat("/a"),
        Stat {
            cversion: 2,
            num_children: 0,
            pzxid: 5,
            ..set_acl
        }
    );
    assert_eq!(server.persisted("/a").cversion, 1);
}

#[test]
fn a_deletion_never_lowers_pzxid() {
    let mut server = Server::new();
    server.apply(&create("/a", b"", 1));
    server.apply(&create("/a/b", b"", 1));
    server
        .tree
        .apply(&header(SessionId(1), Zxid(1)), &delete("/a/b"), &mut ());
    assert_eq!(server.persisted("/a").pzxid, 2);
    assert_eq!(server.tree.last_zxid(), Zxid(2));
    assert_eq!(server.apply(&delete("/a/gone")).error, ErrorCode::NO_NODE);
    assert_eq!(
        server.persisted("/a").pzxid,
        3,
        "a deletion that finds nothing raises it (14.2)"
    );
}

#[test]
fn cversion_sticks_at_its_end() {
    let mut server = Server::new();
    server.apply(&create("/a", b"", i32::MAX));
    assert_eq!(server.persisted("/").cversion, i32::MAX);
    server.apply(&create("/b", b"", i32::MIN));
    let root = server.persisted("/");
    assert_eq!((root.cversion, root.pzxid), (i32::MAX, 1));
    assert_eq!(
        server.stat("/").cversion,
        i32::MAX.wrapping_mul(2).wrapping_sub(3)
    );
}

#[test]
fn versions_may_wrap() {
    let mut server = Server::new();
    server.apply(&create("/a", b"", 1));
    for version in [i32::MAX, i32::MIN, -1, 0] {
        assert_eq!(
            server.apply(&set("/a", b"", version)).stat.unwrap().version,
            version
        );
    }
}

#[test]
fn events_come_in_the_order_of_apache() {
    use EventKind::{NodeChildrenChanged, NodeCreated, NodeDataChanged, NodeDeleted};
    let mut server = Server::new();
    server.apply(&create("/a", b"", 1));
    assert_eq!(
        server.events(),
        [(NodeCreated, "/a"), (NodeChildrenChanged, "/")]
    );
    server.apply(&set("/a", b"", 1));
    assert_eq!(server.events(), [(NodeDataChanged, "/a")]);
    server.apply(&set("/", b"", 1));
    assert_eq!(server.events(), [(NodeDataChanged, "/")]);
    server.apply(&Txn::SetAcl(SetAclTxn {
        path: "/a".into(),
        acl: Some(vec![]),
        version: 1,
    }));
    assert_eq!(server.events(), []);
    let multi = Txn::Multi(vec![
        create("/a/b", b"", 1),
        set("/a/b", b"1", 1),
        delete("/a/b"),
    ]);
    server.apply(&multi);
    let expected = [
        (NodeCreated, "/a/b"),
        (NodeChildrenChanged, "/a"),
        (NodeDataChanged, "/a/b"),
        (NodeDeleted, "/a/b"),
        (NodeChildrenChanged, "/a"),
    ];
    assert_eq!(server.events(), expected);
    let failed = Txn::Multi(vec![
        create("/a/b", b"", 1),
        Txn::Error(ErrorCode::BAD_VERSION),
    ]);
    server.apply(&failed);
    assert_eq!(server.events(), []);
    server.apply(&create("/a", b"", 9));
    assert_eq!(
        server.events(),
        [],
        "a create that finds its znode is a replay"
    );
}

#[test]
fn events_carry_the_acl_of_their_moment() {
    let mut server = Server::new();
    let list = |id: &'static str| {
        vec![Acl {
            perms: Perms::READ,
            scheme: "digest".into(),
            id: id.into(),
        }]
    };
    let make = |path: &'static str, id| {
        let acl = Some(list(id));
        Txn::Create(CreateTxn {
            path: path.into(),
            data: None,
            acl,
            ephemeral: false,
            parent_cversion: -1,
        })
    };
    server.apply(&make("/p", "parent"));
    server.apply(&make("/p/c", "child"));
    let acls = |server: &Server| {
        server
            .heard
            .0
            .iter()
            .map(|(.., acl)| acl.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(acls(&server), [list("child"), list("parent")]);
    let multi = Txn::Multi(vec![
        Txn::SetData(SetDataTxn {
            path: "/p/c".into(),
            data: None,
            version: 1,
        }),
        delete("/p/c"),
    ]);
    server.apply(&multi);
    assert_eq!(
        acls(&server),
        [list("child"), list("child"), list("parent")]
    );
}

#[test]
fn the_outcomes_of_a_multi_are_those_right_after_each_element() {
    let mut server = Server::new();
    let multi = Txn::Multi(vec![
        create("/a", b"1", 1),
        set("/a", b"22", 1),
        create("/a/b", b"", 1),
        delete("/a/b"),
    ]);
    let applied = server.apply_as(1, &multi);
    let lengths: Vec<_> = applied
        .elements
        .iter()
        .map(|e| e.stat.map(|s| (s.data_length, s.version)))
        .collect();
    assert_eq!(lengths, [Some((1, 0)), Some((2, 1)), Some((0, 0)), None]);
    assert!(applied.outcome.error.is_ok());

    let failed = Txn::Multi(vec![
        create("/x", b"", 2),
        Txn::Error(ErrorCode::NODE_EXISTS),
        Txn::Error(ErrorCode::RUNTIME_INCONSISTENCY),
    ]);
    let before = (dump(&server.tree), server.tree.digest());
    let applied = server.apply_as(1, &failed);
    let codes: Vec<i32> = applied.elements.iter().map(|e| e.error.code()).collect();
    assert_eq!(codes, [0, -110, -2]);
    assert_eq!(applied.outcome.error, ErrorCode::NODE_EXISTS);
    assert_eq!((dump(&server.tree), server.tree.digest()), before);
    assert_eq!(
        server.tree.last_zxid(),
        server.zxid,
        "a refusal takes its zxid all the same"
    );
    assert_eq!(
        server.apply_as(1, &Txn::Multi(vec![])).outcome,
        Outcome {
            error: ErrorCode::OK,
            stat: None
        }
    );
}

#[test]
fn a_closed_session_takes_all_its_ephemerals_along() {
    let mut server = Server::new();
    for path in ["/e1", "/e3", "/e2", "/e4"] {
        server.apply_as(7, &ephemeral(path));
    }
    server.apply_as(8, &ephemeral("/other"));
    assert_eq!(
        server.tree.ephemerals(SessionId(7)),
        ["/e1", "/e2", "/e3", "/e4"]
    );
    assert_eq!(server.tree.ephemeral_owners(), [SessionId(7), SessionId(8)]);
    assert_eq!(server.stat("/e1").ephemeral_owner, 7);
    let close = Txn::CloseSession(Some(CloseSessionTxn {
        paths: vec!["/e3".into(), "/gone".into()],
    }));
    server.apply_as(7, &close);
    let deleted: Vec<&str> = server
        .events()
        .into_iter()
        .filter(|e| e.0 == EventKind::NodeDeleted)
        .map(|e| e.1)
        .collect();
    assert_eq!(
        deleted,
        ["/e3", "/e1", "/e2", "/e4"],
        "the list first, then the rest by path"
    );
    assert_eq!(server.tree.ephemeral_owners(), [SessionId(8)]);
    assert_eq!(server.persisted("/").pzxid, 6);
    server.apply_as(8, &Txn::CloseSession(None));
    assert_eq!(server.tree.ephemeral_count(), 0);
    assert_eq!(server.tree.check_invariants(), Ok(()));
}

#[test]
fn containers_and_ttl_znodes_show_no_owner_and_expire() {
    let mut server = Server::new();
    let acl = || Some(vec![Acl::world(Perms::ALL)]);
    let container = CreateContainerTxn {
        path: "/c".into(),
        data: None,
        acl: acl(),
        parent_cversion: -1,
    };
    let ttl = CreateTtlTxn {
        path: "/t".into(),
        data: None,
        acl: acl(),
        parent_cversion: -1,
        ttl: 100,
    };
    server.apply(&Txn::CreateContainer(container));
    server.apply(&Txn::CreateTtl(ttl));
    let tree = &server.tree;
    let (c, t) = (tree.find("/c").unwrap(), tree.find("/t").unwrap());
    assert_eq!(
        (tree.kind(c), tree.kind(t)),
        (NodeKind::Container, NodeKind::Ttl(100))
    );
    assert_eq!(
        (tree.stat(c).ephemeral_owner, tree.stat(t).ephemeral_owner),
        (0, 0)
    );
    assert_eq!(
        server.persisted("/t").ephemeral_owner.cast_unsigned(),
        0xff00_0000_0000_0064
    );
    let expired = |server: &Server, now: i64, never_used: i64| {
        let mut path = String::new();
        let paths = server
            .tree
            .expired(WallMillis(now), never_used)
            .map(|node| {
                server.tree.path_of(node, &mut path);
                path.clone()
            });
        let mut paths: Vec<String> = paths.collect();
        paths.sort_unstable();
        paths
    };
    // mtime of /c is 1001, of /t 1002.
    assert_eq!(expired(&server, 1102, 0), Vec::<String>::new());
    assert_eq!(expired(&server, 1103, 0), ["/t"]);
    assert_eq!(expired(&server, 1103, 100), ["/c", "/t"]);
    server.apply(&create("/c/x", b"", 1));
    server.apply(&create("/t/x", b"", 1));
    assert_eq!(
        expired(&server, 9999, 1),
        Vec::<String>::new(),
        "children keep them"
    );
    server.apply(&delete("/c/x"));
    server.apply(&delete("/t/x"));
    assert_eq!(expired(&server, 1102, 0), ["/c"], "it had a child");
    server.apply(&set("/t", b"", 1));
    assert_eq!(expired(&server, 1103, 0), ["/c"], "setData renews");
    server.apply(&Txn::DeleteContainer(DeleteTxn { path: "/c".into() }));
    server.apply(&Txn::DeleteContainer(DeleteTxn { path: "/t".into() }));
    assert_eq!(expired(&server, 99_999, 1), Vec::<String>::new());
}

#[test]
fn without_extended_types_a_ttl_owner_is_a_session() {
    let options = TreeOptions {
        owners: Default::default(),
        ..common::OPTIONS
    };
    let mut tree = DataTree::new(options);
    let acl = Some(vec![Acl::world(Perms::ALL)]);
    let ttl = CreateTtlTxn {
        path: "/t".into(),
        data: None,
        acl,
        parent_cversion: -1,
        ttl: 100,
    };
    tree.apply(
        &header(SessionId(1), Zxid(1)),
        &Txn::CreateTtl(ttl),
        &mut (),
    );
    let owner = SessionId(0xff00_0000_0000_0064_u64.cast_signed());
    assert_eq!(tree.ephemerals(owner), ["/t"]);
    tree.delete_ephemerals(owner, Zxid(1), &mut ());
    assert_eq!(tree.find("/t"), None);
}

#[test]
fn quotas_are_counted_and_checked() {
    let mut server = Server::new();
    server.apply(&create("/p", b"12345", 1));
    server.apply(&create("/p/q", b"1", 1));
    server.apply(&create("/zookeeper/quota/p", b"", 1));
    let stat = server.persisted("/zookeeper/quota/p");
    let limits = b"count=3,bytes=8=;byteHardLimit=10;countHardLimit=4";
    server.apply(&create("/zookeeper/quota/p/zookeeper_limits", limits, 1));
    assert_eq!(server.tree.quota_count(), 1);
    assert_eq!(
        server.tree.quota_check("/p/x", 9, 9),
        Ok(vec![]),
        "no stats, no check"
    );
    server.apply(&create("/zookeeper/quota/p/zookeeper_stats", b"", 2));
    let stats = "/zookeeper/quota/p/zookeeper_stats";
    assert_eq!(server.text(stats), "count=2,bytes=6");
    let digest = server.tree.digest();
    server.apply(&create("/p/r", b"", 2));
    assert_eq!(server.text(stats), "count=3,bytes=6");
    server.apply(&set("/p/r", b"123", 1));
    assert_eq!(
        server.events(),
        [(EventKind::NodeDataChanged, "/p/r")],
        "no event for the stats"
    );
    server.apply(&delete("/p/r"));
    assert_eq!(server.text(stats), "count=2,bytes=6");
    let now = server.persisted(stats);
    assert_eq!(
        (now.version, now.mzxid),
        (0, now.czxid),
        "no Stat field changes"
    );
    assert_ne!(server.tree.digest(), digest, "/p changed");

    let check = |count, bytes| {
        server
            .tree
            .quota_check("/p/new", count, bytes)
            .map_err(|e| (e.what, e.hard))
    };
    assert_eq!(
        check(1, 2),
        Ok(vec![]),
        "soft limits of a kind with a hard one say nothing"
    );
    assert_eq!(check(2, 4), Ok(vec![]));
    assert_eq!(
        check(3, 5),
        Err((zabra_tree::QuotaKind::Count, true)),
        "count before bytes"
    );
    assert_eq!(check(0, 5), Err((zabra_tree::QuotaKind::Bytes, true)));
    assert_eq!(server.tree.quota_check("/other", 100, 100), Ok(vec![]));
    assert_eq!(server.tree.quota_check("/pp", 100, 100), Ok(vec![]));
    assert_eq!(stat.cversion, 0);
}

#[test]
fn soft_quotas_only_warn_and_unreadable_ones_are_none() {
    let mut server = Server::new();
    server.apply(&create("/p", b"", 1));
    server.apply(&create("/zookeeper/quota/p", b"", 1));
    server.apply(&create(
        "/zookeeper/quota/p/zookeeper_limits",
        b"count=1,bytes=2",
        1,
    ));
    server.apply(&create("/zookeeper/quota/p/zookeeper_stats", b"", 2));
    let texts: Vec<String> = server
        .tree
        .quota_check("/p/x", 1, 3)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        texts,
        [
            "Quota exceeded: /p [current count=2, softCountLimit=1]",
            "Quota exceeded: /p [current bytes=3, softByteLimit=2]",
        ]
    );
    server.apply(&set("/zookeeper/quota/p/zookeeper_limits", b"what?", 1));
    assert_eq!(server.tree.quota_check("/p/x", 1, 3), Ok(vec![]));
    server.apply(&delete("/zookeeper/quota/p/zookeeper_limits"));
    assert_eq!(server.tree.quota_count(), 0);
    assert_eq!(QuotaTrack::parse(b"count=1").unwrap().count, 1);
}

#[test]
fn quotas_are_counted_anew_after_a_load() {
    let mut loader = TreeLoader::new(common::OPTIONS);
    let stat = StatPersisted::default();
    for (path, data) in [
        ("", &b""[..]),
        ("/p", b"12345"),
        ("/p/q", b"678"),
        ("/zookeeper", b""),
        ("/zookeeper/quota", b""),
        ("/zookeeper/quota/p", b""),
        ("/zookeeper/quota/p/zookeeper_limits", b"count=1,bytes=1"),
        ("/zookeeper/quota/p/zookeeper_stats", b"count=77,bytes=77"),
    ] {
        loader.node(path, Some(data), -1, &stat).unwrap();
    }
    let tree = loader.finish(Zxid(5)).unwrap().tree;
    let stats = tree.find("/zookeeper/quota/p/zookeeper_stats").unwrap();
    assert_eq!(tree.data(stats), Some(&b"count=2,bytes=8"[..]));
    assert_eq!(tree.quota_check("/p/x", 1, 0).unwrap().len(), 1);
    assert_eq!(tree.check_invariants(), Ok(()));
}

#[test]
fn the_local_configuration_changes_what_apache_changes() {
    let mut server = Server::new();
    server.tree.set_local_config(
        b"server.1=a:1:2:participant\nversion=100000000",
        Zxid(0x1_0000_0000),
        WallMillis(77),
    );
    let expected = StatPersisted {
        mzxid: 0x1_0000_0000,
        mtime: 77,
        version: -1,
        aversion: -1,
        ..StatPersisted::default()
    };
    assert_eq!(server.persisted("/zookeeper/config"), expected);
    assert_eq!(server.tree.digest(), Some(0x51c6_d660));
    let reconfig = SetDataTxn {
        path: "/zookeeper/config".into(),
        data: Some(b"new"),
        version: -1,
    };
    let stat = server.apply(&Txn::Reconfig(reconfig)).stat.unwrap();
    assert_eq!((stat.mzxid, stat.version), (1, -1));
    assert_eq!(
        server.events(),
        [(EventKind::NodeDataChanged, "/zookeeper/config")]
    );
}

#[test]
fn bad_snapshots_are_refused() {
    let stat = StatPersisted::default();
    let load = |paths: &[&str]| {
        let mut loader = TreeLoader::new(common::OPTIONS);
        for path in paths {
            loader.node(path, None, -1, &stat)?;
        }
        loader
            .finish(Zxid(0))
            .map(|loaded| loaded.tree.node_count())
    };
    let table = [
        (&["", "/a", "/a/b"][..], Ok(4)),
        (&[], Err(LoadError::NoRoot)),
        (&["/a"], Err(LoadError::NoRoot)),
        (&["", ""], Err(LoadError::Twice(String::new()))),
        (&["", "/a", "/a"], Err(LoadError::Twice("/a".into()))),
        (&["", "/a/b"], Err(LoadError::NoParent("/a/b".into()))),
        (&["", "a"], Err(LoadError::BadPath("a".into()))),
        (&["", "/"], Err(LoadError::BadPath("/".into()))),
        (&["", "//a"], Err(LoadError::BadPath("//a".into()))),
        (&["", "/a", "/a/"], Err(LoadError::BadPath("/a/".into()))),
    ];
    for (paths, expected) in table {
        assert_eq!(load(paths), expected, "{paths:?}");
    }
    let mut loader = TreeLoader::new(common::OPTIONS);
    assert_eq!(loader.acl(3, &[]), Ok(()));
    assert_eq!(loader.acl(3, &[]), Err(LoadError::BadAclKey(3)));
    assert_eq!(loader.acl(-1, &[]), Err(LoadError::BadAclKey(-1)));
}

#[test]
fn a_root_that_would_go_with_a_session_is_no_root() {
    let stat = StatPersisted {
        ephemeral_owner: 1,
        ..StatPersisted::default()
    };
    let mut loader = TreeLoader::new(common::OPTIONS);
    let refused = loader.node("", Some(b""), -1, &stat);
    assert_eq!(refused, Err(LoadError::OwnedRoot));
}

#[test]
fn a_znode_whose_acl_is_missing_is_closed() {
    let mut loader = TreeLoader::new(common::OPTIONS);
    let stat = StatPersisted::default();
    loader.acl(1, &[Acl::world(Perms::READ)]).unwrap();
    loader.acl(2, &[Acl::world(Perms::WRITE)]).unwrap();
    loader.node("", None, -1, &stat).unwrap();
    loader.node("/a", None, 1, &stat).unwrap();
    loader.node("/b", None, 9, &stat).unwrap();
    let loaded = loader.finish(Zxid(0)).unwrap();
    assert_eq!(loaded.missing_acls, 1);
    assert_eq!(
        loaded.tree.acl_count(),
        2,
        "the list that nobody has is gone"
    );
    let may_read = |path: &str, who: &[Identity]| {
        acl::check(
            loaded.tree.acl(loaded.tree.find(path).unwrap()),
            Perms::ALL,
            who,
            &AclRules::default(),
        )
    };
    assert!(may_read("/a", &[]));
    assert!(!may_read("/b", &[Identity::new("digest", "a:b")]));
    assert!(may_read("/b", &[Identity::new("super", "")]));
}

/// P57: no step recurses over the depth of the tree.
#[test]
fn a_deep_tree_is_loaded_walked_and_deleted() {
    const LEVELS: usize = 600;
    let deep = "/d".repeat(LEVELS);
    let mut loader = TreeLoader::new(TreeOptions {
        digest_enabled: false,
        ..common::OPTIONS
    });
    let stat = StatPersisted::default();
    for level in 0..=LEVELS {
        loader.node(&deep[..2 * level], None, -1, &stat).unwrap();
    }
    let mut tree = loader.finish(Zxid(0)).unwrap().tree;
    assert_eq!(tree.descendant_count(tree.find("/d").unwrap()), LEVELS - 1);
    assert_eq!(tree.find(&deep[1..]), None);
    let mut path = String::new();
    tree.path_of(tree.find(&deep).unwrap(), &mut path);
    assert_eq!(path, deep);
    let mut walk = tree.begin_image(vec![]).unwrap();
    let mut bytes = Vec::new();
    while !walk.chunk(&tree, 1 << 20, &mut bytes) {}
    assert_eq!(Image::decode(&bytes).0.nodes.len(), LEVELS + 1);
    tree.end_image(walk);
    tree.apply(&header(SessionId(1), Zxid(1)), &delete("/d"), &mut ());
    assert_eq!(tree.node_count(), 2);
}

#[test]
fn paths_that_no_server_logs_are_harmless() {
    let mut server = Server::new();
    for path in ["", "/", "a", "//a", "/a/", "/a//b", "/missing/x"] {
        let digest = server.tree.digest();
        assert!(!server.apply(&create(path, b"", 1)).error.is_ok(), "{path}");
        assert!(!server.apply(&delete(path)).error.is_ok(), "{path}");
        assert_eq!(server.tree.digest(), digest);
    }
    assert_eq!(server.tree.check_invariants(), Ok(()));
}

/// The shell keeps the tree behind a lock that many threads read.
#[test]
fn trees_and_walks_cross_threads() {
    const fn check<T: Send + Sync>() {}
    check::<DataTree>();
    check::<zabra_tree::ImageWalk>();
    check::<zabra_tree::WatchTable>();
}
