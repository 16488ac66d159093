//! Who is there: run it several times side by side and end some.
//!
//! ```text
//! cargo run -p zabra-recipes --example group -- 127.0.0.1:2181 [changes]
//! ```

use std::error::Error;

use zabra_client::Client;
use zabra_recipes::{GroupMember, Sessions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let changes: u32 = std::env::args().nth(2).map_or(Ok(0), |text| text.parse())?;
    let sessions = Sessions::new(move || Client::builder(&servers).connect()).await?;

    let id = format!("member-{}", std::process::id());
    let member = GroupMember::join(
        &sessions,
        "/examples/group",
        &id,
        b"what others may know of me",
    );
    member.joined().await?;
    let mut events = member.changes();
    println!("{:?}", member.members().keys());
    for _ in 0..changes {
        if events.next().await.is_err() {
            break;
        }
        println!("{:?}", member.members().keys());
    }
    member.leave().await?;
    Ok(())
}
