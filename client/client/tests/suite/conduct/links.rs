//! Links: lost, silent, slow.

use std::time::Duration;

use zabra_client::{
    AddWatchMode, CREATOR_ACL, Client, CreateMode, CreateOptions, Error, EventKind, SessionState,
    WatchedEvent,
};

use super::Place;
use super::proxy::Proxy;

struct Far {
    proxy: Proxy,
    /// Through the proxy.
    client: Client,
    /// Not through it.
    other: Client,
}

impl Far {
    async fn new(place: &Place, timeout: Duration) -> Self {
        let chroot = place.fresh_chroot().await;
        let first = place.servers.split(',').next().unwrap();
        let proxy = Proxy::to(first).await;
        let builder = Client::builder(&format!("{}{chroot}", proxy.address()));
        let client = builder.session_timeout(timeout).auth("digest", "me:secret");
        Self {
            client: client.connect().await.unwrap(),
            proxy,
            other: place.builder(&chroot).connect().await.unwrap(),
        }
    }

    async fn state(&self, state: SessionState) {
        assert!(self.client.states().wait_for(|now| now == state).await);
    }

    async fn close(self) {
        self.client.close().await;
        self.other.close().await;
    }
}

const LONG: Duration = Duration::from_secs(30);

pub(crate) async fn lost(place: Place) {
    let far = Far::new(&place, LONG).await;
    let (client, session) = (&far.client, far.client.session());
    let private = CreateOptions::from(CreateMode::Persistent).acl(CREATOR_ACL);
    client.create("/private", "", private).await.unwrap();
    let (_, _, changed) = client.get_and_watch("/private").await.unwrap();
    let (_, appears) = client.exists_and_watch("/none").await.unwrap();
    let mut states = client.states();
    states.next().await;
    for _ in 0..3 {
        far.proxy.cut();
        assert_eq!(states.next().await, Some(SessionState::Suspended));
        assert_eq!(states.next().await, Some(SessionState::Connected));
    }
    assert_eq!(client.session(), session);
    client.set("/private", "1", None).await.unwrap();
    changed.await.unwrap();
    far.other
        .create("/none", "", CreateMode::Persistent)
        .await
        .unwrap();
    assert_eq!(appears.await.unwrap().kind(), Some(EventKind::NodeCreated));
    far.close().await;
}

pub(crate) async fn away(place: Place) {
    let far = Far::new(&place, LONG).await;
    let client = &far.client;
    for path in ["/changed", "/deleted", "/parent", "/quiet"] {
        client
            .create(path, "", CreateMode::Persistent)
            .await
            .unwrap();
    }
    let (_, _, changed) = client.get_and_watch("/changed").await.unwrap();
    let (_, _, deleted) = client.get_and_watch("/deleted").await.unwrap();
    let (_, appears) = client.exists_and_watch("/appears").await.unwrap();
    let (_, _, children) = client.children_and_watch("/parent").await.unwrap();
    let (_, _, quiet) = client.get_and_watch("/quiet").await.unwrap();
    let mut stream = match place.minor {
        ..6 => None,
        _ => Some(
            client
                .watch("/", AddWatchMode::PersistentRecursive)
                .await
                .unwrap(),
        ),
    };
    far.proxy.refuse(true);
    far.proxy.cut();
    far.state(SessionState::Suspended).await;
    far.other.set("/changed", "1", None).await.unwrap();
    far.other.delete("/deleted", None).await.unwrap();
    far.other
        .create("/appears", "", CreateMode::Persistent)
        .await
        .unwrap();
    far.other
        .create("/parent/child", "", CreateMode::Persistent)
        .await
        .unwrap();
    far.proxy.refuse(false);
    for (watch, kind) in [
        (changed, EventKind::NodeDataChanged),
        (deleted, EventKind::NodeDeleted),
        (appears, EventKind::NodeCreated),
        (children, EventKind::NodeChildrenChanged),
    ] {
        assert_eq!(watch.await.unwrap().kind(), Some(kind));
    }
    client.sync("/").await.unwrap();
    far.other.set("/quiet", "", None).await.unwrap();
    assert_eq!(
        quiet.await.unwrap().kind(),
        Some(EventKind::NodeDataChanged)
    );
    if let Some(stream) = &mut stream {
        assert_eq!(stream.next().await, Ok(WatchedEvent::Missed));
        // Whatever comes in between was told to a one-shot.
        while stream.next().await.unwrap().path() != Some("/quiet") {}
    }
    far.close().await;
}

pub(crate) async fn calls(place: Place) {
    let far = Far::new(&place, LONG).await;
    let client = &far.client;
    client
        .create("/n", "", CreateMode::Persistent)
        .await
        .unwrap();
    far.proxy.refuse(true);
    far.proxy.hold(true);
    let pending: Vec<_> = (0..100).map(|_| client.set("/n", "x", None)).collect();
    // All of them are with the server now, and none of the answers is here.
    while far.other.get("/n").await.unwrap().1.version < 100 {}
    far.proxy.cut();
    for call in pending {
        assert_eq!(call.await, Err(Error::ConnectionLoss));
    }
    far.state(SessionState::Suspended).await;
    far.proxy.hold(false);
    let waiting: Vec<_> = (0..100)
        .map(|n| client.set("/n", "y", Some(100 + n)))
        .collect();
    far.proxy.refuse(false);
    for call in waiting {
        call.await.unwrap();
    }
    assert_eq!(client.get("/n").await.unwrap().1.version, 200);
    far.close().await;
}

pub(crate) async fn silent(place: Place) {
    let far = Far::new(&place, Duration::from_secs(3)).await;
    let session = far.client.session().0;
    far.client
        .create("/mine", "", CreateMode::Ephemeral)
        .await
        .unwrap();
    far.proxy.hold(true);
    let call = far.client.get("/mine");
    let mut states = far.client.states();
    states.next().await;
    assert_eq!(states.next().await, Some(SessionState::Suspended));
    assert_eq!(call.await.unwrap_err(), Error::ConnectionLoss);
    far.proxy.refuse(true);
    let waiting = far.client.get("/mine");
    assert_eq!(states.next().await, Some(SessionState::Lost));
    assert_eq!(waiting.await.unwrap_err(), Error::ConnectionLoss);
    while far.other.exists("/mine").await.unwrap().is_some() {}
    far.proxy.refuse(false);
    far.proxy.hold(false);
    assert_eq!(states.next().await, Some(SessionState::Expired));
    assert_eq!(far.client.session().0, session);
    far.close().await;
}

pub(crate) async fn slow(place: Place) {
    let chroot = place.fresh_chroot().await;
    let first = place.servers.split(',').next().unwrap();
    let proxy = Proxy::to(first).await;
    let client = Client::builder(&format!("{}{chroot}", proxy.address()))
        .session_timeout(LONG)
        .request_timeout(Duration::from_millis(50));
    let client = client.connect().await.unwrap();
    proxy.hold(true);
    assert_eq!(client.exists("/").await, Err(Error::Timeout));
    proxy.hold(false);
    // The late answer was this one's turn, and nobody else's.
    let exists = loop {
        match client.exists("/").await {
            Err(Error::Timeout) => {}
            result => break result,
        }
    };
    assert!(exists.unwrap().is_some());
    assert_eq!(client.state(), SessionState::Connected);
    client.close().await;
}
