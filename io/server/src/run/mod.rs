//! From a configuration to a server that runs, and from there to its end.
//!
//! [`Server::start`] recovers the state and opens the port; [`Server::run`] holds the seat until somebody asks it to stop
//! or the disk fails. What happens in between is in [`crate::seat`]; [`Background`] writes snapshots meanwhile.

pub(crate) mod background;
pub(crate) mod crew;
mod loader;
pub(crate) mod member;
mod mend;
mod options;
mod start;

pub use background::{Background, Replaced};
pub(crate) use loader::SnapshotLoader;
pub use loader::{Loader, MemberLoaded, MemberLoader};
pub use start::{RunError, Server, StartError, Stopper, run};
