//! What can go wrong with a server for tests.

use std::io;

use thiserror::Error;
use zabra_config::ConfigError;
use zabra_server::{Fatal, StartError};

/// Why a server could not be started, stopped or asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The additional lines are no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The server ended by itself before it was stopped.
    #[error(transparent)]
    Ended(#[from] Fatal),
    /// No directory, no port, or no connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server's thread has panicked.
    #[error("the server has panicked")]
    Panicked,
    /// There is no such server, or it does not run.
    #[error("server {0} does not run")]
    NotRunning(usize),
    /// What was waited for did not happen within a minute.
    #[error("{0} within a minute")]
    Late(&'static str),
}
