//! Load generator for any server of the protocol.
