//! The state machine of a standalone server: what it is told, what it does.

use std::collections::VecDeque;
use std::sync::Arc;

use zabra_election::ServerState;
use zabra_jute::Encode;
use zabra_proto::txn::{CreateSessionTxn, Payload};
use zabra_proto::{
    ConnId, ErrorCode, Identity, MonoMillis, OpCode, SessionId, Txn, TxnDigest, TxnHeader, TxnKind,
    WallMillis, Xid, Zxid,
};
use zabra_session::{SessionIds, SessionTracker, Standing};
use zabra_tree::DataTree;

use crate::options::{EnsembleOptions, PeerOptions, Restored, RestoredHistory, SweepOptions};
use crate::pending::PendingChanges;
use crate::prep::{ACL_GROWTH_MAX, Draft, Refusal};
use crate::{Ask, Commit, Effect, Input, Now, Origin, WriteRequest};

/// A transaction that has a number and is not committed yet.
#[derive(Debug)]
struct Proposal {
    zxid: Zxid,
    payload: Arc<[u8]>,
    origin: Option<Origin>,
}

/// One member of the ensemble: today a standalone server, whose quorum is its own disk.
///
/// Invariants: `applied ≤ committed ≤ proposed`; `proposals` are exactly the numbers from `committed + 1` to `proposed`.
#[derive(Debug)]
pub struct Peer {
    options: PeerOptions,
    tracker: SessionTracker,
    ids: SessionIds,
    pending: PendingChanges,
    proposals: VecDeque<Proposal>,
    proposed: Zxid,
    committed: Zxid,
    /// `sync` requests, each behind the last proposal before it.
    syncs: VecDeque<(Zxid, Origin)>,
    /// Sessions whose closeSession is proposed; they are forgotten when it is applied.
    closings: VecDeque<(Zxid, SessionId)>,
    disk_low: bool,
    expired: u64,
    next_sweep: MonoMillis,
    /// Where payloads are encoded, kept for the next.
    scratch: Vec<u8>,
}

/// A larger buffer for payloads is not kept.
const SCRATCH_LEN_MAX: usize = 64 * 1024;

impl Peer {
    /// A peer that begins with what was on disk. Every session gets its full timeout again (P79).
    #[must_use]
    pub fn new(options: PeerOptions, restored: &Restored, now: Now) -> Self {
        let mut tracker = SessionTracker::new(options.tick_ms);
        for (session, timeout_ms) in &restored.sessions {
            tracker.open(*session, *timeout_ms, now.mono);
        }
        Self {
            tracker,
            ids: SessionIds::new(options.server, now.wall),
            pending: PendingChanges::default(),
            proposals: VecDeque::new(),
            proposed: restored.last_zxid,
            committed: restored.last_zxid,
            syncs: VecDeque::new(),
            closings: VecDeque::new(),
            disk_low: false,
            expired: 0,
            next_sweep: now.mono.after(options.sweep.interval_ms),
            scratch: Vec::new(),
            options,
        }
    }

    /// A member of an ensemble. It begins to look for a leader with its first tick.
    #[must_use]
    pub fn member(
        options: PeerOptions,
        _ensemble: EnsembleOptions,
        restored: &Restored,
        _history: RestoredHistory,
        now: Now,
    ) -> Self {
        Self::new(options, restored, now)
    }

    /// When the next [`Input::Tick`] is due at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonoMillis> {
        self.tracker.next_due()
    }

    /// What a member does just now; none of a standalone server.
    #[must_use]
    pub fn state(&self) -> Option<ServerState> {
        None
    }

    /// Takes one input; what is to be done for it is appended to `effects`, in order.
    pub fn step(&mut self, now: Now, input: Input<'_>, tree: &DataTree, effects: &mut Vec<Effect>) {
        match input {
            Input::Write(request) => self.on_write(now, request, tree, effects),
            Input::Sync(origin) => self.on_sync(origin, effects),
            Input::OpenSession { conn, timeout_ms } => {
                self.on_open_session(now, conn, timeout_ms, tree, effects)
            }
            Input::ResumeSession {
                conn,
                session,
                timeout_ms,
            } => {
                self.on_resume_session(now, conn, session, timeout_ms, effects);
            }
            Input::Touched { session, heard, .. } => self.tracker.touch(session, heard),
            Input::Flushed(zxid) => self.on_flushed(zxid, effects),
            Input::Applied(zxid) => self.on_applied(zxid),
            Input::DiskLow(low) => self.disk_low = low,
            Input::Tick => self.on_tick(now, tree, effects),
            _ => {}
        }
    }

    /// The last number handed out.
    #[must_use]
    pub fn proposed(&self) -> Zxid {
        self.proposed
    }

    /// Number of proposals that are not committed.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.proposals.len()
    }

    /// The sessions that this server may expire.
    #[must_use]
    pub fn tracker(&self) -> &SessionTracker {
        &self.tracker
    }

    /// How many sessions have expired here.
    #[must_use]
    pub fn expired_count(&self) -> u64 {
        self.expired
    }

    fn on_write(
        &mut self,
        now: Now,
        request: WriteRequest<'_>,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
    ) {
        let WriteRequest {
            origin,
            op,
            session,
            body,
            identities,
        } = request;
        match self.tracker.standing(session) {
            // Its closeSession is in the order already; the connection goes when that is applied.
            Standing::Unknown => return effects.push(Effect::HangUp(origin.conn)),
            Standing::Closing => {
                return effects.push(Effect::Reply(origin, ErrorCode::SESSION_EXPIRED));
            }
            Standing::Open => {}
        }
        if self.disk_low && op != OpCode::CloseSession {
            return effects.push(Effect::Reply(origin, ErrorCode::SYSTEM_ERROR));
        }
        self.tracker.touch(session, now.mono);
        let mut draft = self.draft(now.wall, session, identities, tree);
        let prepared = draft.prepare(op, body);
        effects.extend(draft.exceeded.into_iter().map(Effect::QuotaExceeded));
        let txn = match prepared {
            Ok(txn) => txn,
            Err(Refusal::Malformed) => {
                return effects.push(Effect::Reply(origin, ErrorCode::MARSHALLING_ERROR));
            }
            Err(Refusal::Code(code)) => Txn::Error(code),
        };
        self.propose(now.wall, session, Some(origin), txn, tree, effects);
    }

    /// Gives a transaction its number, on behalf of a session and for whoever waits for it.
    fn propose(
        &mut self,
        time: WallMillis,
        session: SessionId,
        origin: Option<Origin>,
        txn: Txn<'_>,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
    ) {
        let zxid = self.proposed.next();
        let digest = match txn {
            // Behind an empty body a digest would be read as the list of paths.
            Txn::Error(_) | Txn::CloseSession(None) => None,
            _ => self.pending.tree_digest(tree),
        };
        let digest = digest.map(|sum| TxnDigest {
            version: TxnDigest::VERSION,
            tree_digest: sum.cast_signed(),
        });
        let header = TxnHeader {
            session,
            cxid: origin.map_or(Xid(0), |origin| origin.xid),
            zxid,
            time,
            kind: txn.kind(),
        };
        self.scratch.clear();
        Payload {
            header,
            txn,
            digest,
        }
        .encode(&mut self.scratch);
        let payload: Arc<[u8]> = self.scratch.as_slice().into();
        if self.scratch.capacity() > SCRATCH_LEN_MAX {
            self.scratch = Vec::new();
        }
        if header.kind == TxnKind::CloseSession {
            self.tracker.begin_close(session);
            self.closings.push_back((zxid, session));
        }
        self.proposed = zxid;
        self.proposals.push_back(Proposal {
            zxid,
            payload: Arc::clone(&payload),
            origin,
        });
        effects.push(Effect::Append { zxid, payload });
    }

    fn on_sync(&mut self, origin: Origin, effects: &mut Vec<Effect>) {
        if self.proposals.is_empty() {
            effects.push(Effect::Reply(origin, ErrorCode::OK));
        } else {
            self.syncs.push_back((self.proposed, origin));
        }
    }

    fn on_open_session(
        &mut self,
        now: Now,
        conn: ConnId,
        timeout_ms: i32,
        tree: &DataTree,
        effects: &mut Vec<Effect>,
    ) {
        let tracker = &self.tracker;
        let session = self
            .ids
            .next(|id| tracker.standing(id) != Standing::Unknown);
        self.tracker.open(session, timeout_ms, now.mono);
        let origin = Origin {
            conn,
            seq: 0,
            xid: Xid(0),
            ask: Ask::Session,
        };
        let txn = Txn::CreateSession(CreateSessionTxn { timeout_ms });
        self.propose(now.wall, session, Some(origin), txn, tree, effects);
    }

    fn on_resume_session(
        &mut self,
        now: Now,
        conn: ConnId,
        session: SessionId,
        timeout_ms: i32,
        effects: &mut Vec<Effect>,
    ) {
        if self.tracker.standing(session) == Standing::Open {
            self.tracker.touch_with(session, timeout_ms, now.mono);
            effects.push(Effect::SessionResumed {
                conn,
                session,
                timeout_ms,
            });
        } else {
            effects.push(Effect::SessionRefused(conn));
        }
    }

    /// A standalone server's quorum is its disk: what is flushed is committed (R1, P28).
    fn on_flushed(&mut self, zxid: Zxid, effects: &mut Vec<Effect>) {
        while let Some(proposal) = self.proposals.pop_front_if(|p| p.zxid <= zxid) {
            let Proposal {
                zxid,
                payload,
                origin,
            } = proposal;
            assert_eq!(
                zxid,
                self.committed.next(),
                "a hole among the proposals (R2)"
            );
            self.committed = zxid;
            effects.push(Effect::Commit(Commit {
                zxid,
                payload,
                origin,
            }));
            while let Some((_, origin)) = self.syncs.pop_front_if(|(behind, _)| *behind <= zxid) {
                effects.push(Effect::Reply(origin, ErrorCode::OK));
            }
        }
    }

    fn on_applied(&mut self, zxid: Zxid) {
        assert!(zxid <= self.committed, "applied what is not committed (R4)");
        self.pending.applied(zxid);
        while let Some((_, session)) = self.closings.pop_front_if(|(by, _)| *by <= zxid) {
            self.tracker.closed(session);
        }
    }

    fn on_tick(&mut self, now: Now, tree: &DataTree, effects: &mut Vec<Effect>) {
        loop {
            let expired = self.tracker.expire(now.mono);
            if expired.is_empty() {
                break;
            }
            self.expired += expired.len() as u64;
            for session in expired {
                let txn = self.draft(now.wall, session, &[], tree).close_session();
                self.propose(now.wall, session, None, txn, tree, effects);
            }
        }
        let is_due = self.options.sweep.interval_ms > 0 && now.mono >= self.next_sweep;
        // What is left of a nearly full disk is for the ends of sessions.
        if is_due && !self.disk_low {
            self.next_sweep = now.mono.after(self.options.sweep.interval_ms);
            self.sweep(now, tree, effects);
        }
    }

    /// Proposes the deletion of empty containers and outlived TTL znodes. What turns out not to be due any more costs
    /// nothing.
    fn sweep(&mut self, now: Now, tree: &DataTree, effects: &mut Vec<Effect>) {
        let SweepOptions {
            deletions_max,
            never_used_ms_max,
            ..
        } = self.options.sweep;
        let mut path = String::new();
        for node in tree
            .expired(now.wall, never_used_ms_max)
            .take(deletions_max)
        {
            path.clear();
            tree.path_of(node, &mut path);
            if let Ok(txn) = self
                .draft(now.wall, SessionId::NONE, &[], tree)
                .sweep(&path, never_used_ms_max)
            {
                self.propose(now.wall, SessionId::NONE, None, txn, tree, effects);
            }
        }
    }

    fn draft<'p>(
        &'p mut self,
        time: WallMillis,
        session: SessionId,
        identities: &'p [Identity],
        tree: &'p DataTree,
    ) -> Draft<'p> {
        Draft {
            tree,
            zxid: self.proposed.next(),
            pending: &mut self.pending,
            rules: &self.options.prep,
            time,
            session,
            identities,
            exceeded: Vec::new(),
            acl_room: ACL_GROWTH_MAX,
        }
    }
}
