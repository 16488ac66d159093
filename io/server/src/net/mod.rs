//! Sockets: the listener with its limits, the connections' sockets, the readiness loop's system calls.
//!
//! Nothing here knows what the bytes mean. [`Sockets`] keeps the socket of each [`ConnId`](zabra_proto::ConnId) and what
//! it waits for; [`Listener`] accepts, [`AddressLimits`] counts; [`Poller`] waits. Frames and buffers are in
//! `zabra-serve`; who owns all this and in which order connections are served is in [`crate::seat`].

mod limits;
mod listener;
mod poller;
mod sockets;

pub use limits::{AddressLimits, Admission, Refused};
pub use listener::{Accepted, Listener, ListenerOptions};
pub use poller::{Interest, Poller, Ready, Source, Waker};
pub use sockets::{ReadOutcome, SendOutcome, Sockets};
