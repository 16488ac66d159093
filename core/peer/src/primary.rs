//! The one server that decides what becomes a transaction: a standalone server, or a leader.
//!
//! It validates, numbers and encodes; it opens, expires and closes sessions; it sweeps containers. What it makes waits in
//! [`Primary::take_fresh`] for whoever logs and proposes it. When it is decided is not known here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use zabra_jute::{Decode, Encode, Reader};
use zabra_mutant::{self as mutant, Mutant};
use zabra_proto::txn::{CreateSessionTxn, Payload};
use zabra_proto::{
    ConnId, ErrorCode, Identity, MonoMillis, OpCode, SessionId, Txn, TxnDigest, TxnHeader, TxnKind,
    WallMillis, Xid, Zxid,
};
use zabra_session::{SessionIds, SessionTracker, Standing};
use zabra_tree::DataTree;
use zabra_zab::{Entry, LinkId};

use crate::options::{PeerOptions, SweepOptions};
use crate::pending::PendingChanges;
use crate::prep::{ACL_GROWTH_MAX, Draft, Refusal};
use crate::{Ask, Effect, Now, Origin};

/// Whose connection a session is on. A request that comes by another one is refused (P80).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This server's.
    Here,
    /// A learner's.
    Learner(LinkId),
}

/// Who asks, and how it is told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker {
    /// A client of this server.
    Here(Origin),
    /// A learner, which waits for a transaction, whatever becomes of the request (quorum 11.5).
    Learner(LinkId),
}

impl Asker {
    fn owner(self) -> Owner {
        match self {
            Self::Here(_) => Owner::Here,
            Self::Learner(link) => Owner::Learner(link),
        }
    }

    fn origin(self) -> Option<Origin> {
        match self {
            Self::Here(origin) => Some(origin),
            Self::Learner(_) => None,
        }
    }
}

/// A request to be decided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) asker: Asker,
    pub(crate) session: SessionId,
    pub(crate) cxid: Xid,
    pub(crate) op: OpCode,
    pub(crate) body: &'a [u8],
    pub(crate) identities: &'a [Identity],
}

/// What a primary sees while it decides.
pub(crate) struct Scene<'a> {
    pub(crate) now: Now,
    pub(crate) tree: &'a DataTree,
    pub(crate) effects: &'a mut Vec<Effect>,
    /// Whether the disk is too full for writes.
    pub(crate) disk_low: bool,
}

/// A transaction that has a number, and who waits for it here.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) entry: Entry,
    pub(crate) origin: Option<Origin>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Primary {
    options: PeerOptions,
    tracker: SessionTracker,
    pending: PendingChanges,
    proposed: Zxid,
    /// Sessions whose closeSession is proposed; they are forgotten when it is applied.
    closings: VecDeque<(Zxid, SessionId)>,
    /// The last counter of an epoch that is given to a transaction (quorum 11.2).
    counter_max: u32,
    /// Who owns which session; none where all clients are this server's.
    owners: Option<HashMap<SessionId, Owner>>,
    expired: u64,
    next_sweep: MonoMillis,
    fresh: Vec<Fresh>,
    /// Where payloads are encoded, kept for the next.
    scratch: Vec<u8>,
}

/// A larger buffer for payloads is not kept.
const SCRATCH_LEN_MAX: usize = 64 * 1024;

/// Behind this counter a new epoch begins, as long as nothing else was said (quorum 11.2).
pub(crate) const COUNTER_MAX: u32 = 0xffff_fffe;

impl Primary {
    /// Begins behind a number, with the sessions that exist. Every one of them gets its full timeout again (P79).
    pub(crate) fn new(
        options: PeerOptions,
        proposed: Zxid,
        sessions: &[(SessionId, i32)],
        tracks_owners: bool,
        now: Now,
    ) -> Self {
        let mut tracker = SessionTracker::new(options.tick_ms);
        for (session, timeout_ms) in sessions {
            let heard = if mutant::on(Mutant::TimersOutliveLeader) {
                let half = u64::try_from(timeout_ms / 2).unwrap_or(0);
                MonoMillis(now.mono.0.saturating_sub(half))
            } else {
                now.mono
            };
            tracker.open(*session, *timeout_ms, heard);
        }
        Self {
            tracker,
            pending: PendingChanges::default(),
            proposed,
            closings: VecDeque::new(),
            counter_max: COUNTER_MAX,
            owners: tracks_owners.then(HashMap::new),
            expired: 0,
            next_sweep: now.mono.after(options.sweep.interval_ms),
            fresh: Vec::new(),
            scratch: Vec::new(),
            options,
        }
    }

    /// The last number handed out.
    pub(crate) fn proposed(&self) -> Zxid {
        self.proposed
    }

    /// Whether the epoch's numbers are used up: a new epoch must begin. A standalone server counts on.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.owners.is_some()
            && self.proposed.counter() >= self.counter_max
            && !mutant::on(Mutant::EpochOverrun)
    }

    /// Ends its epoch behind this counter.
    pub(crate) fn limit_epoch(&mut self, counter_max: u32) {
        self.counter_max = counter_max;
    }

    pub(crate) fn tracker(&self) -> &SessionTracker {
        &self.tracker
    }

    pub(crate) fn expired_count(&self) -> u64 {
        self.expired
    }

    /// How many changes of znodes are proposed and not applied.
    pub(crate) fn overlay_len(&self) -> usize {
        self.pending.len()
    }

    /// What was made since the last call.
    pub(crate) fn take_fresh(&mut self) -> Vec<Fresh> {
        std::mem::take(&mut self.fresh)
    }

    /// Gives the buffer of [`Self::take_fresh`] back.
    pub(crate) fn recycle(&mut self, mut fresh: Vec<Fresh>) {
        fresh.clear();
        self.fresh = fresh;
    }

    pub(crate) fn write(&mut self, request: Request<'_>, scene: &mut Scene<'_>) {
        if self.is_exhausted() {
            return;
        }
        let txn = match self.standing_of(&request) {
            Ok(()) => match self.prepare(&request, scene) {
                Some(txn) => txn,
                None => return,
            },
            Err(Barred::Unknown) => {
                if let Asker::Here(origin) = request.asker {
                    // Its closeSession is in the order already; the connection goes when that is applied.
                    return scene.effects.push(Effect::HangUp(origin.conn));
                }
                Txn::Error(ErrorCode::SESSION_EXPIRED)
            }
            Err(Barred::Closing) => {
                if let Asker::Here(origin) = request.asker {
                    return scene
                        .effects
                        .push(Effect::Reply(origin, ErrorCode::SESSION_EXPIRED));
                }
                Txn::Error(ErrorCode::SESSION_EXPIRED)
            }
            Err(Barred::Moved) => Txn::Error(ErrorCode::SESSION_MOVED),
        };
        let Request {
            asker,
            session,
            cxid,
            ..
        } = request;
        self.propose(session, cxid, asker.origin(), txn, scene);
    }

    fn standing_of(&mut self, request: &Request<'_>) -> Result<(), Barred> {
        match self.tracker.standing(request.session) {
            Standing::Unknown => return Err(Barred::Unknown),
            Standing::Closing if !mutant::on(Mutant::ClosedSessionWrites) => {
                return Err(Barred::Closing);
            }
            Standing::Closing => {}
            Standing::Open => {}
        }
        let asker = request.asker.owner();
        if let Some(owners) = &mut self.owners
            && *owners.entry(request.session).or_insert(asker) != asker
            && !mutant::on(Mutant::OwnerUnchecked)
        {
            return Err(Barred::Moved);
        }
        Ok(())
    }

    /// The transaction of a request that may be made; none if it was answered without one.
    fn prepare<'a>(&mut self, request: &Request<'a>, scene: &mut Scene<'_>) -> Option<Txn<'a>> {
        let Request { asker, op, .. } = *request;
        let mut refuse = |code| match asker {
            Asker::Here(origin) => {
                scene.effects.push(Effect::Reply(origin, code));
                None
            }
            Asker::Learner(_) => Some(Txn::Error(code)),
        };
        if scene.disk_low && op != OpCode::CloseSession {
            return refuse(ErrorCode::SYSTEM_ERROR);
        }
        self.tracker.touch(request.session, scene.now.mono);
        let mut draft = self.draft(
            scene.now.wall,
            request.session,
            request.identities,
            scene.tree,
        );
        let prepared = draft.prepare(op, request.body);
        let exceeded = draft.exceeded;
        let txn = match prepared {
            Ok(txn) => Some(txn),
            Err(Refusal::Malformed) => refuse(ErrorCode::MARSHALLING_ERROR),
            Err(Refusal::Code(code)) => Some(Txn::Error(code)),
        };
        let exceeded = exceeded.into_iter().map(Effect::QuotaExceeded);
        scene.effects.extend(exceeded);
        txn
    }

    /// Gives a transaction its number, on behalf of a session and for whoever waits for it.
    fn propose(
        &mut self,
        session: SessionId,
        cxid: Xid,
        origin: Option<Origin>,
        txn: Txn<'_>,
        scene: &mut Scene<'_>,
    ) {
        let zxid = self.proposed.next();
        let digest = match txn {
            // Behind an empty body a digest would be read as the list of paths.
            Txn::Error(_) | Txn::CloseSession(None) => None,
            _ => self.pending.tree_digest(scene.tree),
        };
        let digest = digest.map(|sum| TxnDigest {
            version: TxnDigest::VERSION,
            tree_digest: sum.cast_signed(),
        });
        let header = TxnHeader {
            session,
            cxid,
            zxid,
            time: scene.now.wall,
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
        let entry = Entry { zxid, payload };
        self.fresh.push(Fresh { entry, origin });
    }

    /// A client of this server wants a session.
    pub(crate) fn open_session(
        &mut self,
        conn: ConnId,
        timeout_ms: i32,
        ids: &mut SessionIds,
        scene: &mut Scene<'_>,
    ) {
        let tracker = &self.tracker;
        let session = ids.next(|id| tracker.standing(id) != Standing::Unknown);
        let origin = Origin {
            conn,
            seq: 0,
            xid: Xid(0),
            ask: Ask::Session,
        };
        self.create_session(session, timeout_ms, Asker::Here(origin), scene);
    }

    /// A learner's client wants one; the learner chose the id.
    pub(crate) fn open_forwarded(
        &mut self,
        session: SessionId,
        record: &[u8],
        link: LinkId,
        scene: &mut Scene<'_>,
    ) {
        let timeout = CreateSessionTxn::decode(&mut Reader::new(record));
        match timeout {
            Ok(asked) => {
                self.create_session(session, asked.timeout_ms, Asker::Learner(link), scene);
            }
            Err(_) => {
                let txn = Txn::Error(ErrorCode::MARSHALLING_ERROR);
                self.propose(session, Xid(0), None, txn, scene);
            }
        }
    }

    fn create_session(
        &mut self,
        session: SessionId,
        timeout_ms: i32,
        asker: Asker,
        scene: &mut Scene<'_>,
    ) {
        if self.is_exhausted() {
            return;
        }
        self.tracker.open(session, timeout_ms, scene.now.mono);
        if let Some(owners) = &mut self.owners {
            owners.insert(session, asker.owner());
        }
        let txn = Txn::CreateSession(CreateSessionTxn { timeout_ms });
        self.propose(session, Xid(0), asker.origin(), txn, scene);
    }

    /// Whether a session lives; if it does, it is the asker's from here on.
    pub(crate) fn resume(
        &mut self,
        session: SessionId,
        timeout_ms: i32,
        owner: Owner,
        now: MonoMillis,
    ) -> bool {
        if self.tracker.standing(session) != Standing::Open {
            return false;
        }
        self.tracker.touch_with(session, timeout_ms, now);
        if let Some(owners) = &mut self.owners {
            owners.insert(session, owner);
        }
        true
    }

    pub(crate) fn touch(&mut self, session: SessionId, heard: MonoMillis) {
        self.tracker.touch(session, heard);
    }

    /// The transaction with this number is in the tree.
    pub(crate) fn applied(&mut self, zxid: Zxid) {
        self.pending.applied(zxid);
        while let Some((_, session)) = self.closings.pop_front_if(|(by, _)| *by <= zxid) {
            self.tracker.closed(session);
            if let Some(owners) = &mut self.owners {
                owners.remove(&session);
            }
        }
    }

    /// Expires sessions and sweeps containers.
    pub(crate) fn tick(&mut self, scene: &mut Scene<'_>) {
        if self.is_exhausted() {
            return;
        }
        loop {
            let expired = self.tracker.expire(scene.now.mono);
            if expired.is_empty() {
                break;
            }
            self.expired += expired.len() as u64;
            for session in expired {
                // The next leader finds those that are left, and gives them their time again.
                if self.is_exhausted() && !mutant::on(Mutant::ExpiryOverrunsEpoch) {
                    return;
                }
                let txn = self
                    .draft(scene.now.wall, session, &[], scene.tree)
                    .close_session();
                self.propose(session, Xid(0), None, txn, scene);
            }
        }
        let is_due = self.options.sweep.interval_ms > 0 && scene.now.mono >= self.next_sweep;
        // What is left of a nearly full disk is for the ends of sessions.
        if is_due && !scene.disk_low {
            self.next_sweep = scene.now.mono.after(self.options.sweep.interval_ms);
            self.sweep(scene);
        }
    }

    /// Proposes the deletion of empty containers and outlived TTL znodes. What turns out not to be due any more costs
    /// nothing.
    fn sweep(&mut self, scene: &mut Scene<'_>) {
        let SweepOptions {
            deletions_max,
            never_used_ms_max,
            ..
        } = self.options.sweep;
        let tree = scene.tree;
        let mut path = String::new();
        for node in tree
            .expired(scene.now.wall, never_used_ms_max)
            .take(deletions_max)
        {
            if self.is_exhausted() {
                return;
            }
            path.clear();
            tree.path_of(node, &mut path);
            if let Ok(txn) = self
                .draft(scene.now.wall, SessionId::NONE, &[], tree)
                .sweep(&path, never_used_ms_max)
            {
                self.propose(SessionId::NONE, Xid(0), None, txn, scene);
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

/// Why a session may not write.
enum Barred {
    /// It does not exist.
    Unknown,
    /// Its end is proposed.
    Closing,
    /// It is on another connection.
    Moved,
}
