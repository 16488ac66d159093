//! zoo.cfg and system properties: what was written and what it means.
//!
//! A server's life begins here: [`Invocation`] is what it was called with, [`SystemProperties`]
//! what its environment and its `-D` options say, and [`Config::load`] turns both into typed
//! fields, or into one line that says what is wrong, where, and what to do ([`ConfigError`]). What
//! can be used and is worth a remark comes along as [`Notice`]s; the caller logs them.
//!
//! This crate opens no port, starts no thread and does not log. Every key, default and fate stands
//! in [`table`]; the grammar of the file in [`properties`]. The fuzzers' entry is
//! [`Config::from_bytes`] with [`Nowhere`].
//!
//! ```
//! use zabra_config::{Config, Invocation, SystemProperties};
//!
//! let properties = SystemProperties::from_environment(|name| std::env::var(name).ok());
//! let config = Config::load(&Invocation::from_args(&["2181", "/var/lib/zookeeper"])?, &properties)?;
//! assert_eq!(config.client.map(|listen| listen.port()), Some(2181));
//! # Ok::<(), zabra_config::ConfigError>(())
//! ```

mod access;
mod admin;
pub mod check;
mod conf_word;
mod config;
pub mod dirs;
mod ensemble;
mod envi_word;
mod error;
mod explain;
pub mod initialize;
mod invocation;
mod limits;
mod listen;
mod membership;
mod membership_files;
mod mode;
mod notice;
pub mod properties;
pub mod reference;
mod secret;
mod setting;
mod source;
mod storage;
mod suggest;
mod survey;
mod system_properties;
pub mod table;
pub mod version;
mod whitelist;
mod world;

pub use access::{Access, DigestAlgorithm, Scheme};
pub use admin::{Admin, Metrics};
pub use conf_word::{Running, conf_text};
pub use config::{Config, SessionTimes, Znodes};
pub use ensemble::Ensemble;
pub use envi_word::Environment;
pub use error::{ConfigError, ExitCode, Location};
pub use invocation::{Invocation, USAGE};
pub use limits::{Cap, ConnectWeights, ConnectionThrottle, LargeRequests, Limits, RequestThrottle};
pub use listen::Listen;
pub use membership_files::MembershipFiles;
pub use mode::{BindAt, Mode, ThisMember};
pub use notice::{Notice, Severity};
pub use secret::{Secret, is_secret_key};
pub use setting::{Kind, PREFIX, Place, Priority, Setting, Status};
pub use storage::{Compression, SNAP_RETAIN_COUNT_MIN, Storage, VERSION_DIR};
pub use suggest::nearest;
pub use system_properties::{SystemProperties, VARIABLES};
pub use whitelist::{WORDS, Whitelist};
pub use world::{Machine, Nowhere, World};
