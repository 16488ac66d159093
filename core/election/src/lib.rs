//! Who shall lead: fast leader election (quorum 5), without sockets, clock or threads.
//!
//! [`Election`] takes decoded notifications, timers and facts about links, and says whom to write to, when to wake it
//! up, and what was decided. It answers the lookers of others for as long as the server lives. Connections, bytes and
//! names are elsewhere; what a leader and its followers do with the decision is not here either.
//!
//! Begin at [`Vote`] for what is compared, then [`Election::step`].

#![forbid(unsafe_code)]

mod election;
mod looking;
mod message;
mod tally;
mod vote;

pub use election::{Election, Settings};
pub use message::{Decision, Effect, Input, LinkFact, Notification, Received, Timer};
pub use vote::{History, NO_HISTORY, PeerEpoch, Rank, Round, Vote};
pub use zabra_proto::notification::ServerState;
