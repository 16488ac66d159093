//! Configuration that is published once and followed by all who use it.
//!
//! ```text
//! cargo run -p zabra-recipes --example configuration -- 127.0.0.1:2181
//! ```

use std::error::Error;

use serde::Deserialize;
use zabra_client::Client;
use zabra_recipes::{ConfigWatcher, Sessions, SharedValue};

/// What the program wants to know.
#[derive(Debug, Deserialize)]
struct Settings {
    workers: u32,
    greeting: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let sessions = Sessions::new(move || Client::builder(&servers).connect()).await?;

    // Who publishes: any program, or `zabra cli set`.
    let published = SharedValue::start(&sessions, "/examples/configuration", b"{}").await?;
    published
        .set(br#"{"workers": 4, "greeting": "hello"}"#)
        .await?;

    // Who uses it. A version that cannot be read leaves the last good one in force.
    let settings = ConfigWatcher::start(&sessions, "/examples/configuration", |json| {
        serde_json::from_slice::<Settings>(json)
    });
    let first = settings.current().await?;
    println!(
        "{} workers say {:?}",
        first.value.workers, first.value.greeting
    );

    published
        .set(br#"{"workers": 8, "greeting": "hi"}"#)
        .await?;
    loop {
        let next = settings.changed().await?;
        println!(
            "now {} workers say {:?}",
            next.value.workers, next.value.greeting
        );
        if next.value.workers == 8 {
            return Ok(());
        }
    }
}
