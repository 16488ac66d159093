//! Every kind of call, once. `cargo run -p zabra-client --example tour -- 127.0.0.1:2181`

use zabra_client::{
    AddWatchMode, Client, CreateMode, Error, ErrorCode, READ_ACL, RemoveWatchesKind,
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let servers = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let root = Client::connect(&servers).await?;
    match root.create("/tour", "", CreateMode::Persistent).await {
        Err(error) if !error.is(ErrorCode::NODE_EXISTS) => return Err(error),
        _ => {}
    }
    let client = Client::builder(&format!("{servers}/tour"))
        .auth("digest", "guide:secret")
        .connect()
        .await?;
    println!("session {} at {:?}", client.session().0, client.server());
    println!("I am {:?}", client.whoami().await?);

    let mut below = client.watch("/", AddWatchMode::PersistentRecursive).await?;
    let created = client.create("/a", "1", CreateMode::Ephemeral).await?;
    println!("created {}: {:?}", created.path, below.next().await?);
    for mode in [CreateMode::EphemeralSequential, CreateMode::Container] {
        let created = client.create("/b-", "", mode).await?;
        println!("created {} as {mode:?}", created.path);
    }

    let (data, stat, changed) = client.get_and_watch("/a").await?;
    println!("{data:?} at version {}", stat.version);
    client.set("/a", "2", Some(stat.version)).await?;
    println!("then {:?}", changed.await?);
    let stale = client.set("/a", "3", Some(stat.version)).await;
    println!(
        "set once more with that version: {}",
        stale.map_or_else(|error| error.to_string(), |stat| stat.version.to_string())
    );

    let mut names = client.children("/").await?;
    names.sort();
    println!(
        "{names:?}, {} in all",
        client.all_children_number("/").await?
    );
    println!("mine: {:?}", client.ephemerals("/").await?);

    several_at_once(&client).await?;
    around(&client).await?;

    client
        .remove_watches("/", RemoveWatchesKind::Any, false)
        .await?;
    while let Ok(event) = below.next().await {
        println!("{event:?}");
    }
    for name in client.children("/").await? {
        client.delete(&format!("/{name}"), None).await?;
    }
    client.close().await;
    root.delete("/tour", None).await?;
    root.close().await;
    Ok(())
}

async fn several_at_once(client: &Client) -> Result<(), Error> {
    let results = client
        .transaction()
        .check("/a", Some(1))
        .create("/t", "in a transaction", CreateMode::Ephemeral)
        .set("/a", "4", None)
        .delete("/t", None)
        .commit()
        .await?;
    println!("{results:?}");
    let failed = client
        .transaction()
        .delete("/a", None)
        .check("/none", None)
        .commit()
        .await;
    if let Err(error) = failed {
        println!("{error}");
    }
    println!(
        "{:?}",
        client
            .multi_read()
            .get("/a")
            .children("/")
            .get("/none")
            .run()
            .await?
    );
    Ok(())
}

async fn around(client: &Client) -> Result<(), Error> {
    client.set_acl("/a", READ_ACL, None).await?;
    println!("{:?}", client.acl("/a").await?.0);
    client.sync("/").await?;
    let (config, _) = client.config().await?;
    println!("{}", String::from_utf8_lossy(&config));
    Ok(())
}
