//! Who is a member of the ensemble, and how many of them decide (quorum 6).
//!
//! [`Membership`] is one configuration, read from and printed as the text that stands in votes, in NEWLEADER, in
//! `/zookeeper/config` and in dynamic configuration files. [`QuorumSet`] says which sets of servers are a quorum,
//! [`Views`] holds the committed configuration beside the newest proposed one, [`AckSet`] counts answers under both.
//! Nothing here knows what is being decided: see `zabra-election` for votes.

#![forbid(unsafe_code)]

mod ack_set;
mod address;
mod error;
mod member;
mod membership;
mod properties;
mod quorum_set;
mod views;

pub use ack_set::AckSet;
pub use address::HostPort;
pub use error::MembershipError;
pub use member::{ClientAddress, Member, PeerAddress, Role};
pub use membership::{ConfigVersion, Membership, TEXT_LEN_MAX};
pub use quorum_set::{GroupId, Hierarchy, QuorumSet, Weight};
pub use views::Views;
// Configurations speak of servers by this number; whoever uses them needs it.
pub use zabra_proto::Sid;
