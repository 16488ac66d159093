//! Transaction logs and snapshots on disk, byte-compatible with Apache's.
