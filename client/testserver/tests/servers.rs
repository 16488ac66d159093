//! What the servers for tests promise.

use std::net::TcpStream;

use zabra_client::{Client, CreateMode, Error, ErrorCode, SessionState};
use zabra_testserver::{TestEnsemble, TestServer};

#[tokio::test]
async fn a_server_keeps_its_port_and_its_data_over_a_restart() {
    let mut server = TestServer::start().unwrap();
    let address = server.address();
    let client = Client::connect(&server.connect_string()).await.unwrap();
    client
        .create("/kept", "1", CreateMode::Persistent)
        .await
        .unwrap();
    server.stop().unwrap();
    assert!(TcpStream::connect(address).is_err());
    server.start_again().unwrap();
    assert_eq!(server.address(), address);
    let again = Client::connect(&server.connect_string()).await.unwrap();
    assert_eq!(again.get("/kept").await.unwrap().0, "1");
}

#[tokio::test]
async fn an_expired_session_is_gone_with_its_ephemerals() {
    let server = TestServer::start().unwrap();
    let client = Client::connect(&server.connect_string()).await.unwrap();
    let other = Client::connect(&server.connect_string()).await.unwrap();
    client
        .create("/mine", "", CreateMode::Ephemeral)
        .await
        .unwrap();
    assert!(server.expire(client.session().0).unwrap());
    assert_eq!(other.exists("/mine").await, Ok(None));
    assert!(
        client
            .states()
            .wait_for(|state| state == SessionState::Expired)
            .await
    );
    assert_eq!(client.exists("/mine").await, Err(Error::SessionExpired));
    assert!(!server.expire(client.session().0).unwrap());
}

#[tokio::test]
async fn an_ensemble_serves_on_when_its_leader_stops() {
    let mut ensemble = TestEnsemble::start(3).unwrap();
    let client = Client::connect(&ensemble.connect_string()).await.unwrap();
    let leader = ensemble.leader().unwrap();
    ensemble.stop(leader).unwrap();
    let next = ensemble.until_settled().unwrap();
    assert_ne!(next, leader);
    let created = loop {
        match client.create("/after", "", CreateMode::Persistent).await {
            Err(Error::ConnectionLoss) => {}
            result => break result,
        }
    };
    // An attempt whose answer was lost may have been carried out.
    assert!(created.is_ok() || created.is_err_and(|error| error.is(ErrorCode::NODE_EXISTS)));
    ensemble.start_again(leader).unwrap();
    assert_eq!(ensemble.until_settled().unwrap(), next);
}
