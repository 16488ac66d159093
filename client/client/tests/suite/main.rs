//! What the client promises, with servers in this process.

#![allow(clippy::unwrap_used, reason = "a test")]

mod conduct;
mod failover;
mod framework;
mod names;
mod traces;

use std::time::Duration;

use conduct::{Place, SCENARIOS};
use zabra_testserver::TestServer;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The same scenarios that `cargo xtask interop client` runs with Apache's servers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_conducts_itself_as_documented() {
    let server = TestServer::start().unwrap();
    let place = Place {
        servers: server.connect_string(),
        minor: 9,
    };
    for (name, scenario) in SCENARIOS {
        let ran = tokio::time::timeout(PATIENCE, scenario(place.clone())).await;
        assert!(ran.is_ok(), "{name} does not end");
    }
}
