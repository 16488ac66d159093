//! Shows that this process is there, for as long as it is, and who else is.
//! `cargo run -p zabra-client --example presence -- 127.0.0.1:2181 my-name`

use zabra_client::{Client, CreateMode, Error, Parents, SessionState};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let servers = args.next().unwrap_or_else(|| "127.0.0.1:2181".to_owned());
    let name = args.next().unwrap_or_else(|| "nobody".to_owned());
    let client = Client::connect(&servers).await?;
    let mut states = client.states();
    tokio::spawn(async move {
        while let Some(state) = states.next().await {
            match state {
                SessionState::Suspended => println!("others may take me for gone soon"),
                SessionState::Lost | SessionState::Expired => println!("others take me for gone"),
                state => println!("{state:?}"),
            }
        }
    });
    let path = format!("/presence/{name}");
    let created = client.create_with_parents(&path, "", CreateMode::Ephemeral, Parents::Containers);
    created.await?;
    loop {
        let (mut names, _, changed) = client.children_and_watch("/presence").await?;
        names.sort();
        println!("{names:?}");
        changed.await?;
    }
}
