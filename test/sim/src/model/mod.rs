//! An abstract ZAB, after the published protocol, and the claim that every step of the simulated servers is one of its.
//!
//! It is small on purpose: no packets, no timers, no files. A server has what it promised, which epoch its history is of,
//! a history whose front is durable, and how much of it was delivered. A step names what changes and is refused unless the
//! protocol allows it there ([`Model::step`]). Whoever knows the paper ("Zab: High-performance broadcast for
//! primary-backup systems", 2011) can judge it without knowing anything of the servers: that is its worth. It knows
//! nothing of why a server does something; `check` says what that must be good for.
//!
//! | Phase of the paper | Steps |
//! |---|---|
//! | 0, election | [`Step::Look`], [`Step::Elect`] |
//! | 1, discovery | [`Step::Promise`], [`Step::Follow`] |
//! | 2, synchronization | [`Step::Cut`], [`Step::Replace`], [`Step::Log`], [`Step::Accept`], [`Step::Keep`], [`Step::Establish`] |
//! | 3, broadcast | [`Step::Propose`], [`Step::Log`], [`Step::Deliver`] |
//! | failures | [`Step::Crash`], [`Step::Recover`], [`Step::Lose`] |
//!
//! `history` has sequences of transactions, `state` who is where, `rules` what is allowed.

mod history;
mod rules;
mod state;
mod step;

pub use history::Txn;
pub use state::Model;
pub use step::Step;
