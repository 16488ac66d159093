//! Work that is put by some programs and done by others, each item at least once.
//!
//! ```text
//! cargo run -p zabra-recipes --example queue -- 127.0.0.1:2181
//! ```

use std::error::Error;

use zabra_client::Client;
use zabra_recipes::{Queue, Sessions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let sessions = Sessions::new(move || Client::builder(&servers).connect()).await?;
    let queue = Queue::new(&sessions, "/examples/queue", "/examples/queue-locks").items_max(100);

    for number in 0..3 {
        queue
            .put_with_priority(number, format!("item {number}").as_bytes())
            .await?;
    }
    queue.put_with_priority(-1, b"urgent item").await?;

    while !queue.is_empty().await? {
        let delivery = queue.take().await?;
        for element in delivery.elements() {
            println!("working on {}", String::from_utf8_lossy(element));
        }
        // Had this program died before, the item would go to another.
        delivery.done().await?;
    }
    Ok(())
}
