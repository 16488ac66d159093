//! The server's threads, sockets and wiring.
//!
//! Everything that decides is in the pure crates of `core/`; this one brings bytes to it and carries out what it asks
//! for.
//!
//! - [`mod@run`]: from a configuration to a server that runs, and to its end.
//! - [`seat`]: what one thread owns while it polls, the round, and how the seat changes hands during a flush.
//! - [`history`]: what a member does to its history on disk, off the poller.
//! - `links`: the sockets between the servers of an ensemble.
//! - [`net`]: listeners, sockets, the readiness loop's system calls.
//! - [`audit`]: who changed what, line by line.
//! - [`words`]: the answers to four-letter words.
//! - [`stats`]: what is counted.
//! - `sync`: what threads wait on, and how every order of them is tested.

#![forbid(unsafe_code)]

pub mod audit;
pub mod history;
mod links;
pub mod net;
pub mod run;
pub mod seat;
pub mod stats;
mod sync;
#[cfg(all(test, shuttle))]
mod threads;
pub mod words;

pub use links::BindError;
pub use run::{RunError, Server, StartError, Stopper, run};
pub use seat::Fatal;
