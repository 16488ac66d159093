//! What threads wait on and wake each other by: the standard library's primitives and the kernel's timer and counter.
//!
//! The types through which the server's threads speak to each other take theirs from here. Built with `--cfg shuttle`
//! they are shuttle's, and `model`'s in place of the kernel's: then the very same code runs under every order of its
//! threads that a scheduler comes up with (`threads`; `docs/decisions/0020-threads-under-shuttle.md`). What is not
//! waited for in a test of threads takes the standard library's as ever.

#[cfg(shuttle)]
mod model;
mod slip;

#[cfg(not(shuttle))]
mod real {
    pub(crate) use std::process::exit;
    pub(crate) use std::sync::atomic;
    pub(crate) use std::sync::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    };
    pub(crate) use std::thread;
    pub(crate) use std::time::Instant;

    pub(crate) use crate::net::Waker;
    pub(crate) use crate::seat::Timer;
}

#[cfg(shuttle)]
mod real {
    pub(crate) use shuttle::sync::atomic;
    pub(crate) use shuttle::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub(crate) use shuttle::thread;

    pub(crate) use super::model::{Bell, Condvar, Instant, Timer, Waker, exit, now, pass};
}

pub(crate) use real::*;
pub(crate) use slip::{Slip, slips};
