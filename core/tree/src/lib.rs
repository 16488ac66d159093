//! The znodes, and who watches them.
//!
//! | | |
//! |---|---|
//! | [`DataTree`] | the znodes: lookups, [`DataTree::apply`], quotas, digest |
//! | [`TreeLoader`] | builds a tree from a snapshot's records |
//! | [`ImageWalk`] | the tree as it was at one moment, for a snapshot, while transactions go on |
//! | [`WatchTable`] | who is told of what |
//! | [`acl`] | who may do what, and which lists a client may ask for |
//!
//! Pure values: no I/O, no clock, no locks, no randomness (the seed of the hash tables comes in). What a request may do
//! is decided by `zabra-peer`, before it becomes a transaction; who hears of it, by `zabra-serve`; files are
//! `zabra-storage`'s.

#![forbid(unsafe_code)]

pub mod acl;
mod acl_table;
mod apply;
mod digest;
mod image;
mod index;
mod ip;
mod kind;
mod load;
mod node;
mod owners;
mod packed;
mod quota;
mod shape;
mod slab;
mod tree;
mod watch;
mod watched_paths;

pub use acl_table::AclId;
pub use apply::{Applied, EventSink, Outcome};
pub use digest::node_digest;
pub use image::ImageWalk;
pub use kind::{CONTAINER_OWNER, MAX_TTL, NodeKind, OwnerRules, is_valid_ttl};
pub use load::{LoadError, Loaded, TreeLoader};
pub use quota::{QuotaExceeded, QuotaKind, QuotaTrack};
pub use tree::{CONFIG_PATH, Children, DataTree, NodeId, TreeOptions};
pub use watch::{WatchCounts, WatchMode, WatchTable, Watcher};
