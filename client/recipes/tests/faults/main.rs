//! Recipes against real servers, one and an ensemble of three, over links that break, with sessions that end and servers that
//! are killed.
#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

mod barriers;
mod caches;
mod leaders;
mod locks;
mod nodes;
mod queues;
mod support;
mod values;
