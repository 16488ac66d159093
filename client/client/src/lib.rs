//! A client of ZooKeeper, for ensembles of Apache's (3.5 to 3.9) and of this project alike.
//!
//! ```no_run
//! # async fn example() -> Result<(), zabra_client::Error> {
//! use zabra_client::{Client, CreateMode};
//!
//! let client = Client::connect("127.0.0.1:2181").await?;
//! client.create("/greeting", "hello", CreateMode::Persistent).await?;
//! let (data, stat, changed) = client.get_and_watch("/greeting").await?;
//! assert_eq!(data, "hello");
//! client.set("/greeting", "bye", Some(stat.version)).await?;
//! println!("{:?}", changed.await?);
//! client.close().await;
//! # Ok(()) }
//! ```
//!
//! # A client is a session
//!
//! [`Client::builder`] has the settings; [`Builder::connect`] waits for a server, [`Builder::start`] does not. Clones share the
//! session, and so does a [`Client::namespace`], which puts a prefix in front of all paths. The session outlives connections:
//! when one breaks, another server is looked for, watches and identities are told to it again, and the session goes on. It
//! ends with [`Client::close`], with the last clone, or when no server has heard of it for its timeout. A client never
//! begins a second session by itself: whoever needs one makes another client.
//!
//! [`Client::states`] tells where it stands:
//!
//! | [`SessionState`] | What it means for what depends on the session (locks, ephemerals) |
//! |---|---|
//! | `Connected`, `ReadOnly` | a server serves it |
//! | `Suspended` | nobody knows: stop doing what only the holder of a lock may do |
//! | `Lost` | probably gone: no server was heard for the session timeout |
//! | `Expired`, `AuthFailed`, `Closed` | gone for good |
//!
//! # Calls have an order
//!
//! A call is on its way when the method returns, not when its future is first polled, and requests are carried out in the
//! order of the calls. So many may be under way at once, and dropping a future loses the answer but changes nothing else:
//!
//! ```no_run
//! # async fn example(client: zabra_client::Client) -> Result<(), zabra_client::Error> {
//! let first = client.set("/a", "1", None);
//! let second = client.get("/a");
//! let (stat, (data, _)) = (first.await?, second.await?);
//! assert_eq!(data, "1");
//! # Ok(()) }
//! ```
//!
//! # When the answer is lost
//!
//! If the connection breaks, calls made before end with [`Error::ConnectionLoss`]: **a write may have been carried out**. Calls made
//! after it wait for the next connection. Nothing is repeated behind the caller's back. What helps:
//!
//! - a version, in [`Client::set`] and [`Client::delete`]: made twice, the second fails with `BAD_VERSION`;
//! - [`Client::create_protected`], which finds its own znode again; [`Client::delete_guaranteed`]; [`Client::put`];
//! - [`Client::retry`] with a [`RetryPolicy`], for reads and for what may happen twice;
//! - [`Error::is_uncertain`], [`Error::is_retryable`], [`Error::code`] to tell the cases apart.
//!
//! # Watches are futures and streams
//!
//! A read with a watch returns a [`OneshotWatch`], a future of one event. [`Client::watch`] returns a [`WatchStream`] that stays:
//! all events of a path, or of all below it. Dropping either takes the watch back. An event comes before any
//! answer that could show the change. After a connection loss a one-shot tells what it missed; a stream
//! says [`WatchedEvent::Missed`] instead, and what matters must be read again. [`Client::events`] tells what all watches of a session hear,
//! and its states, in one order.
//!
//! # Several at once
//!
//! [`Client::transaction`] collects writes that happen together or not at all; [`Client::multi_read`] reads that travel together.
//!
//! # Beyond single calls
//!
//! [`framework`] has what most users need on top; `zabra-recipes` locks, elections, caches and the like; [`blocking`] a client for
//! programs without async; `zabra-testserver` servers for tests. `serde` is a feature: values in JSON.
//! Not there yet: TLS and SASL.
//!
//! # What it tells
//!
//! `tracing` has a span for each call (target `zabra_client::call`, debug: `op`, `path`, `xid`, `session`, then `zxid` or `error`), and
//! events at info for what happens to connections and to the session. Where nobody listens a call pays for one comparison.
//!
//! # How it works
//!
//! One task per client carries the bytes: it reads once and writes once per wake-up, however many calls that serves. What it
//! says and understands is decided by `zabra-cnxn`, which has neither sockets nor clocks.

#![forbid(unsafe_code)]

pub mod blocking;
mod builder;
mod call;
mod chroot;
mod client;
mod create;
mod data;
mod driver;
mod error;
mod events;
pub mod framework;
mod link;
mod membership;
mod multi_read;
mod queue;
mod reads;
mod resolver;
mod shared;
mod states;
mod trace;
mod transaction;
mod watch;
mod watches;
mod writes;

/// The page of the book, whose code is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/client.md")]
mod book {}

pub use builder::Builder;
pub use call::Call;
pub use client::Client;
pub use create::{CREATOR_ACL, CreateOptions, Created, OPEN_ACL, READ_ACL};
pub use data::Data;
pub use error::{Error, Misuse};
pub use events::{Events, SessionEvent};
pub use framework::{Parents, RetryPolicy};
pub use membership::Reconfigure;
pub use multi_read::{MultiRead, ReadResult};
pub use states::States;
pub use transaction::{Transaction, TransactionResult};
pub use watch::{OneshotWatch, WatchStream, WatchedEvent};

pub use zabra_cnxn::{ConnectString, ConnectStringError, HostPort, SessionState};
pub use zabra_proto::path::PathError;
pub use zabra_proto::{
    Acl, CreateMode, ErrorCode, EventKind, Identity, Perms, RemoveWatchesKind, SessionId, Stat,
    WatchAddMode as AddWatchMode, Zxid,
};
