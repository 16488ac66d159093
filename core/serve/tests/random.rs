//! Random clients on a random disk, against a map of paths that knows nothing of what is pending (I-14, P96, P98).
//!
//! Every payload is applied to the model as soon as it is proposed, long before the server does: so what the server
//! validates against (the tree and its overlay) is compared with a tree that simply has everything.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::collections::{BTreeMap, VecDeque};

use common::say::{
    self, CONTAINER, EPHEMERAL, EPHEMERAL_SEQUENTIAL, PERSISTENT, Request, SEQUENTIAL, TTL,
};
use common::{Client, Reply, Talk, password_of, serve_options, solo_with};
use proptest::prelude::*;
use zabra_jute::{Encode, Limits};
use zabra_proto::client::GetDataResponse;
use zabra_proto::txn::Payload;
use zabra_proto::{ErrorCode, OpCode, Perms, SessionId, Stat, Txn, WatchAddMode, Xid};
use zabra_testkit::model::ModelTree;
use zabra_testkit::solo::Solo;
use zabra_tree::{DataTree, TreeOptions};

#[derive(Debug, Clone)]
enum Write {
    Create {
        path: &'static str,
        flags: i32,
    },
    Delete {
        path: &'static str,
        version: i32,
    },
    Set {
        path: &'static str,
        data: u8,
        version: i32,
    },
    SetAcl {
        path: &'static str,
        version: i32,
    },
    Check {
        path: &'static str,
        version: i32,
    },
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, Write),
    Multi(usize, Vec<Write>),
    Get(usize, &'static str, bool),
    Exists(usize, &'static str, bool),
    Children(usize, &'static str, bool),
    Watch(usize, &'static str, bool),
    Sync(usize),
    Ping(usize),
    Malformed(usize),
    Close(usize),
    Resume(usize),
    Connect(usize),
    Hear(usize),
    Flush,
    Advance(u64),
}

const CLIENTS: usize = 3;
/// So many requests a crowded server has in flight.
const REQUESTS_MAX: usize = 3;

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/",
        "/a",
        "/a/b",
        "/a/b/c",
        "/a/s-",
        "/a/b/s-",
        "/e",
        "/f",
        "/zookeeper",
        "/none/x",
        "/a/",
    ])
}

fn version() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(-1), 3 => 0..3, 1 => Just(-2)]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        5 => (path(), 0..=7).prop_map(|(path, flags)| Write::Create { path, flags }),
        3 => (path(), version()).prop_map(|(path, version)| Write::Delete { path, version }),
        3 => (path(), any::<u8>(), version())
            .prop_map(|(path, data, version)| Write::Set { path, data, version }),
        1 => (path(), version()).prop_map(|(path, version)| Write::SetAcl { path, version }),
    ]
}

/// What may be in a multi.
fn element() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => write().prop_filter("setACL is not for multis", |w| !matches!(w, Write::SetAcl { .. })),
        1 => (path(), version()).prop_map(|(path, version)| Write::Check { path, version }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    prop_oneof![
        12 => (client(), write()).prop_map(|(c, w)| Step::Write(c, w)),
        4 => (client(), prop::collection::vec(element(), 0..6)).prop_map(|(c, w)| Step::Multi(c, w)),
        3 => (client(), path(), any::<bool>()).prop_map(|(c, p, w)| Step::Get(c, p, w)),
        2 => (client(), path(), any::<bool>()).prop_map(|(c, p, w)| Step::Exists(c, p, w)),
        2 => (client(), path(), any::<bool>()).prop_map(|(c, p, w)| Step::Children(c, p, w)),
        1 => (client(), path(), any::<bool>()).prop_map(|(c, p, w)| Step::Watch(c, p, w)),
        1 => client().prop_map(Step::Sync),
        1 => client().prop_map(Step::Ping),
        1 => client().prop_map(Step::Malformed),
        1 => client().prop_map(Step::Close),
        1 => client().prop_map(Step::Resume),
        2 => client().prop_map(Step::Connect),
        3 => client().prop_map(Step::Hear),
        4 => Just(Step::Flush),
        1 => (1_u64..20_000).prop_map(Step::Advance),
        1 => Just(Step::Advance(70_000)),
    ]
}

impl Write {
    fn request(&self, in_multi: bool) -> Request {
        match *self {
            Self::Create { path, flags } => match flags {
                CONTAINER => say::create_container(path, flags),
                TTL | 6 => say::create_ttl(path, flags, 50_000),
                // An element with unknown flags fails the whole request.
                7 if in_multi => say::create2(path, PERSISTENT),
                _ => say::create2(path, flags),
            },
            Self::Delete { path, version } => say::delete(path, version),
            Self::Set {
                path,
                data,
                version,
            } => say::set(path, &vec![data; usize::from(data)], version),
            Self::SetAcl { path, version } => say::set_acl(path, say::anyone(Perms::ALL), version),
            Self::Check { path, version } => say::check(path, version),
        }
    }

    /// What must come of it, said as dumbly as can be, where everybody may do everything.
    fn expected(&self, model: &ModelTree) -> ErrorCode {
        let key = |path: &str| {
            if path == "/" {
                String::new()
            } else {
                path.to_owned()
            }
        };
        let node = |path: &str| model.nodes.get(&key(path));
        let version_of =
            |path: &str, expected: i32, own: fn(&zabra_proto::StatPersisted) -> i32| match node(
                path,
            ) {
                _ if path.len() > 1 && path.ends_with('/') => ErrorCode::BAD_ARGUMENTS,
                None => ErrorCode::NO_NODE,
                Some(node) if expected != -1 && expected != own(&node.stat) => {
                    ErrorCode::BAD_VERSION
                }
                Some(_) => ErrorCode::OK,
            };
        match *self {
            Self::Create { flags: 7, .. } => ErrorCode::BAD_ARGUMENTS,
            Self::Create { path, flags } => {
                let (parent, _) = path.rsplit_once('/').unwrap();
                let Some(above) = node(parent) else {
                    return ErrorCode::NO_NODE;
                };
                let sequential = matches!(flags, SEQUENTIAL | EPHEMERAL_SEQUENTIAL | 6);
                let name = match sequential {
                    true => format!("{path}{:010}", above.stat.cversion),
                    false => path.to_owned(),
                };
                let owned = above.stat.ephemeral_owner;
                if name.len() > 1 && name.ends_with('/') {
                    ErrorCode::BAD_ARGUMENTS
                } else if node(&name).is_some() {
                    ErrorCode::NODE_EXISTS
                } else if owned > 0 {
                    ErrorCode::NO_CHILDREN_FOR_EPHEMERALS
                } else {
                    ErrorCode::OK
                }
            }
            Self::Delete {
                path: "/" | "/zookeeper",
                ..
            } => ErrorCode::BAD_ARGUMENTS,
            Self::Delete { path, version } => match node(path) {
                None => ErrorCode::NO_NODE,
                Some(node) if version != -1 && version != node.stat.version => {
                    ErrorCode::BAD_VERSION
                }
                Some(_) if !model.children(path).is_empty() => ErrorCode::NOT_EMPTY,
                Some(_) => ErrorCode::OK,
            },
            Self::Set { path, version, .. } | Self::Check { path, version } => {
                version_of(path, version, |stat| stat.version)
            }
            Self::SetAcl { path, version } => version_of(path, version, |stat| stat.aversion),
        }
    }
}

#[derive(Debug, Clone)]
struct Asked {
    xid: i32,
    request: Request,
}

/// A client, what it waits for, and the last zxid that it saw.
struct Talker {
    client: Client,
    asked: VecDeque<Asked>,
    seen: i64,
    answered: i64,
}

struct World {
    server: Solo,
    talkers: Vec<Talker>,
    /// With everything that is proposed.
    model: ModelTree,
    /// The model after each payload.
    history: BTreeMap<i64, ModelTree>,
    sessions: BTreeMap<SessionId, i32>,
    taken: usize,
    next_xid: i32,
    crowded: bool,
}

impl World {
    /// A crowded server reads little ahead, and writes little ahead of those who hear.
    fn new(crowded: bool) -> Self {
        let mut options = serve_options();
        if crowded {
            options.outstanding_max = 4;
            options.out_len_pause = 300;
            options.load.requests_max = Some(REQUESTS_MAX);
        }
        let mut server = solo_with(options);
        let talkers = (0..CLIENTS).map(|_| talker(&mut server)).collect();
        server.flushes_at_once = false;
        let model = ModelTree::new(true);
        let mut world = Self {
            crowded,
            server,
            talkers,
            history: BTreeMap::from([(0, model.clone())]),
            model,
            sessions: BTreeMap::new(),
            taken: 0,
            next_xid: 0,
        };
        world.take_log();
        world
    }

    /// Applies what was proposed since the last call to the model; the codes that came out.
    fn take_log(&mut self) -> Vec<ErrorCode> {
        let payloads: Vec<_> = self.server.log[self.taken..].to_vec();
        self.taken += payloads.len();
        payloads.iter().map(|payload| self.take(payload)).collect()
    }

    fn take(&mut self, bytes: &[u8]) -> ErrorCode {
        let payload = Payload::decode(bytes, Limits::DEFAULT).unwrap();
        let mut again = Vec::new();
        payload.encode(&mut again);
        assert_eq!(again, bytes, "{payload:?}");
        let Payload {
            header,
            txn,
            digest,
        } = payload;
        match &txn {
            Txn::CreateSession(t) => {
                assert!(self.sessions.insert(header.session, t.timeout_ms).is_none());
            }
            Txn::CloseSession(listed) => {
                assert!(self.sessions.remove(&header.session).is_some());
                let paths: Vec<_> = listed.iter().flat_map(|listed| &listed.paths).collect();
                assert_eq!(
                    paths,
                    self.model
                        .ephemerals(header.session)
                        .iter()
                        .collect::<Vec<_>>()
                );
            }
            _ => {}
        }
        let outcomes = self.model.apply(&header, &txn);
        let failed = outcomes.iter().find(|(code, _)| !code.is_ok());
        let code = failed.map_or(ErrorCode::OK, |(code, _)| *code);
        let refused = match &txn {
            Txn::Error(_) => true,
            Txn::Multi(elements) => elements.iter().any(|e| matches!(e, Txn::Error(_))),
            _ => false,
        };
        assert!(
            refused || code.is_ok(),
            "accepted, cannot be applied: {txn:?}"
        );
        if let Some(digest) = digest {
            let foretold = digest.tree_digest.cast_unsigned();
            assert_eq!(foretold, self.model.digest(), "{txn:?}");
        }
        self.history
            .insert(header.zxid.to_wire(), self.model.clone());
        code
    }

    /// Whether a request of this client would be taken up at once.
    fn listens(&self, at: usize) -> bool {
        let client = self.talkers[at].client;
        self.server.is_open(client.conn)
            && self.sessions.contains_key(&client.session)
            && self.server.clients.is_readable(client.conn)
            && (!self.crowded || self.server.clients.outstanding() < REQUESTS_MAX)
    }

    fn say(&mut self, at: usize, request: Request) {
        let client = self.talkers[at].client;
        if !self.server.is_open(client.conn) {
            return;
        }
        self.next_xid += 1;
        let xid = if request.op == OpCode::Ping.code() {
            Xid::PING.0
        } else {
            self.next_xid
        };
        self.server.say(client, xid, &request);
        self.talkers[at].asked.push_back(Asked { xid, request });
    }

    fn write(&mut self, at: usize, request: Request, expected: ErrorCode) {
        let listens = self.listens(at);
        self.say(at, request);
        let codes = self.take_log();
        if listens {
            assert_eq!(codes, [expected]);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(at, write) => {
                let expected = write.expected(&self.model);
                self.write(at, write.request(false), expected);
            }
            Step::Multi(at, writes) => {
                let expected = self.multi_expected(at, &writes);
                let elements: Vec<_> = writes.iter().map(|w| w.request(true)).collect();
                self.write(at, say::multi(&elements), expected);
            }
            Step::Get(at, path, watch) => self.say(at, say::get(path, watch)),
            Step::Exists(at, path, watch) => self.say(at, say::exists(path, watch)),
            Step::Children(at, path, watch) => self.say(at, say::children(path, watch)),
            Step::Watch(at, path, recursive) => {
                let mode = match recursive {
                    true => WatchAddMode::PersistentRecursive,
                    false => WatchAddMode::Persistent,
                };
                self.say(at, say::add_watch(path, mode));
            }
            Step::Sync(at) => self.say(at, say::sync("/")),
            Step::Ping(at) => self.say(at, say::ping()),
            Step::Malformed(at) => self.say(at, say::set("/a", b"", -1).cut(7)),
            Step::Close(at) => self.say(at, say::close_session()),
            Step::Resume(at) => self.resume(at),
            Step::Connect(at) => self.connect(at),
            Step::Hear(at) => self.hear(at),
            Step::Flush => self.server.flush(),
            Step::Advance(ms) => self.server.advance(ms),
        }
        self.take_log();
    }

    /// The code of the first element that fails, each on a model that has the ones before it.
    fn multi_expected(&self, at: usize, writes: &[Write]) -> ErrorCode {
        let mut model = self.model.clone();
        for write in writes {
            let code = match (write, write.request(true)) {
                // Its flags were replaced by those of a plain create.
                (Write::Create { path, flags: 7 }, _) => {
                    let flags = PERSISTENT;
                    Write::Create { path, flags }.expected(&model)
                }
                _ => write.expected(&model),
            };
            if !code.is_ok() {
                return code;
            }
            write.pretend(&mut model, self.talkers[at].client.session);
        }
        ErrorCode::OK
    }

    /// The session is taken up by a new connection, or it is gone.
    fn resume(&mut self, at: usize) {
        let session = self.talkers[at].client.session;
        let (conn, response) = self.server.resume(session, &password_of(session));
        self.take_log();
        if response.session == session {
            let talker = &mut self.talkers[at];
            talker.client = Client { conn, session };
            // What the older connection had asked is answered to nobody.
            talker.asked.clear();
        }
    }

    /// The client goes without a word, and another one comes.
    fn connect(&mut self, at: usize) {
        self.server.hang_up(self.talkers[at].client.conn);
        self.server.flushes_at_once = true;
        self.talkers[at] = talker(&mut self.server);
        self.server.flushes_at_once = false;
    }

    fn hear(&mut self, at: usize) {
        let client = self.talkers[at].client;
        for reply in self.server.hear(client) {
            let talker = &mut self.talkers[at];
            if reply.xid == Xid::NOTIFICATION.0 {
                assert!(
                    reply.zxid > talker.answered,
                    "an event behind what it caused (P90)"
                );
                assert!(reply.zxid >= talker.seen);
                talker.seen = reply.zxid;
                continue;
            }
            let asked = talker.asked.pop_front().unwrap();
            assert_eq!(asked.xid, reply.xid, "out of order (P98)");
            assert!(reply.zxid >= talker.seen, "back in time");
            talker.seen = reply.zxid;
            talker.answered = reply.zxid;
            check_read(&self.history[&reply.zxid], &asked.request, &reply);
        }
    }

    /// Whether there is something to hear, or something asked that has not been taken up.
    fn waits(&self, talker: &Talker) -> bool {
        let conn = talker.client.conn;
        self.server.is_open(conn) && !talker.asked.is_empty()
            || !self.server.clients.output(conn).is_empty()
    }

    /// Everything comes to rest, and a second server is built from the log.
    fn finish(mut self) {
        let mut rounds = 0;
        while rounds == 0 || self.talkers.iter().any(|talker| self.waits(talker)) {
            self.server.flush();
            self.take_log();
            (0..CLIENTS).for_each(|at| self.hear(at));
            rounds += 1;
            assert!(rounds < 1000, "a request is never answered");
        }
        assert_eq!(self.server.replica.alarm(), None);
        assert_eq!(self.server.replica.sessions(), &self.sessions);
        let tree = &self.server.replica.tree;
        tree.check_invariants().unwrap();
        assert_eq!(tree.digest(), Some(self.model.digest()));
        let mut replayed = DataTree::new(TreeOptions {
            hash_seed: 99,
            ..*tree.options()
        });
        for payload in &self.server.log {
            let payload = Payload::decode(payload, Limits::DEFAULT).unwrap();
            replayed.apply(&payload.header, &payload.txn, &mut ());
        }
        assert_eq!(replayed.digest(), tree.digest());
        assert_eq!(replayed.node_count(), tree.node_count());

        for talker in &self.talkers {
            self.server.hang_up(talker.client.conn);
        }
        assert_eq!(self.server.clients.outstanding(), 0);
        assert_eq!(self.server.clients.watches().watch_count(), 0);
        for _ in 0..3 {
            self.server.advance(50_000);
            self.server.flush();
        }
        assert!(self.server.replica.sessions().is_empty());
        assert_eq!(self.server.replica.tree.ephemeral_count(), 0);
        self.take_log();
    }
}

impl Write {
    /// Does to the model what the next elements of the same multi can see.
    fn pretend(&self, model: &mut ModelTree, session: SessionId) {
        use zabra_proto::txn::{CreateTxn, DeleteTxn, SetDataTxn, TxnHeader};
        let header = |txn: &Txn<'_>| TxnHeader {
            session,
            cxid: Xid(0),
            zxid: zabra_proto::Zxid(1 << 40),
            time: zabra_proto::WallMillis(0),
            kind: txn.kind(),
        };
        let txn = match *self {
            Self::Create { path, flags } => {
                let (parent, _) = path.rsplit_once('/').unwrap();
                let count = model.nodes[parent].stat.cversion;
                let sequential = matches!(flags, SEQUENTIAL | EPHEMERAL_SEQUENTIAL | 6);
                let path = match sequential {
                    true => format!("{path}{count:010}"),
                    false => path.to_owned(),
                };
                Txn::Create(CreateTxn {
                    path: path.into(),
                    data: Some(b""),
                    acl: None,
                    ephemeral: matches!(flags, EPHEMERAL | EPHEMERAL_SEQUENTIAL),
                    parent_cversion: count + 1,
                })
            }
            Self::Delete { path, .. } => Txn::Delete(DeleteTxn { path: path.into() }),
            Self::Set { path, .. } => Txn::SetData(SetDataTxn {
                path: path.into(),
                data: None,
                version: model.stat(path).unwrap().version + 1,
            }),
            Self::SetAcl { .. } | Self::Check { .. } => return,
        };
        model.apply(&header(&txn), &txn);
    }
}

fn talker(server: &mut Solo) -> Talker {
    Talker {
        client: server.client(),
        asked: VecDeque::new(),
        seen: 0,
        answered: 0,
    }
}

/// A read shows the tree as it was at the zxid of its reply.
fn check_read(model: &ModelTree, asked: &Request, reply: &Reply) {
    let path = |request: &Request| {
        let len = request.body.len() - 1;
        String::from_utf8(request.body[4..len].to_vec()).unwrap()
    };
    let stat =
        |path: &str| -> Result<Stat, ErrorCode> { model.stat(path).ok_or(ErrorCode::NO_NODE) };
    match OpCode::from_code(asked.op) {
        Some(OpCode::Exists) => match stat(&path(asked)) {
            Ok(stat) => assert_eq!(reply.stat(), stat),
            Err(code) => assert_eq!(reply.error, code),
        },
        Some(OpCode::GetData) => match stat(&path(asked)) {
            Ok(stat) => {
                let got = reply.record::<GetDataResponse<'_>>();
                let key = path(asked);
                let node = &model.nodes[key.trim_end_matches('/')];
                assert_eq!((got.data, got.stat), (node.data.as_deref(), stat));
            }
            Err(code) => assert_eq!(reply.error, code),
        },
        Some(OpCode::GetChildren) => match stat(&path(asked)) {
            Ok(_) => assert_eq!(reply.names(), model.children(&path(asked))),
            Err(code) => assert_eq!(reply.error, code),
        },
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_clients_see_what_a_simple_tree_would_show(
        steps in prop::collection::vec(step(), 1..80),
        crowded in any::<bool>(),
    ) {
        let mut world = World::new(crowded);
        for step in steps {
            world.step(step);
        }
        world.finish();
    }
}
