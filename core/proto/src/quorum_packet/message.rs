//! What a packet says: its data and zxid, taken apart by its kind.
//!
//! Data that a kind does not have is ignored, and so is what stands behind data that is long enough, as every server
//! does; where the length tells what is meant, it must be right.

use std::borrow::Cow;

use thiserror::Error;
use zabra_jute::{Decode, Encode, JuteError, Reader, record};

use super::{AuthInfo, LeaderInfo, LearnerInfo, PacketKind, QuorumPacket};
use crate::{SessionId, Sid, Xid, Zxid};

/// Stands in packets that are about no transaction.
const NO_ZXID: Zxid = Zxid(u64::MAX);

/// A packet whose data does not fit its kind. The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// It has no data where some is required.
    #[error("{0:?} without data")]
    Null(PacketKind),
    /// Its data is too short, or not a whole number of entries.
    #[error("{kind:?} with {len} bytes of data")]
    Length {
        /// What it is.
        kind: PacketKind,
        /// How much data it has.
        len: usize,
    },
}

/// A client's write that a learner hands on (quorum 11.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// Who asked.
    pub session: SessionId,
    /// The client's number for the request.
    pub cxid: Xid,
    /// What it asked; as it came, for servers ask what no [`OpCode`](crate::OpCode) is: a session's creation is −10.
    pub op: i32,
    /// What the client sent behind its request's header, unchanged.
    pub record: &'a [u8],
    /// The identities of the client's connection, by which the leader judges the request.
    pub authinfo: Option<Vec<AuthInfo<'a>>>,
}

record! {
    /// A session that a learner heard of since the last ping (12 bytes).
    #[derive(Copy)]
    pub struct SessionTouch {
        /// Which.
        pub session: SessionId,
        /// Its timeout, ms.
        pub timeout_ms: i32,
    }
}

impl SessionTouch {
    /// Its length in a table, which has no count.
    const LEN: usize = 12;
}

/// What a packet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// A client's write, to the leader.
    Request(Request<'a>),
    /// A transaction to be logged and acknowledged.
    Proposal {
        /// Its number.
        zxid: Zxid,
        /// Its [`Payload`](crate::txn::Payload), as the leader wrote it.
        txn: &'a [u8],
    },
    /// Durable up to here; or the answer to NEWLEADER.
    Ack {
        /// The transaction, or the epoch with counter 0.
        zxid: Zxid,
    },
    /// The proposal with this number is decided.
    Commit {
        /// Its number.
        zxid: Zxid,
    },
    /// A sign of life, and its answer.
    Ping {
        /// The last proposed zxid of the leader; answered as it came.
        zxid: Zxid,
        /// The answer's sessions, perhaps none; `None` in the leader's packet.
        touched: Option<Vec<SessionTouch>>,
    },
    /// A learner asks whether a session lives, and claims it for one of its connections.
    Revalidate(SessionTouch),
    /// The answer.
    Revalidated {
        /// Which.
        session: SessionId,
        /// Whether it lives.
        valid: bool,
    },
    /// The learner's oldest sync request is ordered here.
    Sync,
    /// A decided transaction, to an observer.
    Inform {
        /// Its number.
        zxid: Zxid,
        /// Its payload.
        txn: &'a [u8],
    },
    /// A reconfiguration is decided.
    CommitAndActivate {
        /// Its number.
        zxid: Zxid,
        /// Who should lead from here.
        designated_leader: Sid,
    },
    /// The history is complete.
    NewLeader {
        /// The new epoch, with counter 0.
        zxid: Zxid,
        /// The text of the membership that the leader saw last. One of a byte or less says nothing (quorum 9.6).
        membership: Option<&'a [u8]>,
    },
    /// A follower introduces itself.
    FollowerInfo {
        /// The epoch that it accepted last, with counter 0.
        accepted: Zxid,
        /// Who it is.
        learner: LearnerInfo<'a>,
    },
    /// The learner may serve clients.
    UpToDate,
    /// The missing transactions follow.
    Diff {
        /// The last transaction that the leader committed; the learner does not take it for its own.
        zxid: Zxid,
    },
    /// What comes after this transaction must go from the learner's log.
    Trunc {
        /// The last that stays.
        zxid: Zxid,
    },
    /// A snapshot follows, outside any packet.
    Snap {
        /// The last transaction that it is sure to hold.
        zxid: Zxid,
    },
    /// An observer introduces itself.
    ObserverInfo {
        /// The epoch that it accepted last, with counter 0.
        accepted: Zxid,
        /// Who it is.
        learner: LearnerInfo<'a>,
    },
    /// The leader names the new epoch.
    LeaderInfo {
        /// The new epoch, with counter 0.
        zxid: Zxid,
        /// What it says of itself.
        leader: LeaderInfo<'a>,
    },
    /// The learner accepts the new epoch.
    AckEpoch {
        /// The last transaction in its log.
        last_logged: Zxid,
        /// The epoch of its history. `None`, −1 on the wire: it had accepted the new epoch before, and must not be
        /// counted again.
        current_epoch: Option<u32>,
    },
    /// A decided reconfiguration, to an observer.
    InformAndActivate {
        /// Its number.
        zxid: Zxid,
        /// Who should lead from here.
        designated_leader: Sid,
        /// Its payload.
        txn: &'a [u8],
    },
}

impl<'a> QuorumPacket<'a> {
    /// What it says.
    pub fn message(self) -> Result<Message<'a>, BodyError> {
        let zxid = self.zxid;
        Ok(match self.kind {
            PacketKind::Request => self.request()?,
            PacketKind::Proposal => Message::Proposal {
                zxid,
                txn: self.body()?,
            },
            PacketKind::Ack => Message::Ack { zxid },
            PacketKind::Commit => Message::Commit { zxid },
            PacketKind::Ping => Message::Ping {
                zxid,
                touched: self.touches()?,
            },
            PacketKind::Revalidate => self.revalidate()?,
            PacketKind::Sync => Message::Sync,
            PacketKind::Inform => Message::Inform {
                zxid,
                txn: self.body()?,
            },
            PacketKind::CommitAndActivate => Message::CommitAndActivate {
                zxid,
                designated_leader: self.with_body(|body| Sid::decode(&mut Reader::new(body)))?,
            },
            PacketKind::NewLeader => Message::NewLeader {
                zxid,
                membership: self.data,
            },
            PacketKind::FollowerInfo => Message::FollowerInfo {
                accepted: zxid,
                learner: self.with_body(LearnerInfo::decode)?,
            },
            PacketKind::UpToDate => Message::UpToDate,
            PacketKind::Diff => Message::Diff { zxid },
            PacketKind::Trunc => Message::Trunc { zxid },
            PacketKind::Snap => Message::Snap { zxid },
            PacketKind::ObserverInfo => Message::ObserverInfo {
                accepted: zxid,
                learner: self.with_body(LearnerInfo::decode)?,
            },
            PacketKind::LeaderInfo => Message::LeaderInfo {
                zxid,
                leader: self.with_body(LeaderInfo::decode)?,
            },
            PacketKind::AckEpoch => Message::AckEpoch {
                last_logged: zxid,
                current_epoch: self.with_body(epoch)?,
            },
            PacketKind::InformAndActivate => self.inform_and_activate()?,
        })
    }

    fn body(&self) -> Result<&'a [u8], BodyError> {
        self.data.ok_or(BodyError::Null(self.kind))
    }

    fn bad_length(&self) -> BodyError {
        BodyError::Length {
            kind: self.kind,
            len: self.data.map_or(0, <[u8]>::len),
        }
    }

    /// Reads the data. It has no lengths inside, so all that can be wrong is that it is too short.
    fn with_body<T>(
        &self,
        decode: impl FnOnce(&'a [u8]) -> Result<T, JuteError>,
    ) -> Result<T, BodyError> {
        decode(self.body()?).map_err(|_| self.bad_length())
    }

    fn request(mut self) -> Result<Message<'a>, BodyError> {
        let authinfo = self.authinfo.take();
        self.with_body(|body| {
            let mut r = Reader::new(body);
            Ok(Message::Request(Request {
                session: SessionId::decode(&mut r)?,
                cxid: Xid::decode(&mut r)?,
                op: r.i32()?,
                record: r.rest(),
                authinfo,
            }))
        })
    }

    fn touches(&self) -> Result<Option<Vec<SessionTouch>>, BodyError> {
        let Some(table) = self.data else {
            return Ok(None);
        };
        table
            .chunks(SessionTouch::LEN)
            .map(|entry| {
                SessionTouch::decode(&mut Reader::new(entry)).map_err(|_| self.bad_length())
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Question and answer have the same type; only their lengths differ.
    fn revalidate(&self) -> Result<Message<'a>, BodyError> {
        match self.body()?.len() {
            SessionTouch::LEN => self.with_body(|body| {
                SessionTouch::decode(&mut Reader::new(body)).map(Message::Revalidate)
            }),
            9 => self.with_body(|body| {
                let mut r = Reader::new(body);
                Ok(Message::Revalidated {
                    session: SessionId::decode(&mut r)?,
                    valid: r.bool()?,
                })
            }),
            _ => Err(self.bad_length()),
        }
    }

    fn inform_and_activate(&self) -> Result<Message<'a>, BodyError> {
        self.with_body(|body| {
            let mut r = Reader::new(body);
            Ok(Message::InformAndActivate {
                zxid: self.zxid,
                designated_leader: Sid::decode(&mut r)?,
                txn: r.rest(),
            })
        })
    }
}

fn epoch(body: &[u8]) -> Result<Option<u32>, JuteError> {
    let epoch = Reader::new(body).i32()?;
    Ok((epoch != -1).then_some(epoch.cast_unsigned()))
}

impl Message<'_> {
    /// What its packet is.
    #[must_use]
    pub const fn kind(&self) -> PacketKind {
        match self {
            Self::Request(_) => PacketKind::Request,
            Self::Proposal { .. } => PacketKind::Proposal,
            Self::Ack { .. } => PacketKind::Ack,
            Self::Commit { .. } => PacketKind::Commit,
            Self::Ping { .. } => PacketKind::Ping,
            Self::Revalidate(_) | Self::Revalidated { .. } => PacketKind::Revalidate,
            Self::Sync => PacketKind::Sync,
            Self::Inform { .. } => PacketKind::Inform,
            Self::CommitAndActivate { .. } => PacketKind::CommitAndActivate,
            Self::NewLeader { .. } => PacketKind::NewLeader,
            Self::FollowerInfo { .. } => PacketKind::FollowerInfo,
            Self::UpToDate => PacketKind::UpToDate,
            Self::Diff { .. } => PacketKind::Diff,
            Self::Trunc { .. } => PacketKind::Trunc,
            Self::Snap { .. } => PacketKind::Snap,
            Self::ObserverInfo { .. } => PacketKind::ObserverInfo,
            Self::LeaderInfo { .. } => PacketKind::LeaderInfo,
            Self::AckEpoch { .. } => PacketKind::AckEpoch,
            Self::InformAndActivate { .. } => PacketKind::InformAndActivate,
        }
    }

    /// What stands in its packet's zxid.
    #[must_use]
    pub const fn zxid(&self) -> Zxid {
        match self {
            Self::Proposal { zxid, .. }
            | Self::Ack { zxid }
            | Self::Commit { zxid }
            | Self::Ping { zxid, .. }
            | Self::Inform { zxid, .. }
            | Self::CommitAndActivate { zxid, .. }
            | Self::NewLeader { zxid, .. }
            | Self::FollowerInfo { accepted: zxid, .. }
            | Self::Diff { zxid }
            | Self::Trunc { zxid }
            | Self::Snap { zxid }
            | Self::ObserverInfo { accepted: zxid, .. }
            | Self::LeaderInfo { zxid, .. }
            | Self::AckEpoch {
                last_logged: zxid, ..
            }
            | Self::InformAndActivate { zxid, .. } => *zxid,
            Self::Request(_) | Self::Revalidate(_) | Self::Revalidated { .. } | Self::UpToDate => {
                NO_ZXID
            }
            Self::Sync => Zxid::ZERO,
        }
    }

    /// What stands in its packet's data.
    #[must_use]
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        let mut data = Vec::new();
        match self {
            Self::Proposal { txn, .. } | Self::Inform { txn, .. } => {
                return Some(Cow::Borrowed(txn));
            }
            Self::NewLeader { membership, .. } => return membership.map(Cow::Borrowed),
            Self::Ack { .. }
            | Self::Commit { .. }
            | Self::Ping { touched: None, .. }
            | Self::Sync
            | Self::UpToDate
            | Self::Diff { .. }
            | Self::Trunc { .. }
            | Self::Snap { .. } => return None,
            Self::Request(request) => {
                request.session.encode(&mut data);
                request.cxid.encode(&mut data);
                request.op.encode(&mut data);
                data.extend_from_slice(request.record);
            }
            Self::Ping {
                touched: Some(touched),
                ..
            } => touched.iter().for_each(|touch| touch.encode(&mut data)),
            Self::Revalidate(touch) => touch.encode(&mut data),
            Self::Revalidated { session, valid } => {
                session.encode(&mut data);
                valid.encode(&mut data);
            }
            Self::CommitAndActivate {
                designated_leader, ..
            } => designated_leader.encode(&mut data),
            Self::FollowerInfo { learner, .. } | Self::ObserverInfo { learner, .. } => {
                learner.encode(&mut data);
            }
            Self::LeaderInfo { leader, .. } => leader.encode(&mut data),
            Self::AckEpoch { current_epoch, .. } => {
                current_epoch.map_or(-1, u32::cast_signed).encode(&mut data);
            }
            Self::InformAndActivate {
                designated_leader,
                txn,
                ..
            } => {
                designated_leader.encode(&mut data);
                data.extend_from_slice(txn);
            }
        }
        Some(Cow::Owned(data))
    }
}

/// Appends the packet.
impl Encode for Message<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.kind().encode(out);
        self.zxid().encode(out);
        self.data().as_deref().encode(out);
        match self {
            Self::Request(request) => request.authinfo.encode(out),
            _ => None::<Vec<AuthInfo<'_>>>.encode(out),
        }
    }
}
