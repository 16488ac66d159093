//! Names that are unique in a fleet, and a name that leads to an address.
//!
//! ```text
//! cargo run -p zabra-client --example naming -- 127.0.0.1:2181
//! ```

use zabra_client::{Client, CreateMode, Error, ErrorCode, Parents, RetryPolicy};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let servers = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let client = Client::connect(&servers).await?;
    client
        .ensure_path("/examples/naming/jobs", Parents::Persistent)
        .await?;
    client
        .ensure_path("/examples/naming/hosts", Parents::Persistent)
        .await?;

    // Numbers that nobody has had before. Protected: should the answer be lost, the znode is found again, not made twice.
    for work in ["index", "report"] {
        let job = client
            .create_protected(
                "/examples/naming/jobs/job-",
                work,
                CreateMode::PersistentSequential,
                RetryPolicy::USUAL,
            )
            .await?;
        println!("{work} is {}", job.path);
    }

    // A name belongs to who takes it first, as long as its session lives.
    for address in ["10.0.0.1:80", "10.0.0.2:80"] {
        let name = "/examples/naming/hosts/search";
        match client.create(name, address, CreateMode::Ephemeral).await {
            Ok(_) => println!("search is {address}"),
            Err(error) if error.is(ErrorCode::NODE_EXISTS) => {
                let (owner, _) = client.get(name).await?;
                println!(
                    "{address} is late: search is {}",
                    String::from_utf8_lossy(&owner)
                );
            }
            Err(error) => return Err(error),
        }
    }
    client.delete_recursive("/examples/naming").await?;
    client.close().await;
    Ok(())
}
