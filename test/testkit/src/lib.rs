//! Simulated disks, dumb twins and a raw client for tests.

pub mod disk;
pub mod evidence;
pub mod history;
pub mod life;
pub mod model;
pub mod solo;
