//! The cache under faults: what it holds is what is there, and little is read for it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use zabra_client::{Client, CreateMode, RetryPolicy};
use zabra_recipes::{Cache, CacheEvent, CacheOptions, Depth, Error, Sessions};
use zabra_testserver::TestEnsemble;

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

/// Reads that a server has answered since it started.
fn reads_answered(server: SocketAddr) -> u64 {
    let mut socket = TcpStream::connect(server).unwrap();
    socket.write_all(b"mntr").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let mut rows = answer.lines();
    let count = rows.find_map(|row| row.strip_prefix("zk_cnt_readlatency\t"));
    count.unwrap().parse().unwrap()
}

fn all_reads_answered(ensemble: &TestEnsemble, servers: &[usize]) -> u64 {
    let addresses = servers
        .iter()
        .map(|number| ensemble.address(*number).unwrap());
    addresses.map(reads_answered).sum()
}

/// 50 directories, the rest of the znodes evenly in them.
fn wide(znodes: usize) -> BTreeMap<String, Vec<u8>> {
    let paths = (0..znodes - 1).map(|n| match n {
        0..50 => format!("/wide/{n}"),
        _ => format!("/wide/{}/{n}", n % 50),
    });
    let mut paths: Vec<String> = paths.collect();
    paths.push("/wide".to_owned());
    paths
        .into_iter()
        .map(|path| (path.clone(), path.into_bytes()))
        .collect()
}

async fn plant(writer: &Client, znodes: &BTreeMap<String, Vec<u8>>) {
    // Parents come before their children in this order.
    let calls: Vec<_> = znodes
        .iter()
        .map(|(path, data)| writer.create(path, data, CreateMode::Persistent))
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_caches_and_an_election_cost_less_than_two_reads_for_each_znode_and_cache() {
    let is_long = std::env::var_os("ZABRA_TEST_LONG").is_some();
    let (caches, znodes) = if is_long { (200, 5_000) } else { (12, 600) };
    let mut ensemble = TestEnsemble::start(3).unwrap();
    let servers = ensemble.connect_string();
    let timeout = Duration::from_secs(60);
    let builder = Client::builder(&servers).session_timeout(timeout);
    let writer = builder.connect().await.unwrap();
    let mut wanted = wide(znodes);
    plant(&writer, &wanted).await;
    let mut copies = Vec::new();
    for _ in 0..caches {
        let servers = servers.clone();
        let connect = move || Client::builder(&servers).session_timeout(timeout).connect();
        let sessions = within(Sessions::new(connect)).await.unwrap();
        copies.push(Cache::start(&sessions, "/wide", CacheOptions::default()));
    }
    let filled = async {
        for copy in &copies {
            copy.initialized().await.unwrap();
        }
    };
    tokio::time::timeout(LONG_PATIENCE, filled).await.unwrap();
    let to_fill = all_reads_answered(&ensemble, &[1, 2, 3]);

    let victim = ensemble.leader().unwrap();
    let rest: Vec<_> = (1..=3).filter(|number| *number != victim).collect();
    let before = all_reads_answered(&ensemble, &rest);
    ensemble.stop(victim).unwrap();
    ensemble.until_settled().unwrap();
    let again = RetryPolicy::Forever {
        pause: Duration::from_millis(50),
    };
    for (path, data) in [("/wide/7", "changed"), ("/wide/4/new", "new")] {
        let put = || writer.put(path, data, CreateMode::Persistent);
        within(writer.retry(again, put)).await.unwrap();
        wanted.insert(path.to_owned(), data.into());
    }
    let delete = || writer.delete_quietly("/wide/3/53", None);
    within(writer.retry(again, delete)).await.unwrap();
    wanted.remove("/wide/3/53");
    let settled = async {
        for copy in &copies {
            settled(copy, &wanted).await;
        }
    };
    tokio::time::timeout(LONG_PATIENCE, settled).await.unwrap();
    let to_settle = all_reads_answered(&ensemble, &rest) - before;

    let looked_at = (caches * znodes) as f64;
    let (filling, settling) = (to_fill as f64 / looked_at, to_settle as f64 / looked_at);
    println!(
        "reads for each znode and cache: {filling:.3} to fill, {settling:.3} after an election"
    );
    assert!(filling + settling <= 2.0, "{filling} + {settling}");
    assert!(settling < 0.25, "{settling}");
}

const LONG_PATIENCE: Duration = Duration::from_secs(600);
