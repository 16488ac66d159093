//! One member of the ensemble, without I/O.
//!
//! A [`Peer`] is a state machine: [`Input`]s go in with the time, [`Effect`]s come out. It decides what becomes a
//! transaction, numbers it, and says when it is committed. It never sees a socket, a file, a clock, a thread or
//! randomness, so that the simulator and the server run the same code. Durability comes back as an input: nothing is
//! committed before [`Input::Flushed`] says that it is on disk (R1).
//!
//! - [`Peer`] takes an input and gives effects, in whichever role it is: alone, looking, leading, learning.
//! - [`Prep`](prep) validates requests against the tree *plus* the [pending changes](pending) of transactions that are
//!   proposed and not yet applied (protocol 11.2).
//! - What numbers and proposes, opens and expires sessions is `primary`; what hands a client's write to the leader and
//!   finds its answer is `learning`. Elections are `zabra-election`'s, what servers agree on `zabra-zab`'s.
//!
//! What it is not: reads never come here, `zabra-serve` answers them from the replica. Bytes on sockets and disks are
//! the server's (`zabra-server`).

#![forbid(unsafe_code)]

mod create;
mod durable;
mod effect;
mod input;
mod leading;
mod learning;
mod links;
mod member;
mod options;
mod peer;
pub mod pending;
pub mod prep;
mod primary;
mod reconfig;
mod requests;
mod roles;

pub use effect::{Commit, Effect, Halt, Note};
pub use input::{Ask, DialId, Input, Now, Origin, WriteRequest};
pub use options::{EnsembleOptions, PeerOptions, Restored, RestoredHistory, SweepOptions};
pub use peer::Peer;
