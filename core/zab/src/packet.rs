//! What is said on quorum links, as it waits to be sent.

use std::sync::Arc;

use zabra_jute::Encode;
use zabra_proto::quorum_packet::{
    AuthInfo, LeaderInfo, LearnerInfo, Message, PROTOCOL_VERSION, Request, SessionTouch,
};
use zabra_proto::{Identity, SessionId, Sid, Xid, Zxid};

/// A connection between a leader and a learner, at either end. Never used twice: what comes of an older one finds
/// nobody (R12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A transaction as ZAB knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub zxid: Zxid,
    /// Its bytes, the same in every log and on every link.
    pub payload: Arc<[u8]>,
}

/// A client's write on its way to the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedRequest {
    /// Who asked.
    pub session: SessionId,
    /// The client's number for the request.
    pub cxid: Xid,
    /// The op code; −10 for a new session.
    pub op: i32,
    /// What the client sent behind its request's header.
    pub record: Box<[u8]>,
    /// Who the client has shown itself to be; none for what the learner asks by itself.
    pub identities: Option<Box<[Identity]>>,
}

/// The bytes by which servers of this project know each other: behind the parts of LearnerInfo and LEADERINFO that every
/// server reads (design 1.1).
pub const CAPABILITIES: &[u8] = b"zabra\x01";

/// Whether these bytes are of a server that beats and expects fast heartbeats.
#[must_use]
pub fn is_capable(capabilities: &[u8]) -> bool {
    capabilities.starts_with(CAPABILITIES)
}

/// A packet to be sent. Cloning one costs no copy of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A client's write, to the leader.
    Request(Box<ForwardedRequest>),
    /// A transaction to be logged and acknowledged.
    Proposal(Entry),
    /// A transaction is durable here; with counter 0, the history is.
    Ack(Zxid),
    /// A transaction is decided.
    Commit(Zxid),
    /// A leader's sign of life, or the answer with the sessions that were heard of.
    ///
    /// A leader's with an empty table promises the next one within a heartbeat (design 1.1); a leader's without a table
    /// promises nothing.
    Ping {
        /// The leader's last proposal; the answer repeats it.
        zxid: Zxid,
        /// The sessions.
        touched: Option<Vec<SessionTouch>>,
    },
    /// Does this session live; I claim it.
    Revalidate(SessionTouch),
    /// The answer.
    Revalidated {
        /// Which.
        session: SessionId,
        /// Whether it lives.
        valid: bool,
    },
    /// The learner's oldest sync is ordered here.
    Sync,
    /// A decided transaction, to an observer.
    Inform(Entry),
    /// A reconfiguration is decided.
    CommitAndActivate {
        /// Its number.
        zxid: Zxid,
        /// Who should lead from here.
        designated_leader: Sid,
    },
    /// The history is complete.
    NewLeader {
        /// The new epoch.
        epoch: u32,
        /// The text of the leader's last-seen membership.
        membership: Arc<str>,
    },
    /// A learner introduces itself.
    LearnerInfo {
        /// Whether it observes.
        observes: bool,
        /// The epoch that it accepted last.
        accepted: u32,
        /// Who it is.
        sid: Sid,
        /// The version of its committed membership.
        config_version: i64,
    },
    /// The leader names the new epoch.
    LeaderInfo {
        /// Which.
        epoch: u32,
    },
    /// The learner accepts it.
    AckEpoch {
        /// The last transaction in its log.
        last_logged: Zxid,
        /// The epoch of its history; none if it had accepted the new epoch before.
        current_epoch: Option<u32>,
    },
    /// The missing transactions follow.
    Diff(Zxid),
    /// What comes after this transaction must go.
    Trunc(Zxid),
    /// The learner may serve.
    UpToDate,
}

impl Packet {
    /// Appends it as it goes over the wire.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.message().encode(out);
    }

    /// What must be kept of a message that comes while a learner's history is being rewritten; none of what says nothing
    /// about the history.
    #[must_use]
    pub fn of_history(message: &Message<'_>) -> Option<Self> {
        let entry = |zxid: Zxid, txn: &[u8]| Entry {
            zxid,
            payload: Arc::from(txn),
        };
        Some(match message {
            Message::Proposal { zxid, txn } => Self::Proposal(entry(*zxid, txn)),
            Message::Inform { zxid, txn } => Self::Inform(entry(*zxid, txn)),
            Message::Commit { zxid } => Self::Commit(*zxid),
            Message::CommitAndActivate {
                zxid,
                designated_leader,
            } => Self::CommitAndActivate {
                zxid: *zxid,
                designated_leader: *designated_leader,
            },
            Message::NewLeader { zxid, membership } => Self::NewLeader {
                epoch: zxid.epoch(),
                membership: String::from_utf8_lossy(membership.unwrap_or_default()).into(),
            },
            Message::UpToDate => Self::UpToDate,
            _ => return None,
        })
    }

    /// What it says.
    #[must_use]
    pub fn message(&self) -> Message<'_> {
        let bare = |epoch: u32| Zxid::new(epoch, 0);
        match self {
            Self::Request(request) => Message::Request(request.wire()),
            Self::Proposal(entry) => Message::Proposal {
                zxid: entry.zxid,
                txn: &entry.payload,
            },
            Self::Ack(zxid) => Message::Ack { zxid: *zxid },
            Self::Commit(zxid) => Message::Commit { zxid: *zxid },
            Self::Ping { zxid, touched } => Message::Ping {
                zxid: *zxid,
                touched: touched.clone(),
            },
            Self::Revalidate(touch) => Message::Revalidate(*touch),
            Self::Revalidated { session, valid } => Message::Revalidated {
                session: *session,
                valid: *valid,
            },
            Self::Sync => Message::Sync,
            Self::Inform(entry) => Message::Inform {
                zxid: entry.zxid,
                txn: &entry.payload,
            },
            Self::CommitAndActivate {
                zxid,
                designated_leader,
            } => Message::CommitAndActivate {
                zxid: *zxid,
                designated_leader: *designated_leader,
            },
            Self::NewLeader { epoch, membership } => Message::NewLeader {
                zxid: bare(*epoch),
                membership: Some(membership.as_bytes()),
            },
            Self::LearnerInfo {
                observes,
                accepted,
                sid,
                config_version,
            } => introduction(*observes, bare(*accepted), *sid, *config_version),
            Self::LeaderInfo { epoch } => Message::LeaderInfo {
                zxid: bare(*epoch),
                leader: LeaderInfo {
                    protocol: PROTOCOL_VERSION,
                    capabilities: CAPABILITIES,
                },
            },
            Self::AckEpoch {
                last_logged,
                current_epoch,
            } => Message::AckEpoch {
                last_logged: *last_logged,
                current_epoch: *current_epoch,
            },
            Self::Diff(zxid) => Message::Diff { zxid: *zxid },
            Self::Trunc(zxid) => Message::Trunc { zxid: *zxid },
            Self::UpToDate => Message::UpToDate,
        }
    }
}

fn introduction(observes: bool, accepted: Zxid, sid: Sid, config_version: i64) -> Message<'static> {
    let learner = LearnerInfo {
        sid,
        protocol: PROTOCOL_VERSION,
        config_version: Some(config_version),
        capabilities: CAPABILITIES,
    };
    if observes {
        Message::ObserverInfo { accepted, learner }
    } else {
        Message::FollowerInfo { accepted, learner }
    }
}

impl ForwardedRequest {
    fn wire(&self) -> Request<'_> {
        let authinfo = self.identities.as_ref().map(|identities| {
            let id = |identity: &'_ Identity| AuthInfo {
                scheme: identity.scheme.clone().into(),
                id: identity.id.clone().into(),
            };
            identities.iter().map(id).collect()
        });
        Request {
            session: self.session,
            cxid: self.cxid,
            op: self.op,
            record: &self.record,
            authinfo,
        }
    }
}
