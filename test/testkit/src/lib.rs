//! Simulated disks, dumb twins and a raw client for tests.
