//! The client and servers that go and come back.

use std::time::Duration;

use zabra_client::{Client, CreateMode, Error, ErrorCode, SessionState};
use zabra_testserver::{TestEnsemble, TestServer};

#[tokio::test]
async fn a_session_outlives_a_restart_of_its_server() {
    let mut server = TestServer::start().unwrap();
    let client = Client::connect(&server.connect_string()).await.unwrap();
    let session = client.session();
    client
        .create("/mine", "", CreateMode::Ephemeral)
        .await
        .unwrap();
    server.stop().unwrap();
    assert!(
        client
            .states()
            .wait_for(|state| state == SessionState::Suspended)
            .await
    );
    let waits = client.set("/mine", "after", None);
    server.start_again().unwrap();
    waits.await.unwrap();
    assert_eq!(client.session(), session);
    client.close().await;
}

#[tokio::test]
async fn a_session_that_expired_while_its_server_was_down_ends_everything() {
    let mut server = TestServer::start().unwrap();
    let client = Client::connect(&server.connect_string()).await.unwrap();
    client
        .create("/a", "", CreateMode::Persistent)
        .await
        .unwrap();
    let (_, _, watch) = client.get_and_watch("/a").await.unwrap();
    let call = client.get("/a");
    server.expire(client.session().0).unwrap();
    assert_eq!(watch.await, Err(Error::SessionExpired));
    // It was answered before, or not any more.
    assert!(matches!(
        call.await,
        Ok(_) | Err(Error::ConnectionLoss | Error::SessionExpired)
    ));
    assert_eq!(client.state(), SessionState::Expired);
    server.stop().unwrap();
}

/// Appends to a znode one version at a time through whatever happens; what may have been carried out is looked up.
async fn write(client: Client, path: String, rounds: i32) -> i32 {
    let mut uncertain = 0;
    let mut version = 0;
    while version < rounds {
        match client.set(&path, version.to_string(), Some(version)).await {
            Ok(stat) => {
                assert_eq!(stat.version, version + 1);
                version += 1;
            }
            Err(Error::ConnectionLoss) => {
                uncertain += 1;
                if let Ok((_, stat)) = client.get(&path).await {
                    assert!((version..=version + 1).contains(&stat.version));
                    version = stat.version;
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    uncertain
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_go_on_when_servers_stop_and_nothing_is_written_twice() {
    const WRITERS: usize = 4;
    let mut ensemble = TestEnsemble::start(3).unwrap();
    let servers = ensemble.connect_string();
    let client = Client::connect(&servers).await.unwrap();
    let session = client.session();
    let mut writers = Vec::new();
    for n in 0..WRITERS {
        let path = format!("/{n}");
        client
            .create(&path, "", CreateMode::Persistent)
            .await
            .unwrap();
        writers.push(tokio::spawn(write(client.clone(), path, 300)));
    }
    for _ in 0..3 {
        let victim = ensemble.leader().unwrap();
        ensemble.stop(victim).unwrap();
        ensemble.until_settled().unwrap();
        ensemble.start_again(victim).unwrap();
        ensemble.until_settled().unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(client.session(), session);
    for n in 0..WRITERS {
        assert_eq!(client.get(&format!("/{n}")).await.unwrap().1.version, 300);
    }
    client.close().await;
}

#[tokio::test]
async fn a_new_list_of_servers_moves_a_client_whose_server_is_not_on_it() {
    let ensemble = TestEnsemble::start(3).unwrap();
    let client = Client::connect(&ensemble.connect_string()).await.unwrap();
    let here = ensemble.number_at(client.server().unwrap()).unwrap();
    let others: Vec<_> = (1..=3)
        .filter(|number| *number != here)
        .map(|number| ensemble.address(number).unwrap().to_string())
        .collect();
    let mut states = client.states();
    states.next().await;
    let session = client.session();
    client.update_server_list(&others.join(",")).unwrap();
    assert_eq!(states.next().await, Some(SessionState::Suspended));
    assert_eq!(states.next().await, Some(SessionState::Connected));
    assert!(others.contains(&client.server().unwrap().to_string()));
    assert_eq!(client.session(), session);
    client.close().await;
}

#[tokio::test]
async fn nobody_waits_for_a_server_that_is_not_there() {
    let mut server = TestServer::start().unwrap();
    let servers = server.connect_string();
    server.stop().unwrap();
    let began = Client::builder(&servers).connect_timeout(Duration::from_millis(50));
    assert_eq!(began.connect().await.unwrap_err(), Error::Timeout);
    let client = Client::builder(&servers).start().unwrap();
    assert_eq!(client.get("/").await.unwrap_err(), Error::ConnectionLoss);
    server.start_again().unwrap();
    assert!(client.states().wait_for(SessionState::is_connected).await);
    assert!(client.get("/").await.is_ok());
    client.close().await;
}

#[test]
fn a_runtime_that_ends_leaves_nobody_waiting() {
    let server = TestServer::start().unwrap();
    let builder = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let runtime = builder();
    let client = runtime
        .block_on(Client::connect(&server.connect_string()))
        .unwrap();
    let call = client.get("/");
    drop(runtime);
    assert_eq!(client.state(), SessionState::Closed);
    builder().block_on(async {
        assert_eq!(call.await.unwrap_err(), Error::Closed);
        assert_eq!(client.get("/").await.unwrap_err(), Error::Closed);
        client.close().await;
    });
}

#[tokio::test]
async fn a_watch_that_is_not_read_is_bounded_and_says_so() {
    let server = TestServer::start().unwrap();
    let client = Client::connect(&server.connect_string()).await.unwrap();
    client
        .create("/a", "", CreateMode::Persistent)
        .await
        .unwrap();
    let mut stream = client
        .watch("/a", zabra_client::AddWatchMode::Persistent)
        .await
        .unwrap();
    let sets: Vec<_> = (0..70_000).map(|_| client.set("/a", "", None)).collect();
    for set in sets {
        set.await.unwrap();
    }
    let mut taken = 0;
    let mut missed = 0;
    while let Some(event) = stream.try_next() {
        taken += 1;
        missed += usize::from(event == zabra_client::WatchedEvent::Missed);
    }
    assert!(taken <= 65_536);
    assert_eq!(missed, 1);
    client.close().await;
}

#[tokio::test]
async fn what_expired_says_so_with_its_code() {
    let server = TestServer::start().unwrap();
    let client = Client::connect(&server.connect_string()).await.unwrap();
    server.expire(client.session().0).unwrap();
    assert!(client.states().wait_for(SessionState::is_final).await);
    let error = client.get("/").await.unwrap_err();
    assert!(error.is(ErrorCode::SESSION_EXPIRED) && error.is_uncertain());
}
