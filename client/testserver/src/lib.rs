//! Servers in the process of a test.
//!
//! [`TestServer`] is one server, [`TestEnsemble`] several that elect a leader. They are the servers of this project, with
//! their data in a directory that goes away, on ports of loopback that nobody else gets meanwhile, and they start in
//! milliseconds. They can be stopped and started again on the same port and data, and any session can be ended.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use zabra_client::Client;
//! use zabra_testserver::TestServer;
//!
//! let mut server = TestServer::start()?;
//! let client = Client::connect(&server.connect_string()).await?;
//! server.restart()?;
//! client.sync("/").await?;
//! server.expire(client.session().0)?;
//! # Ok(()) }
//! ```
//!
//! Calls of this crate block, for milliseconds where nothing is wrong; a call that would have to wait longer gives up with
//! an error after a minute.

#![forbid(unsafe_code)]

mod ensemble;
mod error;
mod expire;
mod member;
mod port;
mod server;
mod word;

pub use ensemble::TestEnsemble;
pub use error::Error;
pub use server::TestServer;
