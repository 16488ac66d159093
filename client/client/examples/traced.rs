//! Shows what a client does: a line for each call when it is answered, and what happens to connections.
//! `cargo run -p zabra-client --example traced -- 127.0.0.1:2181 zabra_client=debug`

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use zabra_client::{Client, CreateMode};

#[tokio::main]
async fn main() -> Result<(), zabra_client::Error> {
    let mut args = std::env::args().skip(1);
    let servers = args.next().unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let filter = args
        .next()
        .unwrap_or_else(|| "zabra_client=debug".to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_span_events(FmtSpan::CLOSE)
        .init();
    let client = Client::connect(&servers).await?;
    let created = client
        .create("/traced-", "1", CreateMode::EphemeralSequential)
        .await?;
    // Two at once: each has a line with its own time.
    let (set, get) = (
        client.set(&created.path, "2", None),
        client.get(&created.path),
    );
    set.await?;
    get.await?;
    // An error is in its line, too.
    let _ = client.get("/no-such-znode").await;
    client.close().await;
    Ok(())
}
