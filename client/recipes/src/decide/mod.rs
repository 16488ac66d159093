//! What each recipe decides, as plain functions of what was read: no I/O, no clock, no randomness.
//!
//! A recipe is a decision and a small loop that reads, asks it, and waits where it says. The loops are in the modules beside
//! this one. Everything here can be enumerated in tests and run in a simulator.

pub mod barrier;
pub mod ensemble;
pub mod lock;
pub mod mirror;
pub mod partition;
pub mod queue;
pub mod read_write;
pub mod sequence;
pub mod strategy;
