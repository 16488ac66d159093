//! What the tests of this crate share: a peer with a tree and a disk that waits to be told.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its part, and a panic is how a test fails"
)]

#[path = "../../../serve/tests/common/say.rs"]
pub mod say;

pub mod cluster;

use std::sync::Arc;

use zabra_jute::Limits;
use zabra_peer::prep::PrepRules;
use zabra_peer::{
    Ask, Commit, Effect, EnsembleOptions, Input, Now, Origin, Peer, PeerOptions, Restored,
    SweepOptions, WriteRequest,
};
use zabra_proto::txn::Payload;
use zabra_proto::{
    ConnId, ErrorCode, Identity, MonoMillis, OpCode, ServerId, SessionId, Sid, Txn, TxnHeader,
    WallMillis, Xid, Zxid,
};
use zabra_quorum::{Membership, Role};
use zabra_tree::acl::AclRules;
use zabra_tree::{DataTree, OwnerRules, TreeOptions};

use say::Request;

pub const CONN: ConnId = ConnId(1);

/// A peer and what is around it, without connections.
pub struct Bench {
    pub peer: Peer,
    pub tree: DataTree,
    pub now: Now,
    pub identities: Vec<Identity>,
    /// Appended and not flushed.
    pub unflushed: Vec<Zxid>,
    /// Everything that was appended.
    pub log: Vec<Arc<[u8]>>,
    /// Committed and not applied.
    pub commits: Vec<Commit>,
    pub replies: Vec<(u64, ErrorCode)>,
    /// All other effects.
    pub others: Vec<Effect>,
    seq: u64,
}

pub fn options() -> PeerOptions {
    PeerOptions {
        server: ServerId::STANDALONE,
        tick_ms: 2000,
        prep: PrepRules {
            acl: AclRules::default(),
            owner: OwnerRules {
                extended_types: true,
                emulate_353_ttl: false,
            },
            enforce_quota: true,
            reconfig_enabled: false,
            close_session_len_max: 1 << 20,
            close_session_lists_paths: true,
        },
        sweep: SweepOptions {
            interval_ms: 60_000,
            deletions_max: 100,
            never_used_ms_max: 0,
        },
    }
}

/// A member with the limits of the sample configuration.
pub fn ensemble_options(me: Sid, role: Role, membership: Membership) -> EnsembleOptions {
    EnsembleOptions {
        me,
        role,
        membership,
        last_seen: None,
        reconfig_enabled: false,
        init_limit: 10,
        sync_limit: 5,
        connect_limit: 0,
        vote_resend_ms: (200, 60_000),
        commit_log_count: 500,
        always_snapshot: false,
        syncs_from_log: true,
        leader_serves: true,
    }
}

impl Bench {
    pub fn new() -> Self {
        Self::with(options(), &[])
    }

    pub fn with(options: PeerOptions, sessions: &[(SessionId, i32)]) -> Self {
        let now = Now {
            mono: MonoMillis(1_000_000),
            wall: WallMillis(1_700_000_000_000),
        };
        let tree = DataTree::new(TreeOptions {
            owners: options.prep.owner,
            ..TreeOptions::default()
        });
        let restored = Restored {
            last_zxid: Zxid::ZERO,
            sessions: sessions.to_vec(),
        };
        Self {
            peer: Peer::new(options, &restored, now),
            tree,
            now,
            identities: Vec::new(),
            unflushed: Vec::new(),
            log: Vec::new(),
            commits: Vec::new(),
            replies: Vec::new(),
            others: Vec::new(),
            seq: 0,
        }
    }

    pub fn step(&mut self, input: Input<'_>) {
        let mut effects = Vec::new();
        self.peer.step(self.now, input, &self.tree, &mut effects);
        for effect in effects {
            match effect {
                Effect::Append { zxid, payload } => {
                    self.unflushed.push(zxid);
                    self.log.push(payload);
                }
                Effect::Commit(commit) => self.commits.push(commit),
                Effect::Reply(origin, code) => self.replies.push((origin.seq, code)),
                other => self.others.push(other),
            }
        }
    }

    pub fn origin(&mut self, op: OpCode) -> Origin {
        self.seq += 1;
        Origin {
            conn: CONN,
            seq: self.seq,
            xid: Xid(5),
            ask: Ask::Op(op),
        }
    }

    /// A session, known to all.
    pub fn open(&mut self) -> SessionId {
        self.step(Input::OpenSession {
            conn: CONN,
            timeout_ms: 10_000,
        });
        self.settle();
        let payload = self.log.last().unwrap();
        decode(payload).header.session
    }

    /// Proposes a write; the number by which it is answered.
    pub fn propose(&mut self, session: SessionId, request: &Request) -> u64 {
        let op = OpCode::from_code(request.op).unwrap();
        let origin = self.origin(op);
        let identities = self.identities.clone();
        self.step(Input::Write(WriteRequest {
            origin,
            op,
            session,
            body: &request.body,
            identities: &identities,
        }));
        origin.seq
    }

    /// What a write has become; it is not flushed.
    pub fn prepare(&mut self, session: SessionId, request: &Request) -> Txn<'static> {
        let before = self.log.len();
        self.propose(session, request);
        assert_eq!(self.log.len(), before + 1, "{request:?}");
        let payload: &'static [u8] = Box::leak(self.log[before].to_vec().into_boxed_slice());
        decode(payload).txn
    }

    /// The refusal, or `OK`.
    pub fn code(&mut self, session: SessionId, request: &Request) -> ErrorCode {
        match self.prepare(session, request) {
            Txn::Error(code) => code,
            _ => ErrorCode::OK,
        }
    }

    pub fn flush(&mut self) {
        let unflushed = std::mem::take(&mut self.unflushed);
        if let Some(last) = unflushed.last().copied() {
            self.step(Input::Flushed(last));
        }
    }

    /// Applies one commit, and compares the digest that it foretells.
    pub fn apply_one(&mut self) -> Option<Zxid> {
        if self.commits.is_empty() {
            return None;
        }
        let commit = self.commits.remove(0);
        apply(&mut self.tree, &commit.payload);
        self.step(Input::Applied(commit.zxid));
        Some(commit.zxid)
    }

    /// Flushes and applies everything.
    pub fn settle(&mut self) {
        self.flush();
        while self.apply_one().is_some() {}
        self.tree.check_invariants().unwrap();
    }

    pub fn advance(&mut self, millis: u64) {
        self.now.mono = self.now.mono.after(millis);
        self.now.wall = WallMillis(self.now.wall.0 + millis.cast_signed());
        self.step(Input::Tick);
    }

    pub fn exists(&self, path: &str) -> bool {
        self.tree.find(path).is_some()
    }
}

pub fn decode(payload: &[u8]) -> Payload<'_> {
    Payload::decode(payload, Limits::DEFAULT).unwrap()
}

/// Applies a payload; the digest that it carries must be that of the tree afterwards.
pub fn apply(tree: &mut DataTree, payload: &[u8]) {
    let Payload {
        header,
        txn,
        digest,
    } = decode(payload);
    let applied = tree.apply(&header, &txn, &mut ());
    let refused = matches!(txn, Txn::Error(_))
        || matches!(&txn, Txn::Multi(elements) if elements.iter().any(|e| matches!(e, Txn::Error(_))));
    assert!(
        refused || applied.outcome.error.is_ok(),
        "accepted, but cannot be applied (P96): {txn:?}"
    );
    if let Some(digest) = digest {
        let actual = tree.digest().unwrap().cast_signed();
        assert_eq!(digest.tree_digest, actual, "foretold wrongly: {txn:?}");
    }
}

/// Puts something into a tree that no client could.
pub fn force(tree: &mut DataTree, txn: &Txn<'_>) {
    let header = TxnHeader {
        session: SessionId::NONE,
        cxid: Xid(0),
        zxid: Zxid::ZERO,
        time: WallMillis(0),
        kind: txn.kind(),
    };
    let _ = tree.apply(&header, txn, &mut ());
}
