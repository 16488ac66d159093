//! What a member of an ensemble does to its history on disk, off the poller: recover it, keep its epochs, cut it, replace it
//! by a leader's, and send it to a learner.
//!
//! | To | see | runs on |
//! |---|---|---|
//! | start from the files | [`recover_member`] | the starting thread |
//! | save epochs, truncate, adopt a received snapshot | [`Jobs`] | one thread of its own |
//! | take in what comes behind SNAP | [`Intake`], [`receive_snapshot`] | a thread for each |
//! | send a learner what it lacks | [`send_backlog`] | a thread for each |
//! | share the files with snapshots and purge | [`HistoryFiles`] | |
//!
//! Nothing here decides: what is to be done is the peer's to say (`zabra-peer`), the formats are `zabra-storage`'s, and
//! sockets never come here, only bytes.
//!
//! A leader's history becomes this server's in two steps. An [`Intake`] takes in what comes behind SNAP: the snapshot and
//! the transactions up to NEWLEADER. It verifies it to its end and makes it durable, and touches nothing that is there: it
//! may be dropped at any time, as when the link breaks (P12). What comes of it, a [`Received`], is given to [`Jobs`] if the
//! leader is still followed. From then on there is no way back, and the peer must hear of nothing else on that link before
//! [`Outcome::Installed`] has come.

mod backlog;
mod files;
mod intake;
mod jobs;
mod member;

pub use backlog::{BacklogError, CHUNK_MAX, How, Sent, send_backlog};
pub use files::{Generation, HistoryFiles, HistoryOptions, Lease};
pub use intake::{Intake, Received, receive_snapshot};
pub use jobs::{Failure, Job, Jobs, Outcome};
pub use member::{MemberState, recover_member};
