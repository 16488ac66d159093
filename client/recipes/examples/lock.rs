//! Work that only one of many programs does at a time: run it twice side by side.
//!
//! ```text
//! cargo run -p zabra-recipes --example lock -- 127.0.0.1:2181
//! ```

use std::error::Error;
use std::time::Duration;

use zabra_client::Client;
use zabra_recipes::{FencingToken, Mutex, Sessions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let sessions = Sessions::new(move || Client::builder(&servers).connect()).await?;
    let mutex = Mutex::new(&sessions, "/examples/lock").data(std::process::id().to_string());

    println!("waiting for the lock");
    let guard = mutex.acquire().await?;
    println!("held under token {}", guard.token());

    // Dropped where it awaits if the lock is lost meanwhile.
    match guard.run(work(guard.token())).await {
        Ok(()) => println!("done"),
        Err(lost) => println!("lost on the way: {lost}"),
    }
    guard.release().await?;
    Ok(())
}

/// What it writes to would refuse a token that is smaller than the greatest one it has seen.
async fn work(token: FencingToken) {
    println!("working under {token} for two seconds");
    tokio::time::sleep(Duration::from_secs(2)).await;
}
