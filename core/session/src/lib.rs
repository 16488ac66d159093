//! Who is alive: sessions, when they expire, and how their ids are made (protocol 10).
//!
//! [`SessionTracker`] is what the server that may expire sessions keeps: the standalone server or the leader. The
//! sessions that *exist* are replicated state and live in the replica; a tracker is rebuilt from them with full
//! timeouts whenever a server begins to lead (P79). It never looks at a clock: time comes in.

#![forbid(unsafe_code)]

mod expiry;
mod ids;
mod tracker;

pub use expiry::ExpiryQueue;
pub use ids::SessionIds;
pub use tracker::{SessionTracker, Standing, TimeoutBounds};
