//! Queues: no item is lost, none is done twice, and with ids none is put twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};

use super::{ABRUPT, NATURAL, Plan, Stage, a_while, each_seed};
use crate::{Error, Queue, SimpleQueue};

/// What became of each item that was put or delivered.
#[derive(Debug, Clone, Default)]
struct Ledger(Arc<StdMutex<BTreeMap<Vec<u8>, Fate>>>);

#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    delivered: u32,
    done: u32,
}

/// Two put, three take: at the same time up to a limit, or one after the other with an id for each item.
async fn hand_over(stage: &mut Stage, has_ids: bool) -> Ledger {
    let ledger = Ledger::default();
    let mut work = Vec::new();
    for putter in 0..2 {
        let limit = if has_ids { 100 } else { 3 };
        let queue = Queue::new(stage.member(), "/items", "/locks").items_max(limit);
        let ledger = ledger.clone();
        work.push(tokio::spawn(async move {
            for number in 0..3 {
                let item = format!("{putter}-{number}");
                loop {
                    let put = match has_ids {
                        true => queue.put_with_id(&item, item.as_bytes()).await,
                        false => queue.put(item.as_bytes()).await,
                    };
                    // Whether it was put before the session ended is not known, so it is put again.
                    match put {
                        Ok(()) => break,
                        Err(error) => assert!(error.is_end_of_session(), "{error}"),
                    }
                }
                let mut ledger = ledger.0.lock().unwrap();
                ledger.entry(item.into_bytes()).or_default();
            }
        }));
    }
    if has_ids {
        stage.play(std::mem::take(&mut work), || ()).await;
    }
    let takers: Vec<_> = (0..3)
        .map(|_| {
            let queue = Queue::new(stage.member(), "/items", "/locks");
            tokio::spawn(take(queue, ledger.clone()))
        })
        .collect();
    stage.play(work, || ()).await;
    let ensemble = Arc::clone(&stage.ensemble);
    let is_empty = || ensemble.lock().unwrap().tree.children("/items").is_empty();
    stage.play_until(|| (), is_empty).await;
    assert_eq!(stage.left("/items").await, [""; 0]);
    for taker in takers {
        taker.abort();
    }
    assert_eq!(stage.left("/locks").await, [""; 0]);
    ledger
}

async fn take(queue: Queue, ledger: Ledger) {
    loop {
        let delivery = queue.take().await.unwrap();
        let item = delivery.elements()[0].clone();
        ledger
            .0
            .lock()
            .unwrap()
            .entry(item.clone())
            .or_default()
            .delivered += 1;
        a_while().await;
        match fastrand::u8(0..6) {
            0 => drop(delivery.put_back().await),
            1 => drop(delivery),
            _ => {
                let is_done = delivery.done().await.is_ok();
                let mut ledger = ledger.0.lock().unwrap();
                ledger.entry(item).or_default().done += u32::from(is_done);
            }
        }
    }
}

#[test]
fn every_item_is_delivered_whenever_sessions_end() {
    each_seed(ABRUPT, async |stage| {
        let ledger = hand_over(stage, false).await;
        let ledger = ledger.0.lock().unwrap();
        assert_eq!(ledger.len(), 6);
        assert!(ledger.values().all(|fate| fate.delivered > 0));
    });
}

#[test]
fn an_item_with_an_id_is_put_once_and_done_once_while_sessions_live() {
    let plan = Plan {
        cuts_only: true,
        ..NATURAL
    };
    each_seed(plan, async |stage| {
        let ledger = hand_over(stage, true).await;
        let ledger = ledger.0.lock().unwrap();
        assert_eq!(ledger.len(), 6);
        assert!(ledger.values().all(|fate| fate.done == 1), "{ledger:?}");
    });
}

#[test]
fn a_simple_queue_never_hands_an_item_to_two() {
    each_seed(ABRUPT, async |stage| {
        for number in 0..6 {
            let path = format!("/simple/qn-{number:010}");
            stage.lock().plant(&path, format!("{number}").as_bytes(), 0);
        }
        stage.lock().plant("/simple", b"", 6);
        let ledger = Ledger::default();
        let lost = Arc::new(AtomicUsize::new(0));
        let mut takers = Vec::new();
        for _ in 0..3 {
            let queue = SimpleQueue::new(stage.member(), "/simple");
            let (ledger, lost) = (ledger.clone(), Arc::clone(&lost));
            takers.push(tokio::spawn(async move {
                loop {
                    match queue.take().await {
                        Ok(item) => ledger.0.lock().unwrap().entry(item).or_default().done += 1,
                        Err(Error::InDoubt { .. }) => drop(lost.fetch_add(1, SeqCst)),
                        Err(error) => panic!("{error}"),
                    }
                }
            }));
        }
        assert_eq!(stage.left("/simple").await, [""; 0]);
        for taker in takers {
            assert!(!taker.is_finished());
            taker.abort();
        }
        let ledger = ledger.0.lock().unwrap();
        assert!(ledger.values().all(|fate| fate.done == 1), "{ledger:?}");
        assert!(ledger.len() + lost.load(SeqCst) >= 6, "{ledger:?}");
    });
}
