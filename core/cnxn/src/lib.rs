//! One client's session as the client sees it, without I/O, clock or randomness.
//!
//! [`Cnxn`] is the whole: calls go in and become frames in order, bytes of the server go in and become replies, events
//! and changes of state. It says when to dial which server and when to wait ([`Cnxn::action`]), when it wants to be
//! woken ([`Cnxn::deadline`]), and what to write ([`Cnxn::take_out`]). Whoever owns a socket carries that out.
//!
//! - [`Cnxn`]: the session. How its link comes and goes is in `link`, what a frame of the server does in `frames`, what the
//!   clock does in `timers`, how all ends in `ends`.
//! - `pending`: calls that wait for replies, in order.
//! - [`WatchSet`]: who watches what here, which event is for whom, what is registered again after a reconnect.
//! - [`Hosts`]: which server next, and how long to wait before; [`ConnectString`]: how they are written.
//! - [`Timing`]: what follows from the session timeout.
//! - [`SessionState`]: what a user may know about the session.
//!
//! What it is not: it knows no result types, no chroot, no retries. That is `zabra-client`, which also owns the socket.

#![forbid(unsafe_code)]

mod cnxn;
mod connect_string;
mod ends;
mod error;
mod frames;
mod handshake;
mod hosts;
mod identities;
mod link;
mod options;
mod pending;
mod replies;
mod state;
mod timers;
mod timing;
mod watch_set;
mod watching;

pub use cnxn::{Action, Cnxn};
pub use connect_string::{ConnectString, ConnectStringError, HostPort};
pub use error::{CallError, LinkError};
pub use hosts::{Hosts, Rebalance};
pub use options::{CnxnOptions, Credentials, ResumedSession};
pub use pending::{After, Removal, WatchAsk};
pub use replies::{Output, Reply, Watched};
pub use state::SessionState;
pub use timing::Timing;
pub use watch_set::{WatchKind, WatchSet, WatcherId};
