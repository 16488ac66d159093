//! Queues under faults: no item is lost, and none is worked on by two whose sessions live.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as StdMutex};

use zabra_recipes::{Queue, Sessions};

use crate::support::{Scene, on_one_server_and_on_three, rounds, within};

on_one_server_and_on_three!(every_item_is_delivered_under_every_fault: 3,);

async fn every_item_is_delivered_under_every_fault(mut scene: Scene) {
    for round in 0..rounds() {
        // Plain, by priority and with ids in turn: the first and the second do not go together.
        let kind = round % 3;
        let queue = |sessions: Sessions| {
            Queue::new(sessions, &format!("/queues/items-{kind}"), "/queues/locks").items_max(100)
        };
        let producer = queue(scene.direct().await.into());
        let items: BTreeSet<Vec<u8>> = (0..6)
            .map(|n| format!("{round}-{n}").into_bytes())
            .collect();
        for item in &items {
            let id = String::from_utf8_lossy(item);
            let put = async {
                match kind {
                    0 => producer.put(item).await,
                    1 => {
                        producer
                            .put_with_priority(3 - i32::from(item[0] % 7), item)
                            .await
                    }
                    _ => producer.put_with_id(&id, item).await,
                }
            };
            within(put).await.unwrap();
        }
        let delivered = Arc::new(StdMutex::new(BTreeSet::new()));
        let mut workers = Vec::new();
        for member in &scene.members {
            let queue = queue(member.sessions.clone());
            let delivered = Arc::clone(&delivered);
            workers.push(tokio::spawn(async move {
                loop {
                    let delivery = queue.take().await.unwrap();
                    delivered
                        .lock()
                        .unwrap()
                        .insert(delivery.elements()[0].clone());
                    // Whoever lost it meanwhile leaves it to another.
                    let _ = delivery.done().await;
                }
            }));
        }
        let (fault, _) = scene.strike().await;
        let left = queue(scene.direct().await.into());
        let all_gone = async {
            while !left.is_empty().await.unwrap() {
                tokio::task::yield_now().await;
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
        assert_eq!(
            *delivered.lock().unwrap(),
            items,
            "round {round}, {fault:?}"
        );
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
