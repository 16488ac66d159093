//! Caches: what they hold and tell never goes back, and in the end it is what is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex};

use zabra_client::CreateMode;

use super::{ABRUPT, LOCAL, NATURAL, Plan, Stage, a_while, each_seed};
use crate::session::Session;
use crate::sessions::Sessions;
use crate::{Cache, CacheEvent, CacheEvents, CacheOptions, Depth, Missed};

/// What a listener was told so far.
#[derive(Debug, Clone, Default)]
struct Told(Arc<StdMutex<BTreeMap<String, Vec<u8>>>>);

impl Told {
    /// Adds up what is told, and looks that it never is older than what was told before.
    async fn listen(self, mut events: CacheEvents) {
        let mut newest = BTreeMap::new();
        loop {
            match events.next().await {
                Ok(CacheEvent::Created(node) | CacheEvent::Changed { after: node, .. }) => {
                    let last = newest.insert(node.path.clone(), node.stat.mzxid);
                    assert!(last < Some(node.stat.mzxid), "{} went back", node.path);
                    let mut told = self.0.lock().unwrap();
                    told.insert(node.path.clone(), node.data.clone());
                }
                Ok(CacheEvent::Deleted(node)) => drop(self.0.lock().unwrap().remove(&node.path)),
                Ok(CacheEvent::Initialized) => {}
                Err(Missed::Ended) => return,
                Err(Missed::Some(count)) => panic!("{count} were left out"),
            }
        }
    }
}

/// One changes what is below a znode, another has a copy of it.
async fn follow(stage: &mut Stage, root: &str, depth: Depth) {
    stage.lock().plant("/cache", b"", 0);
    stage.lock().plant("/cache/0", b"old", 0);
    let writer = stage.member();
    let options = CacheOptions {
        depth,
        ..CacheOptions::default()
    };
    let cache = Cache::start(stage.member(), root, options);
    let told = Told::default();
    let listener = tokio::spawn(told.clone().listen(cache.events()));
    let written = tokio::spawn(async move {
        for _ in 0..12 {
            a_while().await;
            write(&writer).await;
        }
    });
    stage.play(vec![written], || ()).await;
    stage.left("/cache").await;
    let wanted = {
        let ensemble = stage.lock();
        let all = ensemble.tree.all();
        let covers = |path: &str| match depth {
            Depth::Node => path == root,
            Depth::Subtree => path.starts_with(root),
        };
        let found = all.filter(|(path, _)| covers(path));
        let found = found.map(|(path, data)| (path.to_owned(), data.to_vec()));
        found.collect::<BTreeMap<_, _>>()
    };
    let held = cache.nodes();
    let held: BTreeMap<_, _> = held
        .iter()
        .map(|node| (node.path.clone(), node.data.clone()))
        .collect();
    assert_eq!(held, wanted);
    drop(cache);
    listener.await.unwrap();
    assert_eq!(*told.0.lock().unwrap(), wanted);
}

/// Some change, or none.
async fn write(sessions: &Sessions) {
    let patient = sessions.patient().await.unwrap();
    let session: &Session = patient.session();
    let path = format!("/cache/{}", fastrand::u8(0..2));
    let below = format!("{path}/below");
    let mode = CreateMode::Persistent.into();
    // What is not possible now is at another time.
    match fastrand::u8(0..6) {
        0..2 => drop(session.create(&path, b"new", &mode).await),
        2 => drop(session.create(&below, b"new", &mode).await),
        3 => drop(session.set(&path, &[fastrand::u8(..)], None).await),
        _ => {
            drop(session.delete(&below).await);
            drop(session.delete(&path).await);
        }
    }
}

pub(super) async fn subtree(stage: &mut Stage) {
    follow(stage, "/cache", Depth::Subtree).await;
}

pub(super) async fn node(stage: &mut Stage) {
    follow(stage, "/cache/0", Depth::Node).await;
}

/// Servers before 3.9, where an event does not say how far its client has heard, and connections that break all the time.
pub(super) const OLD: Plan = Plan {
    event_zxids: false,
    cuts_only: true,
    faults: 40,
    ..NATURAL
};

#[test]
fn a_cache_of_a_subtree_never_goes_back_and_becomes_what_is_there() {
    each_seed(ABRUPT, subtree);
    each_seed(LOCAL, subtree);
}

#[test]
fn a_cache_of_a_znode_never_goes_back_and_becomes_what_is_there() {
    each_seed(ABRUPT, node);
}

#[test]
fn no_cache_goes_back_on_old_servers() {
    each_seed(OLD, subtree);
    each_seed(OLD, node);
}
