//! What a member does to its history on disk: it sends it, takes in another's, cuts it, and starts from it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "history/backlog.rs"]
mod backlog;
#[path = "history/intake.rs"]
mod intake;
#[path = "history/jobs.rs"]
mod jobs;
#[path = "history/member.rs"]
mod member;
