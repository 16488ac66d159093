//! What a follower or observer does besides ZAB: it hands its clients' writes to the leader, and finds out whom a
//! decided transaction answers.

use std::collections::{BTreeMap, HashMap, VecDeque};

use zabra_jute::{Decode, Encode, Reader};
use zabra_proto::quorum_packet::SessionTouch;
use zabra_proto::{
    ConnId, ErrorCode, MonoMillis, OpCode, SessionId, Sid, Txn, TxnHeader, Xid, Zxid,
};
use zabra_zab::{Entry, Epochs, ForwardedRequest, History, Learner, LearnerAction, LinkId, Packet};

use crate::leading::CREATE_SESSION;
use crate::reconfig;
use crate::{Ask, DialId, Effect, Now, Origin, WriteRequest};

/// A request that the leader has.
#[derive(Debug)]
struct Waiting {
    session: SessionId,
    number: Xid,
    origin: Origin,
}

/// Numbers under which requests are handed on, in place of the client's.
///
/// A transaction tells by session and number whom it answers. Clients begin their numbers anew with a connection, and a
/// session may move: its last request by another server must not answer its first one here (P86). So the server's id
/// stands in the high byte, and a counter behind it.
///
/// The counter goes on over roles, and begins with the time after a restart: what was handed on before may be decided
/// any time later.
#[derive(Debug)]
pub(crate) struct Numbers {
    server: u8,
    next: u32,
}

impl Numbers {
    pub(crate) fn new(me: Sid, now: Now) -> Self {
        Self {
            server: me.0 as u8,
            next: now.wall.0 as u32,
        }
    }

    pub(crate) fn take(&mut self) -> Xid {
        let number = u32::from(self.server) << 24 | self.next & 0x00ff_ffff;
        self.next = self.next.wrapping_add(1);
        Xid(number.cast_signed())
    }
}

/// How far the connection has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The leader is being called.
    Dialing { dial: DialId, until: MonoMillis },
    /// There is a link.
    Linked(Box<Learner>),
}

/// The role.
#[derive(Debug)]
pub(crate) struct Learning {
    pub(crate) leader: Sid,
    pub(crate) stage: Stage,
    /// Forwarded requests, in order: the leader answers each with exactly one transaction, in this order (quorum 15.3).
    waiting: VecDeque<Waiting>,
    syncs: VecDeque<Origin>,
    /// Connections that wait to hear whether their session lives.
    claims: HashMap<SessionId, VecDeque<(ConnId, i32)>>,
    /// Sessions heard of since the leader last asked.
    touched: BTreeMap<SessionId, i32>,
    actions: Vec<LearnerAction>,
}

/// What follows for the peer.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Save the epochs.
    Save(Epochs),
    /// Cut the log.
    Truncate(Zxid),
    /// In step.
    InStep(u32),
    /// Answer once everything up to here is applied.
    Ordered(Zxid, Origin),
    /// A membership that is proposed.
    Proposed(Box<zabra_quorum::Membership>),
    /// A decided reconfiguration.
    Activate { zxid: Zxid, designated_leader: Sid },
    /// The membership that came with the epoch.
    Adopt(Box<zabra_quorum::Membership>),
    /// The round is over.
    Leave(String),
    /// The leader asks to take back what is in the tree.
    CannotTruncate(Zxid),
    /// The process must end.
    Halt(crate::Halt),
}

impl Learning {
    pub(crate) fn new(leader: Sid, dial: DialId, until: MonoMillis) -> Self {
        Self {
            leader,
            stage: Stage::Dialing { dial, until },
            waiting: VecDeque::new(),
            syncs: VecDeque::new(),
            claims: HashMap::new(),
            touched: BTreeMap::new(),
            actions: Vec::new(),
        }
    }

    /// The link to the leader.
    pub(crate) fn link(&self) -> Option<LinkId> {
        match &self.stage {
            Stage::Dialing { .. } => None,
            Stage::Linked(learner) => Some(learner.link()),
        }
    }

    /// Whether clients are served.
    pub(crate) fn is_active(&self) -> bool {
        matches!(&self.stage, Stage::Linked(learner) if learner.is_active())
    }

    /// Runs something on the learner, and gives back what follows from it.
    pub(crate) fn act(
        &mut self,
        history: &mut History,
        effects: &mut Vec<Effect>,
        act: impl FnOnce(&mut Learner, &mut History, &mut Vec<LearnerAction>),
    ) -> Vec<Outcome> {
        let Stage::Linked(learner) = &mut self.stage else {
            return Vec::new();
        };
        act(learner, history, &mut self.actions);
        let mut outcomes = Vec::new();
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            self.carry_out(action, history, effects, &mut outcomes);
        }
        self.actions = actions;
        outcomes
    }

    fn carry_out(
        &mut self,
        action: LearnerAction,
        history: &History,
        effects: &mut Vec<Effect>,
        outcomes: &mut Vec<Outcome>,
    ) {
        match action {
            LearnerAction::Send(packet) => self.send(packet, effects),
            LearnerAction::SaveEpochs(epochs) => outcomes.push(Outcome::Save(epochs)),
            LearnerAction::Truncate(zxid) => outcomes.push(Outcome::Truncate(zxid)),
            LearnerAction::Append(entry) => {
                let proposed = reconfig::membership_of(&entry).map(Box::new);
                outcomes.extend(proposed.map(Outcome::Proposed));
                let Entry { zxid, payload } = entry;
                effects.push(Effect::Append { zxid, payload });
            }
            LearnerAction::InStep { epoch } => outcomes.push(Outcome::InStep(epoch)),
            LearnerAction::Pinged(zxid) => {
                let touched = std::mem::take(&mut self.touched).into_iter();
                let touched = touched.map(|(session, timeout_ms)| SessionTouch {
                    session,
                    timeout_ms,
                });
                let touched = Some(touched.collect());
                self.send(Packet::Ping { zxid, touched }, effects);
            }
            LearnerAction::Synced => {
                let origin = self.syncs.pop_front();
                outcomes.extend(origin.map(|o| Outcome::Ordered(history.committed(), o)));
            }
            LearnerAction::Revalidated { session, valid } => {
                self.revalidated(session, valid, effects);
            }
            LearnerAction::Repeated(entry) => {
                if let Some(origin) = self.origin_of(&entry) {
                    effects.push(Effect::Reply(origin, error_in(&entry)));
                }
            }
            LearnerAction::Adopt(membership) => outcomes.push(Outcome::Adopt(membership)),
            LearnerAction::Activate {
                zxid,
                designated_leader,
            } => outcomes.push(Outcome::Activate {
                zxid,
                designated_leader,
            }),
            LearnerAction::Leave(why) => outcomes.push(Outcome::Leave(why)),
            LearnerAction::CommitOutOfOrder {
                committed,
                expected,
            } => outcomes.push(Outcome::Halt(crate::Halt::CommitOutOfOrder {
                committed,
                expected,
            })),
            LearnerAction::CannotTruncate(zxid) => outcomes.push(Outcome::CannotTruncate(zxid)),
        }
    }

    fn send(&self, packet: Packet, effects: &mut Vec<Effect>) {
        if let Some(link) = self.link() {
            effects.push(Effect::Send { link, packet });
        }
    }

    /// A client's write goes to the leader under this number. It is noted here first, so that the answer finds its place.
    pub(crate) fn forward(
        &mut self,
        request: &WriteRequest<'_>,
        number: Xid,
        effects: &mut Vec<Effect>,
    ) {
        let WriteRequest {
            origin,
            op,
            session,
            body,
            identities,
        } = *request;
        self.waiting.push_back(Waiting {
            session,
            number,
            origin,
        });
        self.request(session, number, op.code(), body, effects, || {
            Some(identities.into())
        });
    }

    pub(crate) fn sync(&mut self, origin: Origin, session: SessionId, effects: &mut Vec<Effect>) {
        self.syncs.push_back(origin);
        // The path is of no use to the leader, and every server reads one.
        let mut path = Vec::new();
        "/".encode(&mut path);
        self.request(
            session,
            origin.xid,
            OpCode::Sync.code(),
            &path,
            effects,
            || None,
        );
    }

    /// A client wants a session; the id is this server's.
    pub(crate) fn open_session(
        &mut self,
        conn: ConnId,
        session: SessionId,
        timeout_ms: i32,
        effects: &mut Vec<Effect>,
    ) {
        let origin = Origin {
            conn,
            seq: 0,
            xid: Xid(0),
            ask: Ask::Session,
        };
        self.waiting.push_back(Waiting {
            session,
            number: Xid(0),
            origin,
        });
        let mut record = Vec::new();
        timeout_ms.encode(&mut record);
        self.request(session, Xid(0), CREATE_SESSION, &record, effects, || None);
    }

    /// A client wants to take up a session: the leader knows whether it lives.
    pub(crate) fn claim(
        &mut self,
        conn: ConnId,
        session: SessionId,
        timeout_ms: i32,
        effects: &mut Vec<Effect>,
    ) {
        let claims = self.claims.entry(session).or_default();
        claims.push_back((conn, timeout_ms));
        let claim = SessionTouch {
            session,
            timeout_ms,
        };
        self.send(Packet::Revalidate(claim), effects);
    }

    fn revalidated(&mut self, session: SessionId, valid: bool, effects: &mut Vec<Effect>) {
        let Some(claims) = self.claims.get_mut(&session) else {
            return;
        };
        if let Some((conn, timeout_ms)) = claims.pop_front() {
            effects.push(if valid {
                Effect::SessionResumed {
                    conn,
                    session,
                    timeout_ms,
                }
            } else {
                Effect::SessionRefused(conn)
            });
        }
        if claims.is_empty() {
            self.claims.remove(&session);
        }
    }

    pub(crate) fn touch(&mut self, session: SessionId, timeout_ms: i32) {
        self.touched.insert(session, timeout_ms);
    }

    fn request(
        &self,
        session: SessionId,
        cxid: Xid,
        op: i32,
        record: &[u8],
        effects: &mut Vec<Effect>,
        identities: impl FnOnce() -> Option<Box<[zabra_proto::Identity]>>,
    ) {
        let request = ForwardedRequest {
            session,
            cxid,
            op,
            record: record.into(),
            identities: identities(),
        };
        self.send(Packet::Request(Box::new(request)), effects);
    }

    /// Whom a decided transaction answers: the first request that waits, if it is that one's.
    pub(crate) fn origin_of(&mut self, entry: &Entry) -> Option<Origin> {
        if self.waiting.is_empty() {
            return None;
        }
        let header = TxnHeader::decode(&mut Reader::new(&entry.payload)).ok()?;
        let first = self
            .waiting
            .pop_front_if(|w| w.session == header.session && w.number == header.cxid)?;
        Some(first.origin)
    }

    /// How many requests wait for the leader.
    pub(crate) fn waiting_len(&self) -> usize {
        self.waiting.len() + self.syncs.len()
    }
}

/// What an entry says that is an error.
fn error_in(entry: &Entry) -> ErrorCode {
    let limits = zabra_jute::Limits {
        value_len_max: entry.payload.len(),
    };
    match zabra_proto::txn::Payload::decode(&entry.payload, limits) {
        Ok(payload) => match payload.txn {
            Txn::Error(code) => code,
            _ => ErrorCode::OK,
        },
        Err(_) => ErrorCode::MARSHALLING_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use zabra_proto::WallMillis;

    use super::*;

    #[test]
    fn a_restart_gives_no_number_again() {
        let at = |ms: i64| Now {
            mono: MonoMillis(0),
            wall: WallMillis(1_700_000_000_000 + ms),
        };
        let numbers = |ms: i64| {
            let mut numbers = Numbers::new(Sid(3), at(ms));
            std::iter::repeat_with(move || numbers.take())
        };
        let before: Vec<Xid> = numbers(0).take(5000).collect();
        assert!(before.iter().all(|number| number.0 >> 24 == 3));
        assert!(
            numbers(5000)
                .take(5000)
                .all(|number| !before.contains(&number))
        );
    }
}
