//! Client connections served from the replica, without I/O.
