//! What most users need on top of single calls. No connection is hidden in it: all of it is calls of the [`Client`], in its
//! session, and each says what it does when the connection is lost.
//!
//! - [`RetryPolicy`]: how often, and with what pauses, a call is made again.
//! - `parents`: creating a znode and those above it.
//! - `protected`: a create that finds its own znode after a connection loss.
//! - `values`: creating or replacing, whichever it takes.
//! - `deletion`: deleting for certain, quietly, or a whole subtree; listing one.
//! - `typed`: values in JSON (feature `serde`).
//!
//! [`Client`]: crate::Client

mod deletion;
mod parents;
mod protected;
mod retry;
#[cfg(feature = "serde")]
mod typed;
mod values;

pub use parents::Parents;
pub use retry::RetryPolicy;
#[cfg(feature = "serde")]
pub use typed::TypedError;
