//! The cache under faults: what it holds is what is there, and little is read for it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use zabra_client::{Client, CreateMode, Error as ClientError, ErrorCode, RetryPolicy};
use zabra_recipes::{Cache, CacheEvent, CacheOptions, Depth, Error, Node, Sessions};
use zabra_testserver::TestEnsemble;

use crate::support::{Scene, on_one_server_and_on_three, rounds, until, within};

/// What a subtree holds, or a znode alone, read by a client of its own.
async fn tree(client: &Client, root: &str, depth: Depth) -> BTreeMap<String, Vec<u8>> {
    loop {
        match try_tree(client, root, depth).await {
            Ok(found) => return found,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
}

async fn try_tree(
    client: &Client,
    root: &str,
    depth: Depth,
) -> Result<BTreeMap<String, Vec<u8>>, ClientError> {
    client.sync(root).await?;
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let Some((data, _)) = there(client.get(&path).await)? else {
            continue;
        };
        if depth == Depth::Subtree {
            let names = there(client.children(&path).await)?.unwrap_or_default();
            left.extend(names.iter().map(|name| format!("{path}/{name}")));
        }
        found.insert(path, data.into());
    }
    Ok(found)
}

fn there<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Err(error) if error.is(ErrorCode::NO_NODE) => Ok(None),
        answer => answer.map(Some),
    }
}

fn is_same(cache: &Cache, wanted: &BTreeMap<String, Vec<u8>>) -> bool {
    let nodes = cache.nodes();
    let is_there = |node: &Arc<Node>| wanted.get(&node.path) == Some(&node.data);
    nodes.len() == wanted.len() && nodes.iter().all(is_there)
}

/// Waits until the cache holds the same.
async fn settled(cache: &Cache, wanted: &BTreeMap<String, Vec<u8>>) {
    tokio::select! {
        () = until(|| is_same(cache, wanted)) => {}
        error = cache.ended() => panic!("{error}"),
    }
}

on_one_server_and_on_three!(
    a_cache_becomes_what_is_there_after_every_fault_and_tells_it: 1,
    a_cache_of_one_znode_becomes_what_is_there_after_every_fault_and_tells_it: 1,
);

async fn a_cache_becomes_what_is_there_after_every_fault_and_tells_it(scene: Scene) {
    let direct = scene.direct().await;
    let made = direct.create("/cache", "", CreateMode::Persistent).await;
    made.unwrap();
    follow(scene, "/cache", Depth::Subtree).await;
}

async fn a_cache_of_one_znode_becomes_what_is_there_after_every_fault_and_tells_it(scene: Scene) {
    let direct = scene.direct().await;
    let made = direct.create("/cache", "", CreateMode::Persistent).await;
    made.unwrap();
    follow(scene, "/cache/0", Depth::Node).await;
}

/// What a listener was told so far.
#[derive(Default)]
struct Told {
    nodes: BTreeMap<String, Vec<u8>>,
    /// The last change of each znode.
    newest: BTreeMap<String, i64>,
}

impl Told {
    fn on_event(&mut self, event: CacheEvent) {
        match event {
            CacheEvent::Created(node) | CacheEvent::Changed { after: node, .. } => {
                let last = self.newest.insert(node.path.clone(), node.stat.mzxid);
                assert!(last < Some(node.stat.mzxid), "{} went back", node.path);
                self.nodes.insert(node.path.clone(), node.data.clone());
            }
            CacheEvent::Deleted(node) => drop(self.nodes.remove(&node.path)),
            CacheEvent::Initialized => {}
        }
    }
}

async fn follow(mut scene: Scene, root: &str, depth: Depth) {
    let options = CacheOptions {
        depth,
        ..CacheOptions::default()
    };
    let cache = Cache::start(&scene.members[0].sessions, root, options);
    let mut events = cache.events();
    within(cache.initialized()).await.unwrap();
    let mut told = Told::default();
    for _ in 0..rounds() {
        let writer = scene.direct().await;
        for step in 0..6 {
            if step == 3 {
                scene.strike().await;
            }
            write(&writer, &mut scene.random).await;
        }
        // A write whose answer was lost may be done after the look.
        let caught_up = async {
            loop {
                let wanted = tree(&writer, root, depth).await;
                let seen = settled(&cache, &wanted);
                if tokio::time::timeout(LOOK, seen).await.is_ok() {
                    return wanted;
                }
            }
        };
        let wanted = within(caught_up).await;
        // What was told adds up to what is there.
        let heard = async {
            while told.nodes != wanted {
                told.on_event(events.next().await.unwrap());
            }
        };
        within(heard).await;
        writer.close().await;
    }
}

/// Some change below `/cache`, or none.
async fn write(writer: &Client, random: &mut fastrand::Rng) {
    let path = format!("/cache/{}", random.u8(0..6));
    let below = format!("{path}/below");
    let mode = CreateMode::Persistent;
    // What is not possible now is at another time.
    match random.u8(0..4) {
        0 => drop(writer.create(&path, "new", mode).await),
        1 => drop(writer.create(&below, "new", mode).await),
        2 => drop(writer.set(&path, random.u8(..).to_string(), None).await),
        _ => {
            drop(writer.delete(&below, None).await);
            drop(writer.delete(&path, None).await);
        }
    }
}

/// How long a cache may differ from what was there before it is looked at again.
const LOOK: Duration = Duration::from_secs(5);

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
    let changed = |node: Arc<Node>| node.data == b"changed";
    until(|| cache.get("/many/7").is_some_and(changed)).await;
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
