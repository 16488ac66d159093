//! Quorum packets: what a leader and its learners say to each other on the quorum port (quorum 7).
//!
//! A [`QuorumPacket`] is one record for everything; a [`Message`] is what it says, with the data taken apart. Packets
//! have no length in front: [`PacketReader`] finds their ends in a stream. Two things in that stream are no packets:
//! the SASL exchange before the first one ([`QuorumAuthPacket`]), and the snapshot behind a SNAP, which is not read
//! here. Nor is it here who says what when. The votes before all this are in [`notification`](crate::notification).

mod auth;
mod info;
mod message;
mod stream;

use zabra_jute::{Decode, Encode, JuteError, JuteErrorKind, Reader, Text, record};

use crate::Zxid;
use crate::op::wire_enum;

pub use auth::{AuthError, AuthStatus, QuorumAuthPacket};
pub use info::{LeaderInfo, LearnerInfo, PROTOCOL_VERSION};
pub use message::{BodyError, Message, Request, SessionTouch};
pub use stream::{PacketError, PacketReader};

wire_enum! {
    /// What a packet is. An unknown number is refused (R14): whoever sent it means something that would be missed.
    PacketKind, "quorum packet type" {
        /// A learner hands on a client's write.
        Request = 1,
        /// A transaction to be logged.
        Proposal = 2,
        /// A transaction, or NEWLEADER, is durable here.
        Ack = 3,
        /// A proposal is decided.
        Commit = 4,
        /// Are you there; the answer names the sessions that were heard of.
        Ping = 5,
        /// Is this session still alive; and the answer.
        Revalidate = 6,
        /// Everything committed before a sync request has been sent.
        Sync = 7,
        /// A decided transaction, to an observer.
        Inform = 8,
        /// A reconfiguration is decided.
        CommitAndActivate = 9,
        /// The history is complete up to the new epoch.
        NewLeader = 10,
        /// A follower introduces itself.
        FollowerInfo = 11,
        /// The learner may serve clients.
        UpToDate = 12,
        /// Only the missing transactions follow.
        Diff = 13,
        /// The learner has transactions too many.
        Trunc = 14,
        /// A snapshot follows, outside any packet.
        Snap = 15,
        /// An observer introduces itself.
        ObserverInfo = 16,
        /// The leader names the new epoch.
        LeaderInfo = 17,
        /// The learner accepts it.
        AckEpoch = 18,
        /// A decided reconfiguration, to an observer.
        InformAndActivate = 19,
    }
}

record! {
    /// An identity of the client connection that a request came from.
    pub struct AuthInfo<'a> {
        /// Which kind of identity.
        pub scheme: Text<'a>,
        /// The identity.
        pub id: Text<'a>,
    }

    /// The record of the quorum port. Decoding one from bytes that may still be arriving is what [`PacketReader`] is
    /// for.
    pub struct QuorumPacket<'a> {
        /// What it is.
        pub kind: PacketKind,
        /// Depends on the kind.
        pub zxid: Zxid,
        /// Depends on the kind; null and empty are different.
        pub data: Option<&'a [u8]>,
        /// Identities; null except in a request.
        pub authinfo: Option<Vec<AuthInfo<'a>>>,
    }
}
