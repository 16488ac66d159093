//! One leader among many programs: run it several times side by side and end the leader.
//!
//! ```text
//! cargo run -p zabra-recipes --example election -- 127.0.0.1:2181 [terms]
//! ```

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Duration;

use zabra_client::Client;
use zabra_recipes::{LeaderSelector, Names, Sessions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let terms: u32 = std::env::args().nth(2).map_or(Ok(2), |text| text.parse())?;
    let sessions = Sessions::new(move || Client::builder(&servers).connect()).await?;
    let id = std::process::id().to_string();
    let selector = LeaderSelector::new(&sessions, "/examples/election", &id, Names::Curator);

    let mut left = terms;
    selector
        .run(|guard| {
            left -= 1;
            let is_last = left == 0;
            async move {
                println!("{} leads under token {}", std::process::id(), guard.token());
                // Dropped here if the leadership is lost; then it stands in line again.
                tokio::time::sleep(Duration::from_secs(1)).await;
                if is_last {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            }
        })
        .await?;
    println!("{terms} terms are enough");
    Ok(())
}
