//! What holds in every order of the server's threads.
//!
//! The code is the server's own: [`Handover`](crate::seat::Handover), [`Flusher`](crate::seat::Flusher),
//! [`Mailbox`](crate::seat::Mailbox), the loop of the two threads, the crew with its order of ending, the snapshot thread,
//! the jobs on the history, each on the primitives of [`crate::sync`], which are shuttle's here. Only the seat is another,
//! one without sockets (`stool`), and the disk is the test kit's.
//!
//! Nothing ticks, and a wait that could end by its time may as well not: a wake-up that is lost is a deadlock, and a
//! deadlock is found. `cargo xtask threads` runs them; `docs/simulation.md` says how to run a failing order again.

mod disk;
mod handover;
mod history;
mod inbox;
mod mistakes;
mod orders;
mod server;
mod snapshots;
mod stool;
mod world;

use orders::in_many_orders;
