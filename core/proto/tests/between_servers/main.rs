//! What servers say to each other: recorded by servers of Apache ZooKeeper, and made up by an enemy.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bodies;
mod election;
mod hostile;
mod quorum;
mod recording;
