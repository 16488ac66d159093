//! Sessions as scripts and as chance would have them, without a socket.

#![cfg(test)]

mod life;
mod random;
mod scene;
