//! What each fuzz target does with its bytes, as plain functions.
//!
//! The files in `targets/` hand libFuzzer's bytes to them; `tests/replay.rs` hands them the seeds, on the stable
//! compiler. Each function says in its doc what must hold besides that nothing panics; `cargo xtask fuzz` bounds the
//! memory of a single allocation, so that a length from outside cannot reserve what it claims.

mod config;
mod conn;
mod connect;
mod log;
mod multi;
mod notification;
mod path;
mod quorum_packet;
mod records;
mod replay;
mod snapshot;
mod snapshot_stream;
mod txn;
mod words;

pub use config::config;
pub use conn::conn;
pub use connect::connect;
pub use log::log;
pub use multi::multi;
pub use notification::notification;
pub use path::path;
pub use quorum_packet::quorum_packet;
pub use records::records;
pub use replay::replay;
pub use snapshot::snapshot;
pub use snapshot_stream::snapshot_stream;
pub use txn::txn;
pub use words::words;

/// What a target does with bytes.
pub type Run = fn(&[u8]);

/// A target: its name and what it does.
pub type Target = (&'static str, Run);

/// Every target, for the replay. The names are those of the files in `targets/` and of the folders in `seeds/`.
pub const TARGETS: &[Target] = &[
    ("config", config),
    ("conn", conn),
    ("connect", connect),
    ("log", log),
    ("multi", multi),
    ("notification", notification),
    ("path", path),
    ("quorum_packet", quorum_packet),
    ("records", records),
    ("replay", replay),
    ("snapshot", snapshot),
    ("snapshot_stream", snapshot_stream),
    ("txn", txn),
    ("words", words),
];
