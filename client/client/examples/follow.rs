//! Follows a znode's data, whatever happens to the connection.
//! `cargo run -p zabra-client --example follow -- 127.0.0.1:2181 /config`

use zabra_client::{AddWatchMode, Client, Error, ErrorCode, RetryPolicy};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let servers = args.next().unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let path = args.next().unwrap_or_else(|| "/config".to_owned());
    let client = Client::connect(&servers).await?;
    let mut changes = client.watch(&path, AddWatchMode::Persistent).await?;
    loop {
        match client.retry(RetryPolicy::USUAL, || client.get(&path)).await {
            Ok((data, stat)) => {
                println!("{}: {}", stat.version, String::from_utf8_lossy(&data));
            }
            Err(error) if error.is(ErrorCode::NO_NODE) => println!("there is none"),
            Err(error) => return Err(error),
        }
        // Every event is a reason to read again, that some were missed included; several may be served by one read.
        changes.next().await?;
        while changes.try_next().is_some() {}
    }
}
