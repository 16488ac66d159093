//! A service publishes its instances; a client finds them and asks one after the other.
//!
//! ```text
//! cargo run -p zabra-recipes --example discovery -- 127.0.0.1:2181
//! ```

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use zabra_client::Client;
use zabra_recipes::Sessions;
use zabra_recipes::discovery::{Discovery, DownPolicy, ServiceInstance, Strategy, UriSpec};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let sessions = Sessions::new(move || Client::builder(&servers).connect()).await?;
    let discovery = Discovery::new(&sessions, "/examples/discovery");

    // The service: each instance stays published as long as its program lives.
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let mut published = Vec::new();
    for port in [8_001, 8_002, 8_003] {
        let mut instance = ServiceInstance::new("search", &format!("search-{port}"), now);
        instance.address = Some("127.0.0.1".to_owned());
        instance.port = Some(port);
        instance.uri_spec = Some(UriSpec::new("{scheme}://{address}:{port}/"));
        published.push(discovery.publish(&instance).await?);
    }

    // Its users. An instance that fails twice is left alone for half a minute.
    let provider = discovery
        .provider("search", Strategy::RoundRobin, DownPolicy::default())
        .await?;
    for _ in 0..4 {
        let Some(instance) = provider.instance() else {
            println!("nobody is there");
            break;
        };
        println!("ask {}", instance.uri().unwrap_or_default());
        if instance.port == Some(8_002) {
            println!("  it does not answer");
            provider.note_error(&instance);
            provider.note_error(&instance);
        }
    }
    for registration in published {
        registration.withdraw().await?;
    }
    Ok(())
}
