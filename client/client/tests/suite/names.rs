//! Names of servers, which become addresses anew at each attempt to connect.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use zabra_client::{Builder, Client, CreateMode, SessionState};
use zabra_testserver::{TestEnsemble, TestServer};

/// Which name has which addresses now.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    addresses: HashMap<String, Vec<SocketAddr>>,
    /// How often somebody has asked.
    asked: usize,
}

impl Names {
    fn put(&self, name: &str, addresses: &[SocketAddr]) {
        let mut table = self.0.lock().unwrap();
        table.addresses.insert(name.to_owned(), addresses.to_vec());
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }

    fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let mut table = self.0.lock().unwrap();
        table.asked += 1;
        let found = table.addresses.get(name).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn client(&self, servers: &str) -> Builder {
        let names = self.clone();
        Client::builder(servers).resolver(move |host| {
            let found = names.resolve(&host.host);
            async move { found }
        })
    }
}

#[tokio::test]
async fn a_name_that_moves_is_followed_with_the_session() {
    let mut ensemble = TestEnsemble::start(3).unwrap();
    let names = Names::default();
    names.put("one", &[ensemble.address(1).unwrap()]);
    let client = names.client("one:2181").connect().await.unwrap();
    let session = client.session();
    client
        .create("/mine", "", CreateMode::Ephemeral)
        .await
        .unwrap();
    assert_eq!(names.asked(), 1);
    for (here, next) in [(1, 2), (2, 3), (3, 1)] {
        names.put("one", &[ensemble.address(next).unwrap()]);
        let mut states = client.states();
        states.next().await;
        ensemble.stop(here).unwrap();
        assert_eq!(states.next().await, Some(SessionState::Suspended));
        assert_eq!(states.next().await, Some(SessionState::Connected));
        assert_eq!(client.server(), ensemble.address(next));
        assert_eq!(client.session(), session);
        ensemble.start_again(here).unwrap();
        ensemble.until_settled().unwrap();
    }
    assert!(client.exists("/mine").await.unwrap().is_some());
    client.close().await;
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_asked_for_until_somebody_does() {
    let server = TestServer::start().unwrap();
    let names = Names::default();
    let client = names.client("late:2181").start().unwrap();
    while names.asked() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.state(), SessionState::Connecting);
    names.put("late", &[]);
    let before = names.asked();
    while names.asked() < before + 2 {
        tokio::task::yield_now().await;
    }
    names.put("late", &[server.address()]);
    assert!(client.states().wait_for(SessionState::is_connected).await);
    client.close().await;
}

#[tokio::test]
async fn all_addresses_of_a_name_are_tried_in_one_attempt() {
    let (server, mut gone) = (TestServer::start().unwrap(), TestServer::start().unwrap());
    gone.stop().unwrap();
    let names = Names::default();
    names.put("many", &[gone.address(), server.address()]);
    // Whichever is first: a refusal is no reason to ask again.
    for asked in 1..=8 {
        let client = names.client("many:2181").connect().await.unwrap();
        assert_eq!(client.server(), Some(server.address()));
        assert_eq!(names.asked(), asked);
        client.close().await;
    }
}
