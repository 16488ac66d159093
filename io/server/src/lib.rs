//! The server's threads, sockets and wiring.
