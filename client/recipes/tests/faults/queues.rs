//! Queues under faults: no item is lost, and none is worked on by two whose sessions live.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::{Duration, SystemTime};

use zabra_recipes::{DelayQueue, Delivery, Error, Queue, Sessions, SimpleQueue};

use crate::support::{Scene, looks, on_one_server_and_on_three, rounds, within};

on_one_server_and_on_three!(
    every_item_is_delivered_under_every_fault: 3,
    no_item_of_a_simple_queue_is_taken_twice_under_every_fault: 3,
);

/// Plain, by priority, with ids and with delays: they do not go together.
const KINDS: [Kind; 4] = [Kind::Plain, Kind::Priority, Kind::Ids, Kind::Delays];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Priority,
    Ids,
    Delays,
}

/// A queue of some kind.
struct AnyQueue {
    kind: Kind,
    queue: Queue,
    late: DelayQueue,
}

impl AnyQueue {
    fn new(kind: Kind, sessions: impl Into<Sessions>) -> Self {
        let (path, locks) = (format!("/queues/{kind:?}"), "/queues/locks");
        let sessions = sessions.into();
        Self {
            kind,
            queue: Queue::new(&sessions, &path, locks).items_max(100),
            late: DelayQueue::new(sessions, &path, locks).items_max(100),
        }
    }

    async fn put(&self, item: &[u8]) {
        let last = item[item.len() - 1] % 8;
        let due = SystemTime::now() + Duration::from_millis(u64::from(last));
        let put = async {
            match self.kind {
                Kind::Plain => self.queue.put(item).await,
                Kind::Priority => {
                    self.queue
                        .put_with_priority(3 - i32::from(last), item)
                        .await
                }
                Kind::Ids => {
                    let id = String::from_utf8_lossy(item);
                    self.queue.put_with_id(&id, item).await
                }
                Kind::Delays => self.late.put(item, due).await,
            }
        };
        within(put).await.unwrap();
    }

    async fn take(&self) -> Delivery {
        let taken = match self.kind {
            Kind::Delays => self.late.take().await,
            _ => self.queue.take().await,
        };
        taken.unwrap()
    }
}

async fn every_item_is_delivered_under_every_fault(mut scene: Scene) {
    for (round, kind) in (0..rounds()).zip(KINDS.into_iter().cycle()) {
        let producer = AnyQueue::new(kind, scene.direct().await);
        let items: BTreeSet<Vec<u8>> = (0..6)
            .map(|n| format!("{round}-{n}").into_bytes())
            .collect();
        for item in &items {
            producer.put(item).await;
        }
        let delivered = Arc::new(StdMutex::new(BTreeSet::new()));
        let mut workers = Vec::new();
        for member in &scene.members {
            let queue = AnyQueue::new(kind, &member.sessions);
            let delivered = Arc::clone(&delivered);
            workers.push(tokio::spawn(async move {
                loop {
                    let delivery = queue.take().await;
                    let item = delivery.elements()[0].clone();
                    delivered.lock().unwrap().insert(item);
                    // Whoever lost it meanwhile leaves it to another.
                    let _ = delivery.done().await;
                }
            }));
        }
        let (fault, _) = scene.strike().await;
        let left = AnyQueue::new(kind, scene.direct().await).queue;
        let all_gone = async {
            let mut looks = looks();
            while !left.is_empty().await.unwrap() {
                looks.tick().await;
            }
        };
        within(all_gone).await;
        for worker in workers {
            worker.abort();
            assert!(
                worker.await.is_err_and(|error| error.is_cancelled()),
                "round {round}, {fault:?}"
            );
        }
        let delivered = delivered.lock().unwrap();
        assert_eq!(*delivered, items, "round {round}, {fault:?}");
    }
}

async fn no_item_of_a_simple_queue_is_taken_twice_under_every_fault(mut scene: Scene) {
    for round in 0..rounds() {
        let path = "/queues/simple";
        let producer = SimpleQueue::new(scene.direct().await, path);
        for n in 0..6 {
            within(producer.put(format!("{round}-{n}").as_bytes()))
                .await
                .unwrap();
        }
        // A server that was killed in the round before may have cost an answer, so that one was put twice.
        let put = within(producer.len()).await.unwrap();
        for _ in 6..put {
            within(producer.take()).await.unwrap();
        }
        let is_exact = put == 6;
        let taken = Arc::new(StdMutex::new(BTreeSet::new()));
        let work = |_, sessions: &Sessions| {
            let queue = SimpleQueue::new(sessions, path);
            let taken = Arc::clone(&taken);
            async move {
                // Two for each of three.
                for _ in 0..2 {
                    match queue.take().await {
                        Ok(item) => assert!(
                            taken.lock().unwrap().insert(item) || !is_exact,
                            "taken twice"
                        ),
                        Err(Error::InDoubt { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        };
        scene.round(round, work).await;
        // What somebody was in doubt about may have been taken by another, so that one more is left.
        let left = SimpleQueue::new(scene.direct().await, path);
        while !within(left.is_empty()).await.unwrap() {
            let item = within(left.take()).await.unwrap();
            assert!(
                taken.lock().unwrap().insert(item) || !is_exact,
                "taken twice"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_item_is_taken_before_its_moment() {
    let scene = Scene::new(1).await;
    let queue = DelayQueue::new(
        &scene.members[0].sessions,
        "/queues/late",
        "/queues/late-locks",
    );
    let (soon, far) = (Duration::from_millis(40), Duration::from_secs(3_600));
    let moment = SystemTime::now() + soon;
    queue.put(b"far", moment + far).await.unwrap();
    queue.put(b"soon", moment).await.unwrap();
    let delivery = within(queue.take()).await.unwrap();
    assert_eq!(delivery.elements(), [b"soon"]);
    delivery.done().await.unwrap();
    assert_eq!(queue.len().await.unwrap(), 1);
    tokio::select! {
        biased;
        _ = queue.take() => panic!("it is not due for an hour"),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_whose_taker_ends_goes_to_another() {
    let scene = Scene::new(2).await;
    let queue = |n: usize| {
        Queue::new(
            &scene.members[n].sessions,
            "/queues/ends",
            "/queues/ends-locks",
        )
    };
    queue(0).put(b"only").await.unwrap();
    let first = within(queue(0).take()).await.unwrap();
    let second = tokio::spawn({
        let queue = queue(1);
        async move { queue.take().await.unwrap() }
    });
    scene.expire(0).await;
    let second = within(second).await.unwrap();
    assert_eq!(second.elements(), [b"only"]);
    assert!(
        first.done().await.is_err(),
        "it is not the first one's any more"
    );
    second.done().await.unwrap();
    assert!(queue(1).is_empty().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_delivery_is_put_back() {
    let scene = Scene::new(1).await;
    let queue = Queue::new(
        &scene.members[0].sessions,
        "/queues/back",
        "/queues/back-locks",
    );
    queue.put(b"again").await.unwrap();
    drop(within(queue.take()).await.unwrap());
    assert_eq!(within(queue.take()).await.unwrap().elements(), [b"again"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_priorities_come_first_and_ids_can_be_removed() {
    let scene = Scene::new(1).await;
    let queue = Queue::new(
        &scene.members[0].sessions,
        "/queues/sorted",
        "/queues/sorted-locks",
    );
    for priority in [3, -1, 2] {
        queue
            .put_with_priority(priority, priority.to_string().as_bytes())
            .await
            .unwrap();
    }
    for wanted in ["-1", "2", "3"] {
        let delivery = within(queue.take()).await.unwrap();
        assert_eq!(delivery.elements(), [wanted.as_bytes()]);
        delivery.done().await.unwrap();
    }
    for id in ["a", "b", "a"] {
        queue.put_with_id(id, id.as_bytes()).await.unwrap();
    }
    assert_eq!(queue.remove("a").await.unwrap(), 2);
    assert_eq!(within(queue.take()).await.unwrap().elements(), [b"b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_lets_putters_wait() {
    let scene = Scene::new(1).await;
    let queue = Queue::new(
        &scene.members[0].sessions,
        "/queues/full",
        "/queues/full-locks",
    )
    .items_max(1);
    queue.put(b"1").await.unwrap();
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.put(b"2").await.unwrap() }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    within(queue.take()).await.unwrap().done().await.unwrap();
    within(waiting).await.unwrap();
    assert_eq!(within(queue.take()).await.unwrap().elements(), [b"2"]);
}
