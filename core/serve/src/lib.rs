//! Client connections, served from the replica, without I/O.
//!
//! - [`Replica`]: what reads need and commits change: the tree, the sessions, the last applied zxid.
//! - [`Conn`]: the server's end of one client connection: handshake, identities, the queue of its session's parked
//!   requests, its output buffer.
//! - [`Clients`]: the connections of one poller and their watches. Bytes come in, reads are answered where they were
//!   decoded, writes go on to the peer; commits come back, are applied, and answered.
//!
//! **Order.** A read is answered at once from the replica unless a write of its session is pending on the connection;
//! then it is parked behind that write and answered when the write is applied, in the same call (design 2.2). So one
//! session reads its own writes, never a later one, and replies come in the order of the requests (P98). The
//! notifications of a transaction are in a connection's buffer before any reply that could show its effect (P90).
//!
//! What it is not: no socket, no clock, no lock. Deciding what becomes a transaction is `zabra-peer`'s.

#![forbid(unsafe_code)]

mod apply;
mod audit;
mod auth;
mod clients;
mod conn;
mod flow;
mod frame;
mod handshake;
mod late;
mod load;
mod notify;
mod reads;
mod replica;
mod requests;
mod stats;
mod watching;

pub use audit::{AuditClient, AuditEntry, AuditOperation, AuditResult};
pub use clients::{Clients, ServeOptions, Upstream, Word, WordRequest};
pub use conn::{CloseReason, Conn};
pub use late::LateRules;
pub use load::{ConnectThrottle, LargeRequests, LoadLimits};
pub use replica::{Alarm, Replica};
pub use stats::{ConnStats, EnsembleStats, LateStats, Latencies, Runs, ServerStats, Spread};
