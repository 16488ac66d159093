//! The cache under faults: what it holds is what is there, and little is read for it.

use std::collections::BTreeMap;

use zabra_client::{Client, CreateMode};
use zabra_recipes::{Cache, CacheEvent, CacheOptions, Depth, Error};

use crate::support::{Fault, Scene, rounds, seed, within};

/// What a subtree holds, read by a client of its own.
async fn tree(client: &Client, root: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let (data, _) = client.get(&path).await.unwrap();
        for name in client.children(&path).await.unwrap() {
            left.push(format!("{path}/{name}"));
        }
        found.insert(path, data.into());
    }
    found
}

/// Waits until the cache holds the same.
async fn settled(cache: &Cache, wanted: &BTreeMap<String, Vec<u8>>) {
    let same = async {
        loop {
            let nodes = cache.nodes();
            if nodes.len() == wanted.len()
                && nodes
                    .iter()
                    .all(|node| wanted.get(&node.path) == Some(&node.data))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = within(same) => {}
        error = cache.ended() => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_becomes_what_is_there_after_every_fault_and_tells_it() {
    let mut scene = Scene::new(1).await;
    let mut random = fastrand::Rng::with_seed(seed());
    scene
        .direct()
        .await
        .create("/cache", "", CreateMode::Persistent)
        .await
        .unwrap();
    let cache = Cache::start(
        &scene.members[0].sessions,
        "/cache",
        CacheOptions::default(),
    );
    let mut events = cache.events();
    within(cache.initialized()).await.unwrap();
    let mut told = BTreeMap::new();
    for _ in 0..rounds() {
        let fault = Fault::any(&mut random);
        let writer = scene.direct().await;
        for step in 0..6 {
            if step == 3 && fault != Fault::Kill {
                scene.inflict(fault, 0).await;
            }
            let path = format!("/cache/{}", random.u8(0..6));
            match random.u8(0..4) {
                0 => drop(writer.create(&path, "new", CreateMode::Persistent).await),
                1 => drop(
                    writer
                        .create(&format!("{path}/below"), "new", CreateMode::Persistent)
                        .await,
                ),
                2 => drop(writer.set(&path, random.u8(..).to_string(), None).await),
                _ => {
                    drop(writer.delete(&format!("{path}/below"), None).await);
                    drop(writer.delete(&path, None).await);
                }
            }
        }
        let wanted = tree(&writer, "/cache").await;
        writer.close().await;
        if fault == Fault::Kill {
            scene.inflict(fault, 0).await;
        }
        settled(&cache, &wanted).await;
        // What was told adds up to what is there.
        let caught_up = async {
            while told != wanted {
                match events.next().await.unwrap() {
                    CacheEvent::Created(node) | CacheEvent::Changed { after: node, .. } => {
                        told.insert(node.path.clone(), node.data.clone());
                    }
                    CacheEvent::Deleted(node) => drop(told.remove(&node.path)),
                    CacheEvent::Initialized => {}
                }
            }
        };
        within(caught_up).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconnection_costs_one_small_read_for_each_znode() {
    let scene = Scene::new(1).await;
    let writer = scene.direct().await;
    writer
        .create("/many", "", CreateMode::Persistent)
        .await
        .unwrap();
    for n in 0..200 {
        writer
            .create(
                &format!("/many/{n}"),
                vec![b'x'; 1_000],
                CreateMode::Persistent,
            )
            .await
            .unwrap();
    }
    let cache = Cache::start(&scene.members[0].sessions, "/many", CacheOptions::default());
    within(cache.initialized()).await.unwrap();
    let first = scene.members[0].proxy.answered();
    assert!(first > 200_000);
    scene.members[0].proxy.cut();
    writer.set("/many/7", "changed", None).await.unwrap();
    let changed = async {
        while cache
            .get("/many/7")
            .is_none_or(|node| node.data != b"changed")
        {
            tokio::task::yield_now().await;
        }
    };
    within(changed).await;
    let again = scene.members[0].proxy.answered() - first;
    assert!(
        again < 200 * 110 + 10_000,
        "{again} bytes to find one change of 200"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_of_one_znode_holds_that_alone() {
    let scene = Scene::new(1).await;
    let writer = scene.direct().await;
    let options = CacheOptions {
        depth: Depth::Node,
        ..CacheOptions::default()
    };
    let cache = Cache::start(&scene.members[0].sessions, "/one", options);
    within(cache.initialized()).await.unwrap();
    assert!(cache.nodes().is_empty());
    let mut events = cache.events();
    writer
        .create("/one", "1", CreateMode::Persistent)
        .await
        .unwrap();
    writer
        .create("/one/below", "2", CreateMode::Persistent)
        .await
        .unwrap();
    writer.set("/one", "3", None).await.unwrap();
    let seen = async {
        while cache.get("/one").is_none_or(|node| node.data != b"3") {
            events.next().await.unwrap();
        }
    };
    within(seen).await;
    assert_eq!(cache.nodes().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_would_grow_too_large_ends() {
    let scene = Scene::new(1).await;
    let writer = scene.direct().await;
    writer
        .create("/large", vec![0; 10_000], CreateMode::Persistent)
        .await
        .unwrap();
    let options = CacheOptions {
        bytes_max: 5_000,
        ..CacheOptions::default()
    };
    let cache = Cache::start(&scene.members[0].sessions, "/large", options);
    assert!(matches!(
        within(cache.ended()).await,
        Error::TooLarge { .. }
    ));
    assert!(cache.initialized().await.is_err());
}
