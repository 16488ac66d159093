//! The whole ensemble in one thread under one seed: the real peer, serve and storage code, with simulated time, network,
//! disks, crashes and clients.
//!
//! A seed decides a [`Plan`](plan::Plan), and a [`World`](world::World) carries it out: first with faults, then without, when
//! everything must get into step. Every step is checked ([`check`]). The same seed gives the same run, to the last byte
//! of its trace.
//!
//! | To | see |
//! |---|---|
//! | run seeds | [`seeds`], `cargo xtask sim` |
//! | know what a seed decides | [`plan`] |
//! | know what must hold | [`check`] |
//! | see each step held against the protocol | [`model`] |
//! | follow a server through a round | [`process`] |
//! | write a scenario by hand | [`script`], `tests/scripts` |

#![forbid(unsafe_code)]

pub mod check;
pub mod client;
pub mod clock;
mod differences;
pub mod disk;
pub mod event;
pub mod faults;
pub mod kernel;
mod liveness;
pub mod loader;
pub mod model;
pub mod network;
pub mod older;
pub mod phase;
pub mod plan;
pub mod process;
pub mod script;
pub mod seeds;
pub mod server;
pub mod start;
pub mod surroundings;
pub mod temper;
pub mod trace;
pub mod votes;
pub mod world;
