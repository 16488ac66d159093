//! Recipes against a real server, over links that break, with sessions that end and a server that is killed.
#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

mod barriers;
mod caches;
mod leaders;
mod locks;
mod nodes;
mod queues;
mod support;
mod values;
