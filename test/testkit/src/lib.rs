//! Simulated disks, dumb twins and a raw client for tests.

pub mod disk;

pub mod model;
pub mod solo;
