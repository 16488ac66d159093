//! What each fuzz target does with its bytes, as plain functions.
//!
//! The files in `targets/` hand libFuzzer's bytes to them; `tests/replay.rs` hands them the seeds, on the stable
//! compiler. Each function says in its doc what must hold besides that nothing panics; `cargo xtask fuzz` bounds the
//! memory of a single allocation, so that a length from outside cannot reserve what it claims.

mod config;
mod connect;
mod multi;
mod path;
mod records;
mod txn;

pub use config::config;
pub use connect::connect;
pub use multi::multi;
pub use path::path;
pub use records::records;
pub use txn::txn;

/// What a target does with bytes.
pub type Run = fn(&[u8]);

/// A target: its name and what it does.
pub type Target = (&'static str, Run);

/// Every target, for the replay. The names are those of the files in `targets/` and of the folders in `seeds/`.
pub const TARGETS: &[Target] = &[
    ("config", config),
    ("connect", connect),
    ("multi", multi),
    ("path", path),
    ("records", records),
    ("txn", txn),
];
