//! Watches: what they hear, and how they end.

use std::time::Duration;

use zabra_client::{
    AddWatchMode, Client, CreateMode, Error, ErrorCode, EventKind, RemoveWatchesKind, SessionEvent,
    SessionState, WatchStream, WatchedEvent,
};

use super::Place;

fn said(event: &WatchedEvent) -> (EventKind, &str) {
    (event.kind().unwrap(), event.path().unwrap())
}

pub(crate) async fn one_shots(place: Place) {
    let client = place.client().await;
    let (none, appears) = client.exists_and_watch("/a").await.unwrap();
    assert_eq!(none, None);
    client
        .create("/a", "", CreateMode::Persistent)
        .await
        .unwrap();
    assert_eq!(
        said(&appears.await.unwrap()),
        (EventKind::NodeCreated, "/a")
    );

    let (some, exists) = client.exists_and_watch("/a").await.unwrap();
    assert!(some.is_some());
    let (_, _, data) = client.get_and_watch("/a").await.unwrap();
    let (_, _, children) = client.children_and_watch("/a").await.unwrap();
    client.set("/a", "1", None).await.unwrap();
    assert_eq!(
        said(&exists.await.unwrap()),
        (EventKind::NodeDataChanged, "/a")
    );
    assert_eq!(
        said(&data.await.unwrap()),
        (EventKind::NodeDataChanged, "/a")
    );
    client
        .create("/a/b", "", CreateMode::Persistent)
        .await
        .unwrap();
    assert_eq!(
        said(&children.await.unwrap()),
        (EventKind::NodeChildrenChanged, "/a")
    );

    let (_, _, deleted) = client.get_and_watch("/a/b").await.unwrap();
    client.delete("/a/b", None).await.unwrap();
    assert_eq!(
        said(&deleted.await.unwrap()),
        (EventKind::NodeDeleted, "/a/b")
    );

    let (_, _, closed) = client.get_and_watch("/a").await.unwrap();
    client.close().await;
    assert_eq!(closed.await, Err(Error::Closed));
}

async fn changes(client: &Client) {
    client
        .create("/w/x", "", CreateMode::Persistent)
        .await
        .unwrap();
    client.set("/w/x", "1", None).await.unwrap();
    client.set("/w", "1", None).await.unwrap();
    client.delete("/w/x", None).await.unwrap();
    client.delete("/w", None).await.unwrap();
    client
        .create("/w", "", CreateMode::Persistent)
        .await
        .unwrap();
}

async fn hears(stream: &mut WatchStream, expected: &[(EventKind, &str)]) {
    for (n, expected) in expected.iter().enumerate() {
        let event = stream.next().await.unwrap();
        assert_eq!(said(&event), *expected, "event {n}");
    }
    assert_eq!(stream.try_next(), None);
}

pub(crate) async fn streams(place: Place) {
    if place.minor < 6 {
        return;
    }
    let client = place.client().await;
    client
        .create("/w", "", CreateMode::Persistent)
        .await
        .unwrap();
    let mut exact = client.watch("/w", AddWatchMode::Persistent).await.unwrap();
    let other = place.builder("").connect().await.unwrap();
    other.close().await;
    changes(&client).await;
    hears(
        &mut exact,
        &[
            (EventKind::NodeChildrenChanged, "/w"),
            (EventKind::NodeDataChanged, "/w"),
            (EventKind::NodeChildrenChanged, "/w"),
            (EventKind::NodeDeleted, "/w"),
            (EventKind::NodeCreated, "/w"),
        ],
    )
    .await;
    drop(exact);
    let mut below = client
        .watch("/w", AddWatchMode::PersistentRecursive)
        .await
        .unwrap();
    changes(&client).await;
    hears(
        &mut below,
        &[
            (EventKind::NodeCreated, "/w/x"),
            (EventKind::NodeDataChanged, "/w/x"),
            (EventKind::NodeDataChanged, "/w"),
            (EventKind::NodeDeleted, "/w/x"),
            (EventKind::NodeDeleted, "/w"),
            (EventKind::NodeCreated, "/w"),
        ],
    )
    .await;
    if place.minor >= 9 {
        // Side by side, and with one-shots, on one path (features WA-04).
        let mut exact = client.watch("/w", AddWatchMode::Persistent).await.unwrap();
        let (_, _, once) = client.get_and_watch("/w").await.unwrap();
        client.set("/w", "", None).await.unwrap();
        let expected = (EventKind::NodeDataChanged, "/w");
        assert_eq!(said(&once.await.unwrap()), expected);
        hears(&mut exact, &[expected]).await;
        hears(&mut below, &[expected]).await;
    }
    client.close().await;
    assert_eq!(below.next().await, Err(Error::Closed));
}

/// The server's word on whether it has a watch, as soon as it has done what was asked before.
async fn is_watched(client: &Client, path: &str) -> bool {
    match client.check_watches(path, RemoveWatchesKind::Any).await {
        Ok(()) => true,
        Err(error) if error.is(ErrorCode::NO_WATCHER) => false,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn dropped(place: Place) {
    let client = place.client().await;
    client
        .create("/a", "", CreateMode::Persistent)
        .await
        .unwrap();
    let (_, _, first) = client.get_and_watch("/a").await.unwrap();
    let (_, _, second) = client.children_and_watch("/a").await.unwrap();
    drop(first);
    assert!(is_watched(&client, "/a").await);
    drop(second);
    assert!(!is_watched(&client, "/a").await);
    // A call that is given up before its answer leaves no watch either.
    drop(client.get_and_watch("/a"));
    client.sync("/").await.unwrap();
    assert!(!is_watched(&client, "/a").await);
    if place.minor >= 6 {
        let stream = client
            .watch("/a", AddWatchMode::PersistentRecursive)
            .await
            .unwrap();
        assert!(is_watched(&client, "/a").await);
        drop(stream);
        assert!(!is_watched(&client, "/a").await);
    }
    let (_, _, kept) = client.get_and_watch("/a").await.unwrap();
    client.set("/a", "", None).await.unwrap();
    kept.await.unwrap();
    client.close().await;
}

pub(crate) async fn removed(place: Place) {
    let client = place.client().await;
    client
        .create("/a", "", CreateMode::Persistent)
        .await
        .unwrap();
    let (_, _, data) = client.get_and_watch("/a").await.unwrap();
    let (_, _, children) = client.children_and_watch("/a").await.unwrap();
    client
        .remove_watches("/a", RemoveWatchesKind::Data, false)
        .await
        .unwrap();
    assert_eq!(data.await, Err(Error::Closed));
    let still = tokio::time::timeout(Duration::ZERO, children);
    assert!(still.await.is_err());
    let none = client
        .remove_watches("/none", RemoveWatchesKind::Any, false)
        .await;
    assert!(none.unwrap_err().is(ErrorCode::NO_WATCHER));
    client.close().await;
}

pub(crate) async fn in_one_order(place: Place) {
    let client = place.client().await;
    client
        .create("/a", "", CreateMode::Persistent)
        .await
        .unwrap();
    let mut events = client.events();
    let first = client.get_and_watch("/a").await.unwrap();
    let second = client.get_and_watch("/a").await.unwrap();
    let parent = client.children_and_watch("/").await.unwrap();
    let appears = client.exists_and_watch("/b").await.unwrap();
    client.set("/a", "1", None).await.unwrap();
    client
        .create("/b", "", CreateMode::Persistent)
        .await
        .unwrap();
    for (kind, path) in [
        (EventKind::NodeDataChanged, "/a"),
        (EventKind::NodeCreated, "/b"),
        (EventKind::NodeChildrenChanged, "/"),
    ] {
        // It came before the answer to the call that did it.
        let Some(SessionEvent::Watched(event)) = events.try_next() else {
            panic!("no event of {path}");
        };
        assert_eq!((event.kind(), event.path()), (Some(kind), Some(path)));
    }
    assert_eq!(events.try_next(), None);
    drop((first, second, parent, appears));
    client.close().await;
    let closed = SessionEvent::State(SessionState::Closed);
    assert_eq!(events.next().await, Some(closed));
    assert_eq!(events.next().await, None);
}
