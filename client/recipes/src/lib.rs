//! What ZooKeeper is used for, over `zabra-client`: locks, election, barriers, counters, caches, discovery, queues.
//!
//! A recipe is a pure decision ([`decide`]) and a small loop around it. Names and bytes are Curator's (and kazoo's where they
//! meet), so that programs in Rust, Java and Python share a path.
//!
//! | For | Take |
//! |---|---|
//! | one at a time | [`Mutex`], several at once [`MultiLock`] |
//! | many readers or one writer | [`ReadWriteLock`] |
//! | so many at a time | [`Semaphore`] |
//! | one leader | [`LeaderLatch`], [`LeaderSelector`] |
//! | waiting for each other | [`Barrier`], [`DoubleBarrier`] |
//! | numbers and values | [`AtomicLong`], [`AtomicInteger`], [`AtomicValue`], [`SharedCount`], [`SharedValue`] |
//! | configuration | [`ConfigWatcher`] |
//! | servers that come and go | [`EnsembleTracker`] |
//! | who is there | [`GroupMember`], [`PersistentNode`], [`TtlNode`] |
//! | a local copy | [`Cache`] |
//! | services | [`discovery`] |
//! | work | [`Queue`], [`DelayQueue`], [`SimpleQueue`], [`Partitioner`] |
//!
//! Whatever is held has a [`Guard`]: it carries a fencing token, knows when it is lost, and runs work only while it is
//! held. Recipes take a client, and work until its session ends; or [`Sessions`], and go on in the next one. Each says what it
//! guarantees and what not; `docs/recipes.md` tells the failure stories.
//!
//! What it is not: it adds no retry to single requests; that is the client's.

#![forbid(unsafe_code)]

mod atomic;
mod atomic_number;
mod barrier;
mod cache;
mod claim;
mod config;
pub mod decide;
mod delay_queue;
pub mod discovery;
mod ensemble_tracker;
mod error;
mod follow;
mod group;
mod guard;
mod leader;
mod multi_lock;
mod mutex;
mod partitioner;
mod patient;
mod persistent_node;
mod queue;
mod read_write_lock;
mod semaphore;
mod session;
mod sessions;
mod shared;
mod simple_queue;
#[cfg(test)]
mod simulation;

/// The pages of the book, whose code is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/recipes.md")]
#[doc = include_str!("../../../docs/failures.md")]
mod book {}

pub use atomic::{AtomicValue, Update};
pub use atomic_number::{AtomicInteger, AtomicLong, AtomicNumber, Number};
pub use barrier::{Barrier, DoubleBarrier, Entered};
pub use cache::{Cache, CacheEvents, CacheOptions, Missed};
pub use claim::Names;
pub use config::ConfigWatcher;
pub use decide::mirror::{CacheEvent, Depth, Node};
pub use decide::read_write::Side;
pub use delay_queue::DelayQueue;
pub use ensemble_tracker::EnsembleTracker;
pub use error::{Error, Lost};
pub use follow::Versioned;
pub use group::GroupMember;
pub use guard::{FencingToken, Guard};
pub use leader::{LeaderLatch, LeaderSelector};
pub use multi_lock::{MultiGuard, MultiLock};
pub use mutex::Mutex;
pub use partitioner::{Partitioner, Share};
pub use persistent_node::{PersistentNode, TtlNode};
pub use queue::{Delivery, Queue};
pub use read_write_lock::ReadWriteLock;
pub use semaphore::{Limit, Semaphore};
pub use sessions::Sessions;
pub use shared::{Changes, SharedCount, SharedValue};
pub use simple_queue::{ItemNames, SimpleQueue};
