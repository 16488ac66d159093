//! What the tests of this crate share: random transactions, and trees as plain maps.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

// By its path: through its crate, these tests would wait for everything that the testkit stands on.
#[path = "../../../../test/testkit/src/model.rs"]
mod model;

use std::collections::BTreeMap;

pub use model::{ModelNode, ModelTree};
use proptest::prelude::*;
use zabra_jute::{Decode, Reader};
use zabra_proto::txn::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateTtlTxn, CreateTxn, DeleteTxn,
    SetAclTxn, SetDataTxn,
};
use zabra_proto::{
    Acl, ErrorCode, EventKind, Perms, SessionId, StatPersisted, Txn, TxnHeader, WallMillis, Xid,
    Zxid,
};
use zabra_tree::{DataTree, EventSink, Loaded, NodeId, OwnerRules, TreeLoader, TreeOptions};

pub const OPTIONS: TreeOptions = TreeOptions {
    owners: OwnerRules {
        extended_types: true,
        emulate_353_ttl: false,
    },
    digest_enabled: true,
    hash_seed: 42,
};

/// As many cases, and from such a seed, as the environment says (`PROPTEST_CASES`, `PROPTEST_RNG_SEED`).
pub fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Paths that collide often; the last ones are odd.
pub const PATHS: &[&str] = &[
    "/a",
    "/b",
    "/a/a",
    "/a/b",
    "/b/a",
    "/a/a/a",
    "/a/a/b",
    "/a/b/c",
    "/zookeeper/quota/a",
    "/zookeeper/quota/a/zookeeper_limits",
    "/zookeeper/quota/a/zookeeper_stats",
    "/zookeeper/quota/a/b",
    "/zookeeper/quota/a/b/zookeeper_limits",
    "/zookeeper/quota/a/b/zookeeper_stats",
    "/zookeeper/config",
    "/",
    "/missing/x",
];

/// Paths without quotas and oddities.
pub const PLAIN: usize = 8;

const DATA: &[Option<&[u8]>] = &[
    None,
    Some(b""),
    Some(b"x"),
    Some(b"y"),
    Some(b"a longer value than the others"),
];

pub fn acl_list(n: usize) -> Option<Vec<Acl<'static>>> {
    let list = |id: &'static str| {
        vec![Acl {
            perms: Perms::ALL,
            scheme: "digest".into(),
            id: id.into(),
        }]
    };
    match n % 5 {
        0 => Some(vec![Acl::world(Perms::ALL)]),
        1 => Some(list("a:x")),
        2 => Some(list("b:x")),
        3 => Some(vec![]),
        _ => None,
    }
}

/// One operation, not yet checked against any tree.
#[derive(Debug, Clone)]
pub enum Op {
    Create {
        kind: u8,
        path: usize,
        data: usize,
        acl: usize,
        session: i64,
    },
    Delete {
        path: usize,
    },
    SetData {
        path: usize,
        data: usize,
    },
    SetAcl {
        path: usize,
        acl: usize,
    },
    Check {
        path: usize,
    },
    CloseSession {
        session: i64,
        with_body: bool,
    },
    CreateSession {
        session: i64,
    },
    Refused,
    Multi(Vec<Op>),
}

pub fn ops(paths: usize) -> impl Strategy<Value = Op> {
    let session = 1..4i64;
    let single = prop_oneof![
        8 => (0..6u8, 0..paths, 0..5usize, 0..5usize, session.clone())
            .prop_map(|(kind, path, data, acl, session)| Op::Create { kind, path, data, acl, session }),
        4 => (0..paths).prop_map(|path| Op::Delete { path }),
        3 => (0..paths, 0..5usize).prop_map(|(path, data)| Op::SetData { path, data }),
        2 => (0..paths, 0..5usize).prop_map(|(path, acl)| Op::SetAcl { path, acl }),
        1 => (0..paths).prop_map(|path| Op::Check { path }),
    ];
    let element = prop_oneof![9 => single.clone(), 1 => Just(Op::Refused)];
    prop_oneof![
        12 => single,
        2 => prop::collection::vec(element, 0..4).prop_map(Op::Multi),
        2 => (session.clone(), any::<bool>())
            .prop_map(|(session, with_body)| Op::CloseSession { session, with_body }),
        1 => session.prop_map(|session| Op::CreateSession { session }),
        1 => Just(Op::Refused),
    ]
}

/// The transaction that a server would make of an operation; a refusal if it must not happen.
pub fn decide(op: &Op, model: &ModelTree) -> (SessionId, Txn<'static>) {
    let mut after = model.clone();
    let (session, txn) = decide_one(op, &mut after);
    (session, txn)
}

fn decide_one(op: &Op, model: &mut ModelTree) -> (SessionId, Txn<'static>) {
    let txn = match op {
        Op::Multi(elements) => return (SessionId(1), decide_multi(elements, model)),
        Op::Refused => Txn::Error(ErrorCode::BAD_VERSION),
        Op::CreateSession { session } => {
            let body = zabra_proto::txn::CreateSessionTxn { timeout_ms: 1000 };
            return (SessionId(*session), Txn::CreateSession(body));
        }
        Op::CloseSession { session, with_body } => {
            let paths = || {
                model
                    .ephemerals(SessionId(*session))
                    .into_iter()
                    .map(Into::into)
                    .collect()
            };
            let body = with_body.then(|| CloseSessionTxn { paths: paths() });
            return (SessionId(*session), Txn::CloseSession(body));
        }
        Op::Create { session, .. } => {
            let txn = if is_allowed(op, model) {
                raw(op, model)
            } else {
                Txn::Error(ErrorCode::NO_NODE)
            };
            return (SessionId(*session), txn);
        }
        op if is_allowed(op, model) => raw(op, model),
        _ => Txn::Error(ErrorCode::NO_NODE),
    };
    (SessionId(1), txn)
}

fn decide_multi(elements: &[Op], model: &mut ModelTree) -> Txn<'static> {
    let header = header(SessionId(1), Zxid(1 << 40));
    let mut failed = false;
    let txns = elements.iter().map(|op| {
        if failed {
            return Txn::Error(ErrorCode::RUNTIME_INCONSISTENCY);
        }
        let mut op = op.clone();
        if let Op::Create { session, .. } = &mut op {
            *session = 1;
        }
        let (_, txn) = decide_one(&op, model);
        failed = matches!(txn, Txn::Error(_));
        model.apply(&header, &txn);
        txn
    });
    Txn::Multi(txns.collect())
}

fn is_allowed(op: &Op, model: &ModelTree) -> bool {
    match op {
        Op::Create { kind: 5, .. } => false,
        Op::Create { path, .. } => {
            let Some((parent, name)) = PATHS[*path].rsplit_once('/') else {
                return false;
            };
            let fits = |parent: &ModelNode| {
                let owner = parent.stat.ephemeral_owner;
                owner == 0 || owner == i64::MIN || owner.cast_unsigned() >> 56 == 0xff
            };
            !name.is_empty()
                && !model.nodes.contains_key(PATHS[*path])
                && model.nodes.get(parent).is_some_and(fits)
        }
        Op::Delete { path } => {
            let path = PATHS[*path];
            !["/", "/zookeeper/config"].contains(&path)
                && model.nodes.contains_key(path)
                && model.children(path).is_empty()
        }
        Op::SetData { path, .. } | Op::SetAcl { path, .. } | Op::Check { path } => {
            model.stat(PATHS[*path]).is_some()
        }
        _ => true,
    }
}

/// The transaction of an operation with right or plausible numbers, whether it may happen or not.
pub fn raw(op: &Op, model: &ModelTree) -> Txn<'static> {
    let stat = |path: &str| {
        let node = model.nodes.get(if path == "/" { "" } else { path });
        node.map_or_else(StatPersisted::default, |node| node.stat)
    };
    match op {
        Op::Create {
            kind,
            path,
            data,
            acl,
            ..
        } => {
            let parent = PATHS[*path]
                .rsplit_once('/')
                .map_or("", |(parent, _)| parent);
            let cversion = stat(parent).cversion.wrapping_add(1);
            birth(*kind, PATHS[*path], DATA[*data], acl_list(*acl), cversion)
        }
        Op::Delete { path } => Txn::Delete(DeleteTxn {
            path: PATHS[*path].into(),
        }),
        Op::SetData { path, data } => {
            let quota = PATHS[*path].starts_with("/zookeeper/quota");
            let data = if quota {
                Some(&b"count=5,bytes=7"[..])
            } else {
                DATA[*data]
            };
            let version = stat(PATHS[*path]).version + 1;
            Txn::SetData(SetDataTxn {
                path: PATHS[*path].into(),
                data,
                version,
            })
        }
        Op::SetAcl { path, acl } => {
            let version = stat(PATHS[*path]).aversion + 1;
            Txn::SetAcl(SetAclTxn {
                path: PATHS[*path].into(),
                acl: acl_list(*acl),
                version,
            })
        }
        Op::Check { path } => Txn::Check(CheckVersionTxn {
            path: PATHS[*path].into(),
            version: 1,
        }),
        Op::CloseSession { .. } => Txn::CloseSession(None),
        Op::CreateSession { .. } | Op::Refused => Txn::Error(ErrorCode::BAD_ARGUMENTS),
        Op::Multi(elements) => Txn::Multi(elements.iter().map(|op| raw(op, model)).collect()),
    }
}

fn birth(
    kind: u8,
    path: &'static str,
    data: Option<&'static [u8]>,
    acl: Option<Vec<Acl<'static>>>,
    parent_cversion: i32,
) -> Txn<'static> {
    let path = path.into();
    match kind {
        3 => Txn::CreateContainer(CreateContainerTxn {
            path,
            data,
            acl,
            parent_cversion,
        }),
        4 => Txn::CreateTtl(CreateTtlTxn {
            path,
            data,
            acl,
            parent_cversion,
            ttl: 50,
        }),
        _ => {
            // 5: as 3.3 wrote it; not idempotent, so no server decides it.
            let parent_cversion = if kind == 5 { -1 } else { parent_cversion };
            let txn = CreateTxn {
                path,
                data,
                acl,
                ephemeral: kind == 1,
                parent_cversion,
            };
            if kind == 2 {
                Txn::Create2(txn)
            } else {
                Txn::Create(txn)
            }
        }
    }
}

pub fn header(session: SessionId, zxid: Zxid) -> TxnHeader {
    let time = WallMillis(1_000 + zxid.0 as i64);
    TxnHeader {
        session,
        cxid: Xid(1),
        zxid,
        time,
        kind: zabra_proto::TxnKind::Error,
    }
}

/// Remembers events.
#[derive(Default)]
pub struct Heard(pub Vec<(EventKind, String, Vec<Acl<'static>>)>);

impl EventSink for Heard {
    fn event(&mut self, kind: EventKind, path: &str, acl: &[Acl<'static>]) {
        self.0.push((kind, path.to_owned(), acl.to_vec()));
    }
}

/// Everything in a tree that a snapshot holds, through its public lookups.
pub fn dump(tree: &DataTree) -> BTreeMap<String, ModelNode> {
    let mut nodes = BTreeMap::new();
    let mut waiting = vec![(NodeId::ROOT, String::new())];
    while let Some((id, path)) = waiting.pop() {
        for name in tree.children(id) {
            let child = format!("{path}/{name}");
            waiting.push((tree.find(&child).expect("listed children are found"), child));
        }
        let data = tree.data(id).map(<[u8]>::to_vec);
        nodes.insert(
            path,
            ModelNode {
                data,
                acl: tree.acl(id).to_vec(),
                stat: tree.persisted(id),
            },
        );
    }
    nodes
}

/// A snapshot's records, between header and first seal.
pub struct Image {
    pub sessions: Vec<(SessionId, i32)>,
    pub acls: Vec<(i64, Vec<Acl<'static>>)>,
    pub nodes: Vec<(String, Option<Vec<u8>>, i64, StatPersisted)>,
}

impl Image {
    /// Decodes records up to the end marker. What follows it is left over.
    pub fn decode(bytes: &[u8]) -> (Self, &[u8]) {
        let r = &mut Reader::new(bytes);
        let mut image = Self {
            sessions: vec![],
            acls: vec![],
            nodes: vec![],
        };
        for _ in 0..r.i32().unwrap() {
            image
                .sessions
                .push((SessionId::decode(r).unwrap(), r.i32().unwrap()));
        }
        for _ in 0..r.i32().unwrap() {
            let key = r.i64().unwrap();
            let list = Vec::<Acl<'_>>::decode(r).unwrap();
            image
                .acls
                .push((key, list.into_iter().map(Acl::into_owned).collect()));
        }
        loop {
            let path = r.string().unwrap().unwrap().into_owned();
            if path == "/" {
                return (image, r.rest());
            }
            let data = r.buffer().unwrap().map(<[u8]>::to_vec);
            let key = r.i64().unwrap();
            image
                .nodes
                .push((path, data, key, StatPersisted::decode(r).unwrap()));
        }
    }

    /// Loads it as a recovery would.
    pub fn load(&self, zxid: Zxid) -> Loaded {
        let mut loader = TreeLoader::new(OPTIONS);
        for (session, timeout) in &self.sessions {
            loader.session(*session, *timeout);
        }
        for (key, list) in &self.acls {
            loader.acl(*key, list).unwrap();
        }
        for (path, data, key, stat) in &self.nodes {
            loader.node(path, data.as_deref(), *key, stat).unwrap();
        }
        loader.finish(zxid).unwrap()
    }
}
