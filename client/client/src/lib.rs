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
pub mod framework;
mod link;
mod membership;
mod multi_read;
mod reads;
mod shared;
mod states;
mod transaction;
mod watch;
mod watches;
mod writes;

pub use builder::Builder;
pub use call::Call;
pub use client::Client;
pub use create::{CREATOR_ACL, CreateOptions, Created, OPEN_ACL, READ_ACL};
pub use data::Data;
pub use error::{Error, Misuse};
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
