//! Every word and message of the ZooKeeper protocols, as plain values.
//!
//! Numbers with a meaning ([`Zxid`], [`SessionId`], ...), the records of the client port ([`client`], [`multi`]), the
//! transactions of log and quorum ([`txn`]), what servers say to each other ([`notification`] on the election port,
//! [`quorum_packet`] on the quorum port), and the rules that need nothing but the value itself ([`path`],
//! [`password`]). Nothing here has state or does I/O. Bytes come from and go to `zabra-jute`; what the messages
//! *mean* is in `zabra-tree`, `zabra-peer` and `zabra-serve`.

#![forbid(unsafe_code)]

pub mod acl;
pub mod client;
mod error;
mod ids;
pub mod multi;
pub mod notification;
mod op;
pub mod password;
pub mod path;
pub mod quorum_packet;
mod stat;
pub mod txn;

pub use acl::{Acl, Identity, Perms, RawAcl};
pub use error::ErrorCode;
pub use ids::{ConnId, MonoMillis, ServerId, SessionId, Sid, WallMillis, Xid, Zxid};
pub use op::{CreateMode, EventKind, OpCode, RemoveWatchesKind, WatchAddMode};
pub use stat::{Stat, StatPersisted};
pub use txn::{Txn, TxnDigest, TxnHeader, TxnKind};
